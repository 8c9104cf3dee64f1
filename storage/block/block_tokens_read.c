#include <stdlib.h>

#include "storage/block/block_forms.h"
#include "storage/block/block_tokens.h"
#include "storage/block/bytes.h"

enum {
    COPY = 32,  // bytes copied at once; less than TOKENS_SLACK and DICTIONARY_SLACK allow
    TOKEN_NOTHING = 0xff,
};

// The last value of a slot: a token and where its bytes are. Of copies these are in the frame's
// list of copies, and `size` is how many.
struct slot {
    const uint8_t *bytes;
    uint32_t size;  // of a string: its place in the frame's list
    uint8_t token;
    uint8_t shape;
    union {
        int64_t seconds;
        const uint8_t *between;  // bytes between copies
    };
};

struct tokens_decoder {
    const struct dictionary *dictionary;
    struct tokens_frame frame;
    struct span strings[TOKENS_STRINGS_MAX];  // of the frame's list: got when first put
    const struct dictionary_shape *shapes[TOKENS_SHAPES_MAX];
    uint32_t first_slots[TOKENS_SHAPES_MAX];
    struct slot slots[TOKENS_SLOTS_MAX];
    struct slot *key_slots[DICTIONARY_KEYS];  // of each key the slot that was met last
    struct slot nothing;                      // where none was
    struct reader control;
    struct reader tokens;
    struct reader inlined;
    struct reader packed;
    struct reader uuids;
    struct reader copies;

    // The row at hand.
    const struct tokens_row *row;
    uint8_t *output;  // NULL: only pass over it
    const uint8_t *output_end;
};

struct tokens_decoder *tokens_decoder_create(void) {
    return calloc(1, sizeof(struct tokens_decoder));
}

void tokens_decoder_destroy(struct tokens_decoder *decoder) {
    free(decoder);
}

bool tokens_decoder_begin(struct tokens_decoder *decoder, const struct dictionary *dictionary,
                          const struct tokens_frame *frame) {
    decoder->frame = *frame;
    decoder->dictionary = dictionary;
    // The list ascends, so that its last entry is the largest.
    if (frame->strings_count > TOKENS_STRINGS_MAX ||
        (frame->strings_count > 0 &&
         frame->strings[frame->strings_count - 1] >= dictionary_strings(dictionary))) {
        return false;
    }
    memset(decoder->strings, 0, frame->strings_count * sizeof decoder->strings[0]);
    uint32_t shapes = dictionary_shapes(dictionary);
    if (frame->shapes_count > TOKENS_SHAPES_MAX) return false;
    uint32_t slots = 0;
    for (uint32_t index = 0; index < frame->shapes_count; index++) {
        if (frame->shapes[index] >= shapes) return false;
        decoder->shapes[index] = dictionary_shape(dictionary, frame->shapes[index]);
        if (decoder->shapes[index] == NULL) return false;
        decoder->first_slots[index] = slots;
        uint32_t end = slots + decoder->shapes[index]->slots;
        for (; slots < end; slots++) decoder->slots[slots].token = TOKEN_NOTHING;
    }
    decoder->nothing.token = TOKEN_NOTHING;
    for (uint32_t key = 0; key < DICTIONARY_KEYS; key++) {
        decoder->key_slots[key] = &decoder->nothing;
    }
    decoder->copies = reader_of(frame->copies);
    decoder->control = reader_of(frame->control);
    decoder->tokens = reader_of(frame->tokens);
    decoder->inlined = reader_of(frame->inlined);
    decoder->packed = reader_of(frame->packed);
    decoder->uuids = reader_of(span_of(frame->uuids, (size_t)frame->uuids_count * RECORD_ID_SIZE));
    return true;
}

void tokens_decoder_expect_all(struct tokens_decoder *decoder) {
    dictionary_find_loaded(decoder->dictionary, decoder->frame.strings,
                           decoder->frame.strings_count, decoder->strings);
}

// Appends bytes that have COPY readable bytes behind them.
static bool put(struct tokens_decoder *decoder, const uint8_t *bytes, uint32_t size) {
    if (size > (size_t)(decoder->output_end - decoder->output)) return false;
    memcpy(decoder->output, bytes, COPY);
    if (size > COPY) memcpy(decoder->output + COPY, bytes + COPY, size - COPY);
    decoder->output += size;
    return true;
}

// Reads the copies of a slot that has a new value.
static bool read_copies(struct tokens_decoder *decoder, struct slot *slot) {
    struct reader *copies = &decoder->copies;
    uint64_t count = reader_varint(&decoder->tokens);
    // Each of them takes bytes of the list.
    if (count > reader_left(copies)) return false;
    slot->size = (uint32_t)count;
    slot->bytes = copies->at;
    slot->between = decoder->inlined.at;
    for (uint64_t index = 0; index < count; index++) {
        reader_take(&decoder->inlined, reader_varint(copies));
        uint64_t size = reader_varint(copies);
        uint64_t offset = reader_varint(copies);
        uint64_t sample_size = decoder->frame.sample.size;
        if (size == 0 || offset > sample_size || size > sample_size - offset) return false;
    }
    reader_take(&decoder->inlined, reader_varint(copies));
    return !decoder->tokens.bad && !copies->bad && !decoder->inlined.bad;
}

// Reads the token of a slot that has a new value. `key` may be the slot itself.
static bool read_token(struct tokens_decoder *decoder, struct slot *slot, const struct slot *key) {
    uint32_t token = reader_byte(&decoder->tokens);
    uint32_t string = token - decoder->frame.first_string;
    if (token == TOKEN_KEY) {
        if (slot != key) *slot = *key;
        return !decoder->tokens.bad;
    }
    slot->token = (uint8_t)(token < decoder->frame.first_string ? token : TOKEN_STRINGS);
    switch (slot->token) {
        case TOKEN_INLINE: {
            uint64_t size = reader_varint(&decoder->tokens);
            if (size > BLOCK_RECORD_SIZE_MAX) return false;
            slot->bytes = reader_take(&decoder->inlined, size);
            slot->size = (uint32_t)size;
            return slot->bytes != NULL && !decoder->tokens.bad;
        }
        case TOKEN_ID:
            break;
        case TOKEN_UUID:
            slot->bytes = reader_take(&decoder->uuids, RECORD_ID_SIZE);
            return slot->bytes != NULL;
        case TOKEN_TIME:
            slot->seconds = bytes_unzigzag(reader_varint(&decoder->tokens));
            break;
        case TOKEN_INSTANCE:
            slot->shape = reader_byte(&decoder->tokens);
            if (slot->shape >= decoder->frame.shapes_count) return false;
            break;
        case TOKEN_HEX:
        case TOKEN_BASE36:
        case TOKEN_BASE64: {
            uint64_t number = reader_varint(&decoder->tokens);
            if (number >> 2 > BLOCK_RECORD_SIZE_MAX) return false;
            enum forms_alphabet alphabet = token - TOKEN_HEX + FORMS_HEX;
            slot->bytes = reader_take(&decoder->packed, forms_packed_size(alphabet, number >> 2));
            slot->size = (uint32_t)number;
            return slot->bytes != NULL;
        }
        case TOKEN_COPIES:
            return read_copies(decoder, slot);
        case TOKEN_FAR: {
            uint32_t low = reader_byte(&decoder->tokens);
            string = low | (uint32_t)reader_byte(&decoder->tokens) << 8;
            slot->token = TOKEN_STRINGS;
        }  // fall through
        default:
            if (decoder->tokens.bad || string >= decoder->frame.strings_count) return false;
            slot->size = string;
    }
    return !decoder->tokens.bad;
}

// Appends a string of the dictionary. Rows that are only passed over need none.
static bool put_string(struct tokens_decoder *decoder, uint32_t index) {
    struct span *string = &decoder->strings[index];
    if (string->bytes == NULL &&
        !dictionary_string(decoder->dictionary, decoder->frame.strings[index], string)) {
        return false;
    }
    return put(decoder, string->bytes, (uint32_t)string->size);
}

static bool put_packed(struct tokens_decoder *decoder, const struct slot *slot) {
    uint32_t characters = slot->size >> 2;
    uint32_t tail = slot->size & 3;
    if (decoder->output_end - decoder->output < characters + tail) return false;
    forms_unpack(slot->token - TOKEN_HEX + FORMS_HEX, slot->bytes, characters, decoder->output);
    memset(decoder->output + characters, '=', tail);
    decoder->output += characters + tail;
    return true;
}

// Appends bytes that may have no others behind them.
static bool put_exactly(struct tokens_decoder *decoder, const uint8_t *bytes, uint64_t size) {
    if (size > (size_t)(decoder->output_end - decoder->output)) return false;
    if (size > 0) memcpy(decoder->output, bytes, (size_t)size);
    decoder->output += size;
    return true;
}

// What it reads was checked by read_copies.
static bool put_copies(struct tokens_decoder *decoder, const struct slot *slot) {
    struct reader copies = reader_of(decoder->frame.copies);
    copies.at = slot->bytes;
    const uint8_t *between = slot->between;
    for (uint32_t index = 0; index < slot->size; index++) {
        uint64_t literal = reader_varint(&copies);
        uint64_t size = reader_varint(&copies);
        const uint8_t *from = decoder->frame.sample.bytes + reader_varint(&copies);
        if (!put_exactly(decoder, between, literal)) return false;
        if (!put_exactly(decoder, from, size)) return false;
        between += literal;
    }
    return put_exactly(decoder, between, reader_varint(&copies));
}

// Appends a value that is no instance.
static bool put_value(struct tokens_decoder *decoder, const struct slot *slot) {
    switch (slot->token) {
        case TOKEN_INLINE:
            return put(decoder, slot->bytes, slot->size);
        case TOKEN_STRINGS:
            return put_string(decoder, slot->size);
        case TOKEN_COPIES:
            return put_copies(decoder, slot);
        case TOKEN_HEX:
        case TOKEN_BASE36:
        case TOKEN_BASE64:
            return put_packed(decoder, slot);
        case TOKEN_ID:
        case TOKEN_UUID:
            if (decoder->output_end - decoder->output < FORMS_UUID_SIZE) return false;
            forms_print_uuid(slot->token == TOKEN_ID ? decoder->row->id : slot->bytes,
                             decoder->output);
            decoder->output += FORMS_UUID_SIZE;
            return true;
        case TOKEN_TIME: {
            int64_t time_s;
            if (decoder->output_end - decoder->output < FORMS_TIME_SIZE) return false;
            if (__builtin_add_overflow(decoder->row->time_s, slot->seconds, &time_s)) return false;
            if (!forms_print_time(time_s, decoder->output)) return false;
            decoder->output += FORMS_TIME_SIZE;
            return true;
        }
        default:
            return false;  // a slot that never had a value
    }
}

// Reads an instance of a shape and, if there is an output, appends it.
static bool read_instance(struct tokens_decoder *decoder, uint32_t shape_number, uint32_t depth) {
    const struct dictionary_shape *shape = decoder->shapes[shape_number];
    struct slot *slots = &decoder->slots[decoder->first_slots[shape_number]];
    const uint8_t *bitmap = reader_take(&decoder->control, (shape->slots + 7) / 8);
    if (bitmap == NULL || depth > TOKENS_DEPTH_MAX) return false;
    const uint8_t *piece = shape->bytes;
    for (uint32_t index = 0; index < shape->slots; index++) {
        struct slot *slot = &slots[index];
        bool is_new = (bitmap[index / 8] >> index % 8 & 1) != 0;
        struct slot **key = &decoder->key_slots[shape->keys[index]];
        if (slot->token == TOKEN_NOTHING) *slot = **key;
        if (is_new && !read_token(decoder, slot, *key)) return false;
        // A slot's value changes only where it is met, so that it is the key's until another is.
        *key = slot;
        if (decoder->output != NULL && !put(decoder, piece, shape->pieces[index])) return false;
        piece += shape->pieces[index];
        if (slot->token == TOKEN_INSTANCE) {
            if (!read_instance(decoder, slot->shape, depth + 1)) return false;
        } else if (decoder->output != NULL && !put_value(decoder, slot)) {
            return false;
        }
    }
    return decoder->output == NULL || put(decoder, piece, shape->pieces[shape->slots]);
}

static bool read_row(struct tokens_decoder *decoder) {
    uint32_t shape = reader_byte(&decoder->control);
    if (decoder->control.bad) return false;
    if (shape == TOKENS_WHOLE) {
        struct slot slot;
        const struct slot nothing = {.token = TOKEN_NOTHING};
        if (!read_token(decoder, &slot, &nothing) || slot.token != TOKEN_INLINE) return false;
        return decoder->output == NULL || put(decoder, slot.bytes, slot.size);
    }
    return shape < decoder->frame.shapes_count && read_instance(decoder, shape, 0);
}

bool tokens_decoder_skip(struct tokens_decoder *decoder) {
    decoder->output = NULL;
    return read_row(decoder);
}

bool tokens_decoder_next(struct tokens_decoder *decoder, const struct tokens_row *row,
                         uint8_t **output, const uint8_t *output_end) {
    decoder->row = row;
    decoder->output = *output;
    decoder->output_end = output_end;
    if (!read_row(decoder)) return false;
    *output = decoder->output;
    return true;
}
