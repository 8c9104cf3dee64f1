#include <assert.h>

#include "base/hash.h"
#include "storage/block/block_encoder.h"
#include "storage/block/bytes.h"

// Puts bytes that have no other form: as copies of the sample, or as they stand. Returns the word.
static uint32_t put_bytes(struct tokens_encoder *encoder, const uint8_t *text, uint32_t size) {
    uint32_t copies = size < CUT_SIZE_MIN ? 0 : encoder_put_copies(encoder, span_of(text, size));
    if (copies > 0) return encoder_make_word(TOKEN_COPIES, copies);
    encoder_push_inline(encoder, text, size);
    return encoder_make_word(TOKEN_INLINE, size);
}

// Both get the same, member by member: what was written in pieces and is read as a whole has to
// wait for the cache.
static void set_slots(struct slot *slot, struct slot *key, uint32_t identity, uint32_t word) {
    slot->identity = key->identity = identity;
    slot->word = key->word = word;
}

// Puts a word into a slot and its key. Returns whether the slot's token changed.
static bool put_word(struct tokens_encoder *encoder, struct slot *slot, struct slot *key,
                     uint32_t identity, uint32_t word) {
    bool changed = word != slot->word;
    set_slots(slot, key, identity, word);
    if (changed) encoder_push_word(encoder, word);
    return changed;
}

// The same for a token that means other bytes in other rows.
static bool put_relative(struct tokens_encoder *encoder, struct slot *slot, struct slot *key,
                         uint32_t token, uint64_t number) {
    return put_word(encoder, slot, key, IDENTITY_RELATIVE, encoder_make_word(token, number));
}

// Puts a value that nobody has; its bytes go where they belong. Returns whether the slot's token
// changed.
static bool put_new(struct tokens_encoder *encoder, const struct cut *cut,
                    const struct value *value, struct slot *slot, struct slot *key) {
    const uint8_t *text = cut->text.bytes + value->begin;
    uint32_t size = value->end - value->begin;
    uint8_t *uuid = encoder->uuids.bytes + encoder->uuids.size;
    int64_t time_s;
    uint32_t tail;
    enum forms_alphabet alphabet = FORMS_NONE;
    uint32_t word;
    if (size == FORMS_UUID_SIZE && forms_parse_uuid(text, uuid)) {
        encoder->uuids.size += RECORD_ID_SIZE;
        word = encoder_make_word(TOKEN_UUID, 0);
    } else if (size == FORMS_TIME_SIZE && forms_parse_time(text, &time_s) &&
               bytes_zigzag(time_s - cut->row.time_s) <= WORD_NUMBER_MAX) {
        return put_relative(encoder, slot, key, TOKEN_TIME, bytes_zigzag(time_s - cut->row.time_s));
    } else if ((alphabet = forms_find_alphabet(span_of(text, size), &tail)) != FORMS_NONE) {
        uint32_t characters = size - tail;
        forms_pack(alphabet, span_of(text, characters),
                   encoder->packed.bytes + encoder->packed.size);
        encoder->packed.size += forms_packed_size(alphabet, characters);
        word =
            encoder_make_word(TOKEN_HEX + alphabet - FORMS_HEX, (uint64_t)characters << 2 | tail);
    } else {
        word = put_bytes(encoder, text, size);
    }
    // Even if the word is the same as before, bytes of their own are others.
    set_slots(slot, key, value->identity, word);
    encoder_push_word(encoder, word);
    return true;
}

static void put_instance(struct tokens_encoder *encoder, struct cut *cut, uint32_t shape,
                         struct value *values, uint32_t depth);

// Puts a value as an instance of its shape.
static bool put_container(struct tokens_encoder *encoder, struct cut *cut,
                          const struct value *value, struct slot *slot, struct slot *key,
                          uint32_t depth) {
    bool changed = put_relative(encoder, slot, key, TOKEN_INSTANCE, value->shape);
    put_instance(encoder, cut, value->shape, cut->values + value->first, depth + 1);
    return changed;
}

// Finds the string that a value is. False if the dictionary does not have it, nor takes it.
static bool find_string(struct tokens_encoder *encoder, const struct cut *cut,
                        struct value *value) {
    if (encoder->strings_words == TOKENS_STRINGS_MAX) return false;
    if (value->state == VALUE_STRING) return true;
    struct span text = span_of(cut->text.bytes + value->begin, value->end - value->begin);
    struct habit *habit = value->habit;
    if (value->number == DICTIONARY_NONE || !bytes_equal(value->string, text.bytes, text.size)) {
        value->number = dictionary_admit(encoder->dictionary, text, value->hash, &value->string);
    }
    if (value->number == DICTIONARY_NONE) {
        if (habit->trust > 0) habit->trust--;
        return false;
    }
    habit->trust = HABIT_TRUST;
    habit->block = encoder->blocks;
    habit->number = value->number;
    habit->size = (uint32_t)text.size;
    habit->string = value->string;
    return true;
}

// Puts a value that neither the slot nor its key has into both. Returns whether the slot's token
// changed.
static bool put_value(struct tokens_encoder *encoder, struct cut *cut, struct value *value,
                      struct slot *slot, struct slot *key, uint32_t depth) {
    if (value->state == VALUE_ASKED || value->state == VALUE_STRING) {
        if (find_string(encoder, cut, value)) {
            bool changed = put_word(encoder, slot, key, value->identity,
                                    encoder_make_word(TOKEN_STRINGS, value->number));
            if (changed) {
                encoder->strings_words++;
                encoder->named[value->number / 64] |= (uint64_t)1 << value->number % 64;
            }
            return changed;
        }
        value->state = VALUE_NEW;
        if (value->is_container) {
            encoder_cut_container(encoder, cut, value, depth);
            encoder_look(encoder, cut);
        }
    }
    if (value->state == VALUE_INSTANCE) {
        return put_container(encoder, cut, value, slot, key, depth);
    }
    if (value->state == VALUE_ID) return put_relative(encoder, slot, key, TOKEN_ID, 0);
    if (value->state == VALUE_TIME) return put_relative(encoder, slot, key, TOKEN_TIME, 0);
    return put_new(encoder, cut, value, slot, key);
}

// Puts an instance of a shape, by the frame's number.
static void put_instance(struct tokens_encoder *encoder, struct cut *cut, uint32_t shape,
                         struct value *values, uint32_t depth) {
    const struct frame_shape *found = &encoder->frame_shapes[shape];
    uint32_t count = found->slots;
    size_t bitmap_size = (count + 7) / 8;
    assert(encoder->control.capacity - encoder->control.size >= bitmap_size);
    uint8_t *bitmap = encoder->control.bytes + encoder->control.size;
    encoder->control.size += bitmap_size;
    memset(bitmap, 0, bitmap_size);
    struct slot *slots = &encoder->slots[found->first_slot];
    for (uint32_t index = 0; index < count; index++) {
        struct value *value = &values[index];
        struct slot *slot = &slots[index];
        struct slot *key = &encoder->key_slots[found->keys[index]];
        if (slot->word == NOTHING) *slot = *key;
        if (slot->identity == value->identity) {
            *key = *slot;
            continue;
        }
        bool changed = true;
        if (key->identity == value->identity) {
            *slot = *key;
            encoder_push_word(encoder, encoder_make_word(TOKEN_KEY, 0));
        } else {
            uint32_t values_count = cut->values_count;
            if (value->state == VALUE_SAME)
                encoder_prepare(encoder, cut, value, found->keys[index], depth);
            changed = put_value(encoder, cut, value, slot, key, depth);
            cut->values_count = values_count;
        }
        if (changed) bitmap[index / 8] |= (uint8_t)(1 << index % 8);
    }
}

// Makes all room that a text can need, so that nothing below asks again.
static bool make_room(struct tokens_encoder *encoder, size_t text_size) {
    // Each value has a byte of the text of its own, if only a quote or bracket.
    size_t values = text_size + 1;
    return buffer_reserve(&encoder->control, 1 + values) != NULL &&
           buffer_reserve(&encoder->words, values * sizeof(uint32_t)) != NULL &&
           buffer_reserve(&encoder->inlined, text_size + TOKENS_SLACK) != NULL &&
           buffer_reserve(&encoder->packed, text_size) != NULL &&
           buffer_reserve(&encoder->copies, text_size + BYTES_VARINT_MAX) != NULL &&
           buffer_reserve(&encoder->uuids, text_size + RECORD_ID_SIZE) != NULL;
}

bool encoder_put(struct tokens_encoder *encoder, struct cut *cut) {
    if (!make_room(encoder, cut->text.size)) return false;
    uint8_t *control = &encoder->control.bytes[encoder->control.size++];
    if (cut->shape != NO_SHAPE) {
        *control = (uint8_t)cut->shape;
        cut->values_limit = CUT_VALUES_MAX;
        put_instance(encoder, cut, cut->shape, cut->values + cut->first, 0);
    } else {
        *control = TOKENS_WHOLE;
        encoder_push_word(encoder, encoder_make_word(TOKEN_INLINE, cut->text.size));
        encoder_push_inline(encoder, cut->text.bytes, (uint32_t)cut->text.size);
    }
    return true;
}
