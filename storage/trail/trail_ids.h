// trail_ids.h: which blocks of a group may hold an id, in memory.
//
// Ids are random: whoever looks for one without knowing when it happened would open every block of
// the trail for its fingerprints. A filter of a group answers for 64 blocks at once: a table of
// bitmaps of them, in which each id has set its block's bit in two places. It errs for one block in
// 18 and never the other way: a block without its bit does not hold the id. 256 KiB a group, of
// TRAIL_IDS_GROUPS groups; the place of one is taken by a newer one. Pure. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    TRAIL_IDS_GROUPS = 128,  // 32 MiB; 33 M events in blocks of 4,096
    TRAIL_IDS_BITS = 20,     // of an id's hash, from the top
};

struct trail_ids;

// NULL if memory runs out.
struct trail_ids *trail_ids_create(void);

// Frees it. NULL is allowed.
void trail_ids_destroy(struct trail_ids *ids);

// The blocks of a group that may hold an id of this hash (32 bits), as a bitmap. False if the group
// has no filter.
bool trail_ids_find(const struct trail_ids *ids, uint32_t group, uint32_t hash, uint64_t *blocks);

// Begins the filter of a group that has none. False if a newer group has its place, or memory runs
// out.
bool trail_ids_begin(struct trail_ids *ids, uint32_t group);

// Adds a block of the group that was begun last: the place-th of 64, with the top bits of its ids'
// hashes; NULL: it may hold any.
void trail_ids_add(struct trail_ids *ids, uint32_t place, const uint32_t *hashes, uint32_t count);

// Ends it: from now on it is asked.
void trail_ids_end(struct trail_ids *ids);
