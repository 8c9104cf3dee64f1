// block_follow.h: codes of a frame's rows that mostly follow from what stood before. Internal.
//
// A code is a number of a known width. Often a row has the code of the row before, or the one that
// the last row had which is like it in something else: its context, another code of the row. Then
// only the codes that are otherwise are kept, and where they are.

#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "storage/block/bytes.h"

enum {
    FOLLOW_WIDTH_MAX = 24,  // bits of a code
    FOLLOW_FLAGS = 2,       // bits that the head has for who calls
};

// Appends 1 to CODES_MAX codes of `width` bits in the shortest form, behind a head that holds the
// form, the width and the caller's flags. contexts is NULL if there are none.
void follow_append(struct buffer *output, const uint32_t *codes, const uint32_t *contexts,
                   uint32_t count, uint32_t width, uint32_t flags);

// Reads them back. Marks the reader bad if they are damaged, or need contexts that are NULL.
void follow_read(struct reader *reader, uint32_t *codes, const uint32_t *contexts, uint32_t count,
                 uint32_t *flags);

// The flags of what comes next, and whether it needs contexts; the reader stays where it is.
bool follow_peek(const struct reader *reader, uint32_t *flags);

// Reads codes that need no contexts, and sets the bits of the rows that have this one; the rest of
// `rows` stays. Marks the reader bad if they are damaged or do need contexts.
void follow_match(struct reader *reader, uint32_t code, uint32_t count, uint64_t rows[2]);
