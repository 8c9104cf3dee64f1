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

void structure_done(struct structure *structure);

// False if quotes or brackets do not pair, the text is nested too deeply, or memory runs out. On
// true each quote that opens a string is directly followed (in `at`) by the one that closes it.
bool structure_scan(struct structure *structure, struct span text);
