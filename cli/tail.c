// tail.c: orgtrail tail, events in the order they arrived, and on as they come.

#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/conditions.h"
#include "cli/output.h"
#include "cli/store.h"
#include "query/follow.h"

enum {
    COUNT_DEFAULT = 10,
    COUNT_MAX = 1000000,
    POLL_MS = 25,  // new events are shown within 100 ms of their commit; an idle look costs 10 us
};

struct options {
    struct store_choice store;
    struct filter filter;
    struct output output;
    uint32_t count;
    bool is_following;
};

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "From where and how long:", 55},
    {"follow", 'f', 0, 0, "go on as events arrive, until interrupted", 55},
    {"lines", 'n', "N", 0, "begin with the last N events that arrived (10)", 55},
    {0},
};

static volatile sig_atomic_t is_interrupted;

static void on_signal(int number) {
    (void)number;
    is_interrupted = 1;
}

static uint32_t parse_count(const char *text, struct argp_state *state) {
    char *end = NULL;
    unsigned long count = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || count > COUNT_MAX)
        argp_error(state, "--lines %s: must be 0 to %d", text, COUNT_MAX);
    return (uint32_t)count;
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->filter;
            state->child_inputs[1] = &options->output;
            state->child_inputs[2] = &options->store;
            return 0;
        case 'f':
            options->is_following = true;
            return 0;
        case 'n':
            options->count = parse_count(argument, state);
            return 0;
        case ARGP_KEY_ARG:
            if (options->store.directory != NULL)
                argp_error(state, "one store only: \"%s\" is too much", argument);
            options->store.directory = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->is_following && options->output.form == OUTPUT_JSON)
                argp_error(state, "--follow has no end, and json's array needs one: use ndjson");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

// What goes through follow's callback.
struct sink {
    struct output *output;
    struct fault *fault;
    bool has_failed;
    const char *name;     // of the command
    struct fault damage;  // the first of it
};

static bool on_event(void *user, const struct record *record, const struct trail_row *row) {
    struct sink *sink = user;
    sink->has_failed = !output_event(sink->output, record, row, sink->fault);
    return !sink->has_failed;
}

// Says in its place what cannot be shown, and goes on.
static void on_damage(void *user, const struct fault *damage) {
    struct sink *sink = user;
    if (sink->damage.kind == FAULT_NONE) sink->damage = *damage;
    output_flush(sink->output);
    (void)command_fail(sink->name, damage);
}

static bool follow_events(const char *name, struct options *options, struct follow *follow,
                          struct fault *fault) {
    struct sink sink = {.output = &options->output, .fault = fault, .name = name};
    const struct follow_sink target = {.on_event = on_event, .user = &sink, .on_damage = on_damage};
    do {
        uint64_t seen = 0;
        if (!follow_step(follow, &target, &seen, fault)) return false;
        if (sink.has_failed) return false;
        if (!output_flush(&options->output)) return fault_set(fault, FAULT_IO, "write the answer");
        if (options->is_following && !is_interrupted) (void)poll(NULL, 0, POLL_MS);
    } while (options->is_following && !is_interrupted);
    if (sink.damage.kind == FAULT_NONE) return true;
    return fault_set(fault, sink.damage.kind,
                     "events above cannot be read: run orgtrail store check");
}

static bool run(const char *name, struct options *options, struct fault *fault) {
    struct trail_reader *reader = NULL;
    struct follow *follow = NULL;
    uint64_t after = 0;
    if (!filter_check_range(&options->filter, fault)) return false;
    if (!store_open(&options->store, &reader, fault)) return false;
    bool is_good = follow_find_last(reader, &options->filter, options->count, &after, fault) &&
                   follow_open(reader, &options->filter, after, &follow, fault);
    if (is_good) {
        output_begin(&options->output, reader, options->is_following);
        is_good = follow_events(name, options, follow, fault);
        output_end(&options->output, "");
    }
    follow_close(follow);
    trail_reader_close(reader);
    return is_good;
}

int tail_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&conditions_argp, 0, NULL, 0}, {&output_argp, 0, NULL, 0}, {&store_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "[STORE]",
        .doc =
            "Shows the events that arrived last, in order of arrival, and with --follow goes on "
            "as they arrive.",
        .children = children,
    };
    struct options options = {.count = COUNT_DEFAULT};
    struct fault fault = {0};
    if (!filter_init(&options.filter, &fault)) return command_fail(argv[0], &fault);
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    bool is_good = run(argv[0], &options, &fault);
    filter_done(&options.filter);
    if (options.output.is_unread) return 0;
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
