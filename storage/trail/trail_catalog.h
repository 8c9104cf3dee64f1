// trail_catalog.h: the summaries of all blocks in memory, and which blocks may hold a time.
//
// 128 bytes a block (32 MB for 10^9 events). Blocks are added in order of number and keep their
// index. Lateness is unbounded, so that no order of times is assumed: a time is looked for in all
// blocks of its day, 64 at a step. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "storage/block/block.h"

enum { TRAIL_GROUP_BLOCKS = 64 };  // blocks of one group table: a bitmap of them is a uint64_t

struct trail_catalog_block {
    uint64_t number;
    struct block_summary summary;
    uint64_t sequence_reach;  // the largest sequence of this block and all before it
    uint64_t generation;      // writer: of the dedupe window that has its ids; 0: none
    uint32_t probes;          // writer: how often it was searched for an id
    bool is_dropped;          // its day has been dropped: it is not there any more
    uint64_t good_frames;     // reader: whose columns and ids were so too
    bool is_checked;          // it was as it was written once in this process
};

struct trail_catalog;

// NULL if memory runs out.
struct trail_catalog *trail_catalog_create(void);
void trail_catalog_destroy(struct trail_catalog *catalog);

// Adds the next block. All its events are of one day. FAULT_FULL if memory runs out.
MUST_CHECK bool trail_catalog_add(struct trail_catalog *catalog, uint64_t number,
                                  const struct block_summary *summary, struct fault *fault);

// How many blocks there are, those that were dropped since they were added among them.
uint32_t trail_catalog_count(const struct trail_catalog *catalog);

// The index of a block by its number; false if it is not there or was dropped.
bool trail_catalog_find_number(const struct trail_catalog *catalog, uint64_t number,
                               uint32_t *index);

// All blocks of one day together.
struct trail_catalog_day {
    int64_t day;
    uint32_t blocks;
    uint64_t rows;
    uint64_t size;
    uint64_t text_size;
    uint64_t sequence_last;  // the largest
    int64_t time_min_s;
};

// How many days have blocks, and the place-th of them, oldest first.
uint32_t trail_catalog_days(const struct trail_catalog *catalog);
struct trail_catalog_day trail_catalog_day_at(const struct trail_catalog *catalog, uint32_t place);

// Drops the blocks of all days before this one: no search finds them any more. Indexes stay.
void trail_catalog_drop(struct trail_catalog *catalog, int64_t day_first);

// A block by index; borrowed until the next add.
struct trail_catalog_block *trail_catalog_at(const struct trail_catalog *catalog, uint32_t index);

// The key under which a block is stored: day in the upper 24 bits, number in the lower 40.
uint64_t trail_catalog_key(const struct trail_catalog_block *block);

// The day and the number in such a key.
int64_t trail_catalog_key_day(uint64_t key);
uint64_t trail_catalog_key_number(uint64_t key);

// Indexes of the blocks whose times meet those from time_min_s to time_max_s, which are of one day,
// in the catalog's memory until the next call. FAULT_FULL if memory runs out.
MUST_CHECK bool trail_catalog_find(struct trail_catalog *catalog, int64_t time_min_s,
                                   int64_t time_max_s, const uint32_t **indexes, uint32_t *count,
                                   struct fault *fault);

// All indexes in order of time_max_s (newest) or time_min_s, smallest first; borrowed until the
// next add. FAULT_FULL if memory runs out.
MUST_CHECK bool trail_catalog_order(struct trail_catalog *catalog, bool newest,
                                    const uint32_t **indexes, struct fault *fault);

// The index of the first block from which on sequences greater than this one may be found.
uint32_t trail_catalog_find_sequence(const struct trail_catalog *catalog, uint64_t sequence);
