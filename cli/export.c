// export.c: orgtrail export, the arguments of export_write.

#include "query/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/command.h"
#include "cli/conditions.h"
#include "cli/hint.h"
#include "cli/names.h"
#include "cli/progress.h"
#include "cli/settings.h"
#include "cli/store.h"

enum {
    OPTION_FORMAT = 256,
    OPTION_RESUME,
    OPTION_ORGANIZATION,
};

struct options {
    struct store_choice store;
    struct filter filter;
    struct export_plan plan;
    const char *organization;
};

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "The files:", 55},
    {"format", OPTION_FORMAT, "FORM", 0,
     "cloudtrail (default): the layout of an organization trail; ndjson: a file a day", 55},
    {"organization", OPTION_ORGANIZATION, "o-ID", 0,
     "the id in the layout (or --config, or set ORGTRAIL_ORGANIZATION)", 55},
    {"resume", OPTION_RESUME, 0, 0, "go on with an export that was stopped", 55},
    {0},
};

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->filter;
            state->child_inputs[1] = &options->store;
            return 0;
        case OPTION_FORMAT:
            if (strcmp(argument, "cloudtrail") == 0) {
                options->plan.form = EXPORT_CLOUDTRAIL;
            } else if (strcmp(argument, "ndjson") == 0) {
                options->plan.form = EXPORT_NDJSON;
            } else {
                argp_error(state, "--format \"%s\": must be cloudtrail or ndjson", argument);
            }
            return 0;
        case OPTION_ORGANIZATION:
            options->organization = argument;
            return 0;
        case OPTION_RESUME:
            options->plan.is_resumed = true;
            return 0;
        case ARGP_KEY_ARG:
            if (options->plan.out == NULL) {
                options->plan.out = argument;
                return 0;
            }
            if (options->store.directory != NULL)
                argp_error(state, "one store only: \"%s\" is too much", argument);
            options->store.directory = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->plan.out == NULL) argp_error(state, "where to? OUT is missing");
            bool is_stream = strcmp(options->plan.out, "-") == 0;
            if (is_stream && options->plan.form != EXPORT_NDJSON)
                argp_error(state, "OUT \"-\" (standard output) needs --format ndjson");
            if (is_stream && options->plan.is_resumed)
                argp_error(state, "standard output cannot be resumed");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

// The organization's id, into `kept` if it comes from a config.
static bool find_organization(struct options *options, char kept[NAMES_SIZE], struct fault *fault) {
    const char *id = options->organization;
    struct settings *settings = NULL;
    if (id == NULL && options->store.config != NULL) {
        if (!settings_load(options->store.config, &settings, fault)) return false;
        snprintf(kept, NAMES_SIZE, "%s", settings->organization.id);
        settings_destroy(settings);
        id = kept;
    }
    if (id == NULL) id = getenv("ORGTRAIL_ORGANIZATION");
    options->plan.organization = id != NULL ? id : "";
    if (id != NULL) return names_check_organization(id, fault);
    if (options->plan.form == EXPORT_NDJSON) return true;
    return fault_set(fault, FAULT_INPUT,
                     "which organization? Its id stands in the layout: give --organization o-ID, "
                     "--config collector.yaml, or set ORGTRAIL_ORGANIZATION");
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    progress_step(user, done, all, "events");
}

static bool on_bytes(void *user, struct span bytes) {
    bool *is_unread = user;
    bool is_written = fwrite(bytes.bytes, 1, bytes.size, stdout) == bytes.size;
    *is_unread = !is_written && errno == EPIPE;
    return is_written;
}

static bool write_files(struct options *options, struct trail_reader *reader, struct fault *fault) {
    struct export_summary summary;
    struct progress progress;
    const struct export_progress target = {on_progress, &progress};
    progress_begin(&progress, "exporting");
    bool is_good = export_write(reader, &options->plan, &target, &summary, fault);
    progress_end(&progress);
    if (!is_good && (fault->kind == FAULT_FULL || fault->kind == FAULT_IO))
        snprintf(fault->text + strlen(fault->text), sizeof fault->text - strlen(fault->text),
                 "; the same command with --resume goes on");
    if (!is_good) return false;
    printf("%" PRIu64 " events in %" PRIu64 " files, %" PRIu64 " bytes", summary.events,
           summary.files, summary.size);
    if (options->plan.form == EXPORT_CLOUDTRAIL)
        printf(" (%" PRIu64 " before compression)", summary.text_size);
    if (summary.sequence_max > 0) printf(", up to #%" PRIu64, summary.sequence_max);
    putchar('\n');
    if (summary.files_kept > 0)
        printf("%" PRIu64 " of the files were there and are as they were\n", summary.files_kept);
    printf("%s/manifest.json lists them\n", options->plan.out);
    return true;
}

static bool run(struct options *options, bool *is_unread, struct fault *fault) {
    char organization[NAMES_SIZE];
    struct trail_reader *reader = NULL;
    if (!find_organization(options, organization, fault)) return false;
    if (!store_open(&options->store, &reader, fault)) return false;
    bool is_good;
    if (strcmp(options->plan.out, "-") == 0) {
        struct export_summary summary;
        is_good = export_stream(reader, &options->filter, on_bytes, is_unread, &summary, fault);
    } else {
        is_good = write_files(options, reader, fault);
    }
    if (is_good && !*is_unread) is_good = hint_unknown(reader, &options->filter, fault);
    if (is_good && !*is_unread)
        is_good = store_tell_dropped(reader, options->filter.time_min_s, fault);
    trail_reader_close(reader);
    return is_good;
}

int export_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&conditions_argp, 0, NULL, 0}, {&store_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "OUT [STORE]",
        .doc =
            "Writes the consolidated organization trail into the folder OUT, records byte for "
            "byte. The same events give the same files, whatever order they arrived in. Bound "
            "to what is stored when it begins. OUT \"-\" with --format ndjson is standard "
            "output.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    bool is_unread = false;
    options.plan.files = files_system();
    options.plan.filter = &options.filter;
    if (!filter_init(&options.filter, &fault)) return command_fail(argv[0], &fault);
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    bool is_good = run(&options, &is_unread, &fault);
    filter_done(&options.filter);
    if (is_good && is_unread) return 0;
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
