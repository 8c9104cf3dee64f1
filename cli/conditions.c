#include "cli/conditions.h"

#include "base/clock.h"

enum {
    OPTION_FIRST = 2001,  // options with a value of their own, in the order of the table
    OPTION_GLOBAL = 2101,
    OPTION_ERRORS,
    OPTION_READ,
    OPTION_WRITE,
    OPTION_SINCE,
    OPTION_UNTIL,
};

enum { CONDITIONS_COUNT = 17 };

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "Which events (all conditions must hold):", 50},
    {"event-name", OPTION_FIRST, "NAME", 0, "as \"ConsoleLogin\"", 50},
    {"user", OPTION_FIRST + 1, "NAME", 0, "user, role, session name or \"root\"", 50},
    {"event-source", OPTION_FIRST + 2, "NAME", 0, "as \"iam.amazonaws.com\", or \"iam\"", 50},
    {"access-key", OPTION_FIRST + 3, "ID", 0, 0, 50},
    {"read-only", OPTION_FIRST + 4, "BOOL", 0, "true or false", 50},
    {"resource-name", OPTION_FIRST + 5, "NAME", 0, "name or ARN", 50},
    {"resource-type", OPTION_FIRST + 6, "TYPE", 0, "as \"AWS::S3::Bucket\"", 50},
    {"event-id", OPTION_FIRST + 7, "ID", 0, 0, 50},
    {"shared-event-id", OPTION_FIRST + 8, "ID", 0, "copies of one action in several accounts", 50},
    {"source-ip", OPTION_FIRST + 9, "ADDRESS", 0, 0, 50},
    {"error-code", OPTION_FIRST + 10, "CODE", 0, 0, 50},
    {"identity-type", OPTION_FIRST + 11, "TYPE", 0, "as \"AssumedRole\"", 50},
    {"identity-arn", OPTION_FIRST + 12, "ARN", 0, 0, 50},
    {"event-type", OPTION_FIRST + 13, "TYPE", 0, "as \"AwsApiCall\"", 50},
    {"account", OPTION_FIRST + 14, "ID", 0, 0, 50},
    {"region", OPTION_FIRST + 15, "REGION", 0, 0, 50},
    {"category", OPTION_FIRST + 16, "NAME", 0,
     "management, data, insight, network-activity, aggregated or other", 50},
    {"global", OPTION_GLOBAL, 0, 0, "only events that belong to no region", 50},
    {"errors", OPTION_ERRORS, 0, 0, "only calls that failed", 50},
    {"read", OPTION_READ, 0, 0, "only reading calls", 50},
    {"write", OPTION_WRITE, 0, 0, "only writing calls", 50},
    {"since", OPTION_SINCE, "TIME", 0, "from this moment on: 2026-11-21, 2026-11-21T10:30Z, 2h, 7d",
     51},
    {"until", OPTION_UNTIL, "TIME", 0, "before this moment; \"now\" is one too", 51},
    {0},
};

static int64_t read_now_s(void) {
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context) / 1000;
}

static bool add_condition(struct filter *filter, int key, const char *value, struct fault *fault) {
    switch (key) {
        case OPTION_GLOBAL:
            return filter_add(filter, "global", "true", fault);
        case OPTION_ERRORS:
            return filter_add(filter, "errors", "true", fault);
        case OPTION_READ:
            return filter_add(filter, "read-only", "true", fault);
        case OPTION_WRITE:
            return filter_add(filter, "read-only", "false", fault);
        case OPTION_SINCE:
            return filter_set_since(filter, value, read_now_s(), fault);
        case OPTION_UNTIL:
            return filter_set_until(filter, value, read_now_s(), fault);
        default:
            // The table begins with a heading.
            return filter_add(filter, argument_options[key - OPTION_FIRST + 1].name, value, fault);
    }
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    bool is_valued = key >= OPTION_FIRST && key < OPTION_FIRST + CONDITIONS_COUNT;
    bool is_other = key >= OPTION_GLOBAL && key <= OPTION_UNTIL;
    if (!is_valued && !is_other) return ARGP_ERR_UNKNOWN;
    struct fault fault;
    if (!add_condition(state->input, key, argument, &fault)) argp_error(state, "%s", fault.text);
    return 0;
}

const struct argp conditions_argp = {.options = argument_options, .parser = parse_argument};
