// trail_cursor_internal.h: a cursor's parts, as its own files see them.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "storage/trail/trail_frames.h"
#include "storage/trail/trail_heap.h"
#include "storage/trail/trail_reader_internal.h"

enum {
    TRAIL_QUERY_ATTRIBUTES_MAX = 64,
};

// A row of the tail that may match, with its chunk; row NULL: the chunk is damaged.
struct trail_cursor_tail {
    struct trail_tail_chunk *chunk;
    const struct trail_tail_row *row;
};

// The blocks of a group that may hold all attributes asked for.
struct trail_cursor_group {
    bool is_known;
    uint64_t blocks;
};

// Rows that are equal in time and id and differ in account, in the order they are given out.
struct trail_cursor_tie {
    struct trail_heap_item item;
    struct key key;
};

struct trail_cursor {
    struct trail_reader *reader;
    struct trail_query query;  // times narrowed by `after`
    bool by_sequence;          // a follower's order; `query.after` is not used then
    uint64_t sequence_after;
    uint32_t hashes[TRAIL_QUERY_ATTRIBUTES_MAX];
    uint32_t id_hash;

    uint32_t *candidates;  // indexes of blocks, the foremost first
    uint32_t candidates_count;
    uint32_t candidates_next;
    struct trail_cursor_group *groups;
    uint32_t groups_count;
    struct trail_cursor_tail *tail;
    uint32_t tail_count;
    uint32_t tail_capacity;

    struct trail_heap heap;
    struct trail_cursor_tie *ties;
    uint32_t ties_count;
    uint32_t ties_next;
    uint32_t ties_capacity;
    struct trail_frames *frames;
    uint64_t given;  // rows
};

// Rows of a frame that may match; in no order before trail_cursor_sort_rows.
struct trail_cursor_rows {
    uint32_t count;
    struct trail_heap_item items[BLOCK_FRAME_ROWS];
};

// trail_cursor_match.c

// Rank and id of a row in the cursor's order.
void trail_cursor_rank(const struct trail_cursor *cursor, const struct key *key, uint64_t sequence,
                       struct trail_heap_item *item);

// Whether the block may hold matching rows at all.
MUST_CHECK bool trail_cursor_wants_block(struct trail_cursor *cursor, uint32_t block_index,
                                         bool *wanted, struct fault *fault);

// The frames of an open block that may hold matching rows, as a bitmap.
uint64_t trail_cursor_find_frames(const struct trail_cursor *cursor, const struct block *block);

// The rows of a frame that may match, in no order.
MUST_CHECK bool trail_cursor_find_rows(struct trail_cursor *cursor, const struct block *block,
                                       uint32_t block_index, uint32_t frame,
                                       struct trail_cursor_rows *rows, struct fault *fault);

// Puts the foremost `first` rows in order to the front.
void trail_cursor_sort_rows(struct trail_cursor_rows *rows, uint32_t first);

// Whether a row of the tail may match.
bool trail_cursor_wants_tail_row(const struct trail_cursor *cursor,
                                 const struct trail_tail_chunk *chunk,
                                 const struct trail_tail_row *row);

// Whether a rebuilt row matches: the answer to every index hit.
MUST_CHECK bool trail_cursor_verify(struct trail_cursor *cursor, const struct trail_row *row,
                                    bool *matches, struct fault *fault);
