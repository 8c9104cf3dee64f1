#include "agent/agent_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/choice.h"
#include "agent/renewal.h"
#include "agent/source/directory.h"
#include "agent/source/tail.h"
#include "base/files.h"
#include "base/random.h"

enum { PATH_SIZE = 4096 };

bool agent_open_spool(const struct agent_config *config, const struct clock *clock,
                      struct spool **spool, struct fault *fault) {
    if (!files_make_directory(files_system(), config->spool_directory, fault))
        return fault_add(fault, "spool.directory");
    struct spool_source sources[AGENT_CONFIG_SOURCES_MAX] = {0};
    for (uint32_t index = 0; index < config->sources_count; index++) {
        const struct agent_config_source *from = &config->sources[index];
        snprintf(sources[index].name, sizeof sources[index].name, "%s", from->name);
        snprintf(sources[index].kind, sizeof sources[index].kind, "%s",
                 from->is_tail ? "tail" : "directory");
    }
    const struct spool_options options = {
        .files = files_system(),
        .clock = clock,
        .random = random_system(),
        .directory = config->spool_directory,
        .size_max = config->spool_size_max,
        .sources = sources,
        .sources_count = config->sources_count,
    };
    return spool_open(&options, spool, fault);
}

static bool open_directory(const struct agent_opening *opening,
                           const struct agent_config_source *from, struct source *source,
                           struct fault *fault) {
    char taken[PATH_SIZE], state[PATH_SIZE + SPOOL_NAME_SIZE + 1];
    struct spool_facts facts;
    spool_describe(opening->spool, &facts);
    int size = snprintf(taken, sizeof taken, "%s/taken", opening->how->config->spool_directory);
    if (size >= (int)sizeof taken) {
        return fault_set(fault, FAULT_INPUT, "spool.directory: the path is too long");
    }
    snprintf(state, sizeof state, "%s/%s", taken, from->name);
    if (!files_make_directory(files_system(), taken, fault)) return false;
    const struct directory_options options = {
        .files = files_system(),
        .archive = opening->how->archive,
        .clock = opening->clock,
        .root = from->paths[0],
        .state_directory = state,
        .spool_id = facts.spool_id,
        .poll_ms = from->poll_ms,
        .file_size_max = from->file_size_max,
        .once = opening->how->once,
    };
    return directory_open(&options, source, fault);
}

bool agent_open_source(const struct agent_opening *opening, const struct agent_config_source *from,
                       struct source *source, struct fault *fault) {
    bool is_open;
    if (!from->is_tail) {
        is_open = open_directory(opening, from, source, fault);
    } else if (from->is_standard_input) {
        is_open = tail_open_stream(STDIN_FILENO, opening->clock, source, fault);
    } else {
        const struct tail_options options = {
            .files = files_system(),
            .clock = opening->clock,
            .paths = from->paths,
            .paths_count = from->paths_count,
            .from_end = from->from_end,
            .once = opening->how->once,
        };
        is_open = tail_open(&options, source, fault);
    }
    return is_open || fault_add(fault, "source %s", from->name);
}

bool agent_check(const struct agent_config *config, struct fault *fault) {
    const struct clock *clock = clock_system();
    struct certificate_files read;
    if (!renewal_read(config, NULL, clock->now_ms(clock->context) / 1000, &read, fault)) {
        return false;
    }
    certificate_files_done(&read);
    if (config->event_selectors != NULL) {
        struct choice *choice;
        if (!choice_load(config->event_selectors, &choice, fault)) return false;
        choice_destroy(choice);
    }
    if (!files_make_directory(files_system(), config->spool_directory, fault))
        return fault_add(fault, "spool.directory");
    if (access(config->spool_directory, R_OK | W_OK | X_OK) != 0) {
        return fault_set(fault, FAULT_DENIED, "spool.directory: %s cannot be written by this user",
                         config->spool_directory);
    }
    for (uint32_t index = 0; index < config->sources_count; index++) {
        const struct agent_config_source *source = &config->sources[index];
        if (source->is_standard_input || access(source->paths[0], R_OK) == 0) continue;
        if (source->is_tail && strpbrk(source->paths[0], "*?[") != NULL) continue;
        fprintf(stderr,
                "orgtrail-agent: warning: source %s: %s cannot be read now: %s; the agent waits\n",
                source->name, source->paths[0], strerror(errno));
    }
    return true;
}
