// status_names.h: how a table names agents: on a terminal without what all of them begin with
// ("spiffe://o-example/", which the title then has), elsewhere in full. A name is never cut: one
// that is longer than the column pushes its own row. Pure.

#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"

enum { STATUS_WIDTH_FULL = UINT16_MAX };  // columns: the output is no terminal

// The names of one table. Zeros but for `room`; texts that were added are borrowed as long as it.
struct status_names {
    uint32_t room;       // columns for names; STATUS_WIDTH_FULL: in full
    struct span prefix;  // left out
    uint32_t longest;    // bytes, in full
    uint32_t column;     // set by status_names_begin
};

// The columns that a table with so many others has for names on a terminal of this width.
uint32_t status_names_room(uint32_t width, uint32_t others);

// Takes a name into account.
void status_names_add(struct status_names *names, const char *name);

// Appends the column's title, when all names were added.
void status_names_begin(struct status_names *names, struct buffer *output);

// Appends a name and blanks up to the next column.
void status_names_print(const struct status_names *names, const char *name, struct buffer *output);
