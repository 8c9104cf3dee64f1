// check.c: orgtrail store check, every block read and compared.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/migrate.h"
#include "cli/progress.h"
#include "cli/store.h"

struct options {
    struct store_choice store;
    bool is_migrate;
};

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            return 0;
        case ARGP_KEY_ARG:
            if (state->arg_num == 0) {
                options->is_migrate = strcmp(argument, "migrate") == 0;
                if (!options->is_migrate && strcmp(argument, "check") != 0) {
                    argp_error(state,
                               "unknown: \"store %s\"; there are \"store check\" and \"store "
                               "migrate\"",
                               argument);
                }
                return 0;
            }
            if (options->store.directory != NULL)
                argp_error(state, "one store only: \"%s\" is too much", argument);
            options->store.directory = argument;
            return 0;
        case ARGP_KEY_END:
            if (state->arg_num == 0)
                argp_error(state, "what? there are \"store check\" and \"store migrate\"");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

// What goes through the check's callbacks.
struct checking {
    struct progress progress;
};

static void on_fault(void *user, const struct fault *found) {
    struct checking *checking = user;
    if (checking->progress.is_shown) fputs("\r\x1b[K", stderr);
    printf("%s: %s\n", fault_kind_name(found->kind), found->text);
    fflush(stdout);
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    struct checking *checking = user;
    progress_step(&checking->progress, done, all, "of the store's parts");
}

int store_run(int argc, char **argv) {
    static const struct argp_child children[] = {{&store_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_argument,
        .args_doc = "check [STORE]\nmigrate [STORE]",
        .doc =
            "check: verifies everything in the store: checksums, every record rebuilt, sequence "
            "numbers without holes, keys unique, indexes true. Prints each fault; exit code 1 if "
            "there is one. Changes nothing.\n"
            "migrate: makes a store of an older format one of today's, while the collector is "
            "stopped. The old one is kept aside.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    struct trail_reader *reader = NULL;
    struct trail_check check = {0};
    struct checking checking;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.is_migrate) return migrate_run(argv[0], &options.store);
    if (!store_open(&options.store, &reader, &fault)) return command_fail(argv[0], &fault);
    progress_begin(&checking.progress, "checking");
    bool is_good = trail_reader_check(reader, on_fault, on_progress, &checking, &check, &fault);
    progress_end(&checking.progress);
    trail_reader_close(reader);
    if (!is_good) return command_fail(argv[0], &fault);
    printf("%" PRIu64 " %s in %" PRIu64 " %s and the tail: %s", check.events,
           check.events == 1 ? "event" : "events", check.blocks,
           check.blocks == 1 ? "block" : "blocks", check.faults == 0 ? "all good\n" : "");
    if (check.faults > 0)
        printf("%" PRIu64 " %s\n", check.faults, check.faults == 1 ? "fault" : "faults");
    int code = command_finish(argv[0]);
    return check.faults > 0 ? 1 : code;
}
