// block_structure.h: where quotes and brackets of a JSON text stand. Internal.
//
// One pass finds all quotes that open or close a string and all brackets outside strings, and pairs
// the brackets. It does not judge the text: what it finds only decides where a text is cut.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum { STRUCTURE_DEPTH_MAX = 128 };  // deeper texts are not cut; records reach 64

struct structure {
    uint32_t *at;     // ascending offsets of quotes and brackets
    uint32_t *match;  // for an opening bracket: the index in `at` of its closing one
    uint32_t count;
    uint32_t room;
};

// Frees its memory. A zeroed structure is empty and may be given too.
void structure_done(struct structure *structure);

// Empties it and makes room for all of a text of this size. False if memory runs out.
bool structure_begin(struct structure *structure, size_t text_size);

// Both need structure_begin for the text. On true each quote that opens a string is directly
// followed (in `at`) by the one that closes it.

// Scans the whole text. False if quotes or brackets do not pair or are nested too deeply.
bool structure_scan(struct structure *structure, struct span text);

// Scans the object or array that begins at an offset: the last of `at` is where it ends.
bool structure_scan_one(struct structure *structure, struct span text, uint32_t offset);

// Finds the quote that ends a string whose first byte is at an offset; the text's size if there is
// none. Needs no structure_begin.
uint32_t structure_string_end(struct span text, uint32_t offset);

// Finds the end of the object or array that begins at an offset, and nothing else. False if it has
// none. Needs no structure_begin.
bool structure_skip(struct span text, uint32_t offset, uint32_t *end);
