#include "base/json_pick.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json_internal.h"
#include "base/json_track_internal.h"

enum {
    PICKS_FIRST = 64,
    STRINGS_SIZE_MAX = 16 << 20,  // bytes of strings unescaped out of one document
};

// yyjson's accessors take pointers to non-const and change nothing.
static yyjson_val *unconst(const struct yyjson_val *value) {
    return (yyjson_val *)(uintptr_t)value;
}

static enum json_kind kind_of(const struct yyjson_val *value) {
    switch (yyjson_get_type(unconst(value))) {
        case YYJSON_TYPE_STR:
            return JSON_STRING;
        case YYJSON_TYPE_NUM:
        case YYJSON_TYPE_RAW:
            return JSON_NUMBER;
        case YYJSON_TYPE_BOOL:
            return yyjson_is_true(unconst(value)) ? JSON_TRUE : JSON_FALSE;
        case YYJSON_TYPE_NULL:
            return JSON_NULL;
        case YYJSON_TYPE_OBJ:
            return JSON_OBJECT;
        case YYJSON_TYPE_ARR:
            return JSON_ARRAY;
        default:
            return JSON_ABSENT;
    }
}

static bool add_pick(struct json_reader *reader, uint32_t field, const struct yyjson_val *value) {
    if (reader->picks_count == reader->picks_capacity) {
        uint32_t capacity = reader->picks_capacity * 2;
        struct json_pick *grown = realloc(reader->picks, (capacity + 1) * sizeof *grown);
        if (grown == NULL) return false;
        reader->picks = grown;
        reader->picks_capacity = capacity;
    }
    reader->picks[reader->picks_count++] =
        (struct json_pick){field, kind_of(value), json_string(value)};
    return true;
}

static const struct json_want *find_want(const struct json_want *outer, const yyjson_val *key) {
    size_t size = unsafe_yyjson_get_len(unconst(key));
    for (uint32_t index = 0; index < outer->inner_count; index++) {
        const struct json_want *want = &outer->inner[index];
        if (want->name_size > size) break;
        if (want->name_size < size || want->name == NULL) continue;
        if (memcmp(want->name, unsafe_yyjson_get_str(unconst(key)), size) == 0) return want;
    }
    return NULL;
}

static bool pick_value(struct json_reader *reader, const struct json_want *want,
                       const struct yyjson_val *value);

static bool pick_elements(struct json_reader *reader, const struct json_want *want,
                          const struct yyjson_val *array) {
    if (want->inner_count == 0 || want->inner[0].name != NULL) return true;
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(unconst(array), &iterator);
    const yyjson_val *element;
    while ((element = yyjson_arr_iter_next(&iterator)) != NULL) {
        if (!pick_value(reader, &want->inner[0], element)) return false;
    }
    return true;
}

// Picks what is wanted in a value. As deep as the wants are. False if memory runs out.
static bool pick_inner(struct json_reader *reader, const struct json_want *want,
                       const struct yyjson_val *value) {
    if (yyjson_is_arr(unconst(value))) return pick_elements(reader, want, value);
    yyjson_obj_iter iterator;
    yyjson_obj_iter_init(unconst(value), &iterator);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&iterator)) != NULL) {
        const struct json_want *inner = find_want(want, key);
        if (inner != NULL && !pick_value(reader, inner, yyjson_obj_iter_get_val(key))) return false;
    }
    return true;
}

static bool pick_value(struct json_reader *reader, const struct json_want *want,
                       const struct yyjson_val *value) {
    if (want->field != 0 && !add_pick(reader, want->field, value)) return false;
    return want->inner_count == 0 || pick_inner(reader, want, value);
}

static void check_wants(const struct json_want *outer) {
    for (uint32_t index = 0; index < outer->inner_count; index++) {
        assert(index == 0 || outer->inner[index - 1].name_size <= outer->inner[index].name_size);
        check_wants(&outer->inner[index]);
    }
}

static bool prepare(struct json_reader *reader, const struct json_want *root, struct fault *fault) {
    if (reader->track != NULL) {
        arena_reset(reader->strings);
        reader->picks_count = 0;
        return true;
    }
    check_wants(root);
    struct json_track *track = json_track_create(root);
    struct arena *strings = arena_create(STRINGS_SIZE_MAX);
    struct json_pick *picks = malloc((PICKS_FIRST + 1) * sizeof *picks);
    if (track == NULL || strings == NULL || picks == NULL) {
        json_track_destroy(track);
        arena_destroy(strings);
        free(picks);
        return fault_set(fault, FAULT_FULL, "no memory to read JSON");
    }
    reader->track = track;
    reader->strings = strings;
    reader->picks = picks;
    reader->picks_capacity = PICKS_FIRST;
    return true;
}

// Parses the text and picks: what is true of any text.
static bool pick_parsed(struct json_reader *reader, const struct json_want *root, struct span text,
                        enum json_refusal *refusal, struct fault *fault) {
    const struct yyjson_val *top;
    if (!json_read(reader, text, &top, fault)) {
        if (fault->kind == FAULT_INPUT) *refusal = JSON_INVALID;
        return false;
    }
    if (!yyjson_is_obj(unconst(top))) {
        *refusal = JSON_NO_OBJECT;
        return fault_set(fault, FAULT_INPUT, "the text is no JSON object");
    }
    struct span twice;
    if (json_find_duplicate(top, &twice)) {
        *refusal = JSON_REPEATED_NAME;
        return fault_set(fault, FAULT_INPUT, "the name \"%.*s\" occurs twice in one object",
                         (int)(twice.size < 100 ? twice.size : 100), (const char *)twice.bytes);
    }
    if (pick_inner(reader, root, top)) return true;
    return fault_set(fault, FAULT_FULL, "no memory for what is picked out of JSON");
}

bool json_pick(struct json_reader *reader, const struct json_want *root, struct span text,
               struct json_picks *picks, enum json_refusal *refusal, struct fault *fault) {
    *refusal = JSON_GOOD;
    if (!prepare(reader, root, fault)) return false;
    if (json_track_follow(reader, text)) {
        reader->followed++;
    } else {
        if (!pick_parsed(reader, root, text, refusal, fault)) return false;
        json_track_learn(reader->track, text);
    }
    *picks = (struct json_picks){reader->picks, reader->picks_count};
    return true;
}

void json_reader_forget(struct json_reader *reader) {
    if (reader->track != NULL) json_track_forget(reader->track);
}

uint64_t json_reader_followed(const struct json_reader *reader) {
    return reader->followed;
}
