#include "storage/block/block_encoder.h"

struct habit *encoder_habit(struct tokens_encoder *encoder, uint32_t key) {
    uint32_t tag = encoder->hint * 0x9E3779B1u + key;
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
static bool find_container(struct tokens_encoder *encoder, uint32_t key, uint32_t depth,
                           struct value *value) {
    struct habit *habit = encoder_habit(encoder, key);
    value->habit = habit;
    value->is_container = true;
    value->is_asked = encoder_asks(habit);
    if (!value->is_asked && depth < TOKENS_DEPTH_MAX) {
        value->shape =
            encoder_guess(encoder, habit, value->begin, depth + 1, &value->end, &value->first);
        if (value->shape != NO_SHAPE) return true;
    }
    return structure_skip(encoder->text, value->begin, &value->end);
}

// Finds the value at an offset; `quoted` if it is the inside of a string. False if there is none.
static bool find_value(struct tokens_encoder *encoder, uint32_t at, bool quoted, uint32_t key,
                       uint32_t depth, struct value *value) {
    struct span text = encoder->text;
    *value = encoder_value(at, at);
    if (quoted) {
        value->end = structure_string_end(text, at);
        return value->end < text.size;
    }
    if (at == text.size) return false;
    uint8_t byte = text.bytes[at];
    if (byte == '{' || byte == '[') return find_container(encoder, key, depth, value);
    value->end = number_end(text, at);
    return (byte == '-' || (uint8_t)(byte - '0') <= 9) && value->end > at;
}

// Whether the text goes on with the value of a slot and then with this byte. Fills *value.
static bool match_slot(struct span text, uint32_t at, uint8_t next, const struct slot *slot,
                       struct value *value) {
    if (slot->size >= text.size - at || text.bytes[at + slot->size] != next ||
        !slot_is_absolute(slot) || !bytes_equal(text.bytes + at, slot->text, slot->size)) {
        return false;
    }
    *value = encoder_value(at, at + slot->size);
    value->same = slot->text;
    return true;
}

// How far a text was cut by a shape: the pieces before this one and the values between them.
struct progress {
    uint32_t index;   // of the piece
    uint32_t offset;  // of its bytes in the shape
    uint32_t at;      // in the text
};

// Cuts the text at hand on as a shape says. False if it goes on in another way.
static bool match_shape(struct tokens_encoder *encoder, uint32_t number, uint32_t depth,
                        struct value *values, struct progress *progress) {
    const struct dictionary_shape *shape = dictionary_shape(encoder->dictionary, number);
    uint32_t frame_number = encoder->frame_shapes[number];
    const struct slot *slots =
        frame_number == 0 ? NULL : &encoder->slots[encoder->first_slots[frame_number - 1]];
    struct span text = encoder->text;
    for (;; progress->index++) {
        uint32_t index = progress->index;
        uint32_t at = progress->at;
        const uint8_t *piece = shape->bytes + progress->offset;
        uint32_t size = shape->pieces[index];
        if (size > text.size - at || !bytes_equal(text.bytes + at, piece, size)) return false;
        at += size;
        if (index == shape->slots) {
            progress->at = at;
            return true;
        }
        // Two values with nothing between them are only in texts that are no JSON.
        if (shape->pieces[index + 1] == 0) return false;
        const struct slot *key = &encoder->key_slots[shape->keys[index]];
        const struct slot *slot =
            slots == NULL || slots[index].word == NOTHING ? key : &slots[index];
        struct value *value = &values[index];
        bool quoted = size > 0 && piece[size - 1] == '"';
        if (!match_slot(text, at, piece[size], slot, value) &&
            (key == slot || !match_slot(text, at, piece[size], key, value))) {
            if (!find_value(encoder, at, quoted, shape->keys[index], depth, value)) return false;
            value->is_new = true;
        }
        progress->offset += size;
        progress->at = value->end;
    }
}

// Whether two shapes begin with the same pieces up to where a match came to.
static bool begins_alike(const struct dictionary_shape *left, const struct dictionary_shape *right,
                         const struct progress *progress) {
    return left->slots >= progress->index && right->slots >= progress->index &&
           memcmp(left->pieces, right->pieces, progress->index * sizeof *left->pieces) == 0 &&
           memcmp(left->bytes, right->bytes, progress->offset) == 0;
}

uint32_t encoder_guess(struct tokens_encoder *encoder, const struct habit *habit, uint32_t at,
                       uint32_t depth, uint32_t *end, uint32_t *first) {
    uint32_t begin = encoder->values_count;
    if (ENCODER_VALUES_MAX - begin < DICTIONARY_SLOTS_MAX) return NO_SHAPE;
    encoder->values_count += DICTIONARY_SLOTS_MAX;
    struct progress progress = {0, 0, at};
    const struct dictionary_shape *before = NULL;
    for (uint32_t guess = 0; guess < ENCODER_GUESSES; guess++) {
        uint32_t number = habit->shapes[guess];
        // The shape may have been given up since.
        if (number == 0 || number > dictionary_shapes(encoder->dictionary)) continue;
        const struct dictionary_shape *shape = dictionary_shape(encoder->dictionary, number - 1);
        if (before != NULL && !begins_alike(before, shape, &progress)) {
            progress = (struct progress){0, 0, at};
        }
        before = shape;
        if (!match_shape(encoder, number - 1, depth, encoder->values + begin, &progress)) continue;
        *end = progress.at;
        *first = begin;
        return number - 1;
    }
    encoder->values_count = begin;
    return NO_SHAPE;
}
