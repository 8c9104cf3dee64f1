// seen_table.h: the certificates that the collector knows, the one that ends first at the top.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "query/seen.h"

enum { SEEN_TABLE_MAX = 32768 };  // of one store; the collector keeps half as many

struct seen_table {
    struct seen *entries;
    uint32_t count;
};

// Collects them from the store into the arena. FAULT_FULL, as seen_list otherwise.
MUST_CHECK bool seen_table_collect(struct trail_reader *reader, struct arena *arena,
                                   struct seen_table *table, struct fault *fault);

// Appends a line for people, and one for each that ends within SEEN_WARN_DAYS.
void seen_table_print(const struct seen_table *table, int64_t now_s, struct buffer *output);

// Appends all of them as a JSON array.
void seen_table_print_json(const struct seen_table *table, int64_t now_s, struct buffer *output);
