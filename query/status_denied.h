// status_denied.h: who is denied, from the text of the collector's deny list: an entry a line, the
// rest of the line for people, "#" begins a comment. Pure.

#pragma once

#include "base/buffer.h"
#include "base/span.h"

enum { STATUS_DENIED_SHOWN = 10 };  // entries for people

// Appends how many entries there are, and the first of them with what stands behind them.
void status_denied_print(struct span list, struct buffer *output);

// Appends a JSON list of all entries.
void status_denied_print_json(struct span list, struct buffer *output);
