// block_asked.h: hashes of many ids, about which one block after another is asked.
//
// A block's fingerprints are walked once, whatever number of hashes it is asked about: 15 us for
// 4,000 rows, where block_may_hold_id takes 40 ns for each hash. Pure. One thread.

#pragma once

#include <stdint.h>

#include "storage/block/block.h"

struct block_asked;

// Room for that many hashes, less than 65,536. NULL if memory runs out.
struct block_asked *block_asked_create(uint32_t count_max);

// Frees it. NULL is allowed.
void block_asked_destroy(struct block_asked *asked);

// Asks about these from now on: hashes as block_id_hash makes them, smallest first, the same one
// may come again. Copied.
void block_asked_set(struct block_asked *asked, const uint32_t *hashes, uint32_t count);

// Which of them the block may hold, as block_may_hold_id would say: writes their indexes, in order,
// into hits, which has room for all, and returns their number.
uint32_t block_asked_find(const struct block_asked *asked, const struct block *block,
                          uint32_t *hits);
