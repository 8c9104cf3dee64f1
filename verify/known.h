// known.h: how far chains of digests are known to go, from elsewhere than the files themselves: an
// earlier report, or the collector's store.
//
// What signatures cannot prove is that nothing was taken from a chain's end. Read-only once sorted,
// by any number of threads.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    KNOWN_MAX = 4000000,                         // chains
    KNOWN_REPORT_SIZE_MAX = 1024 * 1024 * 1024,  // bytes of a report
};

// The last digest of a chain, as somebody knows it.
struct known_end {
    struct span account;
    struct span region;
    struct span trail;
    struct span home_region;
    bool is_backfill;
    struct span bucket;
    struct span object;
    struct span hash;  // of its text, hex
    int64_t end_s;
    bool is_newest;      // there was none behind it when this run began
    const char *source;  // "the earlier report", "the store"
};

struct known {
    struct known_end *list;
    uint32_t count;
    uint32_t capacity;
};

// Adds an end; spans are borrowed. FAULT_INPUT past KNOWN_MAX; FAULT_FULL.
MUST_CHECK bool known_add(struct known *known, const struct known_end *end, struct fault *fault);

// Adds the chains of a report that orgtrail verify --json wrote; what is read lies in the arena.
// FAULT_INPUT if it is none.
MUST_CHECK bool known_read_report(struct known *known, struct arena *arena, struct span text,
                                  struct fault *fault);

// Sorts; before known_find.
void known_sort(struct known *known);

// The ends of one account and region: *first and how many.
uint32_t known_find(const struct known *known, struct span account, struct span region,
                    const struct known_end **first);

// Frees the list.
void known_done(struct known *known);
