#include "storage/block/block_tokens.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/table.h"
#include "storage/block/block_encoder.h"
#include "storage/block/bytes.h"

struct tokens_encoder *tokens_encoder_create(void) {
    struct tokens_encoder *encoder = table_allocate(sizeof *encoder);
    if (encoder == NULL) return NULL;
    struct buffer *buffers[] = {&encoder->strings, &encoder->control, &encoder->words,
                                &encoder->tokens,  &encoder->inlined, &encoder->packed,
                                &encoder->uuids,   &encoder->copies};
    for (size_t index = 0; index < sizeof buffers / sizeof buffers[0]; index++) {
        buffer_init(buffers[index], (size_t)UINT32_MAX);
    }
    return encoder;
}

void tokens_encoder_destroy(struct tokens_encoder *encoder) {
    if (encoder == NULL) return;
    structure_done(&encoder->structure);
    buffer_done(&encoder->strings);
    buffer_done(&encoder->control);
    buffer_done(&encoder->words);
    buffer_done(&encoder->tokens);
    buffer_done(&encoder->inlined);
    buffer_done(&encoder->packed);
    buffer_done(&encoder->uuids);
    buffer_done(&encoder->copies);
    free(encoder);
}

void tokens_encoder_begin_block(struct tokens_encoder *encoder, struct dictionary *dictionary) {
    encoder->dictionary = dictionary;
    if (++encoder->blocks != 0) return;
    // What is remembered of the first block must not be taken for this one's.
    memset(encoder->habits, 0, sizeof encoder->habits);
    encoder->blocks = 1;
}

void tokens_encoder_begin(struct tokens_encoder *encoder) {
    for (uint32_t index = 0; index < encoder->shapes_count; index++) {
        encoder->shape_numbers[encoder->shapes[index]] = 0;
    }
    encoder->shapes_count = 0;
    encoder->slots_count = 0;
    encoder->strings_words = 0;
    encoder->identity = IDENTITY_FIRST;
    encoder->rows = 0;
    for (uint32_t key = 0; key < DICTIONARY_KEYS; key++) {
        encoder->key_slots[key] = (struct slot){IDENTITY_NONE, NOTHING};
        encoder->key_seen[key] = (struct seen){NULL, 0, IDENTITY_NONE};
    }
    memset(encoder->named, 0, sizeof encoder->named);
    buffer_reset(&encoder->strings);
    buffer_reset(&encoder->control);
    buffer_reset(&encoder->words);
    buffer_reset(&encoder->tokens);
    buffer_reset(&encoder->inlined);
    buffer_reset(&encoder->packed);
    buffer_reset(&encoder->uuids);
    buffer_reset(&encoder->copies);
}

// Gives the strings that words name frame numbers, in order of their dictionary numbers.
static bool number_strings(struct tokens_encoder *encoder) {
    size_t room = encoder->strings_words * sizeof(uint32_t);
    uint32_t *strings = (uint32_t *)(void *)buffer_reserve(&encoder->strings, room);
    if (strings == NULL) return false;
    uint32_t count = 0;
    uint32_t end = (dictionary_strings(encoder->dictionary) + 63) / 64;
    for (uint32_t part = 0; part < end; part++) {
        for (uint64_t left = encoder->named[part]; left != 0; left &= left - 1) {
            uint32_t number = part * 64 + (uint32_t)__builtin_ctzll(left);
            encoder->frame_strings[number] = (uint16_t)count;
            strings[count++] = number;
        }
    }
    encoder->strings.size = count * sizeof *strings;
    return true;
}

// Turns the words into bytes.
static bool print_words(struct tokens_encoder *encoder) {
    const uint32_t *words = (const uint32_t *)(const void *)encoder->words.bytes;
    size_t words_count = encoder->words.size / sizeof *words;
    uint8_t *at = buffer_reserve(&encoder->tokens, words_count * 6);
    if (at == NULL) return false;
    uint8_t *begin = at;
    for (size_t index = 0; index < words_count; index++) {
        uint32_t token = words[index] >> WORD_SHIFT;
        uint32_t number = words[index] & WORD_NUMBER_MAX;
        if (token == TOKEN_STRINGS) {
            uint32_t string = encoder->frame_strings[number];
            if (string < 256 - TOKEN_STRINGS) {
                *at++ = (uint8_t)(TOKEN_STRINGS + string);
            } else {
                *at++ = TOKEN_FAR;
                bytes_put_16(at, (uint16_t)string);
                at += 2;
            }
            continue;
        }
        *at++ = (uint8_t)token;
        if (token == TOKEN_INSTANCE) {
            *at++ = (uint8_t)number;
        } else if (token != TOKEN_ID && token != TOKEN_UUID && token != TOKEN_KEY) {
            at = bytes_put_varint(at, number);
        }
    }
    encoder->tokens.size = (size_t)(at - begin);
    return true;
}

void tokens_encoder_prefetch(struct tokens_encoder *encoder, struct tokens_hint hint) {
    encoder_prefetch_text(encoder, hint);
}

bool tokens_encoder_add(struct tokens_encoder *encoder, const struct tokens_row *row,
                        struct span text, struct tokens_hint hint, bool whole) {
    assert(text.size <= WORD_NUMBER_MAX);
    struct cut *cut = &encoder->cuts[encoder->rows % 2];
    struct cut *before = &encoder->cuts[(encoder->rows + 1) % 2];
    cut->text = text;
    cut->row = *row;
    cut->hint = hint;
    cut->shape = NO_SHAPE;
    if (!whole && !encoder_cut(encoder, cut)) return false;
    if (encoder->rows > 0 && !encoder_put(encoder, before)) return false;
    if (cut->shape != NO_SHAPE) encoder_look(encoder, cut);
    encoder->rows++;
    return true;
}

bool tokens_encoder_end(struct tokens_encoder *encoder, struct tokens_frame *frame) {
    if (encoder->rows > 0 && !encoder_put(encoder, &encoder->cuts[(encoder->rows - 1) % 2]))
        return false;
    if (!number_strings(encoder) || !print_words(encoder)) return false;
    *frame = (struct tokens_frame){
        .strings = (const uint32_t *)(const void *)encoder->strings.bytes,
        .strings_count = (uint32_t)(encoder->strings.size / sizeof(uint32_t)),
        .shapes = encoder->shapes,
        .shapes_count = encoder->shapes_count,
        .uuids = encoder->uuids.bytes,
        .uuids_count = (uint32_t)(encoder->uuids.size / RECORD_ID_SIZE),
        .control = buffer_span(&encoder->control),
        .tokens = buffer_span(&encoder->tokens),
        .packed = buffer_span(&encoder->packed),
        .inlined = buffer_span(&encoder->inlined),
        .copies = buffer_span(&encoder->copies),
    };
    return true;
}
