#include "cli/refused_choice.h"

#include <stdio.h>
#include <string.h>

#include "query/filter.h"
#include "query/refused.h"

enum { OPTION_REASON = 1101, OPTION_AGENT, OPTION_ACCOUNT, OPTION_SINCE, OPTION_UNTIL };

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "Which entries:", 80},
    {"reason", OPTION_REASON, "NAME", 0, "refused for this reason", 80},
    {"agent", OPTION_AGENT, "URI", 0, "of the agent whose certificate has this in its URI", 80},
    {"account", OPTION_ACCOUNT, "ID", 0, "of this account, as the record or its agent says", 80},
    {"since", OPTION_SINCE, "TIME", 0, "refused last at or after this moment: 2026-11-21, 2h, 7d",
     80},
    {"until", OPTION_UNTIL, "TIME", 0, "refused last before this moment", 80},
    {0},
};

static void check_reason(const char *reason, const struct argp_state *state) {
    char names[512] = "";
    const char *name;
    for (uint32_t index = 0; (name = refused_reason_name(index)) != NULL; index++) {
        size_t size = strlen(names);
        if (strcmp(name, reason) == 0) return;
        snprintf(names + size, sizeof names - size, "%s%s", index > 0 ? ", " : "", name);
    }
    argp_error(state, "--reason \"%s\": there is no such reason; there are %s", reason, names);
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct refused_choice *choice = state->input;
    switch (key) {
        case OPTION_REASON:
            check_reason(argument, state);
            choice->reason = argument;
            return 0;
        case OPTION_AGENT:
            choice->agent = argument;
            return 0;
        case OPTION_ACCOUNT:
            choice->account = argument;
            return 0;
        case OPTION_SINCE:
            choice->since = argument;
            return 0;
        case OPTION_UNTIL:
            choice->until = argument;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

const struct argp refused_choice_argp = {.options = argument_options, .parser = parse_argument};

bool refused_choice_is_key(const char *text) {
    size_t size = strspn(text, "0123456789abcdefABCDEF");
    return text[size] == 0 && size >= REFUSED_CHOICE_KEY_SIZE_MIN && size < REFUSED_KEY_SIZE;
}

bool refused_choice_check(struct refused_choice *choice, int64_t now_s, struct fault *fault) {
    choice->since_s = INT64_MIN;
    choice->until_s = INT64_MAX;
    if (choice->since != NULL &&
        !filter_parse_time(choice->since, now_s, &choice->since_s, fault)) {
        return fault_add(fault, "--since");
    }
    if (choice->until != NULL &&
        !filter_parse_time(choice->until, now_s, &choice->until_s, fault)) {
        return fault_add(fault, "--until");
    }
    return true;
}

bool refused_choice_is_any(const struct refused_choice *choice) {
    return choice->keys_count > 0 || choice->reason != NULL || choice->agent != NULL ||
           choice->account != NULL || choice->since != NULL || choice->until != NULL;
}

void refused_choice_print(const struct refused_choice *choice, struct buffer *output) {
    const char *const names[] = {"reason", "agent", "account", "since", "until"};
    const char *const values[] = {choice->reason, choice->agent, choice->account, choice->since,
                                  choice->until};
    const char *before = "";
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (values[index] == NULL) continue;
        buffer_print(output, "%s%s \"%s\"", before, names[index], values[index]);
        before = ", ";
    }
}

static bool has_key(const struct refused_choice *choice, const struct trail_quarantined *entry) {
    char key[REFUSED_KEY_SIZE];
    if (choice->keys_count == 0) return true;
    refused_print_key(entry, key);
    for (uint32_t index = 0; index < choice->keys_count; index++) {
        if (strncasecmp(key, choice->keys[index], strlen(choice->keys[index])) == 0) return true;
    }
    return false;
}

static bool has_text(struct span text, const char *part) {
    size_t size = strlen(part);
    for (size_t at = 0; at + size <= text.size; at++) {
        if (memcmp(text.bytes + at, part, size) == 0) return true;
    }
    return false;
}

// The account that the refused record names, or that of its agent's certificate.
static bool has_account(const struct refused_choice *choice, const struct trail_quarantined *entry,
                        struct span agent) {
    const struct yyjson_val *root = NULL;
    struct fault ignored;
    if (json_read(choice->json, entry->bytes, &root, &ignored)) {
        struct span named = json_member_string(root, SPAN_LITERAL("recipientAccountId"));
        if (named.bytes == NULL) named = json_member_string(root, SPAN_LITERAL("accountId"));
        if (named.bytes != NULL) return span_is(named, choice->account);
    }
    static const char mark[] = "/account/";
    for (size_t at = 0; at + sizeof mark - 1 <= agent.size; at++) {
        if (memcmp(agent.bytes + at, mark, sizeof mark - 1) != 0) continue;
        struct span rest = span_from(agent, at + sizeof mark - 1);
        return span_is(span_of(rest.bytes, span_find(rest, '/')), choice->account);
    }
    return false;
}

bool refused_choice_has(const struct refused_choice *choice, const struct trail_quarantined *entry,
                        struct span agent) {
    if (!has_key(choice, entry)) return false;
    if (choice->reason != NULL &&
        strncmp(entry->reason, choice->reason, sizeof entry->reason) != 0) {
        return false;
    }
    int64_t last_s = entry->last_ms / 1000;
    if (last_s < choice->since_s || last_s >= choice->until_s) return false;
    if (choice->agent != NULL && !has_text(agent, choice->agent)) return false;
    return choice->account == NULL || has_account(choice, entry, agent);
}
