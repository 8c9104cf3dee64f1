#include "storage/block/block_encoder.h"

static bool is_space(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// Adds the numbers between two offsets outside strings. False if there are too many values.
static bool add_numbers(const uint8_t *text, uint32_t at, uint32_t end, struct value *values,
                        uint32_t *count) {
    while (at < end) {
        uint8_t byte = text[at];
        if (byte != '-' && (uint8_t)(byte - '0') > 9) {
            at++;
            continue;
        }
        uint32_t begin = at++;
        while (at < end && !is_space(text[at]) && text[at] != ',' && text[at] != ':') at++;
        if (*count == DICTIONARY_SLOTS_MAX) return false;
        values[(*count)++] = (struct value){begin, at, NOT_OPEN, false, NULL, 0};
    }
    return true;
}

bool encoder_split(const struct tokens_encoder *encoder, uint32_t begin, uint32_t end,
                   uint32_t index, uint32_t index_end, struct value *values, uint32_t *count) {
    const uint8_t *text = encoder->text.bytes;
    const uint32_t *at = encoder->structure.at;
    uint32_t from = begin;
    *count = 0;
    while (index < index_end) {
        uint32_t next = at[index];
        if (next - from > 1 && !add_numbers(text, from, next, values, count)) return false;
        struct value value;
        if (text[next] == '"') {
            uint32_t close = at[index + 1];
            index += 2;
            from = close + 1;
            uint32_t after = from;
            while (after < end && is_space(text[after])) after++;
            if (after < end && text[after] == ':') continue;
            value = (struct value){next + 1, close, NOT_OPEN, false, NULL, 0};
        } else {
            uint32_t close = encoder->structure.match[index];
            value = (struct value){next, at[close] + 1, index, false, NULL, 0};
            index = close + 1;
            from = value.end;
        }
        if (*count == DICTIONARY_SLOTS_MAX) return false;
        values[(*count)++] = value;
    }
    return end - from <= 1 || add_numbers(text, from, end, values, count);
}

// Joins the bytes outside the values into the encoder's shape_bytes. False if they are too many.
static bool gather_shape(struct tokens_encoder *encoder, uint32_t begin, uint32_t end,
                         const struct value *values, uint32_t count,
                         struct dictionary_shape *shape) {
    const uint8_t *text = encoder->text.bytes;
    uint8_t *to = encoder->shape_bytes;
    uint32_t size = 0;
    for (uint32_t index = 0; index <= count; index++) {
        uint32_t piece_end = index < count ? values[index].begin : end;
        uint32_t piece = piece_end - begin;
        if (piece > DICTIONARY_SHAPE_SIZE_MAX - size) return false;
        if (piece <= COPY && encoder->text.size - begin >= COPY) {
            memcpy(to + size, text + begin, COPY);
        } else {
            memcpy(to + size, text + begin, piece);
        }
        encoder->shape_pieces[index] = (uint16_t)piece;
        size += piece;
        if (index < count) begin = values[index].end;
    }
    *shape = (struct dictionary_shape){
        .bytes = to,
        .pieces = encoder->shape_pieces,
        .size = size,
        .slots = count,
    };
    return true;
}

// The frame's number of a dictionary shape, a new one if need be; NO_SHAPE if there are too many.
static uint32_t number_shape(struct tokens_encoder *encoder, uint32_t shape, uint32_t slots) {
    uint32_t number = encoder->frame_shapes[shape];
    if (number > 0) return number - 1;
    if (encoder->shapes_count == TOKENS_SHAPES_MAX) return NO_SHAPE;
    number = encoder->shapes_count++;
    encoder->frame_shapes[shape] = (uint16_t)(number + 1);
    encoder->shapes[number] = shape;
    encoder->first_slots[number] = encoder->slots_count;
    encoder->keys[number] = dictionary_shape(encoder->dictionary, shape)->keys;
    for (uint32_t index = 0; index < slots; index++) {
        encoder->slots[encoder->slots_count++] = (struct slot){NULL, 0, NOTHING};
    }
    return number;
}

uint32_t encoder_find_shape(struct tokens_encoder *encoder, uint32_t begin, uint32_t end,
                            const struct value *values, uint32_t count) {
    struct dictionary_shape shape;
    if (!gather_shape(encoder, begin, end, values, count, &shape)) return NO_SHAPE;
    uint64_t hash = dictionary_hash_shape(&shape);
    uint32_t number = dictionary_find_shape(encoder->dictionary, &shape, hash);
    if (number == DICTIONARY_NONE) {
        number = dictionary_admit_shape(encoder->dictionary, &shape, hash);
    }
    if (number == DICTIONARY_NONE) return NO_SHAPE;
    return number_shape(encoder, number, count);
}

// Finds the end of a number that begins at an offset.
static uint32_t number_end(struct span text, uint32_t at) {
    while (at < text.size) {
        uint8_t byte = text.bytes[at];
        uint8_t folded = byte | 0x20;
        if (is_space(byte) || byte == ',' || byte == ':' || byte == '"') break;
        if (folded == '{' || folded == '}') break;
        at++;
    }
    return at;
}

// Finds the quote that ends a string whose first byte is at an offset; the size if there is none.
static uint32_t string_end(struct span text, uint32_t at) {
    while (at < text.size) {
        const uint8_t *quote = memchr(text.bytes + at, '"', text.size - at);
        if (quote == NULL) break;
        uint32_t end = (uint32_t)(quote - text.bytes);
        uint32_t backslashes = 0;
        while (end - backslashes > at && text.bytes[end - backslashes - 1] == '\\') backslashes++;
        if (backslashes % 2 == 0) return end;
        at = end + 1;
    }
    return (uint32_t)text.size;
}

// Finds the value at an offset; `quoted` if it is the inside of a string. False if there is none.
static bool find_value(struct tokens_encoder *encoder, uint32_t at, bool quoted,
                       struct value *value) {
    struct span text = encoder->text;
    *value = (struct value){at, at, NOT_OPEN, false, NULL, 0};
    if (quoted) {
        value->end = string_end(text, at);
        return value->end < text.size;
    }
    if (at == text.size) return false;
    uint8_t byte = text.bytes[at];
    if (byte == '{' || byte == '[') {
        value->open = encoder->structure.count;
        return structure_scan_one(&encoder->structure, text, at, &value->end);
    }
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
    *value = (struct value){at, at + slot->size, NOT_OPEN, false, slot->text, 0};
    return true;
}

// Cuts the text at hand as a shape says; slots are NULL if the frame does not have it yet. False if
// the text has another shape.
static bool match_shape(struct tokens_encoder *encoder, const struct dictionary_shape *shape,
                        const struct slot *slots, struct value *values) {
    struct span text = encoder->text;
    const uint8_t *piece = shape->bytes;
    uint32_t at = 0;
    for (uint32_t index = 0; index <= shape->slots; index++) {
        uint32_t size = shape->pieces[index];
        if (size > text.size - at || !bytes_equal(text.bytes + at, piece, size)) return false;
        at += size;
        piece += size;
        if (index == shape->slots) return at == text.size;
        // Two values with nothing between them are only in texts that are no JSON.
        if (shape->pieces[index + 1] == 0) return false;
        const struct slot *key = &encoder->key_slots[shape->keys[index]];
        const struct slot *slot =
            slots == NULL || slots[index].word == NOTHING ? key : &slots[index];
        struct value *value = &values[index];
        if (!match_slot(text, at, *piece, slot, value) &&
            (key == slot || !match_slot(text, at, *piece, key, value)) &&
            !find_value(encoder, at, size > 0 && piece[-1] == '"', value)) {
            return false;
        }
        at = value->end;
    }
    return false;
}

uint32_t encoder_guess(struct tokens_encoder *encoder, uint32_t hint, struct value *values,
                       uint32_t *count) {
    if (encoder->guesses[hint % ENCODER_HINTS].hint != hint) return NO_SHAPE;
    for (uint32_t guess = 0; guess < ENCODER_GUESSES; guess++) {
        uint32_t number = encoder->guesses[hint % ENCODER_HINTS].shapes[guess];
        // The shape may have been given up since.
        if (number == 0 || number > dictionary_shapes(encoder->dictionary)) continue;
        const struct dictionary_shape *shape = dictionary_shape(encoder->dictionary, number - 1);
        uint32_t frame_number = encoder->frame_shapes[number - 1];
        const struct slot *slots =
            frame_number == 0 ? NULL : &encoder->slots[encoder->first_slots[frame_number - 1]];
        encoder->structure.count = 0;
        if (!match_shape(encoder, shape, slots, values)) continue;
        *count = shape->slots;
        return number_shape(encoder, number - 1, shape->slots);
    }
    return NO_SHAPE;
}

void encoder_learn(struct tokens_encoder *encoder, uint32_t hint, uint32_t shape) {
    uint32_t number = encoder->shapes[shape] + 1;
    if (encoder->guesses[hint % ENCODER_HINTS].hint != hint) {
        memset(&encoder->guesses[hint % ENCODER_HINTS], 0, sizeof encoder->guesses[0]);
        encoder->guesses[hint % ENCODER_HINTS].hint = hint;
    }
    uint32_t *shapes = encoder->guesses[hint % ENCODER_HINTS].shapes;
    if (shapes[0] == number) return;
    for (uint32_t guess = ENCODER_GUESSES - 1; guess > 0; guess--)
        shapes[guess] = shapes[guess - 1];
    shapes[0] = number;
}
