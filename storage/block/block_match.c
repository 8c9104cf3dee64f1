#include "storage/block/block_encoder.h"

struct habit *encoder_habit(struct tokens_encoder *encoder, uint32_t hint, uint32_t key) {
    uint32_t tag = hint * 0x9E3779B1u + key;
    struct habit *habit = &encoder->habits[(tag * 0x85EBCA6Bu >> 12) % ENCODER_HABITS];
    if (habit->tag != tag) *habit = (struct habit){.tag = tag, .trust = HABIT_TRUST};
    return habit;
}

bool encoder_asks(struct habit *habit) {
    if (habit->trust > 0) return true;
    habit->turn = (uint16_t)((habit->turn + 1) % HABIT_TURN);
    return habit->turn == 0;
}

void encoder_learn(struct habit *habit, uint32_t shape) {
    uint32_t place = 0;
    while (place < ENCODER_GUESSES - 1 && habit->shapes[place] != shape + 1) place++;
    memmove(habit->shapes + 1, habit->shapes, place * sizeof habit->shapes[0]);
    habit->shapes[0] = shape + 1;
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

// Finds the value at an offset; `quoted` if it is the inside of a string. False if there is none.
static bool find_value(struct tokens_encoder *encoder, struct cut *cut, uint32_t at, bool quoted,
                       uint32_t key, uint32_t depth, struct value *value) {
    struct span text = cut->text;
    *value = encoder_value(at, at);
    value->is_compared = true;
    if (quoted) {
        value->end = structure_string_end(text, at);
        return value->end < text.size;
    }
    if (at == text.size) return false;
    uint8_t byte = text.bytes[at];
    if (byte == '{' || byte == '[') return find_container(encoder, cut, key, depth, value);
    value->end = number_end(text, at);
    return (byte == '-' || (uint8_t)(byte - '0') <= 9) && value->end > at;
}

// Whether the text goes on with what a slot or key had and then with this byte.
static inline bool match_seen(struct span text, uint32_t at, uint8_t next,
                              const struct seen *seen) {
    return seen->identity >= IDENTITY_FIRST && seen->size < text.size - at &&
           text.bytes[at + seen->size] == next &&
           bytes_equal(text.bytes + at, seen->text, seen->size);
}

// How far a text was cut by a shape: the pieces before this one and the values between them.
struct progress {
    uint32_t index;   // of the piece
    uint32_t offset;  // of its bytes in the shape
    uint32_t at;      // in the text
};

// Cuts the text at hand on as a shape says. False if it goes on in another way.
static bool match_shape(struct tokens_encoder *encoder, struct cut *cut,
                        const struct dictionary_shape *shape, const struct seen *slots,
                        uint32_t depth, struct value *values, struct progress *progress) {
    const struct span text = cut->text;
    const uint16_t *pieces = shape->pieces;
    uint32_t index = progress->index;
    uint32_t at = progress->at;
    const uint8_t *piece = shape->bytes + progress->offset;
    bool matches = false;
    for (;; index++) {
        uint32_t size = pieces[index];
        if (size > text.size - at || !bytes_equal(text.bytes + at, piece, size)) break;
        if (index == shape->slots) {
            at += size;
            matches = true;
            break;
        }
        // Two values with nothing between them are only in texts that are no JSON.
        if (pieces[index + 1] == 0) break;
        uint32_t begin = at + size;
        uint8_t next = piece[size];
        const struct seen *key = &encoder->key_seen[shape->keys[index]];
        const struct seen *slot =
            slots == NULL || slots[index].identity == IDENTITY_NONE ? key : &slots[index];
        struct value *value = &values[index];
        const struct seen *same = NULL;
        if (match_seen(text, begin, next, slot)) {
            same = slot;
        } else if (key != slot && match_seen(text, begin, next, key)) {
            same = key;
        }
        if (same != NULL) {
            *value = encoder_value(begin, begin + same->size);
            value->identity = same->identity;
        } else {
            bool quoted = size > 0 && piece[size - 1] == '"';
            if (!find_value(encoder, cut, begin, quoted, shape->keys[index], depth, value)) break;
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
    for (uint32_t guess = 0; guess < ENCODER_GUESSES; guess++) {
        // The shape may have been given up since.
        uint32_t number = habit->shapes[guess] - 1;
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
