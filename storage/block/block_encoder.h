// block_encoder.h: the state of encoding texts, shared by its parts. Internal.

#pragma once

#include <assert.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "storage/block/block_forms.h"
#include "storage/block/block_tokens.h"

enum {
    PAGE_SIZE = 4096,  // at least; of memory
    WORD_SHIFT = 24,   // a word is an enum token and its number, until strings have frame numbers
    WORD_NUMBER_MAX = (1 << WORD_SHIFT) - 1,
    NOTHING = 0x7f << WORD_SHIFT,  // a slot without any value yet
    NO_SHAPE = UINT32_MAX,
    ENCODER_HABITS = 16384,
    ENCODER_GUESSES = 6,         // shapes tried for a habit
    ENCODER_VALUES_MAX = 2048,   // of one row that are cut by guessing
    TEXT_KEY = DICTIONARY_KEYS,  // stands for a record as a whole
    HABIT_TRUST = 8,    // times that the dictionary is asked in vain before it is asked less
    HABIT_TURN = 8,     // times that it is then left out before it is asked again
    COPY = 32,          // bytes copied at once where there is room
    CUT_SIZE_MIN = 32,  // bytes; shorter values have little in common
};

// The value of a slot in the instance of its shape that was met last.
struct slot {
    const uint8_t *text;
    uint32_t size;
    uint32_t word;
};

// What values of a member were in records of one hint: what to expect.
struct habit {
    uint32_t tag;
    uint16_t trust;  // in the dictionary; 0: it did not know the last HABIT_TRUST values
    uint16_t turn;
    uint32_t shapes[ENCODER_GUESSES];  // of containers, dictionary numbers + 1, the last ones first
};

// A value: bytes of the text.
struct value {
    uint32_t begin;
    uint32_t end;
    uint32_t shape;  // dictionary number, if it is a container that was cut by it; or NO_SHAPE
    uint32_t first;  // then its own values, in encoder->values
    bool is_container;
    bool is_asked;  // the dictionary shall be asked for the container as a whole
    bool is_hashed;
    bool is_new;          // neither the slot nor its key had it when the row began
    const uint8_t *same;  // earlier text that is known to be equal, or NULL
    struct habit *habit;  // NULL: not looked for
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
    struct buffer copies;
    uint32_t strings_words;  // words that name strings

    struct habit habits[ENCODER_HABITS];
    struct value values[ENCODER_VALUES_MAX];
    uint32_t values_count;

    struct span text;  // of the row at hand
    const struct tokens_row *row;
    uint32_t hint;
    uint8_t id_text[FORMS_UUID_SIZE];
    uint8_t time_text[FORMS_TIME_SIZE];
    bool has_time_text;
    uint8_t shape_bytes[DICTIONARY_SHAPE_SIZE_MAX + COPY];
    uint16_t shape_pieces[DICTIONARY_SLOTS_MAX + 1];
};

// Whether a load of COPY bytes from here stays in the page, and so is allowed wherever the bytes
// that are meant end.
static inline bool is_loadable(const uint8_t *bytes) {
    return ((uintptr_t)bytes & (PAGE_SIZE - 1)) <= PAGE_SIZE - COPY;
}

#ifdef __SSE2__
// The bits of COPY bytes that are equal.
__attribute__((no_sanitize_address)) static inline uint32_t equal_bits(const uint8_t *left,
                                                                       const uint8_t *right) {
    const __m128i *lefts = (const __m128i *)(const void *)left;
    const __m128i *rights = (const __m128i *)(const void *)right;
    __m128i low = _mm_cmpeq_epi8(_mm_loadu_si128(lefts), _mm_loadu_si128(rights));
    __m128i high = _mm_cmpeq_epi8(_mm_loadu_si128(lefts + 1), _mm_loadu_si128(rights + 1));
    return (uint32_t)_mm_movemask_epi8(low) | (uint32_t)_mm_movemask_epi8(high) << 16;
}

// Whether two runs of bytes are equal; quick for short ones. They are compared whatever their
// length and with what lies behind them: lengths cannot be foreseen, and a branch that is guessed
// wrong takes longer than the comparison.
static inline bool bytes_equal(const uint8_t *left, const uint8_t *right, size_t size) {
    if (size > COPY || !is_loadable(left) || !is_loadable(right)) {
        return memcmp(left, right, size) == 0;
    }
    return ((uint64_t)~equal_bits(left, right) & (((uint64_t)1 << size) - 1)) == 0;
}
#else
static inline bool bytes_equal(const uint8_t *left, const uint8_t *right, size_t size) {
    return memcmp(left, right, size) == 0;
}
#endif

static inline bool encoder_is_space(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static inline struct value encoder_value(uint32_t begin, uint32_t end) {
    return (struct value){.begin = begin, .end = end, .shape = NO_SHAPE};
}

// Whether the slot's last token stands for its bytes whatever the row.
static inline bool slot_is_absolute(const struct slot *slot) {
    enum token token = slot->word >> WORD_SHIFT;
    return slot->word != NOTHING && token != TOKEN_ID && token != TOKEN_TIME &&
           token != TOKEN_INSTANCE;
}

static inline uint32_t encoder_make_word(uint32_t token, uint64_t number) {
    assert(number <= WORD_NUMBER_MAX);
    return token << WORD_SHIFT | (uint32_t)number;
}

// Both have room: tokens_encoder_add made it.
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

// Cuts the bytes between two offsets, with the structure indexes from `index` to `index_end`, into
// values; names of members are none. False if there are too many.
bool encoder_split(const struct tokens_encoder *encoder, uint32_t begin, uint32_t end,
                   uint32_t index, uint32_t index_end, struct value *values, uint32_t *count);

// The dictionary's number of the shape that these bytes have with these values cut out, or
// NO_SHAPE.
uint32_t encoder_find_shape(struct tokens_encoder *encoder, uint32_t begin, uint32_t end,
                            const struct value *values, uint32_t count);

// The habit of a slot's key in texts of the hint at hand.
struct habit *encoder_habit(struct tokens_encoder *encoder, uint32_t key);

// Whether the dictionary shall be asked for a value.
bool encoder_asks(struct habit *habit);

// Remembers the shape of a value.
void encoder_learn(struct habit *habit, uint32_t shape);

// Tries to cut the text at hand, from an offset on, by the shapes of a habit, without looking at
// what is as it was. The dictionary's number of the shape, or NO_SHAPE; *end is where it ends,
// *first where its values begin in encoder->values.
uint32_t encoder_guess(struct tokens_encoder *encoder, const struct habit *habit, uint32_t at,
                       uint32_t depth, uint32_t *end, uint32_t *first);
