// block_tokens.h: the record texts of one frame as tokens against the dictionary. Internal.
//
// A text is an instance of a shape: the shape's pieces with a value in each slot between them. A
// value is a string or number, or a whole object or array, which may be an instance of its own. The
// last value of each slot of each shape of the frame is remembered, and of each key (the name of a
// member, whatever the shape); an instance says in a bitmap which slots have another value now, and
// gives a token for those. A shape's first instance begins with the last values of its slots' keys.
// Layout: docs/store.md.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"
#include "event/record.h"
#include "storage/block/block.h"
#include "storage/block/block_structure.h"
#include "storage/block/dictionary_internal.h"

// What a token's first byte says. From TOKEN_STRINGS on: string (byte - TOKEN_STRINGS) of the
// frame's list.
enum token {
    TOKEN_INLINE,    // size, and as many of the frame's inline bytes
    TOKEN_ID,        // the row's id as lower-case UUID
    TOKEN_UUID,      // the next of the frame's UUIDs
    TOKEN_TIME,      // seconds after the row's time, as YYYY-MM-DDTHH:MM:SSZ
    TOKEN_INSTANCE,  // shape of the frame's list; its instance follows
    TOKEN_FAR,       // string of the frame's list, 16 bits
    TOKEN_HEX,       // 4 * characters + number of = behind; as many of the frame's packed bytes
    TOKEN_BASE36,    // the same
    TOKEN_BASE64,    // the same
    TOKEN_KEY,       // the value that a slot of the same key had last
    TOKEN_COPIES,    // number of the frame's copies; inline bytes stand between them
    TOKEN_STRINGS,
    TOKEN_STRINGS_FIRST = TOKEN_COPIES,  // in blocks of version 1, which have no copies
};

enum {
    TOKENS_SHAPES_MAX = 250,      // different ones in a frame
    TOKENS_WHOLE = 255,           // instead of a row's shape: the text stands inline
    TOKENS_STRINGS_MAX = 0xffff,  // tokens of a frame that name strings
    TOKENS_DEPTH_MAX = 8,         // instances inside one another
    TOKENS_SLOTS_MAX = TOKENS_SHAPES_MAX * DICTIONARY_SLOTS_MAX,
    TOKENS_SLACK = 64,  // writable or readable bytes behind buffers, for fast copies
};

// What of a row its text may refer to.
struct tokens_row {
    const uint8_t *id;
    int64_t time_s;
};

// What a row's text is likely to be.
struct tokens_hint {
    uint32_t values;  // texts of one number have about the same values
    uint32_t shape;   // texts of one number have one shape as a rule
};

// The texts of a frame, not compressed. Borrowed.
struct tokens_frame {
    const uint32_t *strings;  // dictionary numbers
    uint32_t strings_count;
    const uint32_t *shapes;  // dictionary numbers
    uint32_t shapes_count;
    const uint8_t *uuids;
    uint32_t uuids_count;
    uint32_t first_string;  // code of the list's first string
    struct span control;    // for each row its shape; for each instance its bitmap
    struct span tokens;
    struct span packed;
    struct span copies;   // for each: inline bytes before it, its size, where in the sample
    struct span sample;   // of the dictionary; only for decoding
    struct span inlined;  // TOKENS_SLACK readable bytes behind it
};

// Decoding.
struct tokens_decoder;
struct tokens_decoder *tokens_decoder_create(void);
void tokens_decoder_destroy(struct tokens_decoder *decoder);

// Begins with the first row of a frame. False if it refers to what the dictionary does not hold.
bool tokens_decoder_begin(struct tokens_decoder *decoder, const struct dictionary *dictionary,
                          const struct tokens_frame *frame);

// Says that all rows are going to be rebuilt: fetches what they refer to.
void tokens_decoder_expect_all(struct tokens_decoder *decoder);

// Passes over the next row without rebuilding it. False if the frame is damaged.
bool tokens_decoder_skip(struct tokens_decoder *decoder);

// Rebuilds the next row's text. *output is where it goes and becomes its end; nothing is written
// behind output_end + TOKENS_SLACK. False if the frame is damaged or the text would not fit.
bool tokens_decoder_next(struct tokens_decoder *decoder, const struct tokens_row *row,
                         uint8_t **output, const uint8_t *output_end);

// Encoding.
struct tokens_encoder;
struct tokens_encoder *tokens_encoder_create(void);
void tokens_encoder_destroy(struct tokens_encoder *encoder);

// Begins a block. Until its last frame has ended the dictionary only grows.
void tokens_encoder_begin_block(struct tokens_encoder *encoder, struct dictionary *dictionary);

// Begins a frame of the block.
void tokens_encoder_begin(struct tokens_encoder *encoder);

// Fetches what adding a text of a hint begins with.
void tokens_encoder_prefetch(struct tokens_encoder *encoder, struct tokens_hint hint);

// Adds a row's text, as it stands if `whole`. The text is borrowed until the frame's end. False if
// memory runs out.
bool tokens_encoder_add(struct tokens_encoder *encoder, const struct tokens_row *row,
                        struct span text, struct tokens_hint hint, bool whole);

// Ends the frame; *frame lives until the next begin. False if memory runs out.
bool tokens_encoder_end(struct tokens_encoder *encoder, struct tokens_frame *frame);
