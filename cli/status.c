// status.c: orgtrail status, how the trail stands.

#include "query/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/organization.h"
#include "cli/store.h"
#include "query/format.h"

enum {
    OPTION_JSON = 256,
    OPTION_COVERAGE,
    OPTION_ALL,
    OPTION_WATCH,
    WATCH_SECONDS = 2,
    WATCH_SECONDS_MAX = 3600,
    BUFFER_SIZE_MAX = 128 * 1024 * 1024,  // 100,000 agents of a kilobyte each
};

struct options {
    struct store_choice store;
    bool is_json;
    bool is_coverage_whole;
    bool is_whole;
    unsigned watch_s;  // 0: once
};

static const struct argp_option argument_options[] = {
    {"json", OPTION_JSON, 0, 0, "one JSON object", 0},
    {"all", OPTION_ALL, 0, 0, "every agent, account and region, not only the worst ones", 0},
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
        case OPTION_ALL:
            options->is_whole = true;
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

// What the collector answers, as it comes in one reply or several.
struct asked {
    struct arena *arena;
    struct status_live *live;
    uint32_t agents_capacity;
    bool is_first;
    bool has_failed;
};

static const char *keep_text(struct asked *asked, const char *text) {
    const char *copy = arena_copy_text(asked->arena, span_text(text));
    if (copy == NULL) asked->has_failed = true;
    return copy == NULL ? "" : copy;
}

static const char *const *keep_texts(struct asked *asked, char *const *texts, size_t count,
                                     uint32_t *kept_count) {
    const char **kept = count == 0 ? NULL : arena_allocate_array(asked->arena, count, sizeof *kept);
    *kept_count = kept == NULL ? 0 : (uint32_t)count;
    if (kept == NULL && count > 0) asked->has_failed = true;
    for (uint32_t index = 0; index < *kept_count; index++) {
        kept[index] = keep_text(asked, texts[index]);
    }
    return kept;
}

static struct status_connected *add_connected(struct asked *asked) {
    struct status_live *live = asked->live;
    if (live->agents_count == asked->agents_capacity) {
        uint32_t larger = asked->agents_capacity == 0 ? 64 : asked->agents_capacity * 2;
        struct status_connected *grown = arena_allocate_array(asked->arena, larger, sizeof *grown);
        if (grown == NULL) {
            asked->has_failed = true;
            return NULL;
        }
        if (live->agents_count > 0) memcpy(grown, live->agents, live->agents_count * sizeof *grown);
        live->agents = grown;
        asked->agents_capacity = larger;
    }
    return &live->agents[live->agents_count];
}

static void take_agent(struct asked *asked, ProtobufCBinaryData bytes) {
    Orgtrail__V1__AgentLive *live = orgtrail__v1__agent_live__unpack(NULL, bytes.len, bytes.data);
    struct status_connected *agent = live == NULL ? NULL : add_connected(asked);
    if (agent != NULL) {
        *agent = (struct status_connected){
            .agent = keep_text(asked, live->agent),
            .version = keep_text(asked, live->version),
            .host = keep_text(asked, live->host),
            .heard_ms = live->heard_ms,
            .spool_events = live->spool_events,
            .spool_bytes = live->spool_bytes,
            .left_out = live->left_out,
            .skew_ms = live->skew_ms,
        };
        for (size_t index = 0; index < live->n_sources && index < STATUS_SOURCES_MAX; index++) {
            const Orgtrail__V1__AgentSource *source = live->sources[index];
            agent->sources[agent->sources_count++] = (struct status_source){
                .name = keep_text(asked, source->name),
                .state = source->state,
                .records = source->records,
                .errors = source->errors,
                .bytes_behind = source->bytes_behind,
                .last_error = keep_text(asked, source->last_error),
            };
        }
        asked->live->agents_count++;
    }
    if (live != NULL) orgtrail__v1__agent_live__free_unpacked(live, NULL);
}

static void take_first(struct asked *asked, const Orgtrail__V1__StatusReply *reply) {
    struct status_live *live = asked->live;
    live->version = keep_text(asked, reply->version);
    live->pid = reply->pid;
    live->started_ms = reply->started_ms;
    if (reply->complaint[0] != 0) live->complaint = keep_text(asked, reply->complaint);
    live->streams = reply->streams;
    live->queued_batches = reply->queued_batches;
    live->queued_bytes = reply->queued_bytes;
    live->certificate_expires_s = reply->certificate_expires_s;
    live->throttled = reply->throttled;
    live->free_min = reply->disk_free_min;
    live->stuck_readers = reply->stuck_readers;
    live->damaged_parts = reply->damaged_parts;
    live->mismatched_texts = reply->mismatched_texts;
    live->lost_own_events = reply->lost_own_events;
    live->alarms = keep_texts(asked, reply->alarms, reply->n_alarms, &live->alarms_count);
    live->warnings = keep_texts(asked, reply->warnings, reply->n_warnings, &live->warnings_count);
}

static bool on_reply(void *user, struct span bytes) {
    struct asked *asked = user;
    Orgtrail__V1__StatusReply *reply =
        orgtrail__v1__status_reply__unpack(NULL, bytes.size, bytes.bytes);
    if (reply == NULL) {
        asked->has_failed = true;
        return false;
    }
    if (asked->is_first) take_first(asked, reply);
    asked->is_first = false;
    for (size_t index = 0; index < reply->n_agents; index++) {
        take_agent(asked, reply->agents[index]);
    }
    orgtrail__v1__status_reply__free_unpacked(reply, NULL);
    return true;
}

// Who is denied. A collector that does not say it leaves it out.
static struct span ask_denied(const struct store_choice *choice, struct arena *arena) {
    Orgtrail__V1__DenyRequest request = ORGTRAIL__V1__DENY_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    struct fault ignored;
    if (!control_ask_one(choice, "DenyList", &request.base, &orgtrail__v1__deny_reply__descriptor,
                         &reply, &ignored)) {
        return span_of(NULL, 0);
    }
    const Orgtrail__V1__DenyReply *list = (const Orgtrail__V1__DenyReply *)reply;
    bool is_empty = list->text.len == 0;
    struct span text = is_empty ? SPAN_LITERAL("") : span_of(list->text.data, list->text.len);
    const char *kept = arena_copy_text(arena, text);
    protobuf_c_message_free_unpacked(reply, NULL);
    return span_of(kept, kept == NULL ? 0 : text.size);
}

// Nobody serves the socket that settings or --socket name; a store alone may be a copy.
static const char *find_down(const struct store_choice *choice, const struct fault *fault,
                             struct arena *arena) {
    char path[ORGANIZATION_PATH_SIZE];
    struct fault ignored;
    bool is_down = fault->kind == FAULT_RETRY && store_has_collector(choice) &&
                   store_find_socket(choice, path, sizeof path, &ignored);
    return is_down ? arena_copy_text(arena, span_text(path)) : NULL;
}

// Asks the collector. Without it what stands in the store is shown all the same.
static void ask_collector(const struct store_choice *choice, struct arena *arena,
                          struct status_live *live) {
    Orgtrail__V1__StatusRequest request = ORGTRAIL__V1__STATUS_REQUEST__INIT;
    struct asked asked = {.arena = arena, .live = live, .is_first = true};
    struct fault fault;
    *live = (struct status_live){0};
    bool is_good = control_ask(choice, "Status", &request.base, on_reply, &asked, &fault);
    if (is_good && (asked.has_failed || asked.is_first)) {
        is_good = fault_set(&fault, FAULT_CORRUPT,
                            "the answer cannot be read: is the collector of another version?");
    }
    if (is_good) {
        status_agents_sort(live->agents, live->agents_count);
        live->denied = ask_denied(choice, arena);
        return;
    }
    *live = (struct status_live){.absence = arena_copy_text(arena, span_text(fault.text)),
                                 .down = find_down(choice, &fault, arena)};
    if (live->absence == NULL) live->absence = "no memory";
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
    if (live.free_min != 0) status_upkeep_set_free_min(&status.upkeep, live.free_min);
    status.is_coverage_whole = options->is_coverage_whole;
    status.is_whole = options->is_whole;
    struct buffer text;
    buffer_init(&text, BUFFER_SIZE_MAX);
    if (is_json) {
        status_print_json(&status, &text);
    } else {
        status_print(&status, command_width(STATUS_WIDTH_FULL), &text);
    }
    bool is_whole = !buffer_overflowed(&text);
    // From the top of a cleared screen.
    if (options->watch_s > 0 && !is_json && isatty(STDOUT_FILENO)) fputs("\033[H\033[2J", stdout);
    if (is_whole) fwrite(text.bytes, 1, text.size, stdout);
    buffer_done(&text);
    if (!is_whole) return fault_set(fault, FAULT_FULL, "no memory");
    // Who watches sees the alarm, and when the collector runs again.
    if (options->watch_s > 0) live.down = NULL;
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
            "only it knows is left out, and where settings or --socket name it that is an alarm "
            "and "
            "exit code 1.",
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
    // What is longer than a buffer fails before the flush, which then has nothing to do.
    while (is_good && options.watch_s > 0 && fflush(stdout) == 0 && ferror(stdout) == 0) {
        sleep(options.watch_s);
        arena_reset(arena);
        is_good = print_status(&options, reader, arena, &fault);
    }
    arena_destroy(arena);
    trail_reader_close(reader);
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
