#include "storage/block/block_tokens.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "storage/block/block_encoder.h"
#include "storage/block/block_sort.h"
#include "storage/block/bytes.h"

struct tokens_encoder *tokens_encoder_create(void) {
    struct tokens_encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL) return NULL;
    encoder->frame_strings = calloc(DICTIONARY_STRINGS_MAX, sizeof *encoder->frame_strings);
    if (encoder->frame_strings == NULL) {
        free(encoder);
        return NULL;
    }
    struct buffer *buffers[] = {&encoder->list,   &encoder->strings, &encoder->control,
                                &encoder->words,  &encoder->tokens,  &encoder->inlined,
                                &encoder->packed, &encoder->uuids};
    for (size_t index = 0; index < sizeof buffers / sizeof buffers[0]; index++) {
        buffer_init(buffers[index], (size_t)UINT32_MAX);
    }
    return encoder;
}

void tokens_encoder_destroy(struct tokens_encoder *encoder) {
    if (encoder == NULL) return;
    structure_done(&encoder->structure);
    free(encoder->frame_strings);
    buffer_done(&encoder->list);
    buffer_done(&encoder->strings);
    buffer_done(&encoder->control);
    buffer_done(&encoder->words);
    buffer_done(&encoder->tokens);
    buffer_done(&encoder->inlined);
    buffer_done(&encoder->packed);
    buffer_done(&encoder->uuids);
    free(encoder);
}

void tokens_encoder_begin(struct tokens_encoder *encoder, struct dictionary *dictionary) {
    for (uint32_t index = 0; index < encoder->shapes_count; index++) {
        encoder->frame_shapes[encoder->shapes[index]] = 0;
    }
    encoder->dictionary = dictionary;
    encoder->shapes_count = 0;
    encoder->slots_count = 0;
    encoder->strings_words = 0;
    for (uint32_t key = 0; key < DICTIONARY_KEYS; key++) encoder->key_slots[key].word = NOTHING;
    buffer_reset(&encoder->list);
    buffer_reset(&encoder->strings);
    buffer_reset(&encoder->control);
    buffer_reset(&encoder->words);
    buffer_reset(&encoder->tokens);
    buffer_reset(&encoder->inlined);
    buffer_reset(&encoder->packed);
    buffer_reset(&encoder->uuids);
}

static void push_word(struct tokens_encoder *encoder, uint32_t word) {
    assert(encoder->words.capacity - encoder->words.size >= sizeof word);
    memcpy(encoder->words.bytes + encoder->words.size, &word, sizeof word);
    encoder->words.size += sizeof word;
}

static uint32_t make_word(enum token token, uint64_t number) {
    assert(number <= WORD_NUMBER_MAX);
    return (uint32_t)token << WORD_SHIFT | (uint32_t)number;
}

static void push_inline(struct tokens_encoder *encoder, const uint8_t *text, uint32_t size) {
    assert(encoder->inlined.capacity - encoder->inlined.size >= size);
    memcpy(encoder->inlined.bytes + encoder->inlined.size, text, size);
    encoder->inlined.size += size;
}

// The number of a string in the dictionary, admitted if it was seen before; DICTIONARY_NONE.
static uint32_t find_string(struct tokens_encoder *encoder, struct span string,
                            const struct value *value) {
    if (string.size > DICTIONARY_STRING_SIZE_MAX) return DICTIONARY_NONE;
    if (encoder->strings_words == TOKENS_STRINGS_MAX) return DICTIONARY_NONE;
    uint64_t hash = value->is_hashed ? value->hash : hash_plain(string);
    uint32_t number = dictionary_find(encoder->dictionary, string, hash);
    if (number != DICTIONARY_NONE) return number;
    return dictionary_admit(encoder->dictionary, string, hash);
}

// A word for a value that no slot and no dictionary knows; its bytes go where they belong.
static uint32_t put_new(struct tokens_encoder *encoder, const uint8_t *text, uint32_t size) {
    uint8_t *uuid = encoder->uuids.bytes + encoder->uuids.size;
    if (size == FORMS_UUID_SIZE && forms_parse_uuid(text, uuid)) {
        encoder->uuids.size += RECORD_ID_SIZE;
        return make_word(TOKEN_UUID, 0);
    }
    int64_t time_s;
    if (size == FORMS_TIME_SIZE && forms_parse_time(text, &time_s)) {
        uint64_t delta = bytes_zigzag(time_s - encoder->row->time_s);
        if (delta <= WORD_NUMBER_MAX) return make_word(TOKEN_TIME, delta);
    }
    uint32_t tail;
    enum forms_alphabet alphabet = forms_find_alphabet(span_of(text, size), &tail);
    if (alphabet != FORMS_NONE) {
        uint32_t characters = size - tail;
        forms_pack(alphabet, span_of(text, characters),
                   encoder->packed.bytes + encoder->packed.size);
        encoder->packed.size += forms_packed_size(alphabet, characters);
        return make_word(TOKEN_HEX + alphabet - FORMS_HEX, (uint64_t)characters << 2 | tail);
    }
    if (size >= OFFER_SIZE_MIN && size <= DICTIONARY_STRING_SIZE_MAX) {
        dictionary_offer(encoder->dictionary, span_of(text, size));
    }
    push_inline(encoder, text, size);
    return make_word(TOKEN_INLINE, size);
}

static void put_instance(struct tokens_encoder *encoder, uint32_t shape, struct value *values,
                         uint32_t count, uint32_t depth);

// Puts a container that is no dictionary string: as an instance, or as it stands. Returns whether
// the slot's token changed.
static bool put_container(struct tokens_encoder *encoder, struct slot *slot, struct slot *key,
                          const struct value *container, uint32_t depth) {
    struct value values[DICTIONARY_SLOTS_MAX];
    uint32_t count;
    uint32_t shape = NO_SHAPE;
    if (depth < TOKENS_DEPTH_MAX &&
        encoder_split(encoder, container->begin + 1, container->end - 1, container->open + 1,
                      encoder->structure.match[container->open], values, &count)) {
        shape = encoder_find_shape(encoder, container->begin, container->end, values, count);
    }
    uint32_t word = shape != NO_SHAPE
                        ? make_word(TOKEN_INSTANCE, shape)
                        : put_new(encoder, slot->text, container->end - container->begin);
    bool changed = shape == NO_SHAPE || word != slot->word;
    slot->word = word;
    *key = *slot;
    if (changed) push_word(encoder, word);
    if (shape != NO_SHAPE) put_instance(encoder, shape, values, count, depth + 1);
    return changed;
}

// Whether the value has the same bytes as the slot's, and these do not mean something of the row.
static bool is_same(const struct tokens_encoder *encoder, const struct slot *slot,
                    struct value *value) {
    uint32_t size = value->end - value->begin;
    if (slot->size != size || !slot_is_absolute(slot)) return false;
    if (value->same == slot->text) return true;
    if (!bytes_equal(slot->text, encoder->text.bytes + value->begin, size)) return false;
    value->same = slot->text;
    return true;
}

// Puts a value that is neither the slot's nor its key's into the slot. Returns whether the slot's
// token changed.
static bool put_value(struct tokens_encoder *encoder, struct slot *slot, struct slot *key,
                      const struct value *value, uint32_t depth) {
    const uint8_t *text = encoder->text.bytes + value->begin;
    uint32_t size = value->end - value->begin;
    slot->text = text;
    slot->size = size;
    uint32_t word;
    if (size == FORMS_UUID_SIZE && memcmp(text, encoder->id_text, FORMS_UUID_SIZE) == 0) {
        word = make_word(TOKEN_ID, 0);
    } else if (size == FORMS_TIME_SIZE && encoder->has_time_text &&
               memcmp(text, encoder->time_text, FORMS_TIME_SIZE) == 0) {
        word = make_word(TOKEN_TIME, 0);
    } else {
        uint32_t number = find_string(encoder, span_of(text, size), value);
        if (number != DICTIONARY_NONE) {
            word = make_word(TOKEN_STRINGS, number);
        } else if (value->open != NOT_OPEN) {
            return put_container(encoder, slot, key, value, depth);
        } else {
            word = put_new(encoder, text, size);
        }
    }
    // New bytes are others than before even if the word is the same.
    enum token now = word >> WORD_SHIFT;
    bool has_bytes =
        now == TOKEN_INLINE || now == TOKEN_UUID || (now >= TOKEN_HEX && now <= TOKEN_BASE64);
    bool changed = word != slot->word || has_bytes;
    slot->word = word;
    *key = *slot;
    if (!changed) return false;
    encoder->strings_words += now == TOKEN_STRINGS;
    push_word(encoder, word);
    return true;
}

// Hashes the values that no slot has and fetches what the search for them will touch: memory is
// slow, and so they are fetched side by side.
static void hash_values(const struct tokens_encoder *encoder, const struct slot *slots,
                        const uint16_t *keys, struct value *values, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        struct value *value = &values[index];
        uint32_t size = value->end - value->begin;
        enum token before = slots[index].word >> WORD_SHIFT;
        if (value->same != NULL || size > DICTIONARY_STRING_SIZE_MAX) continue;
        if (before == TOKEN_ID || before == TOKEN_TIME) continue;
        if (is_same(encoder, &slots[index], value)) continue;
        if (is_same(encoder, &encoder->key_slots[keys[index]], value)) continue;
        value->hash = hash_plain(span_of(encoder->text.bytes + value->begin, size));
        value->is_hashed = true;
        dictionary_prefetch(encoder->dictionary, value->hash);
    }
    for (uint32_t index = 0; index < count; index++) {
        if (values[index].is_hashed) {
            dictionary_prefetch_bytes(encoder->dictionary, values[index].hash);
        }
    }
}

static void put_instance(struct tokens_encoder *encoder, uint32_t shape, struct value *values,
                         uint32_t count, uint32_t depth) {
    size_t bitmap_size = (count + 7) / 8;
    assert(encoder->control.capacity - encoder->control.size >= bitmap_size);
    uint8_t *bitmap = encoder->control.bytes + encoder->control.size;
    encoder->control.size += bitmap_size;
    memset(bitmap, 0, bitmap_size);
    struct slot *slots = &encoder->slots[encoder->first_slots[shape]];
    const uint16_t *keys = encoder->keys[shape];
    hash_values(encoder, slots, keys, values, count);
    for (uint32_t index = 0; index < count; index++) {
        struct slot *slot = &slots[index];
        struct slot *key = &encoder->key_slots[keys[index]];
        bool changed;
        if (slot->word == NOTHING) *slot = *key;
        if (is_same(encoder, slot, &values[index])) {
            *key = *slot;
            continue;
        }
        if (is_same(encoder, key, &values[index])) {
            *slot = *key;
            push_word(encoder, make_word(TOKEN_KEY, 0));
            changed = true;
        } else {
            changed = put_value(encoder, slot, key, &values[index], depth);
        }
        if (changed) bitmap[index / 8] |= (uint8_t)(1 << index % 8);
    }
}

// Makes all room that a row can need, so that nothing below asks again.
static bool make_room(struct tokens_encoder *encoder, size_t text_size) {
    // Each value has a byte of the text of its own, if only a quote or bracket.
    size_t values = text_size + 1;
    return structure_begin(&encoder->structure, text_size) &&
           buffer_reserve(&encoder->control, 1 + values) != NULL &&
           buffer_reserve(&encoder->words, values * sizeof(uint32_t)) != NULL &&
           buffer_reserve(&encoder->inlined, text_size + TOKENS_SLACK) != NULL &&
           buffer_reserve(&encoder->packed, text_size) != NULL &&
           buffer_reserve(&encoder->uuids, text_size + RECORD_ID_SIZE) != NULL;
}

// Cuts the text at hand from its quotes and brackets. The frame's number of its shape or NO_SHAPE.
static uint32_t cut_text(struct tokens_encoder *encoder, struct value *values, uint32_t *count) {
    const struct structure *structure = &encoder->structure;
    struct span text = encoder->text;
    if (!structure_scan(&encoder->structure, text) || structure->count == 0) return NO_SHAPE;
    uint32_t last = structure->count - 1;
    bool is_container = text.bytes[structure->at[0]] != '"' && structure->match[0] == last;
    // The members of the text's own object are its values; what stands around it is shape.
    if (!is_container || !encoder_split(encoder, structure->at[0] + 1, structure->at[last], 1, last,
                                        values, count)) {
        return NO_SHAPE;
    }
    return encoder_find_shape(encoder, 0, (uint32_t)text.size, values, *count);
}

bool tokens_encoder_add(struct tokens_encoder *encoder, const struct tokens_row *row,
                        struct span text, uint32_t hint, bool whole) {
    assert(text.size <= WORD_NUMBER_MAX);
    if (!make_room(encoder, text.size)) return false;
    encoder->text = text;
    encoder->row = row;
    forms_print_uuid(row->id, encoder->id_text);
    encoder->has_time_text = forms_print_time(row->time_s, encoder->time_text);

    struct value values[DICTIONARY_SLOTS_MAX];
    uint32_t count = 0;
    uint32_t shape = NO_SHAPE;
    if (!whole) shape = encoder_guess(encoder, hint, values, &count);
    if (!whole && shape == NO_SHAPE) {
        shape = cut_text(encoder, values, &count);
        if (shape != NO_SHAPE) encoder_learn(encoder, hint, shape);
    }
    uint8_t *control = encoder->control.bytes + encoder->control.size++;
    if (shape == NO_SHAPE) {
        *control = TOKENS_WHOLE;
        push_word(encoder, make_word(TOKEN_INLINE, text.size));
        push_inline(encoder, text.bytes, (uint32_t)text.size);
        return true;
    }
    *control = (uint8_t)shape;
    put_instance(encoder, shape, values, count, 0);
    return true;
}

// Gives the strings that words name frame numbers, in order of their dictionary numbers.
static bool number_strings(struct tokens_encoder *encoder) {
    size_t room = 2 * (size_t)encoder->strings_words * sizeof(uint64_t);
    uint64_t *list = (uint64_t *)(void *)buffer_reserve(&encoder->list, room);
    if (list == NULL) return false;
    const uint32_t *words = (const uint32_t *)(const void *)encoder->words.bytes;
    size_t words_count = encoder->words.size / sizeof *words;
    uint32_t count = 0;
    for (size_t index = 0; index < words_count; index++) {
        if (words[index] >> WORD_SHIFT != TOKEN_STRINGS) continue;
        uint16_t *number = &encoder->frame_strings[words[index] & WORD_NUMBER_MAX];
        if (*number != 0) continue;
        *number = 1;
        list[count++] = words[index] & WORD_NUMBER_MAX;
    }
    block_sort(list, list + count, count);
    uint32_t *strings =
        (uint32_t *)(void *)buffer_reserve(&encoder->strings, count * sizeof *strings);
    if (strings == NULL) {
        for (uint32_t index = 0; index < count; index++) encoder->frame_strings[list[index]] = 0;
        return false;
    }
    for (uint32_t index = 0; index < count; index++) {
        strings[index] = (uint32_t)list[index];
        encoder->frame_strings[list[index]] = (uint16_t)(index + 1);
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
        enum token token = words[index] >> WORD_SHIFT;
        uint32_t number = words[index] & WORD_NUMBER_MAX;
        if (token == TOKEN_STRINGS) {
            uint32_t string = encoder->frame_strings[number] - 1u;
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

bool tokens_encoder_end(struct tokens_encoder *encoder, struct tokens_frame *frame) {
    bool done = number_strings(encoder) && print_words(encoder);
    const uint32_t *strings = (const uint32_t *)(const void *)encoder->strings.bytes;
    uint32_t strings_count = (uint32_t)(encoder->strings.size / sizeof *strings);
    for (uint32_t index = 0; index < strings_count; index++) {
        encoder->frame_strings[strings[index]] = 0;
    }
    if (!done) return false;
    *frame = (struct tokens_frame){
        .strings = strings,
        .strings_count = strings_count,
        .shapes = encoder->shapes,
        .shapes_count = encoder->shapes_count,
        .uuids = encoder->uuids.bytes,
        .uuids_count = (uint32_t)(encoder->uuids.size / RECORD_ID_SIZE),
        .control = buffer_span(&encoder->control),
        .tokens = buffer_span(&encoder->tokens),
        .packed = buffer_span(&encoder->packed),
        .inlined = buffer_span(&encoder->inlined),
    };
    return true;
}
