#include "event/match/insight_selector.h"

#include <string.h>

static const char *const type_names[INSIGHT_TYPES] = {
    [INSIGHT_CALL_RATE] = "ApiCallRateInsight",
    [INSIGHT_ERROR_RATE] = "ApiErrorRateInsight",
};

static const struct category {
    const char *name;
    uint8_t bit;
} categories[] = {{"Management", INSIGHT_OF_MANAGEMENT}, {"Data", INSIGHT_OF_DATA}};

enum { CATEGORIES = sizeof categories / sizeof categories[0] };

static yyjson_val *unconst(const struct yyjson_val *value) {
    return (yyjson_val *)(uintptr_t)value;
}

static struct span shorten(struct span text) {
    if (text.size > 100) text.size = 100;
    return text;
}

static bool parse_categories(const struct yyjson_val *list, uint8_t *bits, struct fault *fault) {
    if (list == NULL || yyjson_is_null(unconst(list))) {
        *bits = INSIGHT_OF_MANAGEMENT;
        return true;
    }
    if (!yyjson_is_arr(unconst(list)) || yyjson_arr_size(unconst(list)) == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "EventCategories must be a list of Management and Data.");
    }
    *bits = 0;
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(unconst(list), &iterator);
    yyjson_val *entry;
    while ((entry = yyjson_arr_iter_next(&iterator)) != NULL) {
        struct span name = json_string(entry);
        size_t index = 0;
        while (index < CATEGORIES && !span_is(name, categories[index].name)) index++;
        if (index == CATEGORIES) {
            return fault_set(fault, FAULT_INPUT,
                             "Value %.*s for EventCategories is invalid. Valid values are "
                             "Management and Data.",
                             SPAN_PRINT(shorten(name)));
        }
        *bits |= categories[index].bit;
    }
    return true;
}

static bool parse_selector(const struct yyjson_val *entry, struct insight_selectors *selectors,
                           struct fault *fault) {
    struct span name = json_member_string(entry, SPAN_LITERAL("InsightType"));
    uint32_t type = 0;
    while (type < INSIGHT_TYPES && !span_is(name, type_names[type])) type++;
    if (type == INSIGHT_TYPES) {
        return fault_set(fault, FAULT_INPUT,
                         "Value %.*s for InsightType is invalid. Valid values are "
                         "ApiCallRateInsight and ApiErrorRateInsight.",
                         SPAN_PRINT(shorten(name)));
    }
    if (selectors->categories[type] != 0) {
        return fault_set(fault, FAULT_INPUT, "InsightType %s is given twice.", type_names[type]);
    }
    return parse_categories(json_member(entry, SPAN_LITERAL("EventCategories")),
                            &selectors->categories[type], fault);
}

bool insight_selector_parse(const struct yyjson_val *list, struct insight_selectors *selectors,
                            struct fault *fault) {
    if (!yyjson_is_arr(unconst(list))) {
        return fault_set(fault, FAULT_INPUT, "InsightSelectors must be a list.");
    }
    struct insight_selectors read = {{0}};
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(unconst(list), &iterator);
    yyjson_val *entry;
    while ((entry = yyjson_arr_iter_next(&iterator)) != NULL) {
        if (!parse_selector(entry, &read, fault)) return false;
    }
    *selectors = read;
    return true;
}

bool insight_selector_is_empty(const struct insight_selectors *selectors) {
    for (uint32_t type = 0; type < INSIGHT_TYPES; type++) {
        if (selectors->categories[type] != 0) return false;
    }
    return true;
}

void insight_selector_print(const struct insight_selectors *selectors, struct buffer *output) {
    buffer_append_byte(output, '[');
    bool is_first = true;
    for (uint32_t type = 0; type < INSIGHT_TYPES; type++) {
        if (selectors->categories[type] == 0) continue;
        buffer_print(output, "%s{\"InsightType\":\"%s\",\"EventCategories\":[", is_first ? "" : ",",
                     type_names[type]);
        const char *separator = "";
        for (size_t index = 0; index < CATEGORIES; index++) {
            if ((selectors->categories[type] & categories[index].bit) == 0) continue;
            buffer_print(output, "%s\"%s\"", separator, categories[index].name);
            separator = ",";
        }
        buffer_append_text(output, "]}");
        is_first = false;
    }
    buffer_append_byte(output, ']');
}
