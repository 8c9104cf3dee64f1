#include <assert.h>
#include <string.h>

#include "event/match/selector_internal.h"

enum {
    ONLY_EQUALS = 1u << SELECTOR_EQUALS,
    EQUALS_OR_NOT = 1u << SELECTOR_EQUALS | 1u << SELECTOR_NOT_EQUALS,
    ANY_OPERATOR = (1u << SELECTOR_OPERATORS) - 1,
};

// The categories that selectors can name, and with which operators each field may be used in them.
static const struct category {
    const char *name;
    bool for_trails;
    uint8_t operators[SELECTOR_FIELDS];  // bits; 0: the field is not allowed
} categories[] = {
    {"Management",
     true,
     {
         [SELECTOR_EVENT_CATEGORY] = ONLY_EQUALS,
         [SELECTOR_READ_ONLY] = ONLY_EQUALS,
         [SELECTOR_EVENT_SOURCE] = ANY_OPERATOR,
         [SELECTOR_EVENT_NAME] = ANY_OPERATOR,
         [SELECTOR_EVENT_TYPE] = ANY_OPERATOR,
         [SELECTOR_IDENTITY_ARN] = ANY_OPERATOR,
         [SELECTOR_CONSOLE] = EQUALS_OR_NOT,
     }},
    {"Data",
     true,
     {
         [SELECTOR_EVENT_CATEGORY] = ONLY_EQUALS,
         [SELECTOR_READ_ONLY] = ONLY_EQUALS,
         [SELECTOR_EVENT_SOURCE] = ANY_OPERATOR,
         [SELECTOR_EVENT_NAME] = ANY_OPERATOR,
         [SELECTOR_EVENT_TYPE] = ANY_OPERATOR,
         [SELECTOR_RESOURCE_TYPE] = ONLY_EQUALS,
         [SELECTOR_RESOURCE_ARN] = ANY_OPERATOR,
         [SELECTOR_IDENTITY_ARN] = ANY_OPERATOR,
         [SELECTOR_CONSOLE] = EQUALS_OR_NOT,
     }},
    {"NetworkActivity",
     true,
     {
         [SELECTOR_EVENT_CATEGORY] = ONLY_EQUALS,
         [SELECTOR_EVENT_SOURCE] = ONLY_EQUALS,
         [SELECTOR_EVENT_NAME] = ANY_OPERATOR,
         [SELECTOR_ERROR_CODE] = ONLY_EQUALS,
         [SELECTOR_VPC_ENDPOINT] = ANY_OPERATOR,
         [SELECTOR_IDENTITY_ARN] = ANY_OPERATOR,
     }},
    {"Insight", false, {[SELECTOR_EVENT_CATEGORY] = ONLY_EQUALS}},
    {"Aggregated", false, {[SELECTOR_EVENT_CATEGORY] = ONLY_EQUALS}},
};

enum { CATEGORIES = sizeof categories / sizeof categories[0] };

// The fields that a selector of these categories must have.
static const struct needed {
    const char *category;
    enum selector_field field;
} needed[] = {
    {"Data", SELECTOR_RESOURCE_TYPE},
    {"NetworkActivity", SELECTOR_EVENT_SOURCE},
};

bool selector_out_of_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "out of memory for event selectors");
}

size_t selector_length(struct span text) {
    size_t length = 0;
    for (size_t at = 0; at < text.size; at++) length += (text.bytes[at] & 0xC0) != 0x80;
    return length;
}

bool selector_parse_values(const struct yyjson_val *list, const char *what, struct arena *arena,
                           struct selector_values *values, struct fault *fault) {
    size_t count = yyjson_arr_size(selector_unconst(list));
    if (count == 0 || count > SELECTOR_VALUES_MAX) {
        return fault_set(fault, FAULT_INPUT, "%s must be a list of 1 to %d values.", what,
                         SELECTOR_VALUES_MAX);
    }
    struct span *items = arena_allocate_array(arena, count, sizeof *items);
    if (items == NULL) return selector_out_of_memory(fault);
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(selector_unconst(list), &iterator);
    for (size_t index = 0; index < count; index++) {
        struct span value = json_string(yyjson_arr_iter_next(&iterator));
        if (value.size == 0 || selector_length(value) > SELECTOR_VALUE_LENGTH_MAX) {
            return fault_set(fault, FAULT_INPUT, "A value of %s is no text of 1 to %d characters.",
                             what, SELECTOR_VALUE_LENGTH_MAX);
        }
        if (!arena_copy(arena, value, &items[index])) return selector_out_of_memory(fault);
    }
    *values = (struct selector_values){items, (uint32_t)count};
    return true;
}

static bool refuse_value(enum selector_field field, struct span value, const char *expected,
                         struct fault *fault) {
    return fault_set(fault, FAULT_INPUT, "Value %.*s for %s is invalid: %s.",
                     SPAN_PRINT(selector_shorten(value)), selector_field_name(field), expected);
}

// "AWS::S3::Object": three or more parts of letters and digits. AWS adds types every month.
static bool is_resource_type(struct span value) {
    if (!span_starts(value, SPAN_LITERAL("AWS::"))) return false;
    uint32_t parts = 1;
    struct span rest = span_from(value, 5);
    for (;;) {
        size_t colon = span_find(rest, ':');
        for (size_t at = 0; at < colon; at++) {
            uint8_t byte = rest.bytes[at];
            bool is_good = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                           (byte >= 'a' && byte <= 'z');
            if (!is_good) return false;
        }
        if (colon == 0) return false;
        parts++;
        if (colon == rest.size) return parts >= 3;
        if (colon + 1 >= rest.size || rest.bytes[colon + 1] != ':') return false;
        rest = span_from(rest, colon + 2);
    }
}

// "arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE", of which region and account may be empty.
static bool is_arn(struct span value) {
    if (!span_starts(value, SPAN_LITERAL("arn:"))) return false;
    struct span rest = value;
    for (uint32_t part = 0; part < 5; part++) {
        size_t colon = span_find(rest, ':');
        bool may_be_empty = part == 3 || part == 4;
        if (colon == rest.size || (colon == 0 && !may_be_empty)) return false;
        rest = span_from(rest, colon + 1);
    }
    return rest.size > 0;
}

static bool check_single(enum selector_field field, const struct selector_values *values,
                         struct fault *fault) {
    if (values->count == 1) return true;
    return fault_set(fault, FAULT_INPUT, "Field %s must have exactly one value.",
                     selector_field_name(field));
}

static bool check_each(const struct selector_condition *condition, const char *wanted,
                       struct fault *fault) {
    for (uint32_t index = 0; index < SELECTOR_OPERATORS; index++) {
        const struct selector_values *values = &condition->operators[index];
        for (uint32_t at = 0; at < values->count; at++) {
            if (span_is(values->items[at], wanted)) continue;
            return fault_set(fault, FAULT_INPUT, "Value %.*s for %s is invalid: it must be %s.",
                             SPAN_PRINT(selector_shorten(values->items[at])),
                             selector_field_name(condition->field), wanted);
        }
    }
    return true;
}

// What only some values of a field may be.
static bool check_values(const struct selector_condition *condition, struct span category,
                         struct fault *fault) {
    const struct selector_values *equals = &condition->operators[SELECTOR_EQUALS];
    struct span first = equals->count > 0 ? equals->items[0] : (struct span){NULL, 0};
    switch (condition->field) {
        case SELECTOR_EVENT_CATEGORY:
            return check_single(condition->field, equals, fault);
        case SELECTOR_READ_ONLY:
            if (!check_single(condition->field, equals, fault)) return false;
            if (span_is(first, "true") || span_is(first, "false")) return true;
            return refuse_value(condition->field, first, "it must be true or false", fault);
        case SELECTOR_RESOURCE_TYPE:
            if (!check_single(condition->field, equals, fault)) return false;
            if (is_resource_type(first)) return true;
            return refuse_value(condition->field, first, "it must be like AWS::S3::Object", fault);
        case SELECTOR_RESOURCE_ARN:
            for (uint32_t index = 0; index < equals->count; index++) {
                if (is_arn(equals->items[index])) continue;
                return refuse_value(condition->field, equals->items[index],
                                    "Equals needs a whole ARN", fault);
            }
            return true;
        case SELECTOR_EVENT_SOURCE:
            if (!span_is(category, "NetworkActivity")) return true;
            return check_single(condition->field, equals, fault);
        case SELECTOR_CONSOLE:
            return check_each(condition, "true", fault);
        case SELECTOR_ERROR_CODE:
            return check_each(condition, "VpceAccessDenied", fault);
        default:
            return true;
    }
}

static bool find_field(struct span name, enum selector_field *field) {
    for (uint32_t index = 0; index < SELECTOR_FIELDS; index++) {
        if (!span_is(name, selector_field_name((enum selector_field)index))) continue;
        *field = (enum selector_field)index;
        return true;
    }
    return false;
}

// Members that nobody knows are refused here: an operator that is not seen would select more.
static bool parse_operators(const struct yyjson_val *object, struct arena *arena,
                            struct selector_condition *condition, struct fault *fault) {
    yyjson_obj_iter iterator;
    yyjson_obj_iter_init(selector_unconst(object), &iterator);
    yyjson_val *key;
    uint32_t count = 0;
    while ((key = yyjson_obj_iter_next(&iterator)) != NULL) {
        const yyjson_val *value = yyjson_obj_iter_get_val(key);
        struct span name = json_string(key);
        if (span_is(name, "Field") || yyjson_is_null(selector_unconst(value))) continue;
        uint32_t index = 0;
        while (index < SELECTOR_OPERATORS &&
               !span_is(name, selector_operator_name((enum selector_operator)index))) {
            index++;
        }
        if (index == SELECTOR_OPERATORS) {
            return fault_set(fault, FAULT_INPUT, "There is no operator %.*s.",
                             SPAN_PRINT(selector_shorten(name)));
        }
        if (condition->operators[index].count > 0) {
            return fault_set(fault, FAULT_INPUT, "Operator %s is given twice.",
                             selector_operator_name((enum selector_operator)index));
        }
        if (!selector_parse_values(value, selector_operator_name((enum selector_operator)index),
                                   arena, &condition->operators[index], fault)) {
            return false;
        }
        count++;
    }
    if (count > 0) return true;
    return fault_set(fault, FAULT_INPUT, "Field %s has no operator.",
                     selector_field_name(condition->field));
}

static bool parse_condition(const struct yyjson_val *object, struct arena *arena,
                            struct selector_condition *condition, struct fault *fault) {
    struct span name = json_member_string(object, SPAN_LITERAL("Field"));
    if (name.size == 0) return fault_set(fault, FAULT_INPUT, "A field selector has no Field.");
    if (!find_field(name, &condition->field)) {
        return fault_set(fault, FAULT_INPUT, "Value %.*s for Field is invalid.",
                         SPAN_PRINT(selector_shorten(name)));
    }
    return parse_operators(object, arena, condition, fault);
}

static const struct selector_condition *find_condition(const struct selector_advanced *advanced,
                                                       enum selector_field field) {
    for (uint32_t index = 0; index < advanced->conditions_count; index++) {
        if (advanced->conditions[index].field == field) return &advanced->conditions[index];
    }
    return NULL;
}

static bool find_category(const struct selector_advanced *advanced, enum selector_use use,
                          const struct category **category, struct fault *fault) {
    const struct selector_condition *condition = find_condition(advanced, SELECTOR_EVENT_CATEGORY);
    if (condition == NULL || condition->operators[SELECTOR_EQUALS].count == 0) {
        return fault_set(fault, FAULT_INPUT, "Field eventCategory with Equals is required.");
    }
    struct span name = condition->operators[SELECTOR_EQUALS].items[0];
    for (uint32_t index = 0; index < CATEGORIES; index++) {
        if (!span_is(name, categories[index].name)) continue;
        if (use == SELECTOR_FOR_TRAIL && !categories[index].for_trails) break;
        *category = &categories[index];
        return true;
    }
    return refuse_value(SELECTOR_EVENT_CATEGORY, name,
                        use == SELECTOR_FOR_TRAIL
                            ? "it must be Management, Data or NetworkActivity"
                            : "it must be Management, Data, NetworkActivity, Insight or Aggregated",
                        fault);
}

// Whether the conditions may stand together.
static bool check_advanced(const struct selector_advanced *advanced, enum selector_use use,
                           struct fault *fault) {
    const struct category *category = NULL;
    if (!find_category(advanced, use, &category, fault)) return false;
    for (uint32_t index = 0; index < advanced->conditions_count; index++) {
        const struct selector_condition *condition = &advanced->conditions[index];
        uint8_t allowed = category->operators[condition->field];
        if (allowed == 0) {
            return fault_set(fault, FAULT_INPUT, "Field %s cannot be used with eventCategory %s.",
                             selector_field_name(condition->field), category->name);
        }
        for (uint32_t at = 0; at < SELECTOR_OPERATORS; at++) {
            if (condition->operators[at].count == 0 || (allowed >> at & 1) != 0) continue;
            return fault_set(fault, FAULT_INPUT,
                             "Operator %s cannot be used with field %s and eventCategory %s.",
                             selector_operator_name((enum selector_operator)at),
                             selector_field_name(condition->field), category->name);
        }
        if (!check_values(condition, span_text(category->name), fault)) return false;
    }
    for (uint32_t index = 0; index < sizeof needed / sizeof needed[0]; index++) {
        if (strcmp(needed[index].category, category->name) != 0 ||
            find_condition(advanced, needed[index].field) != NULL) {
            continue;
        }
        return fault_set(fault, FAULT_INPUT, "Field %s is required with eventCategory %s.",
                         selector_field_name(needed[index].field), category->name);
    }
    return true;
}

static bool parse_name(const struct yyjson_val *object, struct arena *arena, struct span *name,
                       struct fault *fault) {
    const struct yyjson_val *value = selector_member(object, "Name");
    if (value == NULL) return true;
    struct span text = json_string(value);
    if (text.bytes == NULL || selector_length(text) > SELECTOR_NAME_LENGTH_MAX) {
        return fault_set(fault, FAULT_INPUT, "Name is no text of at most %d characters.",
                         SELECTOR_NAME_LENGTH_MAX);
    }
    return arena_copy(arena, text, name) || selector_out_of_memory(fault);
}

static bool parse_selector(const struct yyjson_val *object, struct arena *arena,
                           struct selector_advanced *advanced, uint32_t *values_count,
                           struct fault *fault) {
    const struct yyjson_val *list = selector_member(object, "FieldSelectors");
    size_t count = yyjson_arr_size(selector_unconst(list));
    // A field twice is refused below, so more of them need not be read.
    if (count == 0 || count > SELECTOR_FIELDS) {
        return fault_set(fault, FAULT_INPUT,
                         "FieldSelectors must be a list of field selectors, one for each field.");
    }
    if (!parse_name(object, arena, &advanced->name, fault)) return false;
    advanced->conditions = arena_allocate_array(arena, count, sizeof *advanced->conditions);
    if (advanced->conditions == NULL) return selector_out_of_memory(fault);
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(selector_unconst(list), &iterator);
    for (size_t index = 0; index < count; index++) {
        struct selector_condition *condition = &advanced->conditions[index];
        if (!parse_condition(yyjson_arr_iter_next(&iterator), arena, condition, fault)) {
            return false;
        }
        if (find_condition(advanced, condition->field) != NULL) {
            return fault_set(fault, FAULT_INPUT, "Field %s is given twice.",
                             selector_field_name(condition->field));
        }
        advanced->conditions_count++;
        for (uint32_t at = 0; at < SELECTOR_OPERATORS; at++) {
            *values_count += condition->operators[at].count;
        }
        if (*values_count > SELECTOR_VALUES_MAX) {
            return fault_set(fault, FAULT_INPUT,
                             "The conditions of all selectors have more than %d values.",
                             SELECTOR_VALUES_MAX);
        }
    }
    return true;
}

bool selector_parse_advanced(const struct yyjson_val *list, enum selector_use use,
                             struct arena *arena, struct selector_set *set, struct fault *fault) {
    size_t count = yyjson_arr_size(selector_unconst(list));
    // Each has at least one value.
    if (count == 0 || count > SELECTOR_VALUES_MAX) {
        return fault_set(fault, FAULT_INPUT,
                         "AdvancedEventSelectors must be a list of 1 to %d selectors.",
                         SELECTOR_VALUES_MAX);
    }
    struct selector_advanced *advanced = arena_allocate_array(arena, count, sizeof *advanced);
    if (advanced == NULL) return selector_out_of_memory(fault);
    uint32_t values_count = 0;
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(selector_unconst(list), &iterator);
    for (size_t index = 0; index < count; index++) {
        if (!parse_selector(yyjson_arr_iter_next(&iterator), arena, &advanced[index], &values_count,
                            fault) ||
            !check_advanced(&advanced[index], use, fault)) {
            return fault_add(fault, "AdvancedEventSelectors[%zu]", index);
        }
    }
    *set = (struct selector_set){.advanced = advanced, .advanced_count = (uint32_t)count};
    return true;
}
