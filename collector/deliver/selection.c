#include "collector/deliver/selection.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "event/match/match.h"
#include "event/record_skim.h"

struct selection {
    const struct trail *trail;
    struct arena *arena;
    struct match *match;
    struct json_reader *json;
};

static bool load(struct selection *selection, struct fault *fault) {
    struct selector_set set;
    return trail_document_selectors(selection->trail, selection->arena, &set, fault) &&
           match_create(&set, &selection->match, fault);
}

bool selection_create(const struct trail *trail, struct selection **selection,
                      struct fault *fault) {
    struct selection *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a trail's selectors");
    made->trail = trail;
    made->arena = arena_create(SELECTOR_ARENA_SIZE);
    made->json = json_reader_create();
    bool is_good = (made->arena != NULL && made->json != NULL) ||
                   fault_set(fault, FAULT_FULL, "no memory for a trail's selectors");
    if (!is_good || !load(made, fault)) {
        selection_destroy(made);
        return false;
    }
    *selection = made;
    return true;
}

void selection_destroy(struct selection *selection) {
    if (selection == NULL) return;
    match_destroy(selection->match);
    json_reader_destroy(selection->json);
    arena_destroy(selection->arena);
    free(selection);
}

struct span selection_account(const struct trail_row *row) {
    return span_of(row->key.account, row->key.account_size);
}

bool selection_skim(const struct selection *selection, const struct trail_row *row,
                    struct record *record) {
    enum record_category category = row->flags >> BLOCK_CATEGORY_SHIFT;
    if (category == RECORD_INSIGHT || match_looks_deep(selection->match, category) ||
        !record_skim(row->text, record)) {
        return false;
    }
    record->category = category;
    record->is_read_only = (row->flags & BLOCK_READ_ONLY) != 0;
    record->is_global = (row->flags & BLOCK_GLOBAL) != 0;
    record->is_error = (row->flags & BLOCK_ERROR) != 0;
    return true;
}

bool selection_has(const struct selection *selection, const struct record *record,
                   const struct trail_row *row) {
    const struct trail *trail = selection->trail;
    if (!trail->is_organization && !span_equal(selection_account(row), trail->account))
        return false;
    if (!trail->is_multi_region && !span_equal(record->region, trail->region)) return false;
    if (record->is_global && !trail->is_global) return false;
    if (record->category == RECORD_INSIGHT) return trail->insights != NULL;
    return match_selects(selection->match, record);
}

// Whether a call that ended logging was about this trail: by its name, which is one of the caller's
// account and region, or by its ARN.
static bool is_named(const struct trail *trail, const struct yyjson_val *root) {
    const struct yyjson_val *input = json_member(root, SPAN_LITERAL("requestParameters"));
    const struct yyjson_val *more = json_member(root, SPAN_LITERAL("additionalEventData"));
    const struct yyjson_val *caller = json_member(root, SPAN_LITERAL("userIdentity"));
    struct span name = json_member_string(input, SPAN_LITERAL("name"));
    if (name.bytes == NULL) name = json_member_string(input, SPAN_LITERAL("Name"));
    if (span_equal(name, trail->name)) {
        return span_equal(json_member_string(more, SPAN_LITERAL("region")), trail->region) &&
               span_equal(json_member_string(caller, SPAN_LITERAL("accountId")), trail->account);
    }
    char arn[512];
    snprintf(arn, sizeof arn, ":cloudtrail:%.*s:%.*s:trail/%.*s", SPAN_PRINT(trail->region),
             SPAN_PRINT(trail->account), SPAN_PRINT(trail->name));
    return span_starts(name, SPAN_LITERAL("arn:")) && span_ends(name, span_text(arn));
}

bool selection_is_end(struct selection *selection, int64_t session_ms, const struct record *record,
                      const struct trail_row *row) {
    struct fault ignored;
    const struct yyjson_val *root;
    bool is_end =
        row->agent == TRAIL_AGENT_OWN && !record->is_error && row->received_ms >= session_ms &&
        (span_is(record->event_name, "StopLogging") || span_is(record->event_name, "DeleteTrail"));
    return is_end && json_read(selection->json, row->text, &root, &ignored) &&
           is_named(selection->trail, root);
}
