// block_encoder.h: the state of encoding texts, shared by its parts. Internal.
//
// A text goes through three steps, and two texts are on their way at a time, since memory is slow
// and what a step asks for is there when the next one begins:
// 1. cut (block_match.c, block_prepare.c): it is cut into values by the shape that it is likely to
//    have; what neither its slot nor its key had last is hashed, and the dictionary's slot fetched.
// 2. look (block_prepare.c): the slot tells which string a value can be, and its bytes are fetched.
//    An object or array that can be none is cut into values of its own.
// 3. put (block_put.c): the bytes are compared and the tokens written.
// In between, step 1 of the next text and step 3 of the one before are done.

#pragma once

#include <assert.h>
#include <string.h>

#include "storage/block/block_equal.h"
#include "storage/block/block_forms.h"
#include "storage/block/block_tokens.h"

enum {
    WORD_SHIFT = 24,  // a word is an enum token and its number, until strings have frame numbers
    WORD_NUMBER_MAX = (1 << WORD_SHIFT) - 1,
    NOTHING = 0x7f << WORD_SHIFT,  // a slot without any value yet
    NO_SHAPE = UINT32_MAX,
    ENCODER_HABITS = 16384,
    ENCODER_GUESSES = 6,         // shapes tried for a habit
    TEXT_KEY = DICTIONARY_KEYS,  // stands for a record as a whole
    HABIT_TRUST = 8,    // times that the dictionary is asked in vain before it is asked less
    HABIT_TURN = 8,     // times that it is then left out before it is asked again
    CUT_SIZE_MIN = 32,  // bytes; shorter values have little in common
    CUT_ASKED_MAX = 512,
    // Values of one text that are found before it is put, and room for those that come only then:
    // those of one container inside another, each of which is given up when it has been put.
    CUT_VALUES_EARLY = 2048,
    CUT_VALUES_MAX = CUT_VALUES_EARLY + (TOKENS_DEPTH_MAX + 1) * DICTIONARY_SLOTS_MAX,
};

// Values of one frame that have the same identity are the same bytes.
enum {
    IDENTITY_NONE = 0,      // of a slot without any value yet
    IDENTITY_RELATIVE = 1,  // the slot's token means other bytes in another row
    IDENTITY_FIRST = 2,
};

// What a slot or key has for the reader of the frame, up to the row put last.
struct slot {
    uint32_t identity;
    uint32_t word;
};

// What it has up to the row cut last: as far as that can be told before the row is put.
struct seen {
    const uint8_t *text;
    uint32_t size;
    uint32_t identity;
};

// What values of a member were in records of one hint: what to expect.
struct habit {
    uint32_t tag;
    uint16_t trust;  // in the dictionary; 0: it did not know the last HABIT_TRUST values
    uint16_t turn;
    uint32_t block;   // in which the dictionary had the string that follows; 0: none
    uint32_t number;  // of the string that was the last value
    uint32_t size;
    const uint8_t *string;
};

// What shapes containers of a member had: dictionary numbers + 1, the last ones first.
struct habit_shapes {
    uint32_t shapes[ENCODER_GUESSES];
};

// What is known of a value that neither its slot nor its key had.
enum value_state {
    VALUE_SAME,      // one of them had it
    VALUE_ID,        // the row's id
    VALUE_TIME,      // the row's time
    VALUE_ASKED,     // the dictionary may have it
    VALUE_STRING,    // the dictionary has it
    VALUE_INSTANCE,  // of a shape
    VALUE_NEW,       // nobody has it
};

// A value: bytes of the text.
struct value {
    uint32_t begin;
    uint32_t end;
    uint32_t identity;  // IDENTITY_NONE: not known yet
    uint32_t shape;     // of a container that was cut: the dictionary's number, from when it is an
                        // instance on the frame's; or NO_SHAPE
    struct habit *habit;  // NULL: not looked for
    uint8_t state;        // enum value_state
    bool is_container;
    bool is_asked;     // the dictionary shall be asked for the container as a whole
    bool is_compared;  // with what its slot and key had before the text
    uint32_t first;    // of a container that was cut: its own values, in the cut's
    // Only of values of which the state is VALUE_ASKED or VALUE_STRING.
    uint32_t number;  // of the string that it may be; DICTIONARY_NONE if there is none
    const uint8_t *string;
    uint64_t hash;
};

// A value that the dictionary is asked for.
struct asked {
    struct value *value;
    struct seen *slot;
    struct seen *key;
    uint32_t depth;  // of the instance that it is a value of
};

// A text on its way.
struct cut {
    struct span text;
    struct tokens_row row;
    struct tokens_hint hint;
    uint32_t shape;  // the frame's number; NO_SHAPE: the text stands whole
    uint32_t first;  // its values
    uint32_t asked_count;
    uint32_t values_count;
    uint32_t values_limit;
    bool has_time_text;
    uint8_t id_text[FORMS_UUID_SIZE];
    uint8_t time_text[FORMS_TIME_SIZE];
    struct asked asked[CUT_ASKED_MAX];
    struct value values[CUT_VALUES_MAX];
};

// A shape that the frame has.
struct frame_shape {
    uint32_t number;  // the dictionary's
    uint32_t slots;
    uint32_t first_slot;
    const uint16_t *keys;
};

struct tokens_encoder {
    struct dictionary *dictionary;
    struct structure structure;

    uint32_t shapes[TOKENS_SHAPES_MAX];  // dictionary numbers by frame number
    struct frame_shape frame_shapes[TOKENS_SHAPES_MAX];
    uint32_t shapes_count;
    uint32_t slots_count;
    uint16_t shape_numbers[DICTIONARY_SHAPES_MAX];  // frame number + 1 by dictionary number
    struct slot key_slots[DICTIONARY_KEYS];         // the last values of keys
    struct slot slots[TOKENS_SLOTS_MAX];
    struct seen key_seen[DICTIONARY_KEYS];
    struct seen seen[TOKENS_SLOTS_MAX];
    uint32_t identity;  // the last one given

    uint64_t named[DICTIONARY_STRINGS_MAX / 64];     // a bit for each string that a word names
    uint16_t frame_strings[DICTIONARY_STRINGS_MAX];  // frame numbers of those
    struct buffer strings;                           // uint32_t dictionary numbers

    struct buffer control;
    struct buffer words;  // uint32_t
    struct buffer tokens;
    struct buffer inlined;
    struct buffer packed;
    struct buffer uuids;
    struct buffer copies;
    uint32_t strings_words;  // words that name strings

    uint32_t blocks;  // begun
    struct habit habits[ENCODER_HABITS];
    struct habit_shapes habit_shapes[ENCODER_HABITS];
    struct cut cuts[2];
    uint32_t rows;  // of the frame; the last one stands in cuts[(rows - 1) % 2] and is not put yet
    uint8_t shape_bytes[DICTIONARY_SHAPE_SIZE_MAX + COPY];
    uint16_t shape_pieces[DICTIONARY_SLOTS_MAX + 1];
};

static inline bool encoder_is_space(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// Makes a value of which nothing is known but where it stands.
static inline void encoder_set_value(struct value *value, uint32_t begin, uint32_t end) {
    value->begin = begin;
    value->end = end;
    value->identity = IDENTITY_NONE;
    value->shape = NO_SHAPE;
    value->habit = NULL;
    value->state = VALUE_SAME;
    value->is_container = false;
    value->is_asked = false;
    value->is_compared = false;
}

static inline uint32_t encoder_make_word(uint32_t token, uint64_t number) {
    assert(number <= WORD_NUMBER_MAX);
    return token << WORD_SHIFT | (uint32_t)number;
}

// Both have room: the text's was made before it was put.
static inline void encoder_push_word(struct tokens_encoder *encoder, uint32_t word) {
    assert(encoder->words.capacity - encoder->words.size >= sizeof word);
    memcpy(encoder->words.bytes + encoder->words.size, &word, sizeof word);
    encoder->words.size += sizeof word;
}

static inline void encoder_push_inline(struct tokens_encoder *encoder, const uint8_t *text,
                                       uint32_t size) {
    assert(encoder->inlined.capacity - encoder->inlined.size >= size);
    memcpy(encoder->inlined.bytes + encoder->inlined.size, text, size);
    encoder->inlined.size += size;
}

// Puts a new value as copies of the dictionary's sample and what stands between them. Returns how
// many copies; 0 if there are none, then nothing was put.
uint32_t encoder_put_copies(struct tokens_encoder *encoder, struct span text);

// Cuts the bytes of a text between two offsets, with the structure indexes from `index` to
// `index_end`, into values; names of members are none. False if there are too many.
bool encoder_split(const struct tokens_encoder *encoder, struct span text, uint32_t begin,
                   uint32_t end, uint32_t index, uint32_t index_end, struct value *values,
                   uint32_t *count);

// The dictionary's number of the shape that these bytes have with these values cut out, or
// NO_SHAPE.
uint32_t encoder_find_shape(struct tokens_encoder *encoder, struct span text, uint32_t begin,
                            uint32_t end, const struct value *values, uint32_t count);

// The habit of a slot's key in texts of a hint, or of a text as a whole (TEXT_KEY).
struct habit *encoder_habit(struct tokens_encoder *encoder, struct tokens_hint hint, uint32_t key);

// Fetches the habit of texts of a hint.
void encoder_prefetch_text(struct tokens_encoder *encoder, struct tokens_hint hint);

// Whether the dictionary shall be asked for a value.
bool encoder_asks(struct habit *habit);

// The shapes of a habit.
static inline struct habit_shapes *encoder_shapes(struct tokens_encoder *encoder,
                                                  const struct habit *habit) {
    return &encoder->habit_shapes[habit - encoder->habits];
}

// Remembers the shape of a value.
void encoder_learn(struct tokens_encoder *encoder, const struct habit *habit, uint32_t shape);

// Tries to cut a text, from an offset on, by the shapes of a habit, without looking at what is as
// it was. The dictionary's number of the shape, or NO_SHAPE; *end is where it ends, *first where
// its values begin in the cut's.
uint32_t encoder_guess(struct tokens_encoder *encoder, struct cut *cut, const struct habit *habit,
                       uint32_t at, uint32_t depth, uint32_t *end, uint32_t *first);

// Step 1 of a text; its shape is NO_SHAPE if it cannot be cut. False if memory runs out.
bool encoder_cut(struct tokens_encoder *encoder, struct cut *cut);

// Step 2.
void encoder_look(struct tokens_encoder *encoder, struct cut *cut);

// Steps 1 and 2 for one value, of an instance at a depth, that turned out to be new when it was to
// be put: slots do not always become what was expected.
void encoder_prepare(struct tokens_encoder *encoder, struct cut *cut, struct value *value,
                     uint32_t key, uint32_t depth);

// Cuts a container that the dictionary does not know into values of its own: it is an instance
// then, or new if it cannot be cut.
void encoder_cut_container(struct tokens_encoder *encoder, struct cut *cut, struct value *value,
                           uint32_t depth);

// Step 3. False if memory runs out.
bool encoder_put(struct tokens_encoder *encoder, struct cut *cut);
