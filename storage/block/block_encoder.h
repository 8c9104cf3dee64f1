// block_encoder.h: the state of encoding texts, shared by its parts. Internal.

#pragma once

#include "storage/block/block_forms.h"
#include "storage/block/block_tokens.h"

enum {
    WORD_SHIFT = 24,  // a word is an enum token and its number, until strings have frame numbers
    WORD_NUMBER_MAX = (1 << WORD_SHIFT) - 1,
    NOTHING = 0x7f << WORD_SHIFT,  // a slot without any value yet
    NO_SHAPE = UINT32_MAX,
    NOT_OPEN = UINT32_MAX,
    ENCODER_HINTS = 1024,
    ENCODER_GUESSES = 2,  // shapes tried for a hint
    COPY = 32,            // bytes copied at once where there is room
    OFFER_SIZE_MIN = 24,  // bytes; shorter values have little in common
};

// The value of a slot in the instance of its shape that was met last.
struct slot {
    const uint8_t *text;
    uint32_t size;
    uint32_t word;
};

// A value: bytes of the text, and for a container the structure index of its bracket.
struct value {
    uint32_t begin;
    uint32_t end;
    uint32_t open;
    bool is_hashed;
    const uint8_t *same;  // earlier text that is known to be equal, or NULL
    uint64_t hash;
};

struct tokens_encoder {
    struct dictionary *dictionary;
    struct structure structure;

    uint32_t shapes[TOKENS_SHAPES_MAX];  // dictionary numbers by frame number
    uint32_t first_slots[TOKENS_SHAPES_MAX];
    const uint16_t *keys[TOKENS_SHAPES_MAX];
    struct slot key_slots[DICTIONARY_KEYS];  // the last values of keys
    uint32_t shapes_count;
    uint32_t slots_count;
    struct slot slots[TOKENS_SLOTS_MAX];
    uint16_t frame_shapes[DICTIONARY_SHAPES_MAX];  // frame number + 1 by dictionary number

    uint16_t *frame_strings;  // frame number + 1 by dictionary number; DICTIONARY_STRINGS_MAX
    struct buffer list;       // uint64_t dictionary numbers, then as many spare ones
    struct buffer strings;    // uint32_t dictionary numbers

    struct buffer control;
    struct buffer words;  // uint32_t
    struct buffer tokens;
    struct buffer inlined;
    struct buffer packed;
    struct buffer uuids;
    uint32_t strings_words;  // words that name strings

    // The shapes that texts of a hint had last: dictionary numbers + 1.
    struct {
        uint32_t hint;
        uint32_t shapes[ENCODER_GUESSES];
    } guesses[ENCODER_HINTS];

    struct span text;  // of the row at hand
    const struct tokens_row *row;
    uint8_t id_text[FORMS_UUID_SIZE];
    uint8_t time_text[FORMS_TIME_SIZE];
    bool has_time_text;
    uint8_t shape_bytes[DICTIONARY_SHAPE_SIZE_MAX + COPY];
    uint16_t shape_pieces[DICTIONARY_SLOTS_MAX + 1];
};

// Whether two runs of bytes are equal; quick for short ones.
static inline bool bytes_equal(const uint8_t *left, const uint8_t *right, size_t size) {
    uint64_t left_word, right_word;
    if (size > COPY) return memcmp(left, right, size) == 0;
    if (size < sizeof left_word) {
        for (size_t index = 0; index < size; index++) {
            if (left[index] != right[index]) return false;
        }
        return true;
    }
    for (size_t index = 0; index + sizeof left_word < size; index += sizeof left_word) {
        memcpy(&left_word, left + index, sizeof left_word);
        memcpy(&right_word, right + index, sizeof right_word);
        if (left_word != right_word) return false;
    }
    memcpy(&left_word, left + size - sizeof left_word, sizeof left_word);
    memcpy(&right_word, right + size - sizeof right_word, sizeof right_word);
    return left_word == right_word;
}

// Whether the slot's last token stands for its bytes whatever the row.
static inline bool slot_is_absolute(const struct slot *slot) {
    enum token token = slot->word >> WORD_SHIFT;
    return slot->word != NOTHING && token != TOKEN_ID && token != TOKEN_TIME &&
           token != TOKEN_INSTANCE;
}

// Cuts the bytes between two offsets, with the structure indexes from `index` to `index_end`, into
// values; names of members are none. False if there are too many.
bool encoder_split(const struct tokens_encoder *encoder, uint32_t begin, uint32_t end,
                   uint32_t index, uint32_t index_end, struct value *values, uint32_t *count);

// The frame's number of the shape that these bytes have with these values cut out, or NO_SHAPE.
uint32_t encoder_find_shape(struct tokens_encoder *encoder, uint32_t begin, uint32_t end,
                            const struct value *values, uint32_t count);

// Tries to cut the text at hand by the shapes that texts of this hint had last, without looking at
// what is as it was. The frame's number of the shape, or NO_SHAPE.
uint32_t encoder_guess(struct tokens_encoder *encoder, uint32_t hint, struct value *values,
                       uint32_t *count);

// Remembers the shape that a text of this hint had.
void encoder_learn(struct tokens_encoder *encoder, uint32_t hint, uint32_t shape);
