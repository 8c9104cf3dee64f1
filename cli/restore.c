// restore.c: orgtrail restore, the way back from a backup.

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/random.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/store.h"
#include "storage/trail/trail_restore.h"

struct options {
    struct store_choice store;
    const char *backup;
};

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            return 0;
        case ARGP_KEY_ARG:
            if (options->backup != NULL)
                argp_error(state, "one backup only: \"%s\" is too much", argument);
            options->backup = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->backup == NULL) argp_error(state, "which backup? Give its folder");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    progress_step(user, done, all, "bytes");
}

static void print_result(const struct options *options, const char *store,
                         const struct trail_restore_result *result) {
    char started[TIME_TEXT_SIZE];
    time_print_ms(result->backup.started_ms, started);
    printf("%s: restored from %s: %" PRIu64 " events up to #%" PRIu64 ", as of %s\n", store,
           options->backup, result->backup.events, result->backup.sequence_last, started);
    if (result->aside[0] != 0)
        printf("The store that was there is kept in %s: delete it when nothing is missing.\n",
               result->aside);
    printf(
        "Start the collector. Agents send again what their spools still have, folders of files are "
        "read again, and what nobody has any more is told as a gap or as an event AgentNotice.\n");
}

int restore_run(int argc, char **argv) {
    static const struct argp_child children[] = {{&store_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_argument,
        .args_doc = "DIR",
        .doc =
            "Puts the store back as a backup has it, under a new epoch. Only while the collector "
            "is "
            "stopped. What is in the store's folder is kept aside and never deleted.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    struct progress progress;
    struct trail_restore_result result;
    char store[STORE_PATH_SIZE];
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (!store_find(&options.store, store, &fault)) return command_fail(argv[0], &fault);
    const struct trail_restore_options restore_options = {
        .backup = options.backup,
        .store = store,
        .clock = clock_system(),
        .random = random_system(),
        .on_progress = on_progress,
        .user = &progress,
    };
    progress_begin(&progress, "copying");
    bool is_good = trail_restore(&restore_options, &result, &fault);
    progress_end(&progress);
    if (!is_good && fault.kind == FAULT_RETRY) fault_add(&fault, "stop the collector first");
    if (!is_good) return command_fail(argv[0], &fault);
    print_result(&options, store, &result);
    return command_finish(argv[0]);
}
