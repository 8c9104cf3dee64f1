// region.h: which accounts and regions were delivered to, and into which folders of which buckets.
//
// What belongs to one account and region is verified together, wherever it lies: a trail may have
// changed its bucket or become the organization's, and its chain goes on.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "verify/delivered.h"

enum {
    REGION_PLACES_MAX = 1000000,  // accounts x regions x folders of one run
    REGION_DEPTH_MAX = 8,         // folders above AWSLogs
};

// A folder of an account: "[PREFIX/]AWSLogs/[o-ORG/]ACCOUNT/".
struct region_place {
    struct span account;
    struct span region;
    struct span bucket;
    struct span folder;
};

struct region {
    struct span account;
    struct span region;
    const struct region_place *places;
    uint32_t places_count;
};

struct regions {
    struct region *list;
    uint32_t count;
    struct region_place *places;  // internal
};

// Finds them all, or those of one account or region (NULL: any), in order of account and region.
// Spans lie in the arena. FAULT_INPUT if there are more than REGION_PLACES_MAX; FAULT_FULL; faults
// of listing.
MUST_CHECK bool regions_find(const struct delivered *delivered, const char *account,
                             const char *region, struct arena *arena, struct regions *regions,
                             struct fault *fault);

// The region of an account; NULL if there is none.
const struct region *regions_get(const struct regions *regions, struct span account,
                                 struct span region);

// Frees the lists; the arena stays.
void regions_done(struct regions *regions);
