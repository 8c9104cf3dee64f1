// refused.h: quarantine entries as people see them.
//
// Refused bytes can be anything; they are shown as text with escapes, or given out verbatim. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"
#include "storage/trail/trail_types.h"

enum { REFUSED_KEY_SIZE = 65 };  // hex of an entry's key, with the final zero

// The names of the reasons there are, in the order of docs/collector.md; NULL behind the last.
const char *refused_reason_name(uint32_t index);

// Prints an entry's key as hex.
void refused_print_key(const struct trail_quarantined *entry, char text[REFUSED_KEY_SIZE]);

// Appends one line: the key's beginning, last time, count, reason, agent, detail.
void refused_print_line(const struct trail_quarantined *entry, struct span agent,
                        struct buffer *output);

// Appends all that is known of an entry, with its bytes escaped; bytes_max of them at most.
void refused_print_whole(const struct trail_quarantined *entry, struct span agent,
                         uint32_t bytes_max, struct buffer *output);

// Appends an entry as one JSON object and a line break. Bytes that are not UTF-8 become U+FFFD
// in "text"; "size" tells how many there are.
void refused_print_json(const struct trail_quarantined *entry, struct span agent,
                        struct buffer *output);
