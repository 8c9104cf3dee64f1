#include "storage/block/block_encoder.h"

static uint32_t habit_tag(struct tokens_hint hint, uint32_t key) {
    return (key == TEXT_KEY ? hint.shape : hint.values) * 0x9E3779B1u + key;
}

// Where the habit of a tag is, if it is there.
static struct habit *habit_at(struct tokens_encoder *encoder, uint32_t tag) {
    return &encoder->habits[(tag * 0x85EBCA6Bu >> 12) % ENCODER_HABITS];
}

void encoder_prefetch_text(struct tokens_encoder *encoder, struct tokens_hint hint) {
    const struct habit *habit = habit_at(encoder, habit_tag(hint, TEXT_KEY));
    __builtin_prefetch(habit);
    __builtin_prefetch(encoder_shapes(encoder, habit));
}

struct habit *encoder_habit(struct tokens_encoder *encoder, struct tokens_hint hint, uint32_t key) {
    uint32_t tag = habit_tag(hint, key);
    struct habit *habit = habit_at(encoder, tag);
    if (habit->tag == tag) return habit;
    *habit = (struct habit){.tag = tag, .trust = HABIT_TRUST};
    *encoder_shapes(encoder, habit) = (struct habit_shapes){0};
    return habit;
}

bool encoder_asks(struct habit *habit) {
    if (habit->trust > 0) return true;
    habit->turn = (uint16_t)((habit->turn + 1) % HABIT_TURN);
    return habit->turn == 0;
}

void encoder_learn(struct tokens_encoder *encoder, const struct habit *habit, uint32_t shape) {
    uint32_t *shapes = encoder_shapes(encoder, habit)->shapes;
    uint32_t place = 0;
    while (place < ENCODER_GUESSES - 1 && shapes[place] != shape + 1) place++;
    memmove(shapes + 1, shapes, place * sizeof shapes[0]);
    shapes[0] = shape + 1;
}

// Finds the end of a number that begins at an offset.
static uint32_t number_end(struct span text, uint32_t at) {
    while (at < text.size) {
        uint8_t byte = text.bytes[at];
        uint8_t folded = byte | 0x20;
        if (encoder_is_space(byte) || byte == ',' || byte == ':' || byte == '"') break;
        if (folded == '{' || folded == '}') break;
        at++;
    }
    return at;
}

// Finds the end of a container, and if the dictionary is not worth asking for it, its shape.
static bool find_container(struct tokens_encoder *encoder, struct cut *cut, uint32_t key,
                           uint32_t depth, struct value *value) {
    struct habit *habit = encoder_habit(encoder, cut->hint, key);
    value->habit = habit;
    value->is_container = true;
    value->is_asked = encoder_asks(habit);
    if (!value->is_asked && depth < TOKENS_DEPTH_MAX) {
        value->shape =
            encoder_guess(encoder, cut, habit, value->begin, depth + 1, &value->end, &value->first);
        if (value->shape != NO_SHAPE) return true;
    }
    return structure_skip(cut->text, value->begin, &value->end);
}

// Finds the value at an offset, which is no string. False if there is none.
static bool find_value(struct tokens_encoder *encoder, struct cut *cut, uint32_t key,
                       uint32_t depth, struct value *value) {
    struct span text = cut->text;
    if (value->begin == text.size) return false;
    uint8_t byte = text.bytes[value->begin];
    if (byte == '{' || byte == '[') return find_container(encoder, cut, key, depth, value);
    value->end = number_end(text, value->begin);
    return (byte == '-' || (uint8_t)(byte - '0') <= 9) && value->end > value->begin;
}

// Whether a text goes on with what a slot or key had and then with this byte.
static inline bool match_seen(const uint8_t *at, size_t left, uint8_t next,
                              const struct seen *seen) {
    if (seen->size >= left || at[seen->size] != next || seen->identity < IDENTITY_FIRST) {
        return false;
    }
    if (seen->size > COPY) return long_equal(at, seen->text, seen->size);
    return left >= COPY && is_loadable(seen->text) ? begins_equal(at, seen->text, seen->size)
                                                   : memcmp(at, seen->text, seen->size) == 0;
}

// How far a text was cut by a shape: the pieces before this one and the values between them.
struct progress {
    uint32_t index;   // of the piece
    uint32_t offset;  // of its bytes in the shape
    uint32_t at;      // in the text
};

// Cuts the text on as a shape says, of which the frame has these slots or NULL. False if it goes on
// in another way.
static bool match_shape(struct tokens_encoder *encoder, struct cut *cut,
                        const struct dictionary_shape *shape, const struct seen *slots,
                        uint32_t depth, struct value *values, struct progress *progress) {
    const struct span text = cut->text;
    const uint16_t *pieces = shape->pieces;
    const uint16_t *keys = shape->keys;
    const uint32_t count = shape->slots;
    const uint8_t *piece = shape->bytes + progress->offset;
    uint32_t index = progress->index;
    uint32_t at = progress->at;
    bool matches = false;
    for (;; index++) {
        uint32_t size = pieces[index];
        size_t left = text.size - at;
        // Behind the pieces of shapes there are as many bytes to read.
        if (size > left) break;
        bool is_next = size > COPY    ? long_equal(text.bytes + at, piece, size)
                       : left >= COPY ? begins_equal(text.bytes + at, piece, size)
                                      : memcmp(text.bytes + at, piece, size) == 0;
        if (!is_next) break;
        matches = index == count;
        if (matches) {
            at += size;
            break;
        }
        // Two values with nothing between them are only in texts that are no JSON.
        if (pieces[index + 1] == 0) break;
        uint32_t begin = at + size;
        uint8_t next = piece[size];
        left -= size;
        const struct seen *key = &encoder->key_seen[keys[index]];
        const struct seen *seen =
            slots == NULL || slots[index].identity == IDENTITY_NONE ? key : &slots[index];
        struct value *value = &values[index];
        bool is_same = match_seen(text.bytes + begin, left, next, seen);
        if (!is_same && key != seen) {
            seen = key;
            is_same = match_seen(text.bytes + begin, left, next, seen);
        }
        encoder_set_value(value, begin, begin + seen->size);
        value->is_compared = true;
        if (is_same) {
            value->identity = seen->identity;
        } else if (size > 0 && piece[size - 1] == '"') {
            // The habit will be asked for when the whole text is cut.
            __builtin_prefetch(habit_at(encoder, habit_tag(cut->hint, keys[index])));
            value->end = structure_string_end(text, begin);
            if (value->end >= text.size) break;
        } else if (!find_value(encoder, cut, keys[index], depth, value)) {
            break;
        }
        piece += size;
        at = value->end;
    }
    *progress = (struct progress){index, (uint32_t)(piece - shape->bytes), at};
    return matches;
}

// Whether two shapes begin with the same pieces up to where a match came to.
static bool begins_alike(const struct dictionary_shape *left, const struct dictionary_shape *right,
                         const struct progress *progress) {
    return left->slots >= progress->index && right->slots >= progress->index &&
           memcmp(left->pieces, right->pieces, progress->index * sizeof *left->pieces) == 0 &&
           memcmp(left->bytes, right->bytes, progress->offset) == 0;
}

uint32_t encoder_guess(struct tokens_encoder *encoder, struct cut *cut, const struct habit *habit,
                       uint32_t at, uint32_t depth, uint32_t *end, uint32_t *first) {
    uint32_t begin = cut->values_count;
    if (begin > cut->values_limit - DICTIONARY_SLOTS_MAX) return NO_SHAPE;
    cut->values_count += DICTIONARY_SLOTS_MAX;
    struct progress progress = {0, 0, at};
    const struct dictionary_shape *before = NULL;
    uint32_t shapes = dictionary_shapes(encoder->dictionary);
    const struct habit_shapes *guesses = encoder_shapes(encoder, habit);
    for (uint32_t guess = 0; guess < ENCODER_GUESSES; guess++) {
        // The shape may have been given up since.
        uint32_t number = guesses->shapes[guess] - 1;
        if (number >= shapes) continue;
        const struct dictionary_shape *shape = dictionary_shape(encoder->dictionary, number);
        if (before != NULL && !begins_alike(before, shape, &progress)) {
            progress = (struct progress){0, 0, at};
        }
        before = shape;
        uint32_t frame_number = encoder->shape_numbers[number];
        const struct seen *slots =
            frame_number == 0 ? NULL
                              : &encoder->seen[encoder->frame_shapes[frame_number - 1].first_slot];
        if (!match_shape(encoder, cut, shape, slots, depth, cut->values + begin, &progress)) {
            continue;
        }
        *end = progress.at;
        *first = begin;
        return number;
    }
    cut->values_count = begin;
    return NO_SHAPE;
}
