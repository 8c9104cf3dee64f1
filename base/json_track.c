#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_track_internal.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    PLACES_MAX = 16384,
    STEPS_MAX = 16384,
    POOL_SIZE_MAX = 256 * 1024,  // bytes of names, and of steps' bytes beyond their heads
    HEAD_SIZE = 32,              // bytes of a step that are compared first
    STEP_SIZE_MAX = 2048,        // bytes; what is longer is not learnt
    STEPS_OF_PLACE_MAX = 256,
    PROBES_MIN = 512,  // steps compared in vain for one text; more is allowed by its size
    INDEX_BITS = 12,
    INDEX_SIZE = 1 << INDEX_BITS,

    CREDIT_OF_TEXT = 4,          // what a text adds; a new step costs 1
    CREDIT_MAX = 2 * STEPS_MAX,  // also at the beginning
    CREDIT_TO_FORGET = STEPS_MAX,
    LEARNT_OF_TEXT_MAX = 512,  // steps
};

// The two places every track has: before the root, and after it.
enum { PLACE_BEGIN, PLACE_END, PLACES_FIRST };

enum place_kind {
    PLACE_OUTER,    // PLACE_BEGIN, PLACE_END
    PLACE_MEMBER,   // after this member's value; begot by the place before it
    PLACE_ELEMENT,  // after an element of an array; begot by PLACE_ARRAY
    PLACE_OBJECT,   // in an object, before any member; begot by the place after it
    PLACE_ARRAY,    // in an array, before any element; begot by the place after it
};

// How a place was come by tells what it is: a child is another place for each kind and name.
struct place {
    uint32_t steps;  // the first one, the last used; 0: none
    uint32_t steps_count;
    uint32_t parent;
    uint32_t container;  // PLACE_OBJECT or PLACE_ARRAY, itself if it is one
    uint32_t children;   // the first one; 0: none
    uint32_t sibling;    // the next child of the parent; 0: none
    uint32_t name;       // of a member, in the pool
    uint16_t name_size;
    uint8_t kind;
    const struct json_want *want;  // of the value here, or NULL
};

// What a step leads to.
enum { STEP_END = JSON_ABSENT };  // the text's end; all others are kinds of values

struct step {
    _Alignas(64) uint8_t head[HEAD_SIZE];  // its first bytes, then zeros
    uint32_t next;                         // of the same place; 0: none
    uint32_t target;
    uint32_t rest;  // in the pool: the bytes after the head
    uint32_t mask;  // a bit for each of its bytes in the head
    uint16_t size;
    uint8_t kind;    // enum json_kind of the value, or STEP_END
    uint8_t field;   // of the value, if it is wanted
    bool is_easy;    // to see: all of it is in the head, and it tells what follows
    uint16_t place;  // where it begins
    uint32_t after;  // the step that followed it last; 0: none
};
static_assert(sizeof(struct step) == 64, "a step is a cache line");
static_assert(PLACES_MAX - 1 <= UINT16_MAX, "a place fits a step");

struct json_track {
    const struct json_want *root;
    struct place *places;
    struct step *steps;          // [0] is none
    uint32_t index[INDEX_SIZE];  // the last step found of a place and first bytes, by their hash
    uint8_t *pool;
    uint32_t places_count;
    uint32_t steps_count;
    uint32_t pool_size;
    uint32_t credit;
    bool is_full;
};

void json_track_forget(struct json_track *track) {
    track->places[PLACE_BEGIN] = (struct place){.kind = PLACE_OUTER, .want = track->root};
    track->places[PLACE_END] = (struct place){.kind = PLACE_OUTER, .want = track->root};
    track->places_count = PLACES_FIRST;
    track->steps_count = 1;
    track->steps[0] = (struct step){.is_easy = false};
    track->pool_size = 0;
    memset(track->index, 0, sizeof track->index);
    track->credit = CREDIT_MAX;
    track->is_full = false;
}

struct json_track *json_track_create(const struct json_want *root) {
    struct json_track *track = calloc(1, sizeof *track);
    if (track == NULL) return NULL;
    track->root = root;
    // Memory that is not used yet is not touched.
    track->places = malloc(PLACES_MAX * sizeof *track->places);
    track->steps = aligned_alloc(sizeof(struct step), STEPS_MAX * sizeof *track->steps);
    track->pool = malloc(POOL_SIZE_MAX);
    if (track->places == NULL || track->steps == NULL || track->pool == NULL) {
        json_track_destroy(track);
        return NULL;
    }
    json_track_forget(track);
    return track;
}

void json_track_destroy(struct json_track *track) {
    if (track == NULL) return;
    free(track->places);
    free(track->steps);
    free(track->pool);
    free(track);
}

#ifdef __SSE2__
// A bit for each of 16 bytes that is the same.
static uint32_t compare_block(const uint8_t *head, const uint8_t *here) {
    __m128i wanted = _mm_load_si128((const __m128i *)(const void *)head);
    __m128i found = _mm_loadu_si128((const __m128i *)(const void *)here);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(wanted, found));
}
#else
static uint32_t compare_block(const uint8_t *head, const uint8_t *here) {
    uint32_t mask = 0;
    for (uint32_t index = 0; index < 16; index++) {
        mask |= (uint32_t)(head[index] == here[index]) << index;
    }
    return mask;
}
#endif

// Whether a step's first bytes stand here, where HEAD_SIZE bytes can be read.
static bool is_head(const struct step *step, const uint8_t *here) {
    uint32_t same = compare_block(step->head, here) | compare_block(step->head + 16, here + 16)
                                                          << 16;
    return (same & step->mask) == step->mask;
}

// Whether a step stands here whose first bytes do.
static bool is_all(const struct json_track *track, const struct step *step, struct span left) {
    if (step->size > left.size) return false;
    if (step->size > HEAD_SIZE && memcmp(track->pool + step->rest, left.bytes + HEAD_SIZE,
                                         (size_t)step->size - HEAD_SIZE) != 0) {
        return false;
    }
    // The same bytes may come before any kind of value, and these two have none of their own.
    if (step->kind == STEP_END) return step->size == left.size;
    if (step->kind != JSON_NUMBER) return true;
    if (step->size == left.size) return false;
    uint8_t first = left.bytes[step->size];
    return first == '-' || (first >= '0' && first <= '9');
}

// The step that is guessed, if it is one and stands here; else NULL.
static inline struct step *guess_step(const struct json_track *track, uint32_t guess,
                                      struct span left) {
    struct step *step = &track->steps[guess];
    if (guess == 0 || left.size < HEAD_SIZE || !is_head(step, left.bytes)) return NULL;
    return step->is_easy || is_all(track, step, left) ? step : NULL;
}

// Where the index has the step that begins with these bytes. It is a guess like others: steps of
// other places and bytes may stand there.
static uint32_t *index_of(struct json_track *track, uint32_t place, struct span left) {
    uint64_t first = place;
    if (left.size >= sizeof first) memcpy(&first, left.bytes, sizeof first);
    uint64_t hash = (first ^ place) * 0x9E3779B97F4A7C15u;
    return &track->index[hash >> (64 - INDEX_BITS)];
}

// The step that stands here, which becomes the first of its place. NULL if there is none, or none
// was found with the probes that are left.
static struct step *find_step(struct json_track *track, uint32_t at, struct span left,
                              uint32_t *probes) {
    struct place *place = &track->places[at];
    uint8_t last[HEAD_SIZE] = {0};  // no step has a zero
    const uint8_t *here = left.bytes;
    if (left.size < HEAD_SIZE) {
        if (left.size > 0) memcpy(last, left.bytes, left.size);
        here = last;
    }
    uint32_t before = 0;
    for (uint32_t index = place->steps; index != 0; index = track->steps[index].next) {
        struct step *step = &track->steps[index];
        if (is_head(step, here) && is_all(track, step, left)) {
            if (before == 0) return step;
            track->steps[before].next = step->next;
            step->next = place->steps;
            place->steps = index;
            return step;
        }
        if (*probes == 0) return NULL;
        (*probes)--;
        before = index;
    }
    return NULL;
}

// The same with a guess before: places can have many steps.
static struct step *search_step(struct json_track *track, uint32_t place, struct span left,
                                uint32_t *probes) {
    uint32_t *index = index_of(track, place, left);
    struct step *step = guess_step(track, *index, left);
    if (step != NULL && step->place == place) return step;
    step = find_step(track, place, left, probes);
    if (step != NULL) *index = (uint32_t)(step - track->steps);
    return step;
}

static uint32_t allow_probes(struct span text) {
    return PROBES_MIN + (uint32_t)(text.size / 8);
}

#ifdef __SSE2__
// A bit for each of 16 bytes at which find_stop stops.
static uint32_t find_stops(const uint8_t *here) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)here);
    __m128i escapes = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    // With quote and blank exchanged, all others are those up to the blank: as signed numbers,
    // bytes beyond ASCII are less too.
    __m128i changed = _mm_xor_si128(bytes, _mm_set1_epi8('"' ^ ' '));
    __m128i others = _mm_cmpgt_epi8(_mm_set1_epi8(' ' + 1), changed);
    return (uint32_t)_mm_movemask_epi8(_mm_or_si128(escapes, others));
}
#endif

// The first byte from here on that ends a string, or that only yyjson judges in one: an escape, a
// control character, a byte beyond ASCII. The text's size if there is none.
static size_t find_stop(struct span text, size_t at) {
#ifdef __SSE2__
    // Two blocks at a time: most strings end in the first two, and how many it takes is a guess.
    for (; text.size - at >= 32; at += 32) {
        const uint8_t *here = text.bytes + at;
        uint32_t mask = find_stops(here) | find_stops(here + 16) << 16;
        if (mask != 0) return at + (size_t)__builtin_ctz(mask);
    }
#endif
    for (; at < text.size; at++) {
        uint8_t byte = text.bytes[at];
        if (byte == '"' || byte == '\\' || byte < ' ' || byte >= 0x80) break;
    }
    return at;
}

// The quote that ends the string whose bytes begin here, or the text's size.
static size_t find_quote(struct span text, size_t at) {
    while (at < text.size && text.bytes[at] != '"') at += text.bytes[at] == '\\' ? 2 : 1;
    return at < text.size ? at : text.size;
}

// Lets yyjson judge one value's text.
static bool judge(struct json_reader *reader, struct span value, const struct yyjson_val **root) {
    struct fault ignored;
    return json_read(reader, value, root, &ignored);
}

// From behind the opening quote of a string that is not plain to behind its closing one; 0 if it is
// no good string. *string is set to it if wanted.
static size_t pass_odd_string(struct json_reader *reader, struct span text, size_t at,
                              bool is_wanted, struct span *string) {
    size_t end = find_quote(text, at);
    if (end == text.size) return 0;
    const struct yyjson_val *root;
    if (!judge(reader, span_of(text.bytes + at - 1, end + 1 - (at - 1)), &root)) return 0;
    if (is_wanted && !arena_copy(reader->strings, json_string(root), string)) return 0;
    return end + 1;
}

static bool is_digit(struct span text, size_t at) {
    return at < text.size && text.bytes[at] >= '0' && text.bytes[at] <= '9';
}

// Behind the last byte that can be one of a number.
static size_t find_number_end(struct span text, size_t at) {
    while (is_digit(text, at) || (at < text.size && memchr("+-.eE", text.bytes[at], 5) != NULL)) {
        at++;
    }
    return at;
}

// Behind the digits that begin here.
static size_t skip_digits(struct span text, size_t at) {
    while (at < text.size && text.bytes[at] >= '0' && text.bytes[at] <= '9') at++;
    return at;
}

// Behind the number that begins here with a digit or a minus; 0 if it is no good one.
static size_t pass_number(struct json_reader *reader, struct span text, size_t at) {
    size_t first = at + (text.bytes[at] == '-' ? 1 : 0);
    size_t end = skip_digits(text, first);
    bool is_plain = end > first && (end == first + 1 || text.bytes[first] != '0');
    if (end < text.size && text.bytes[end] == '.') {
        size_t point = end;
        end = skip_digits(text, point + 1);
        is_plain = is_plain && end > point + 1;
    }
    size_t behind = find_number_end(text, end);
    if (is_plain && behind == end) return end;
    const struct yyjson_val *root;
    return judge(reader, span_of(text.bytes + at, behind - at), &root) ? behind : 0;
}

bool json_track_follow(struct json_reader *reader, struct span text) {
    struct json_track *track = reader->track;
    track->credit += CREDIT_OF_TEXT;
    if (track->credit > CREDIT_MAX) track->credit = CREDIT_MAX;
    uint32_t probes = allow_probes(text);
    // How the step before goes on is one thing to fetch; the place that it leads to would be two.
    struct step *before = &track->steps[0];
    uint32_t place = PLACE_BEGIN;
    uint32_t count = 0;
    size_t at = 0;
    for (;;) {
        struct span left = span_from(text, at);
        struct step *step = guess_step(track, before->after, left);
        if (step == NULL) {
            step = search_step(track, place, left, &probes);
            if (step == NULL) return false;
            before->after = (uint32_t)(step - track->steps);
        }
        if (step->kind == STEP_END) break;
        at += step->size;
        place = step->target;
        before = step;
        bool is_wanted = step->field != 0;
        struct span string = {NULL, 0};
        if (step->kind == JSON_STRING) {
            size_t end = find_stop(text, at);
            if (end < text.size && text.bytes[end] == '"') {
                string = span_of(text.bytes + at, end - at);
                at = end + 1;
            } else {
                struct span odd = {NULL, 0};
                at = pass_odd_string(reader, text, at, is_wanted, &odd);
                if (at == 0) return false;
                string = odd;
            }
        } else if (step->kind == JSON_NUMBER) {
            at = pass_number(reader, text, at);
            if (at == 0) return false;
        }
        // What is not wanted is written over: which values are is hard to foresee.
        reader->picks[count] = (struct json_pick){step->field, step->kind, string};
        count += is_wanted;
        // Parsing makes room for more.
        if (count > reader->picks_capacity) return false;
    }
    reader->picks_count = count;
    return true;
}

// What stands between two values of a text that is known to be good.
struct between {
    size_t size;
    uint8_t kind;     // of the value that follows, or STEP_END
    uint32_t target;  // the place after that value, or in it
};

static const struct json_want *find_want(const struct json_want *outer, struct span name) {
    if (outer == NULL) return NULL;
    for (uint32_t index = 0; index < outer->inner_count; index++) {
        const struct json_want *want = &outer->inner[index];
        bool is_element = want->name == NULL;
        if (is_element ? name.bytes == NULL
                       : span_equal(span_of(want->name, want->name_size), name)) {
            return want;
        }
    }
    return NULL;
}

static bool keep_bytes(struct json_track *track, struct span bytes, uint32_t *offset) {
    track->is_full = track->is_full || bytes.size > POOL_SIZE_MAX - track->pool_size;
    if (track->is_full) return false;
    *offset = track->pool_size;
    if (bytes.size > 0) memcpy(track->pool + track->pool_size, bytes.bytes, bytes.size);
    track->pool_size += (uint32_t)bytes.size;
    return true;
}

// The child of a place, which is made if there is none. False if there is no room.
static bool get_child(struct json_track *track, uint32_t parent, enum place_kind kind,
                      struct span name, uint32_t *child) {
    for (uint32_t index = track->places[parent].children; index != 0;
         index = track->places[index].sibling) {
        const struct place *place = &track->places[index];
        if (place->kind != kind) continue;
        if (!span_equal(span_of(track->pool + place->name, place->name_size), name)) continue;
        *child = index;
        return true;
    }
    struct place made = {.parent = parent, .kind = kind, .name_size = (uint16_t)name.size};
    track->is_full = track->is_full || track->places_count == PLACES_MAX;
    if (!keep_bytes(track, name, &made.name)) return false;
    uint32_t index = track->places_count++;
    struct place *from = &track->places[parent];
    bool is_container = kind == PLACE_OBJECT || kind == PLACE_ARRAY;
    made.container = is_container ? index : from->container;
    // The container's own want is that of the value it is.
    made.want = is_container ? from->want : find_want(track->places[from->container].want, name);
    made.sibling = from->children;
    from->children = index;
    track->places[index] = made;
    *child = index;
    return true;
}

static size_t skip_blanks(struct span text, size_t at) {
    while (at < text.size && memchr(" \t\r\n", text.bytes[at], 4) != NULL) at++;
    return at;
}

// The name before a value: passes it and its colon.
static bool take_name(struct span text, size_t *at, struct span *name) {
    if (*at == text.size || text.bytes[*at] != '"') return false;
    size_t begin = *at + 1;
    size_t end = begin + span_find(span_from(text, begin), '"');
    *name = span_of(text.bytes + begin, end - begin);
    // Two spellings of one name would be two names here.
    if (end == text.size || span_find(*name, '\\') < name->size) return false;
    *at = skip_blanks(text, end + 1);
    if (*at == text.size || text.bytes[*at] != ':') return false;
    *at = skip_blanks(text, *at + 1);
    return true;
}

// The kind of the value that begins here, and how much of it belongs to the step.
static bool take_opening(struct span text, size_t *at, uint8_t *kind) {
    static const struct {
        const char *text;
        enum json_kind kind;
    } openings[] = {
        {"\"", JSON_STRING}, {"{", JSON_OBJECT},    {"[", JSON_ARRAY},
        {"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL},
    };
    struct span left = span_from(text, *at);
    for (uint32_t index = 0; index < sizeof openings / sizeof openings[0]; index++) {
        struct span opening = span_text(openings[index].text);
        if (!span_starts(left, opening)) continue;
        *at += opening.size;
        *kind = (uint8_t)openings[index].kind;
        return true;
    }
    *kind = JSON_NUMBER;
    return is_digit(text, *at) || (left.size > 0 && left.bytes[0] == '-');
}

// Takes apart what stands at the beginning of what is left of a text. False if it cannot be learnt.
static bool take_between(struct json_track *track, uint32_t place, struct span text,
                         struct between *between) {
    size_t at = skip_blanks(text, 0);
    while (at < text.size && (text.bytes[at] == '}' || text.bytes[at] == ']')) {
        place = track->places[track->places[place].container].parent;
        at = skip_blanks(text, at + 1);
    }
    if (place == PLACE_END) {
        *between = (struct between){.size = at, .kind = STEP_END};
        return at == text.size;
    }
    uint32_t value = PLACE_END;
    if (place != PLACE_BEGIN) {
        if (at < text.size && text.bytes[at] == ',') at = skip_blanks(text, at + 1);
        bool is_object = track->places[track->places[place].container].kind == PLACE_OBJECT;
        struct span name = {NULL, 0};
        if (is_object && !take_name(text, &at, &name)) return false;
        if (name.size > STEP_SIZE_MAX) return false;
        uint32_t parent = is_object ? place : track->places[place].container;
        enum place_kind kind = is_object ? PLACE_MEMBER : PLACE_ELEMENT;
        if (!get_child(track, parent, kind, name, &value)) return false;
    }
    if (!take_opening(text, &at, &between->kind)) return false;
    between->size = at;
    between->target = value;
    if (between->kind == JSON_OBJECT)
        return get_child(track, value, PLACE_OBJECT, (struct span){NULL, 0}, &between->target);
    if (between->kind == JSON_ARRAY)
        return get_child(track, value, PLACE_ARRAY, (struct span){NULL, 0}, &between->target);
    return true;
}

// Adds the step from a place that stands at the beginning of what is left of a text. NULL if it
// cannot be learnt or there is no room.
static const struct step *add_step(struct json_track *track, uint32_t at, struct span left) {
    struct between between;
    struct place *place = &track->places[at];
    track->is_full = track->is_full || track->steps_count == STEPS_MAX ||
                     place->steps_count == STEPS_OF_PLACE_MAX;
    if (track->is_full) return NULL;
    if (!take_between(track, at, left, &between) || between.size > STEP_SIZE_MAX) return NULL;
    struct span bytes = span_of(left.bytes, between.size);
    struct step step = {
        .next = place->steps,
        .target = between.target,
        .mask = bytes.size < HEAD_SIZE ? (1U << bytes.size) - 1 : UINT32_MAX,
        .size = (uint16_t)bytes.size,
        .kind = between.kind,
        .place = (uint16_t)at,
        .is_easy =
            bytes.size <= HEAD_SIZE && between.kind != STEP_END && between.kind != JSON_NUMBER,
    };
    if (between.kind != STEP_END) {
        const struct json_want *want = track->places[between.target].want;
        step.field = want == NULL ? 0 : want->field;
    }
    size_t head = bytes.size < HEAD_SIZE ? bytes.size : HEAD_SIZE;
    if (head > 0) memcpy(step.head, bytes.bytes, head);
    if (!keep_bytes(track, span_from(bytes, head), &step.rest)) return NULL;
    uint32_t index = track->steps_count++;
    track->steps[index] = step;
    place->steps = index;
    place->steps_count++;
    return &track->steps[index];
}

// Behind the value that begins here, of a good text.
static size_t skip_value(struct span text, size_t at, uint8_t kind) {
    if (kind == JSON_STRING) at = find_quote(text, at) + 1;
    if (kind == JSON_NUMBER) at = find_number_end(text, at);
    assert(at <= text.size);
    return at;
}

void json_track_learn(struct json_track *track, struct span text) {
    if (track->is_full && track->credit >= CREDIT_TO_FORGET) {
        uint32_t credit = track->credit - CREDIT_TO_FORGET;
        json_track_forget(track);
        track->credit = credit;
    }
    uint32_t probes = allow_probes(text);
    uint32_t place = PLACE_BEGIN;
    size_t at = 0;
    for (uint32_t learnt = 0; learnt < LEARNT_OF_TEXT_MAX;) {
        struct span left = span_from(text, at);
        const struct step *step = find_step(track, place, left, &probes);
        if (step == NULL) {
            if (probes == 0 || track->credit == 0) return;
            step = add_step(track, place, left);
            if (step == NULL) return;
            track->credit--;
            learnt++;
        }
        if (step->kind == STEP_END) return;
        at = skip_value(text, at + step->size, step->kind);
        place = step->target;
    }
}
