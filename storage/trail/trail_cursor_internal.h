// trail_cursor_internal.h: a cursor's parts, as its own files see them.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/record.h"
#include "storage/trail/trail_frames.h"
#include "storage/trail/trail_heap.h"
#include "storage/trail/trail_reader_internal.h"

enum {
    TRAIL_QUERY_ATTRIBUTES_MAX = BLOCK_FIND_MAX,
};

// A row of the tail that may match, with its chunk; row NULL: the chunk is damaged.
struct trail_cursor_tail {
    struct trail_tail_chunk *chunk;
    const struct trail_tail_row *row;
};

// The blocks of a group that may hold all that is asked for.
struct trail_cursor_group {
    bool is_known;
    uint64_t blocks;
};

// The rows of an open frame: the foremost is on the cursor's heap.
struct trail_cursor_run {
    uint32_t block_index;
    uint32_t frame;
    uint32_t first;          // the foremost row
    bool is_used;            // it has one
    uint32_t next_free;      // of one that is not in use: another such + 1, or 0
    struct trail_heap rows;  // the others
};

// A row that comes next.
struct trail_cursor_next {
    struct trail_heap_item item;
    struct key key;  // only while rows that are equal in time and id are put in order
};

struct trail_cursor {
    struct trail_reader *reader;
    struct trail_query query;  // times narrowed by `after`
    bool by_sequence;          // a follower's order; `query.after` is not used then
    uint64_t sequence_after;
    uint32_t hashes[TRAIL_QUERY_ATTRIBUTES_MAX];
    uint32_t id_hash;
    bool may_learn;  // what a group says of ids; once

    uint32_t *candidates;  // indexes of blocks, the foremost first
    uint32_t candidates_count;
    uint32_t candidates_next;
    struct trail_cursor_group *groups;
    uint32_t groups_count;
    struct trail_cursor_tail *tail;
    uint32_t tail_count;
    uint32_t tail_capacity;

    struct trail_heap heap;  // of each run one row
    struct trail_cursor_run *runs;
    uint32_t runs_count;
    uint32_t runs_capacity;
    uint32_t runs_free;              // the first that is not in use + 1, or 0
    uint64_t rows_count;             // in all runs
    struct trail_cursor_next *next;  // rows in the order they are given out
    uint32_t next_count;
    uint32_t next_given;  // so many of them were
    uint32_t next_capacity;
    uint32_t ahead;   // rows to look ahead for the next time
    bool has_failed;  // looking ahead, at next_failed: told when the rows before are given
    uint32_t next_failed;
    struct fault failure;
    struct trail_frames *frames;
    bool has_record;  // of the row verified last
    struct record record;
    uint64_t given;  // rows
    uint64_t steps;  // what it has put behind it: blocks, frames, rows
};

// Rows of a frame that may match; in no order before trail_cursor_sort_rows.
struct trail_cursor_rows {
    uint32_t count;
    struct trail_heap_item items[BLOCK_FRAME_ROWS];
};

// trail_cursor_runs.c

// Puts rows of one frame, at least one and in no order, before the cursor.
MUST_CHECK bool trail_cursor_add_run(struct trail_cursor *cursor, struct trail_heap_item *items,
                                     uint32_t count, struct fault *fault);

// Takes the foremost row off the heap; the next of its run takes its place.
MUST_CHECK bool trail_cursor_take_row(struct trail_cursor *cursor, struct trail_heap_item *item,
                                      struct fault *fault);

// Sets the bits of the rows at hand that come after a row in its frame.
void trail_cursor_find_later(const struct trail_cursor *cursor, const struct trail_heap_item *item,
                             uint64_t bits[2]);

void trail_cursor_free_runs(struct trail_cursor *cursor);

// trail_cursor_match.c

// Rank and id of a row in the cursor's order.
void trail_cursor_rank(const struct trail_cursor *cursor, const struct key *key, uint64_t sequence,
                       struct trail_heap_item *item);

// Whether it is known already that the block holds no matching row.
bool trail_cursor_is_ruled_out(const struct trail_cursor *cursor, uint32_t block_index);

// Whether the block may hold matching rows at all.
MUST_CHECK bool trail_cursor_wants_block(struct trail_cursor *cursor, uint32_t block_index,
                                         bool *wanted, struct fault *fault);

// The frames of an open block that may hold matching rows, as a bitmap.
uint64_t trail_cursor_find_frames(const struct trail_cursor *cursor, const struct block *block);

// Sets the rank of a frame to that of its foremost row in the query's times; *found false if none
// is.
MUST_CHECK bool trail_cursor_find_first(struct trail_cursor *cursor, const struct block *block,
                                        struct trail_heap_item *item, bool *found,
                                        struct fault *fault);

// The rows of a frame that may match, in no order.
MUST_CHECK bool trail_cursor_find_rows(struct trail_cursor *cursor, const struct block *block,
                                       uint32_t block_index, uint32_t frame,
                                       struct trail_cursor_rows *rows, struct fault *fault);

// Puts the rows in order.
void trail_cursor_sort_rows(struct trail_cursor_rows *rows);

// Whether a row of the tail may match.
bool trail_cursor_wants_tail_row(const struct trail_cursor *cursor,
                                 const struct trail_tail_chunk *chunk,
                                 const struct trail_tail_row *row);

// Whether a rebuilt row matches: the answer to every index hit.
MUST_CHECK bool trail_cursor_verify(struct trail_cursor *cursor, const struct trail_row *row,
                                    bool *matches, struct fault *fault);
