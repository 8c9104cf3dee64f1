// walk.h: all that was delivered for one account and region, verified: its chains of digests, the
// log files they name, and the files that none of them names.
//
// A chain is the digests of one trail in order of their ends. Each is checked for its place, its
// signature and its link to the one before it; a digest whose signature is wrong is not believed,
// so its log files are not compared with it, but they count as named. Memory: the names of one
// region's digests, and eight bytes for each log file they name.
//
// One thread a walk; the options are shared by all of them and only read.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "verify/delivered.h"
#include "verify/finding.h"
#include "verify/keys.h"
#include "verify/known.h"
#include "verify/object.h"
#include "verify/region.h"

struct walk_options {
    const struct delivered *delivered;
    const struct public_keys *keys;
    const struct known *known;
    const char *trail;  // NULL: all; digests of others are read for the files they name
    int64_t from_s;     // digests that end after it and begin before to_s are verified
    int64_t to_s;
    int64_t now_s;
    atomic_uint_fast64_t *files_done;  // counts up, for a progress bar
};

struct walk_counts {
    uint64_t digests;
    uint64_t digests_good;
    uint64_t backfills;  // digests too, not counted above
    uint64_t backfills_good;
    uint64_t logs;
    uint64_t logs_good;
    uint64_t logs_size;  // bytes of text
    uint64_t waiting;    // log files so new that their digest is not due
};

// A chain and how far it goes. The hash is empty if the last digest is not whole.
struct walk_chain {
    struct span account;
    struct span region;
    struct span trail;
    struct span home_region;
    bool is_backfill;
    int64_t from_s;
    int64_t to_s;
    uint64_t digests;
    uint64_t logs;
    struct span bucket;
    struct span object;
    char hash[SHA256_HEX_SIZE];
};

struct walk_result {
    struct arena *arena;  // of the findings and chains
    struct findings findings;
    struct walk_counts counts;
    struct walk_chain *chains;
    uint32_t chains_count;
    uint32_t chains_capacity;
    struct fault fault;  // FAULT_NONE, or why the region could not be verified to its end
};

struct walk;

// NULL if memory runs out. The options are borrowed.
struct walk *walk_create(const struct walk_options *options);

// Frees it. NULL is allowed.
void walk_destroy(struct walk *walk);

// Verifies one region. The result is the caller's: walk_result_destroy. NULL if memory runs out.
struct walk_result *walk_region(struct walk *walk, const struct region *region);

// Frees it. NULL is allowed.
void walk_result_destroy(struct walk_result *result);
