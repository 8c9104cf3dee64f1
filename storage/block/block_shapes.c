#include "storage/block/block_encoder.h"

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
        while (at < end && !encoder_is_space(text[at]) && text[at] != ',' && text[at] != ':') at++;
        if (*count == DICTIONARY_SLOTS_MAX) return false;
        encoder_set_value(&values[(*count)++], begin, at);
    }
    return true;
}

bool encoder_split(const struct tokens_encoder *encoder, struct span bytes, uint32_t begin,
                   uint32_t end, uint32_t index, uint32_t index_end, struct value *values,
                   uint32_t *count) {
    const uint8_t *text = bytes.bytes;
    const uint32_t *at = encoder->structure.at;
    uint32_t from = begin;
    *count = 0;
    while (index < index_end) {
        uint32_t next = at[index];
        if (next - from > 1 && !add_numbers(text, from, next, values, count)) return false;
        bool is_container = text[next] != '"';
        uint32_t close = at[is_container ? encoder->structure.match[index] : index + 1];
        index = is_container ? encoder->structure.match[index] + 1 : index + 2;
        from = close + 1;
        if (!is_container) {
            uint32_t after = from;
            while (after < end && encoder_is_space(text[after])) after++;
            if (after < end && text[after] == ':') continue;
        }
        if (*count == DICTIONARY_SLOTS_MAX) return false;
        struct value *value = &values[(*count)++];
        encoder_set_value(value, is_container ? next : next + 1, is_container ? from : close);
        value->is_container = is_container;
        value->is_asked = is_container;
    }
    return end - from <= 1 || add_numbers(text, from, end, values, count);
}

// Joins the bytes outside the values into the encoder's shape_bytes. False if they are too many.
static bool gather_shape(struct tokens_encoder *encoder, struct span bytes, uint32_t begin,
                         uint32_t end, const struct value *values, uint32_t count,
                         struct dictionary_shape *shape) {
    const uint8_t *text = bytes.bytes;
    uint8_t *to = encoder->shape_bytes;
    uint32_t size = 0;
    for (uint32_t index = 0; index <= count; index++) {
        uint32_t piece_end = index < count ? values[index].begin : end;
        uint32_t piece = piece_end - begin;
        if (piece > DICTIONARY_SHAPE_SIZE_MAX - size) return false;
        if (piece <= COPY && bytes.size - begin >= COPY) {
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

uint32_t encoder_find_shape(struct tokens_encoder *encoder, struct span text, uint32_t begin,
                            uint32_t end, const struct value *values, uint32_t count) {
    struct dictionary_shape shape;
    if (!gather_shape(encoder, text, begin, end, values, count, &shape)) return NO_SHAPE;
    uint64_t hash = dictionary_hash_shape(&shape);
    uint32_t number = dictionary_find_shape(encoder->dictionary, &shape, hash);
    if (number == DICTIONARY_NONE) {
        number = dictionary_admit_shape(encoder->dictionary, &shape, hash);
    }
    return number == DICTIONARY_NONE ? NO_SHAPE : number;
}
