// filter.h: which events somebody wants: attributes, an event's id, a time range.
//
// Made from names and values as people write them. All conditions must hold. A filter borrows
// nothing: its texts lie in an arena of its own. Pure but for the clock's value it is given.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"
#include "event/attribute.h"
#include "event/record.h"
#include "storage/trail/trail_reader.h"

enum {
    FILTER_ATTRIBUTES_MAX = 32,      // conditions of one query
    FILTER_ARENA_SIZE = 256 * 1024,  // bytes of all their values
    FILTER_TIME_TEXT_MAX = 64,       // bytes of a time as written
};

#define FILTER_TIME_MIN INT64_C(-86400)        // 1970 and any offset
#define FILTER_TIME_MAX INT64_C(253402300799)  // the last second of the year 9999

struct filter {
    struct arena *arena;
    struct attribute attributes[FILTER_ATTRIBUTES_MAX];
    uint32_t attributes_count;
    bool has_id;
    uint8_t id[RECORD_ID_SIZE];
    struct span id_text;  // as written
    int64_t time_min_s;   // inclusive
    int64_t time_max_s;   // inclusive
    // As written, for what must not depend on when a relative time was resolved.
    char since_text[FILTER_TIME_TEXT_MAX];
    char until_text[FILTER_TIME_TEXT_MAX];
};

// A filter that every event passes. FAULT_FULL if memory runs out.
MUST_CHECK bool filter_init(struct filter *filter, struct fault *fault);
void filter_done(struct filter *filter);

// Adds a condition by its option's name: "event-name", "user", "event-source", "access-key",
// "read-only", "resource-name", "resource-type", "event-id", "shared-event-id", "source-ip",
// "error-code", "identity-type", "identity-arn", "event-type", "account", "region", "category",
// "global", "errors". FAULT_INPUT if the value is impossible, or the name has a condition already
// and an event has only one such value.
MUST_CHECK bool filter_add(struct filter *filter, const char *name, const char *value,
                           struct fault *fault);

// The beginning of the time range (inclusive) and its end (exclusive), as filter_parse_time reads
// them. FAULT_INPUT.
MUST_CHECK bool filter_set_since(struct filter *filter, const char *text, int64_t now_s,
                                 struct fault *fault);
MUST_CHECK bool filter_set_until(struct filter *filter, const char *text, int64_t now_s,
                                 struct fault *fault);

// Whether the range is one. FAULT_INPUT if it ends before it begins.
MUST_CHECK bool filter_check_range(const struct filter *filter, struct fault *fault);

// Reads a moment: "2026-11-21", "2026-11-21T10:30", "2026-11-21T10:30:00Z" (or with an offset; UTC
// without), "now", or a time back from now: "90s", "15m", "2h", "7d", "4w". FAULT_INPUT.
MUST_CHECK bool filter_parse_time(const char *text, int64_t now_s, int64_t *seconds,
                                  struct fault *fault);

// Whether an event passes; for events that come without a query (arrival order).
bool filter_matches(const struct filter *filter, const struct record *record,
                    const struct trail_row *row);

// Whether every event passes: nothing need be read to know.
bool filter_is_empty(const struct filter *filter);

// The same conditions as a query of the store; borrows from the filter.
struct trail_query filter_query(const struct filter *filter, bool newest_first);

// Appends the conditions in one order whatever order they were added in, for hashes and manifests:
// a JSON object.
void filter_print(const struct filter *filter, struct buffer *output);
