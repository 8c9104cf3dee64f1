// trail_heap.h: what lies before a cursor, the foremost first. Pure.
//
// A block or a frame stands for the foremost row it may hold; at the same rank it comes before
// rows, so that a row that comes out is behind nothing that is not opened yet. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

enum trail_heap_level {
    TRAIL_HEAP_ROW,       // block_index, frame, row
    TRAIL_HEAP_TAIL_ROW,  // block_index is the row's place in the cursor's list
    TRAIL_HEAP_FRAME,     // block_index, frame; row: how many of its rows were taken out before
    TRAIL_HEAP_CUT,  // a frame of which it is not known yet which rows are in the query's times
};

struct trail_heap_item {
    int64_t rank;      // greater comes first
    uint64_t id_high;  // then this
    uint64_t id_low;
    uint32_t block_index;
    uint32_t run;  // TRAIL_HEAP_ROW: where the cursor has the rows of its frame that come later
    uint8_t frame;
    uint8_t row;
    uint8_t level;
};

// Zeroed is empty.
struct trail_heap {
    struct trail_heap_item *items;
    uint32_t count;
    uint32_t capacity;
};

// Whether an item of this level stands for rows that it may hold.
static inline bool trail_heap_opens(uint8_t level) {
    return level >= TRAIL_HEAP_FRAME;
}

// Frees its memory and empties it.
void trail_heap_done(struct trail_heap *heap);

// Makes it one of these items in place of what it held. False if memory runs out.
bool trail_heap_fill(struct trail_heap *heap, const struct trail_heap_item *items, uint32_t count);

// False if memory runs out.
bool trail_heap_push(struct trail_heap *heap, const struct trail_heap_item *item);

// The foremost; there is one.
const struct trail_heap_item *trail_heap_top(const struct trail_heap *heap);
struct trail_heap_item trail_heap_pop(struct trail_heap *heap);

// Whether the first comes before the second.
bool trail_heap_before(const struct trail_heap_item *first, const struct trail_heap_item *second);
