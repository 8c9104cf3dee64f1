// backup.c: orgtrail backup, a whole copy of the store while it is written.

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/store.h"
#include "storage/trail/trail_backup.h"

struct options {
    struct store_choice store;
    const char *target;
};

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            return 0;
        case ARGP_KEY_ARG:
            if (options->target != NULL)
                argp_error(state, "one folder only: \"%s\" is too much", argument);
            options->target = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->target == NULL) argp_error(state, "into which new folder?");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    progress_step(user, done, all, "bytes");
}

int backup_run(int argc, char **argv) {
    static const struct argp_child children[] = {{&store_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_argument,
        .args_doc = "DIR",
        .doc =
            "Copies the store, as it is at this moment, into a new folder, compacted, and verifies "
            "the copy. The collector goes on meanwhile; it need not run. The way back is "
            "\"orgtrail restore\".",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    struct progress progress;
    struct trail_backup_facts facts;
    char store[STORE_PATH_SIZE];
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (!store_find(&options.store, store, &fault)) return command_fail(argv[0], &fault);
    const struct trail_backup_options backup_options = {
        .store = store,
        .target = options.target,
        .clock = clock_system(),
        .on_progress = on_progress,
        .user = &progress,
    };
    progress_begin(&progress, "copying");
    bool is_good = trail_backup(&backup_options, &facts, &fault);
    progress_end(&progress);
    if (!is_good) return command_fail(argv[0], &fault);
    char started[TIME_TEXT_SIZE];
    time_print_ms(facts.started_ms, started);
    printf("%s: %" PRIu64 " events up to #%" PRIu64 " of %s, %" PRIu64
           " bytes, verified\n"
           "Keep with it what the store does not hold: the collector's folder (collector.yaml, its "
           "certificate, key and secret.key), the CA's folder, and deny.txt if there is one.\n",
           options.target, facts.events, facts.sequence_last, started, facts.size);
    return command_finish(argv[0]);
}
