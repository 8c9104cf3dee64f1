// status.c: orgtrail status, how the trail stands.

#include "query/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/store.h"
#include "query/format.h"

enum {
    OPTION_JSON = 256,
    OPTION_COVERAGE,
    OPTION_WATCH,
    WATCH_SECONDS = 2,
    WATCH_SECONDS_MAX = 3600,
    BUFFER_SIZE_MAX = 128 * 1024 * 1024,  // 100,000 agents of a kilobyte each
};

struct options {
    struct store_choice store;
    bool is_json;
    bool is_coverage_whole;
    unsigned watch_s;  // 0: once
};

static const struct argp_option argument_options[] = {
    {"json", OPTION_JSON, 0, 0, "one JSON object", 0},
    {"coverage", OPTION_COVERAGE, 0, 0, "every account and region, not only the first ones", 0},
    {"watch", OPTION_WATCH, "SECONDS", OPTION_ARG_OPTIONAL, "again and again, every 2 seconds", 0},
    {0},
};

static unsigned read_seconds(const char *text, const struct argp_state *state) {
    if (text == NULL) return WATCH_SECONDS;
    char *end = NULL;
    unsigned long seconds = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (seconds == 0 || seconds > WATCH_SECONDS_MAX || *end != 0)
        argp_error(state, "--watch=%s: give seconds, 1 to %d", text, WATCH_SECONDS_MAX);
    return (unsigned)seconds;
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            state->child_inputs[1] = &options->store;
            return 0;
        case OPTION_JSON:
            options->is_json = true;
            return 0;
        case OPTION_COVERAGE:
            options->is_coverage_whole = true;
            return 0;
        case OPTION_WATCH:
            options->watch_s = read_seconds(argument, state);
            return 0;
        case ARGP_KEY_ARG:
            if (options->store.directory != NULL)
                argp_error(state, "one store only: \"%s\" is too much", argument);
            options->store.directory = argument;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static uint32_t measure_terminal(void) {
    struct winsize size;
    bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return is_known ? size.ws_col : FORMAT_WIDTH_DEFAULT;
}

// Asks the collector. Without it what stands in the store is shown all the same.
static void ask_collector(const struct store_choice *choice, struct arena *arena,
                          struct status_live *live) {
    Orgtrail__V1__StatusRequest request = ORGTRAIL__V1__STATUS_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    struct fault fault;
    *live = (struct status_live){0};
    if (!control_ask_one(choice, "Status", &request.base, &orgtrail__v1__status_reply__descriptor,
                         &message, &fault)) {
        live->absence = arena_copy_text(arena, span_text(fault.text));
        if (live->absence == NULL) live->absence = "no memory";
        return;
    }
    const Orgtrail__V1__StatusReply *reply = (const Orgtrail__V1__StatusReply *)message;
    live->version = arena_copy_text(arena, span_text(reply->version));
    live->pid = reply->pid;
    live->started_ms = reply->started_ms;
    if (reply->complaint[0] != 0) {
        live->complaint = arena_copy_text(arena, span_text(reply->complaint));
    }
    live->streams = reply->streams;
    live->queued_batches = reply->queued_batches;
    live->queued_bytes = reply->queued_bytes;
    live->certificate_expires_s = reply->certificate_expires_s;
    live->throttled = reply->throttled;
    if (live->version == NULL) live->absence = "no memory";
    protobuf_c_message_free_unpacked(message, NULL);
}

static bool print_status(const struct options *options, struct trail_reader *reader,
                         struct arena *arena, struct fault *fault) {
    const struct clock *clock = clock_system();
    bool is_json = options->is_json;
    struct status status;
    struct status_live live;
    if (!status_collect(reader, clock->now_ms(clock->context), arena, &status, fault)) return false;
    ask_collector(&options->store, arena, &live);
    status.live = &live;
    status.is_coverage_whole = options->is_coverage_whole;
    struct buffer text;
    buffer_init(&text, BUFFER_SIZE_MAX);
    if (is_json) {
        status_print_json(&status, &text);
    } else {
        status_print(&status, measure_terminal(), &text);
    }
    bool is_whole = !buffer_overflowed(&text);
    // From the top of a cleared screen.
    if (options->watch_s > 0 && !is_json && isatty(STDOUT_FILENO)) fputs("\033[H\033[2J", stdout);
    if (is_whole) fwrite(text.bytes, 1, text.size, stdout);
    buffer_done(&text);
    if (!is_whole) return fault_set(fault, FAULT_FULL, "no memory");
    return status_check(&status, fault);
}

int status_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&store_socket_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "[STORE]",
        .doc =
            "Shows what the trail holds, who brought how much and when, what was refused and "
            "what is missing. Reads the store itself: the collector need not run, but then what "
            "only it knows is left out.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    struct trail_reader *reader = NULL;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (!store_open(&options.store, &reader, &fault)) return command_fail(argv[0], &fault);
    struct arena *arena = arena_create(STATUS_ARENA_SIZE);
    bool is_good = arena != NULL || fault_set(&fault, FAULT_FULL, "no memory");
    is_good = is_good && print_status(&options, reader, arena, &fault);
    while (is_good && options.watch_s > 0 && fflush(stdout) == 0) {
        sleep(options.watch_s);
        arena_reset(arena);
        is_good = print_status(&options, reader, arena, &fault);
    }
    arena_destroy(arena);
    trail_reader_close(reader);
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
