// braces.h: where an object ends in a text of JSON that comes in pieces. Pure.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

// Where a text stands. Zeroed it is before an object.
struct braces {
    uint32_t depth;  // braces open
    bool in_string;
    bool is_escaped;  // the next byte of the string follows a backslash
};

// Walks the bytes that come next, looking at nothing but quotes, escapes and braces. True if the
// object closes in them; *end is how many of them belong to it.
bool braces_walk(struct braces *braces, struct span bytes, size_t *end);
