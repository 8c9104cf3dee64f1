// insight_selector.h: which kinds of Insights events a trail wants, of which events.
//
// Read from and written as the JSON of PutInsightSelectors. Pure: no I/O, no clock.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"

enum insight_type {
    INSIGHT_CALL_RATE,   // "ApiCallRateInsight"
    INSIGHT_ERROR_RATE,  // "ApiErrorRateInsight"
    INSIGHT_TYPES,
};

enum {
    INSIGHT_OF_MANAGEMENT = 1,
    INSIGHT_OF_DATA = 2,
};

// Which categories of events each type looks at, as bits; 0: the type is not wanted.
struct insight_selectors {
    uint8_t categories[INSIGHT_TYPES];
};

// Reads an array of insight selectors; an empty one wants none. FAULT_INPUT.
MUST_CHECK bool insight_selector_parse(const struct yyjson_val *list,
                                       struct insight_selectors *selectors, struct fault *fault);

// Whether no type is wanted.
bool insight_selector_is_empty(const struct insight_selectors *selectors);

// Appends the array.
void insight_selector_print(const struct insight_selectors *selectors, struct buffer *output);
