#include <assert.h>

#include "base/hash.h"
#include "storage/block/block_encoder.h"
#include "storage/block/bytes.h"

// The number of a string in the dictionary, admitted if it was seen before; DICTIONARY_NONE.
static uint32_t find_string(struct tokens_encoder *encoder, struct span string, uint64_t hash) {
    if (encoder->strings_words == TOKENS_STRINGS_MAX) return DICTIONARY_NONE;
    uint32_t number = dictionary_find(encoder->dictionary, string, hash);
    if (number != DICTIONARY_NONE) return number;
    return dictionary_admit(encoder->dictionary, string, hash);
}

// Puts bytes that have no other form: as copies of the sample, or as they stand. Returns the word.
static uint32_t put_bytes(struct tokens_encoder *encoder, const uint8_t *text, uint32_t size) {
    uint32_t copies = size < CUT_SIZE_MIN ? 0 : encoder_put_copies(encoder, span_of(text, size));
    if (copies > 0) return encoder_make_word(TOKEN_COPIES, copies);
    encoder_push_inline(encoder, text, size);
    return encoder_make_word(TOKEN_INLINE, size);
}

// Puts the value of a slot that no slot and no dictionary knows; its bytes go where they belong.
// Returns whether the slot's token changed.
static bool put_new(struct tokens_encoder *encoder, struct slot *slot) {
    const uint8_t *text = slot->text;
    uint32_t size = slot->size;
    uint8_t *uuid = encoder->uuids.bytes + encoder->uuids.size;
    int64_t time_s;
    uint32_t tail;
    enum forms_alphabet alphabet = FORMS_NONE;
    // Even if the word is the same as before, bytes of their own are others.
    if (size == FORMS_UUID_SIZE && forms_parse_uuid(text, uuid)) {
        encoder->uuids.size += RECORD_ID_SIZE;
        slot->word = encoder_make_word(TOKEN_UUID, 0);
    } else if (size == FORMS_TIME_SIZE && forms_parse_time(text, &time_s) &&
               bytes_zigzag(time_s - encoder->row->time_s) <= WORD_NUMBER_MAX) {
        uint32_t word = encoder_make_word(TOKEN_TIME, bytes_zigzag(time_s - encoder->row->time_s));
        if (word == slot->word) return false;
        slot->word = word;
    } else if ((alphabet = forms_find_alphabet(span_of(text, size), &tail)) != FORMS_NONE) {
        uint32_t characters = size - tail;
        forms_pack(alphabet, span_of(text, characters),
                   encoder->packed.bytes + encoder->packed.size);
        encoder->packed.size += forms_packed_size(alphabet, characters);
        slot->word =
            encoder_make_word(TOKEN_HEX + alphabet - FORMS_HEX, (uint64_t)characters << 2 | tail);
    } else {
        slot->word = put_bytes(encoder, text, size);
    }
    encoder_push_word(encoder, slot->word);
    return true;
}

// Whether the value has the same bytes as the slot's, and these do not mean something of the row.
static bool is_same(const struct tokens_encoder *encoder, const struct slot *slot,
                    struct value *value) {
    uint32_t size = value->end - value->begin;
    // What was new when the row began can only have come with the row since.
    if (value->is_new && (size_t)(slot->text - encoder->text.bytes) >= encoder->text.size) {
        return false;
    }
    if (slot->size != size || !slot_is_absolute(slot)) return false;
    if (value->same == slot->text) return true;
    if (!bytes_equal(slot->text, encoder->text.bytes + value->begin, size)) return false;
    value->same = slot->text;
    return true;
}

// Whether a value is the row's own id or time.
static bool is_id(const struct tokens_encoder *encoder, const struct value *value) {
    return value->end - value->begin == FORMS_UUID_SIZE &&
           memcmp(encoder->text.bytes + value->begin, encoder->id_text, FORMS_UUID_SIZE) == 0;
}

static bool is_time(const struct tokens_encoder *encoder, const struct value *value) {
    return value->end - value->begin == FORMS_TIME_SIZE && encoder->has_time_text &&
           memcmp(encoder->text.bytes + value->begin, encoder->time_text, FORMS_TIME_SIZE) == 0;
}

// The frame's number of a dictionary shape, a new one if need be; NO_SHAPE if there are too many.
static uint32_t number_shape(struct tokens_encoder *encoder, uint32_t shape) {
    uint32_t number = encoder->frame_shapes[shape];
    if (number > 0) return number - 1;
    if (encoder->shapes_count == TOKENS_SHAPES_MAX) return NO_SHAPE;
    const struct dictionary_shape *found = dictionary_shape(encoder->dictionary, shape);
    number = encoder->shapes_count++;
    encoder->frame_shapes[shape] = (uint16_t)(number + 1);
    encoder->shapes[number] = shape;
    encoder->first_slots[number] = encoder->slots_count;
    encoder->keys[number] = found->keys;
    for (uint32_t index = 0; index < found->slots; index++) {
        encoder->slots[encoder->slots_count++] = (struct slot){NULL, 0, NOTHING};
    }
    return number;
}

// Cuts a container from its quotes and brackets. The dictionary's number of its shape or NO_SHAPE.
static uint32_t cut_container(struct tokens_encoder *encoder, const struct value *container,
                              struct value *values) {
    const struct structure *structure = &encoder->structure;
    uint32_t count;
    if (!structure_scan_one(&encoder->structure, encoder->text, container->begin) ||
        !encoder_split(encoder, container->begin + 1, container->end - 1, 1, structure->count - 1,
                       values, &count)) {
        return NO_SHAPE;
    }
    return encoder_find_shape(encoder, container->begin, container->end, values, count);
}

static void put_instance(struct tokens_encoder *encoder, uint32_t shape, uint32_t number,
                         struct value *values, uint32_t depth);

// Puts a container that is no dictionary string: as an instance, or as it stands. Returns whether
// the slot's token changed.
static bool put_container(struct tokens_encoder *encoder, struct slot *slot, struct slot *key,
                          struct habit *habit, const struct value *container, uint32_t depth) {
    struct value cut[DICTIONARY_SLOTS_MAX];
    struct value *values = cut;
    uint32_t shape = container->shape;
    uint32_t first = container->first, end;
    if (shape == NO_SHAPE && depth < TOKENS_DEPTH_MAX) {
        shape = encoder_guess(encoder, habit, container->begin, depth + 1, &end, &first);
    }
    if (shape != NO_SHAPE) {
        values = encoder->values + first;
    } else if (depth < TOKENS_DEPTH_MAX) {
        shape = cut_container(encoder, container, values);
        if (shape != NO_SHAPE) encoder_learn(habit, shape);
    }
    uint32_t number = shape == NO_SHAPE ? NO_SHAPE : number_shape(encoder, shape);
    if (number == NO_SHAPE) {
        bool changed = put_new(encoder, slot);
        *key = *slot;
        return changed;
    }
    uint32_t word = encoder_make_word(TOKEN_INSTANCE, number);
    bool changed = word != slot->word;
    slot->word = word;
    *key = *slot;
    if (changed) encoder_push_word(encoder, word);
    put_instance(encoder, shape, number, values, depth + 1);
    return changed;
}

// Puts a value that is neither the slot's nor its key's into the slot. Returns whether the slot's
// token changed.
static bool put_value(struct tokens_encoder *encoder, struct slot *slot, uint32_t key_number,
                      const struct value *value, uint32_t depth) {
    struct slot *key = &encoder->key_slots[key_number];
    const uint8_t *text = encoder->text.bytes + value->begin;
    uint32_t size = value->end - value->begin;
    slot->text = text;
    slot->size = size;
    uint32_t word;
    if (is_id(encoder, value)) {
        word = encoder_make_word(TOKEN_ID, 0);
    } else if (is_time(encoder, value)) {
        word = encoder_make_word(TOKEN_TIME, 0);
    } else {
        struct habit *habit = value->habit;
        if (habit == NULL) habit = encoder_habit(encoder, key_number);
        uint32_t number = DICTIONARY_NONE;
        if (value->is_hashed) {
            number = find_string(encoder, span_of(text, size), value->hash);
            if (number != DICTIONARY_NONE) {
                habit->trust = HABIT_TRUST;
            } else if (habit->trust > 0) {
                habit->trust--;
            }
        }
        if (number == DICTIONARY_NONE) {
            if (value->is_container) {
                return put_container(encoder, slot, key, habit, value, depth);
            }
            bool changed = put_new(encoder, slot);
            *key = *slot;
            return changed;
        }
        word = encoder_make_word(TOKEN_STRINGS, number);
    }
    bool changed = word != slot->word;
    slot->word = word;
    *key = *slot;
    if (!changed) return false;
    encoder->strings_words += word >> WORD_SHIFT == TOKEN_STRINGS;
    encoder_push_word(encoder, word);
    return true;
}

// Hashes the values that no slot has and that the dictionary may know, and fetches what the search
// for them will touch: memory is slow, and so they are fetched side by side.
static void hash_values(struct tokens_encoder *encoder, const struct slot *slots,
                        const uint16_t *keys, struct value *values, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        struct value *value = &values[index];
        uint32_t size = value->end - value->begin;
        if (value->same != NULL || size > DICTIONARY_STRING_SIZE_MAX) continue;
        if (is_id(encoder, value) || is_time(encoder, value)) continue;
        if (!value->is_new && (is_same(encoder, &slots[index], value) ||
                               is_same(encoder, &encoder->key_slots[keys[index]], value))) {
            continue;
        }
        if (value->habit == NULL) value->habit = encoder_habit(encoder, keys[index]);
        if (!(value->is_container ? value->is_asked : encoder_asks(value->habit))) continue;
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

// Puts an instance of a shape, the frame's number of which is given too.
static void put_instance(struct tokens_encoder *encoder, uint32_t shape, uint32_t number,
                         struct value *values, uint32_t depth) {
    uint32_t count = dictionary_shape(encoder->dictionary, shape)->slots;
    size_t bitmap_size = (count + 7) / 8;
    assert(encoder->control.capacity - encoder->control.size >= bitmap_size);
    uint8_t *bitmap = encoder->control.bytes + encoder->control.size;
    encoder->control.size += bitmap_size;
    memset(bitmap, 0, bitmap_size);
    struct slot *slots = &encoder->slots[encoder->first_slots[number]];
    const uint16_t *keys = encoder->keys[number];
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
            encoder_push_word(encoder, encoder_make_word(TOKEN_KEY, 0));
            changed = true;
        } else {
            changed = put_value(encoder, slot, keys[index], &values[index], depth);
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
           buffer_reserve(&encoder->copies, text_size + BYTES_VARINT_MAX) != NULL &&
           buffer_reserve(&encoder->uuids, text_size + RECORD_ID_SIZE) != NULL;
}

// Cuts the text at hand from its quotes and brackets. The dictionary's number of its shape or
// NO_SHAPE.
static uint32_t cut_text(struct tokens_encoder *encoder, struct value *values) {
    const struct structure *structure = &encoder->structure;
    struct span text = encoder->text;
    uint32_t count;
    if (!structure_scan(&encoder->structure, text) || structure->count == 0) return NO_SHAPE;
    uint32_t last = structure->count - 1;
    bool is_container = text.bytes[structure->at[0]] != '"' && structure->match[0] == last;
    // The members of the text's own object are its values; what stands around it is shape.
    if (!is_container || !encoder_split(encoder, structure->at[0] + 1, structure->at[last], 1, last,
                                        values, &count)) {
        return NO_SHAPE;
    }
    return encoder_find_shape(encoder, 0, (uint32_t)text.size, values, count);
}

// Puts the text at hand as an instance. False if it cannot be one.
static bool put_text(struct tokens_encoder *encoder) {
    struct value cut[DICTIONARY_SLOTS_MAX];
    struct value *values = cut;
    struct habit *habit = encoder_habit(encoder, TEXT_KEY);
    uint32_t first, end;
    encoder->values_count = 0;
    uint32_t shape = encoder_guess(encoder, habit, 0, 0, &end, &first);
    if (shape != NO_SHAPE && end == encoder->text.size) {
        values = encoder->values + first;
    } else {
        shape = cut_text(encoder, values);
        if (shape != NO_SHAPE) encoder_learn(habit, shape);
    }
    uint32_t number = shape == NO_SHAPE ? NO_SHAPE : number_shape(encoder, shape);
    if (number == NO_SHAPE) return false;
    encoder->control.bytes[encoder->control.size++] = (uint8_t)number;
    put_instance(encoder, shape, number, values, 0);
    return true;
}

bool tokens_encoder_add(struct tokens_encoder *encoder, const struct tokens_row *row,
                        struct span text, uint32_t hint, bool whole) {
    assert(text.size <= WORD_NUMBER_MAX);
    if (!make_room(encoder, text.size)) return false;
    encoder->text = text;
    encoder->row = row;
    encoder->hint = hint;
    forms_print_uuid(row->id, encoder->id_text);
    encoder->has_time_text = forms_print_time(row->time_s, encoder->time_text);
    if (!whole && put_text(encoder)) return true;
    encoder->control.bytes[encoder->control.size++] = TOKENS_WHOLE;
    encoder_push_word(encoder, encoder_make_word(TOKEN_INLINE, text.size));
    encoder_push_inline(encoder, text.bytes, (uint32_t)text.size);
    return true;
}
