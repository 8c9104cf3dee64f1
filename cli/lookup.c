// lookup.c: orgtrail lookup, the arguments of lookup_open, and the page on standard output.

#include "query/lookup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/conditions.h"
#include "cli/hint.h"
#include "cli/output.h"
#include "cli/store.h"
#include "query/reading.h"

enum {
    OPTION_NEWEST = 256,
    OPTION_OLDEST,
    OPTION_PAGE,
    LIMIT_DEFAULT = 50,
};

struct options {
    struct store_choice store;
    struct filter filter;
    struct output output;
    struct lookup_plan plan;
};

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "Order and pages:", 55},
    {"newest", OPTION_NEWEST, 0, 0, "newest first (default)", 55},
    {"oldest", OPTION_OLDEST, 0, 0, "oldest first", 55},
    {"limit", 'n', "N", 0, "events of a page (50)", 55},
    {"page", OPTION_PAGE, "TOKEN", 0, "the page after the one that ended with this token", 55},
    {0},
};

static uint32_t parse_limit(const char *text, struct argp_state *state) {
    char *end = NULL;
    unsigned long limit = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0 || limit < 1 || limit > LOOKUP_LIMIT_MAX)
        argp_error(state, "--limit %s: must be 1 to %d", text, LOOKUP_LIMIT_MAX);
    return (uint32_t)limit;
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->filter;
            state->child_inputs[1] = &options->output;
            state->child_inputs[2] = &options->store;
            return 0;
        case OPTION_NEWEST:
            options->plan.newest_first = true;
            return 0;
        case OPTION_OLDEST:
            options->plan.newest_first = false;
            return 0;
        case 'n':
            options->plan.limit = parse_limit(argument, state);
            return 0;
        case OPTION_PAGE:
            options->plan.token = argument;
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

static bool print_page(struct options *options, struct trail_reader *reader, struct lookup *lookup,
                       struct reading *reading, struct fault *fault) {
    char token[LOOKUP_TOKEN_SIZE] = "";
    bool found = true;
    bool is_good = true;
    output_begin(&options->output, reader, false);
    while (is_good && found) {
        struct trail_row row;
        struct record record;
        is_good = lookup_next(lookup, &found, &row, fault);
        if (!is_good || !found) continue;
        is_good = reading_read(reading, &row, &record, fault) &&
                  output_event(&options->output, &record, &row, fault);
    }
    is_good = is_good && lookup_print_token(lookup, token, fault);
    output_end(&options->output, token);
    return is_good;
}

// Tells on standard error that nothing was found, and in what.
static bool say_nothing_matches(const struct options *options, struct trail_reader *reader,
                                struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    if (facts.events == 0) {
        fputs("No event matches: the trail holds none yet.\n", stderr);
        return true;
    }
    const struct filter *filter = &options->filter;
    struct buffer text;
    char first[TIME_TEXT_SIZE];
    char last[TIME_TEXT_SIZE];
    time_print(facts.time_min_s, first);
    time_print(facts.time_max_s, last);
    buffer_init(&text, 2 * FILTER_ARENA_SIZE);
    filter_print(filter, &text);
    fprintf(stderr, "No event matches %.*s%s%s%s%s; searched %" PRIu64 " %s from %s to %s.\n",
            (int)text.size, (const char *)text.bytes, filter->since_text[0] != 0 ? " since " : "",
            filter->since_text, filter->until_text[0] != 0 ? " until " : "", filter->until_text,
            facts.events, facts.events == 1 ? "event" : "events", first, last);
    buffer_done(&text);
    return true;
}

static bool run(struct options *options, struct fault *fault) {
    struct trail_reader *reader = NULL;
    struct lookup *lookup = NULL;
    if (!store_open(&options->store, &reader, fault)) return false;
    struct reading *reading = reading_create();
    bool is_good = reading != NULL || fault_set(fault, FAULT_FULL, "no memory");
    is_good = is_good && lookup_open(reader, &options->plan, &lookup, fault) &&
              print_page(options, reader, lookup, reading, fault);
    if (is_good && options->output.count == 0)
        is_good = say_nothing_matches(options, reader, fault) &&
                  hint_unknown(reader, &options->filter, fault);
    // A page without a range is of the newest events.
    const struct filter *filter = &options->filter;
    bool has_range = filter->since_text[0] != 0 || filter->until_text[0] != 0;
    if (is_good && (has_range || options->output.count == 0))
        is_good = store_tell_dropped(reader, filter->time_min_s, fault);
    lookup_close(lookup);
    reading_destroy(reading);
    trail_reader_close(reader);
    return is_good;
}

int lookup_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&conditions_argp, 0, NULL, 0}, {&output_argp, 0, NULL, 0}, {&store_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "[STORE]",
        .doc =
            "Looks events up in the trail, by any combination of conditions. Reads the store "
            "itself: the collector need not run.",
        .children = children,
    };
    struct options options = {.plan = {.newest_first = true, .limit = LIMIT_DEFAULT}};
    struct fault fault = {0};
    options.plan.filter = &options.filter;
    if (!filter_init(&options.filter, &fault)) return command_fail(argv[0], &fault);
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    bool is_good = run(&options, &fault);
    filter_done(&options.filter);
    if (options.output.is_unread) return 0;
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
