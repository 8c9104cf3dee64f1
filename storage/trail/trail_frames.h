// trail_frames.h: rebuilt rows of frames that a cursor is giving out, the most recently used ones.
//
// A frame is inflated as a whole, but only the rows asked for are rebuilt. At most
// TRAIL_FRAMES_SIZE_MAX bytes of rows are kept, and the frame asked for last; beside them up to a
// quarter as much of memory that dropped frames lay in, which the next ones are rebuilt in. Rows
// are borrowed until the next load. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "storage/trail/trail_reader_internal.h"

enum {
    TRAIL_FRAMES_MAX = 1024,
    TRAIL_FRAMES_SIZE_MAX = 32 * 1024 * 1024,
};

struct trail_frames;

// NULL if memory runs out.
struct trail_frames *trail_frames_create(void);
void trail_frames_destroy(struct trail_frames *frames);

// A row if it is there, or NULL.
const struct trail_row *trail_frames_find(struct trail_frames *frames, uint32_t block_index,
                                          uint32_t frame, uint32_t row);

// Rebuilds the rows whose bits are set, in place of what is kept of the frame; bare ones as
// trail_query has them. The reader's snapshot is open. FAULT_CORRUPT, FAULT_FULL.
MUST_CHECK bool trail_frames_load(struct trail_frames *frames, struct trail_reader *reader,
                                  const struct block *block, uint32_t block_index, uint32_t frame,
                                  const uint64_t rows[2], bool is_bare, struct fault *fault);
