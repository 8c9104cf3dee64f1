#include "event/match/match.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum {
    ARENA_SIZE_MAX = SELECTOR_ARENA_SIZE,
    READS = 1,
    WRITES = 2,
    SELECTING = 3,  // the first operators select, the others deselect
};

// Values in order, so that only the last one that is not after a text can match it: of two values
// that begin (or end) a text the shorter one is enough, and the other is left out.
struct sorted {
    struct span *items;
    uint32_t count;
};

// What one field must pass.
struct check {
    enum selector_field field;
    bool selects;  // has a selecting operator
    struct sorted operators[SELECTOR_OPERATORS];
};

// One advanced selector.
struct rule {
    enum record_category category;
    uint8_t access;                    // READS, WRITES
    struct span resource_type;         // empty: any
    const struct check *resource_arn;  // NULL: any
    struct check *checks;              // of fields with one value
    uint32_t checks_count;
};

struct match {
    struct arena *arena;
    struct rule *rules;
    uint32_t count;
};

// --- values

// <0, 0, >0 by bytes from the end: texts with one ending stand together.
static int compare_backwards(struct span left, struct span right) {
    size_t size = left.size < right.size ? left.size : right.size;
    for (size_t index = 1; index <= size; index++) {
        uint8_t one = left.bytes[left.size - index], other = right.bytes[right.size - index];
        if (one != other) return one < other ? -1 : 1;
    }
    return (left.size > right.size) - (left.size < right.size);
}

static int compare_items(const void *left, const void *right) {
    return span_compare(*(const struct span *)left, *(const struct span *)right);
}

static int compare_items_backwards(const void *left, const void *right) {
    return compare_backwards(*(const struct span *)left, *(const struct span *)right);
}

static enum selector_operator form_of(uint32_t operator) {
    return (enum selector_operator)(operator% SELECTING);
}

// Whether the text is, begins or ends as the item says.
static bool is_hit(enum selector_operator form, struct span text, struct span item) {
    switch (form) {
        case SELECTOR_STARTS:
            return span_starts(text, item);
        case SELECTOR_ENDS:
            return span_ends(text, item);
        default:
            return span_equal(text, item);
    }
}

static bool contains(const struct sorted *sorted, enum selector_operator form, struct span text) {
    uint32_t low = 0, high = sorted->count;  // items before low are not after the text
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = form == SELECTOR_ENDS ? compare_backwards(sorted->items[middle], text)
                                          : span_compare(sorted->items[middle], text);
        if (order <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && is_hit(form, text, sorted->items[low - 1]);
}

static bool sort_values(const struct selector_values *values, enum selector_operator form,
                        struct arena *arena, struct sorted *sorted) {
    if (values->count == 0) return true;
    sorted->items = arena_allocate_array(arena, values->count, sizeof *sorted->items);
    if (sorted->items == NULL) return false;
    for (uint32_t index = 0; index < values->count; index++) {
        if (!arena_copy(arena, values->items[index], &sorted->items[index])) return false;
    }
    qsort(sorted->items, values->count, sizeof *sorted->items,
          form == SELECTOR_ENDS ? compare_items_backwards : compare_items);
    for (uint32_t index = 0; index < values->count; index++) {
        struct span item = sorted->items[index];
        bool is_covered = sorted->count > 0 && is_hit(form, item, sorted->items[sorted->count - 1]);
        if (!is_covered) sorted->items[sorted->count++] = item;
    }
    return true;
}

// --- making

static bool make_check(const struct selector_condition *condition, struct arena *arena,
                       struct check *check) {
    check->field = condition->field;
    for (uint32_t index = 0; index < SELECTOR_OPERATORS; index++) {
        if (condition->operators[index].count == 0) continue;
        check->selects = check->selects || index < SELECTING;
        if (!sort_values(&condition->operators[index], form_of(index), arena,
                         &check->operators[index])) {
            return false;
        }
    }
    return true;
}

static bool make_rule(const struct selector_advanced *advanced, struct arena *arena,
                      struct rule *rule) {
    *rule = (struct rule){.category = RECORD_OTHER, .access = READS | WRITES};
    rule->checks = arena_allocate_array(arena, advanced->conditions_count, sizeof *rule->checks);
    if (rule->checks == NULL) return false;
    for (uint32_t index = 0; index < advanced->conditions_count; index++) {
        const struct selector_condition *condition = &advanced->conditions[index];
        const struct selector_values *equals = &condition->operators[SELECTOR_EQUALS];
        switch (condition->field) {
            case SELECTOR_EVENT_CATEGORY: {
                bool is_known = record_category_find(equals->items[0], &rule->category);
                assert(is_known);
                break;
            }
            case SELECTOR_READ_ONLY:
                rule->access = span_is(equals->items[0], "true") ? READS : WRITES;
                break;
            case SELECTOR_RESOURCE_TYPE:
                if (!arena_copy(arena, equals->items[0], &rule->resource_type)) return false;
                break;
            case SELECTOR_RESOURCE_ARN: {
                struct check *check = arena_allocate_array(arena, 1, sizeof *check);
                if (check == NULL || !make_check(condition, arena, check)) return false;
                rule->resource_arn = check;
                break;
            }
            default:
                if (!make_check(condition, arena, &rule->checks[rule->checks_count++])) {
                    return false;
                }
                break;
        }
    }
    assert(rule->category != RECORD_OTHER);
    return true;
}

// --- basic selectors as advanced ones

enum { CONDITIONS_MAX = 4 };

// An advanced selector under construction, with room for what a basic one can ask.
struct draft {
    struct selector_advanced advanced;
    struct selector_condition conditions[CONDITIONS_MAX];
    struct span category, access, type;
};

static struct selector_condition *draft_condition(struct draft *draft, enum selector_field field) {
    assert(draft->advanced.conditions_count < CONDITIONS_MAX);
    struct selector_condition *condition = &draft->conditions[draft->advanced.conditions_count++];
    *condition = (struct selector_condition){.field = field};
    return condition;
}

static void draft_begin(struct draft *draft, const struct selector_basic *basic,
                        const char *category) {
    *draft = (struct draft){.category = span_text(category)};
    draft->advanced.conditions = draft->conditions;
    draft_condition(draft, SELECTOR_EVENT_CATEGORY)->operators[SELECTOR_EQUALS] =
        (struct selector_values){&draft->category, 1};
    if (basic->access == SELECTOR_ALL) return;
    draft->access = span_text(basic->access == SELECTOR_READ ? "true" : "false");
    draft_condition(draft, SELECTOR_READ_ONLY)->operators[SELECTOR_EQUALS] =
        (struct selector_values){&draft->access, 1};
}

static void draft_resources(struct draft *draft, const struct selector_resources *resources) {
    draft->type = span_text(selector_resource_name(resources->type));
    draft_condition(draft, SELECTOR_RESOURCE_TYPE)->operators[SELECTOR_EQUALS] =
        (struct selector_values){&draft->type, 1};
    for (uint32_t index = 0; index < resources->values.count; index++) {
        if (selector_is_whole_type(resources->type, resources->values.items[index])) return;
    }
    bool is_prefix = resources->type == SELECTOR_S3;
    draft_condition(draft, SELECTOR_RESOURCE_ARN)
        ->operators[is_prefix ? SELECTOR_STARTS : SELECTOR_EQUALS] = resources->values;
}

static bool make_basic(const struct selector_basic *basic, struct match *match) {
    struct draft draft;
    if (basic->with_management) {
        draft_begin(&draft, basic, "Management");
        if (basic->excluded.count > 0) {
            draft_condition(&draft, SELECTOR_EVENT_SOURCE)->operators[SELECTOR_NOT_EQUALS] =
                basic->excluded;
        }
        if (!make_rule(&draft.advanced, match->arena, &match->rules[match->count++])) return false;
    }
    for (uint32_t index = 0; index < basic->resources_count; index++) {
        draft_begin(&draft, basic, "Data");
        draft_resources(&draft, &basic->resources[index]);
        if (!make_rule(&draft.advanced, match->arena, &match->rules[match->count++])) return false;
    }
    return true;
}

static bool make_rules(const struct selector_set *set, struct match *match) {
    size_t count = set->advanced_count;
    for (uint32_t index = 0; index < set->basic_count; index++) {
        count += 1 + set->basic[index].resources_count;
    }
    match->rules = arena_allocate_array(match->arena, count, sizeof *match->rules);
    bool is_good = match->rules != NULL;
    for (uint32_t index = 0; is_good && index < set->advanced_count; index++) {
        is_good = make_rule(&set->advanced[index], match->arena, &match->rules[match->count++]);
    }
    for (uint32_t index = 0; is_good && index < set->basic_count; index++) {
        is_good = make_basic(&set->basic[index], match);
    }
    return is_good;
}

bool match_create(const struct selector_set *set, struct match **match, struct fault *fault) {
    struct match *made = calloc(1, sizeof *made);
    if (made != NULL) made->arena = arena_create(ARENA_SIZE_MAX);
    if (made == NULL || made->arena == NULL || !make_rules(set, made)) {
        match_destroy(made);
        return fault_set(fault, FAULT_FULL, "out of memory for event selectors");
    }
    *match = made;
    return true;
}

void match_destroy(struct match *match) {
    if (match == NULL) return;
    arena_destroy(match->arena);
    free(match);
}

// --- deciding

// Whether any of three operators from this one on hits the text.
static bool hits(const struct check *check, uint32_t from, struct span text) {
    for (uint32_t index = from; index < from + SELECTING; index++) {
        const struct sorted *sorted = &check->operators[index];
        if (sorted->count > 0 && contains(sorted, form_of(index), text)) return true;
    }
    return false;
}

static bool passes(const struct check *check, struct span text) {
    if (text.bytes == NULL) return !check->selects;
    if (check->selects && !hits(check, 0, text)) return false;
    return !hits(check, SELECTING, text);
}

// The value of a field that has one; NULL bytes if it is absent.
static struct span value_of(const struct record *record, enum selector_field field) {
    switch (field) {
        case SELECTOR_EVENT_SOURCE:
            return record->event_source;
        case SELECTOR_EVENT_NAME:
            return record->event_name;
        case SELECTOR_EVENT_TYPE:
            return record->event_type;
        case SELECTOR_ERROR_CODE:
            return record->error_code;
        case SELECTOR_IDENTITY_ARN:
            return record->identity_arn;
        case SELECTOR_VPC_ENDPOINT:
            return record->vpc_endpoint;
        case SELECTOR_CONSOLE:
            return record->is_console ? SPAN_LITERAL("true") : (struct span){NULL, 0};
        default:
            assert(false && "a field with one value");
            return (struct span){NULL, 0};
    }
}

static bool resources_pass(const struct rule *rule, const struct record *record) {
    const struct check *check = rule->resource_arn;
    bool is_there = false, is_selected = check == NULL || !check->selects;
    for (uint32_t index = 0; index < record->resources_count; index++) {
        const struct record_resource *resource = &record->resources[index];
        if (!span_equal(resource->type, rule->resource_type)) continue;
        is_there = true;
        if (check == NULL) return true;
        if (resource->name.size == 0) continue;
        if (hits(check, SELECTING, resource->name)) return false;
        is_selected = is_selected || hits(check, 0, resource->name);
    }
    return is_there && is_selected;
}

static bool rule_selects(const struct rule *rule, const struct record *record) {
    if (rule->category != record->category) return false;
    if ((rule->access & (record->is_read_only ? READS : WRITES)) == 0) return false;
    for (uint32_t index = 0; index < rule->checks_count; index++) {
        const struct check *check = &rule->checks[index];
        if (!passes(check, value_of(record, check->field))) return false;
    }
    return rule->resource_type.size == 0 || resources_pass(rule, record);
}

static bool is_deep(const struct rule *rule) {
    bool is_deep = rule->resource_type.size > 0;
    for (uint32_t index = 0; index < rule->checks_count; index++) {
        enum selector_field field = rule->checks[index].field;
        is_deep = is_deep || (field != SELECTOR_EVENT_SOURCE && field != SELECTOR_EVENT_NAME);
    }
    return is_deep;
}

bool match_looks_deep(const struct match *match, enum record_category category) {
    for (uint32_t index = 0; index < match->count; index++) {
        const struct rule *rule = &match->rules[index];
        if (rule->category == category && is_deep(rule)) return true;
    }
    return false;
}

bool match_selects(const struct match *match, const struct record *record) {
    for (uint32_t index = 0; index < match->count; index++) {
        if (rule_selects(&match->rules[index], record)) return true;
    }
    return false;
}
