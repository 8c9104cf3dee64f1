// text.h: the text of a file that grows beside many others, in pieces of an arena: none moves, and
// none is much larger than what it holds. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

struct text_piece;

// Zeroed it is empty. It lives as long as the arena.
struct text {
    struct text_piece *first;
    struct text_piece *last;
    uint64_t size;  // bytes
};

// Appends bytes. False at the arena's limit: the text is of no use then.
MUST_CHECK bool text_append(struct text *text, struct arena *arena, struct span bytes);

// Appends the whole text to a buffer.
void text_copy(const struct text *text, struct buffer *buffer);
