// block_kinds.h: the attributes of a frame's rows, kind by kind. Internal.
//
// What a kind has is told in layers: the first value of each row, then the second of those rows
// that have one, and so on. In a layer each row has a code: which of the frame's values of the
// kind, as the posting table lists them. A layer's head has the flags below.

#pragma once

#include "storage/block/block_internal.h"

enum {
    KIND_EMPTY = 1,  // code 0 is no value, and values count from 1
    KIND_MORE = 2,   // another layer follows, of the rows that have a value in this one
};

// The kind that tells most about another: where its value is as in an earlier row, that of the
// other one mostly is too. 0: none. The codes of first layers may need those of their context, and
// these those of theirs; it ends after three.
static inline uint32_t kind_context(uint32_t kind) {
    static const uint8_t contexts[ATTRIBUTE_KINDS] = {
        [ATTRIBUTE_IDENTITY_ARN] = ATTRIBUTE_USER_NAME,
        [ATTRIBUTE_ACCESS_KEY] = ATTRIBUTE_IDENTITY_ARN,
        [ATTRIBUTE_IDENTITY_TYPE] = ATTRIBUTE_IDENTITY_ARN,
        [ATTRIBUTE_EVENT_SOURCE] = ATTRIBUTE_EVENT_NAME,
        [ATTRIBUTE_EVENT_TYPE] = ATTRIBUTE_EVENT_NAME,
        [ATTRIBUTE_READ_ONLY] = ATTRIBUTE_EVENT_NAME,
        [ATTRIBUTE_CATEGORY] = ATTRIBUTE_EVENT_NAME,
        [ATTRIBUTE_GLOBAL] = ATTRIBUTE_EVENT_SOURCE,
        [ATTRIBUTE_RESOURCE_TYPE] = ATTRIBUTE_EVENT_SOURCE,
        [ATTRIBUTE_ERROR] = ATTRIBUTE_ERROR_CODE,
    };
    return contexts[kind];
}

// One layer of a kind in a frame.
struct layer {
    uint32_t depth;  // 0: first values
    uint32_t count;  // of rows, codes and above
    bool has_empty;
    uint8_t rows[BLOCK_FRAME_ROWS];
    uint32_t codes[BLOCK_FRAME_ROWS];
    uint32_t above[BLOCK_FRAME_ROWS];  // their codes in the layer above; unset in the first
};

// Makes it the first one, of all rows of a frame.
static inline void layer_begin(struct layer *layer, uint32_t rows) {
    layer->depth = 0;
    layer->count = rows;
    for (uint32_t row = 0; row < rows; row++) layer->rows[row] = (uint8_t)row;
}

// Makes it the next one, of the rows that have a value.
static inline void layer_next(struct layer *layer) {
    uint32_t left = 0;
    for (uint32_t index = 0; index < layer->count; index++) {
        layer->rows[left] = layer->rows[index];
        layer->above[left] = layer->codes[index];
        left += !layer->has_empty || layer->codes[index] != 0;
    }
    layer->depth++;
    layer->count = left;
}

// Appends the kinds that a frame has, one after another; ends[n] is where kind n ends in the output
// and equal to the end before if the frame has none. False if memory runs out.
bool kinds_append(struct block_scratch *scratch, const struct block_frame_rows *frame,
                  struct buffer *output, size_t ends[ATTRIBUTE_KINDS]);

// The kinds of a frame while they are read.
struct kinds_reader {
    const struct block *block;
    uint32_t frame;
    uint32_t rows;
    struct span parts[ATTRIBUTE_KINDS];  // NULL bytes: the frame has none of the kind
    uint32_t known;                      // bit n: what stands below of kind n
    uint32_t codes[ATTRIBUTE_KINDS][BLOCK_FRAME_ROWS];  // of the first layer
    uint32_t flags[ATTRIBUTE_KINDS];
    struct reader rest[ATTRIBUTE_KINDS];  // behind the first layer
};

// Appends the hashes of a kind, row by row; ends[row] is where a row's end in the buffer. False if
// they are damaged or memory runs out.
bool kinds_read(struct kinds_reader *kinds, struct block_scratch *scratch, uint32_t kind,
                struct buffer *hashes, uint32_t ends[BLOCK_FRAME_ROWS]);

// Sets the bits of rows that have a value of a kind: that of this place among the frame's. False if
// they are damaged.
bool kinds_match(struct kinds_reader *kinds, uint32_t kind, uint32_t place, uint64_t rows[2]);
