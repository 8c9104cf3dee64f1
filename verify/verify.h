// verify.h: everything that was delivered, verified: all accounts and regions on all cores.
//
// The caller's thread finds the accounts and regions, hands them out and gathers what the workers
// found. Memory beside that of the walks: the findings, and some 400 bytes for each chain.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "verify/walk.h"

enum { VERIFY_THREADS_MAX = 256 };

struct verify_plan {
    const struct delivered *delivered;
    const struct public_keys *keys;
    const struct known *known;  // sorted
    const char *account;        // NULL: all
    const char *region;
    const char *trail;
    int64_t from_s;  // digests that end after it and begin before to_s
    int64_t to_s;
    int64_t now_s;
    uint32_t threads;
    // Told now and then; `all` 0: unknown yet. May be NULL.
    void (*on_progress)(void *user, uint64_t done, uint64_t all);
    void *user;
};

// What was found. Spans of findings and chains live as long as it.
struct verification {
    struct walk_counts counts;
    uint64_t totals[FINDING_KINDS_COUNT];
    uint64_t faults;     // findings of that weight, also those that are not kept
    uint64_t unchecked;  // the same
    bool is_cut;         // some findings are counted and not kept
    uint32_t accounts;
    uint32_t regions;
    uint32_t chains;
    struct walk_result **results;  // in order of account and region
    uint32_t results_count;
    struct findings general;  // of no region that is there
    struct arena *arena;      // internal
};

// Verifies. FAULT_INPUT, FAULT_DENIED, FAULT_IO and so on if it could not be done to its end: then
// nothing is known. Otherwise *verification says what was found, and is the caller's.
MUST_CHECK bool verify_run(const struct verify_plan *plan, struct verification **verification,
                           struct fault *fault);

// Adds a finding of no region to it; copies what it needs.
void verification_add(struct verification *verification, const struct finding *finding);

// Frees it. NULL is allowed.
void verification_destroy(struct verification *verification);
