#include "base/hash.h"
#include "storage/block/block_encoder.h"

// The frame's number of a dictionary shape, a new one if need be; NO_SHAPE if there are too many.
static uint32_t number_shape(struct tokens_encoder *encoder, uint32_t shape) {
    uint32_t number = encoder->shape_numbers[shape];
    if (number > 0) return number - 1;
    if (encoder->shapes_count == TOKENS_SHAPES_MAX) return NO_SHAPE;
    const struct dictionary_shape *found = dictionary_shape(encoder->dictionary, shape);
    number = encoder->shapes_count++;
    encoder->shape_numbers[shape] = (uint16_t)(number + 1);
    encoder->shapes[number] = shape;
    encoder->frame_shapes[number] =
        (struct frame_shape){shape, found->slots, encoder->slots_count, found->keys};
    for (uint32_t index = 0; index < found->slots; index++) {
        encoder->seen[encoder->slots_count] = (struct seen){NULL, 0, IDENTITY_NONE};
        encoder->slots[encoder->slots_count++] = (struct slot){IDENTITY_NONE, NOTHING};
    }
    return number;
}

// Whether a slot or key had the value's bytes, as far as that is not known already: what it had
// before the text was compared with those values that are marked so.
static bool had(const struct cut *cut, const struct seen *seen, const struct value *value) {
    uint32_t size = value->end - value->begin;
    if (seen->size != size || seen->identity < IDENTITY_FIRST) return false;
    bool is_inside = (size_t)(seen->text - cut->text.bytes) < cut->text.size;
    if (value->is_compared && !is_inside) return false;
    return bytes_equal(seen->text, cut->text.bytes + value->begin, size);
}

static bool is_id(const struct cut *cut, const struct value *value) {
    return value->end - value->begin == FORMS_UUID_SIZE &&
           memcmp(cut->text.bytes + value->begin, cut->id_text, FORMS_UUID_SIZE) == 0;
}

static bool is_time(const struct cut *cut, const struct value *value) {
    return value->end - value->begin == FORMS_TIME_SIZE && cut->has_time_text &&
           memcmp(cut->text.bytes + value->begin, cut->time_text, FORMS_TIME_SIZE) == 0;
}

// Cuts a container from its quotes and brackets. The dictionary's number of its shape or NO_SHAPE.
static uint32_t split_container(struct tokens_encoder *encoder, struct cut *cut,
                                struct value *container) {
    const struct structure *structure = &encoder->structure;
    uint32_t first = cut->values_count;
    uint32_t count;
    // Guesses that went wrong do not take room.
    assert(first <= cut->values_limit - DICTIONARY_SLOTS_MAX);
    if (!structure_scan_one(&encoder->structure, cut->text, container->begin) ||
        !encoder_split(encoder, cut->text, container->begin + 1, container->end - 1, 1,
                       structure->count - 1, cut->values + first, &count)) {
        return NO_SHAPE;
    }
    container->first = first;
    cut->values_count += count;
    return encoder_find_shape(encoder, cut->text, container->begin, container->end,
                              cut->values + first, count);
}

static void note_values(struct tokens_encoder *encoder, struct cut *cut, uint32_t shape,
                        struct value *values, uint32_t depth);

// Makes a container that was cut an instance, if the frame has room for its shape.
static void note_instance(struct tokens_encoder *encoder, struct cut *cut, struct value *value,
                          uint32_t depth) {
    value->shape = number_shape(encoder, value->shape);
    value->state = value->shape == NO_SHAPE ? VALUE_NEW : VALUE_INSTANCE;
    if (value->shape == NO_SHAPE) return;
    note_values(encoder, cut, value->shape, cut->values + value->first, depth + 1);
}

void encoder_cut_container(struct tokens_encoder *encoder, struct cut *cut, struct value *value,
                           uint32_t depth) {
    // Without room before the text is put, this is done again then.
    bool has_room = cut->values_count <= cut->values_limit - DICTIONARY_SLOTS_MAX;
    value->state = has_room ? VALUE_NEW : VALUE_SAME;
    if (!has_room || depth == TOKENS_DEPTH_MAX) return;
    uint32_t end;
    // A container for which the dictionary is not asked has gone through this before.
    if (value->is_asked) {
        value->shape =
            encoder_guess(encoder, cut, value->habit, value->begin, depth + 1, &end, &value->first);
    }
    if (value->shape == NO_SHAPE) {
        value->shape = split_container(encoder, cut, value);
        if (value->shape == NO_SHAPE) return;
        encoder_learn(encoder, value->habit, value->shape);
    }
    note_instance(encoder, cut, value, depth);
}

// Whether a value is the string that was the last one of its habit in the block.
static bool is_habitual(const struct tokens_encoder *encoder, const struct cut *cut,
                        const struct value *value) {
    const struct habit *habit = value->habit;
    return habit->block == encoder->blocks && habit->size == value->end - value->begin &&
           bytes_equal(cut->text.bytes + value->begin, habit->string, habit->size);
}

// Fetches what step 3 will touch of the sample if a value is new.
static void prefetch_sample(const struct tokens_encoder *encoder, const struct cut *cut,
                            const struct value *value) {
    if (value->end - value->begin < CUT_SIZE_MIN) return;
    dictionary_prefetch_sample(encoder->dictionary, cut->text.bytes + value->begin);
}

// Finds out what a value is that nobody had. True if the dictionary has to be asked.
static bool classify(struct tokens_encoder *encoder, struct cut *cut, struct value *value,
                     uint32_t key) {
    uint32_t size = value->end - value->begin;
    if (is_id(cut, value)) {
        value->state = VALUE_ID;
        return false;
    }
    if (is_time(cut, value)) {
        value->state = VALUE_TIME;
        return false;
    }
    if (value->habit == NULL) value->habit = encoder_habit(encoder, cut->hint, key);
    if (is_habitual(encoder, cut, value)) {
        value->number = value->habit->number;
        value->state = VALUE_STRING;
        return false;
    }
    bool is_asked = value->is_container ? value->is_asked : encoder_asks(value->habit);
    if (!is_asked || size > DICTIONARY_STRING_SIZE_MAX) {
        value->state = VALUE_NEW;
        prefetch_sample(encoder, cut, value);
        return false;
    }
    value->state = VALUE_ASKED;
    value->number = DICTIONARY_NONE;  // until it was looked for, which not all are in time
    value->hash = hash_plain(span_of(cut->text.bytes + value->begin, size));
    dictionary_prefetch(encoder->dictionary, value->hash);
    return true;
}

// Whether the value's token will mean other bytes in other rows.
static bool is_relative(const struct value *value) {
    return value->state == VALUE_ID || value->state == VALUE_TIME || value->state == VALUE_INSTANCE;
}

// What a slot and its key have after a value, as far as that can be told. Member by member: what
// was written in pieces and is read as a whole has to wait for the cache.
static void set_seen(const struct cut *cut, const struct value *value, struct seen *slot,
                     struct seen *key) {
    const uint8_t *text = cut->text.bytes + value->begin;
    uint32_t size = value->end - value->begin;
    uint32_t identity = is_relative(value) ? IDENTITY_RELATIVE : value->identity;
    slot->text = key->text = text;
    slot->size = key->size = size;
    slot->identity = key->identity = identity;
}

// Goes through the values of an instance as step 3 will do.
static void note_values(struct tokens_encoder *encoder, struct cut *cut, uint32_t shape,
                        struct value *values, uint32_t depth) {
    const struct frame_shape *found = &encoder->frame_shapes[shape];
    struct seen *slots = &encoder->seen[found->first_slot];
    for (uint32_t index = 0; index < found->slots; index++) {
        struct value *value = &values[index];
        struct seen *slot = &slots[index];
        struct seen *key = &encoder->key_seen[found->keys[index]];
        if (slot->identity == IDENTITY_NONE) *slot = *key;
        if (value->identity == IDENTITY_NONE) {
            if (had(cut, slot, value)) {
                value->identity = slot->identity;
            } else if (had(cut, key, value)) {
                value->identity = key->identity;
            } else {
                value->identity = ++encoder->identity;
            }
        }
        if (slot->identity == value->identity) {
            *key = *slot;
            continue;
        }
        if (key->identity == value->identity) {
            *slot = *key;
            continue;
        }
        bool is_asked = classify(encoder, cut, value, found->keys[index]);
        if (is_asked && cut->asked_count < CUT_ASKED_MAX) {
            cut->asked[cut->asked_count++] = (struct asked){value, slot, key, depth};
        }
        bool is_cut = value->is_container && value->state == VALUE_NEW;
        if (is_cut) value->state = VALUE_INSTANCE;
        set_seen(cut, value, slot, key);
        if (!is_cut) continue;
        if (value->shape != NO_SHAPE) {
            note_instance(encoder, cut, value, depth);
        } else {
            encoder_cut_container(encoder, cut, value, depth);
        }
    }
}

// Cuts the text from its quotes and brackets. The dictionary's number of its shape or NO_SHAPE.
static uint32_t split_text(struct tokens_encoder *encoder, struct cut *cut) {
    const struct structure *structure = &encoder->structure;
    struct span text = cut->text;
    uint32_t count;
    if (!structure_scan(&encoder->structure, text) || structure->count == 0) return NO_SHAPE;
    uint32_t last = structure->count - 1;
    bool is_container = text.bytes[structure->at[0]] != '"' && structure->match[0] == last;
    // The members of the text's own object are its values; what stands around it is shape.
    if (!is_container || !encoder_split(encoder, text, structure->at[0] + 1, structure->at[last], 1,
                                        last, cut->values, &count)) {
        return NO_SHAPE;
    }
    cut->first = 0;
    cut->values_count = count;
    return encoder_find_shape(encoder, text, 0, (uint32_t)text.size, cut->values, count);
}

bool encoder_cut(struct tokens_encoder *encoder, struct cut *cut) {
    if (!structure_begin(&encoder->structure, cut->text.size)) return false;
    cut->values_count = 0;
    cut->values_limit = CUT_VALUES_EARLY;
    cut->asked_count = 0;
    forms_print_uuid(cut->row.id, cut->id_text);
    cut->has_time_text = forms_print_time(cut->row.time_s, cut->time_text);
    struct habit *habit = encoder_habit(encoder, cut->hint, TEXT_KEY);
    uint32_t end;
    uint32_t shape = encoder_guess(encoder, cut, habit, 0, 0, &end, &cut->first);
    if (shape == NO_SHAPE || end != cut->text.size) {
        shape = split_text(encoder, cut);
        if (shape != NO_SHAPE) encoder_learn(encoder, habit, shape);
    }
    cut->shape = shape == NO_SHAPE ? NO_SHAPE : number_shape(encoder, shape);
    if (cut->shape != NO_SHAPE) note_values(encoder, cut, cut->shape, cut->values + cut->first, 0);
    return true;
}

// Goes on with a container that the dictionary does not know: it is admitted, or else cut.
static void open_container(struct tokens_encoder *encoder, struct cut *cut, struct value *value,
                           uint32_t depth) {
    struct span text = span_of(cut->text.bytes + value->begin, value->end - value->begin);
    value->number = dictionary_admit(encoder->dictionary, text, value->hash, &value->string);
    if (value->number != DICTIONARY_NONE) {
        value->state = VALUE_STRING;
        return;
    }
    if (value->habit->trust > 0) value->habit->trust--;
    encoder_cut_container(encoder, cut, value, depth);
}

void encoder_look(struct tokens_encoder *encoder, struct cut *cut) {
    // Containers that are cut here add values of their own.
    uint32_t looked = 0;
    for (uint32_t index = 0; index < cut->asked_count; index++) {
        // All are looked for before one is opened: that needs what looking for it has fetched.
        for (; looked < cut->asked_count; looked++) {
            struct value *value = cut->asked[looked].value;
            value->number = dictionary_look(encoder->dictionary, value->end - value->begin,
                                            value->hash, &value->string);
        }
        const struct asked *asked = &cut->asked[index];
        struct value *value = asked->value;
        if (value->number != DICTIONARY_NONE) continue;
        if (!value->is_container) {
            prefetch_sample(encoder, cut, value);
            continue;
        }
        open_container(encoder, cut, value, asked->depth);
        if (value->state != VALUE_INSTANCE) continue;
        // They do not have its bytes any more.
        if (asked->slot->identity == value->identity) asked->slot->identity = IDENTITY_RELATIVE;
        if (asked->key->identity == value->identity) asked->key->identity = IDENTITY_RELATIVE;
    }
    cut->asked_count = 0;
}

void encoder_prepare(struct tokens_encoder *encoder, struct cut *cut, struct value *value,
                     uint32_t key, uint32_t depth) {
    const uint8_t *text = cut->text.bytes + value->begin;
    if (value->habit == NULL && (text[0] == '{' || text[0] == '[') && text[-1] != '"') {
        value->is_container = true;
        value->is_asked = true;
    }
    if (classify(encoder, cut, value, key)) {
        value->number = dictionary_look(encoder->dictionary, value->end - value->begin, value->hash,
                                        &value->string);
        if (value->is_container && value->number == DICTIONARY_NONE)
            open_container(encoder, cut, value, depth);
    } else if (value->is_container && value->state == VALUE_NEW) {
        encoder_cut_container(encoder, cut, value, depth);
    }
    if (value->state == VALUE_SAME) value->state = VALUE_NEW;
    encoder_look(encoder, cut);
}
