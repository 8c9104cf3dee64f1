// selector_internal.h: what reading advanced and basic selectors shares.

#pragma once

#include "event/match/selector.h"

// yyjson's functions take pointers that they do not change.
static inline yyjson_val *selector_unconst(const struct yyjson_val *value) {
    return (yyjson_val *)(uintptr_t)value;
}

// For messages: at most 100 bytes of it.
static inline struct span selector_shorten(struct span text) {
    if (text.size > 100) text.size = 100;
    return text;
}

// The member, or NULL if it is absent or null.
static inline const struct yyjson_val *selector_member(const struct yyjson_val *object,
                                                       const char *name) {
    const struct yyjson_val *value = json_member(object, span_text(name));
    return yyjson_is_null(selector_unconst(value)) ? NULL : value;
}

// Characters of UTF-8 text.
size_t selector_length(struct span text);

// Copies an array of texts of 1 to SELECTOR_VALUE_LENGTH_MAX characters. `what` names it in
// messages. FAULT_INPUT, FAULT_FULL.
MUST_CHECK bool selector_parse_values(const struct yyjson_val *list, const char *what,
                                      struct arena *arena, struct selector_values *values,
                                      struct fault *fault);

// False: the arena is full.
bool selector_out_of_memory(struct fault *fault);
