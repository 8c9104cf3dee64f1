#include "storage/dictionary.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/zstd.h"
#include "storage/bytes.h"
#include "storage/dictionary_internal.h"

enum {
    SEGMENT_SIZE = 1024 * 1024,
    SEGMENTS_MAX = 2 * DICTIONARY_SIZE_MAX / SEGMENT_SIZE,  // with what is lost at their ends

    STRING_SLOTS = 2 * DICTIONARY_STRINGS_MAX,
    SHAPE_SLOTS = 2 * DICTIONARY_SHAPES_MAX,
    SLOT_SIZE_SHIFT = 19,  // of a string's slot: hash 32 bits, size 13, number + 1
    PROBES_MAX = 64,       // of one search: chosen collisions cost a sender size, not us time
    TAGS = 1024 * 1024,    // strings remembered as seen once, one place each
    TAG_INDEX_SHIFT = 20,  // places and tags come from other bits of the hash than slots
    TAG_SHIFT = 48,

    SAMPLE_SEGMENTS = 64 * 1024,
    SAMPLE_SEGMENT_MIN = 4,      // bytes; shorter ones only continue a run
    SAMPLE_SIZE_MIN = 2 * 1024,  // below, sharing costs more than it saves
    SAMPLE_COUNT = 3,  // what comes twice or thrice may be a string that was admitted since
    SAMPLE_COUNT_MASK = 15,
    SAMPLE_GAP_MAX = 1000,
    SAMPLE_LEVEL = 1,

    CHUNK_MAGIC = 0x4344544f,  // "OTDC"
    CHUNK_VERSION = 1,
    CHUNK_CHECKED = 16,  // what the checksum covers begins here
    CHUNK_HEADER_SIZE = 48,
    CHUNK_LEVEL = 3,
    CHUNK_BODY_MAX = DICTIONARY_SIZE_MAX + 16 * DICTIONARY_STRINGS_MAX + DICTIONARY_SAMPLE_SIZE_MAX,
};

static_assert(DICTIONARY_STRINGS_MAX < 1 << SLOT_SIZE_SHIFT, "a number does not fit its bits");
static_assert(DICTIONARY_STRING_SIZE_MAX < 1 << (32 - SLOT_SIZE_SHIFT), "nor a size");

// How much of everything there is, so that the dictionary can go back.
struct mark {
    uint32_t strings;
    uint32_t shapes;
    uint32_t segment;  // in use
    size_t used;       // bytes of that segment
    size_t size;       // bytes of all strings and shapes
    uint32_t sample;   // bytes of the sample
};

struct string_slot {
    uint64_t key;
    const uint8_t *bytes;
};

struct dictionary {
    uint32_t epoch;
    struct span *strings;
    uint32_t strings_room;
    struct dictionary_shape *shapes;
    uint32_t shapes_room;
    uint8_t *segments[SEGMENTS_MAX];
    struct mark now;
    struct mark taken;  // what take_pending has given out
    struct mark kept;

    // Only for writing. A slot is the hash's upper half and number + 1; 0 is free. Strings have
    // their size in it and where they lie beside it, so that a search touches no table.
    struct string_slot *string_slots;
    uint64_t *shape_slots;
    uint16_t *tags;
    struct zstd *zstd;

    uint8_t *sample;            // DICTIONARY_SAMPLE_SIZE_MAX
    uint32_t *sample_segments;  // only for writing: hashes of the segments in the sample, by hash
    struct zstd_shared *shared;
    uint32_t shared_size;  // bytes of the sample that `shared` holds
};

struct dictionary *dictionary_create(uint32_t epoch) {
    struct dictionary *dictionary = calloc(1, sizeof *dictionary);
    if (dictionary == NULL) return NULL;
    dictionary->epoch = epoch;
    dictionary->zstd = zstd_create();
    if (dictionary->zstd == NULL) {
        free(dictionary);
        return NULL;
    }
    return dictionary;
}

void dictionary_destroy(struct dictionary *dictionary) {
    if (dictionary == NULL) return;
    for (uint32_t index = 0; index < SEGMENTS_MAX; index++) free(dictionary->segments[index]);
    zstd_destroy(dictionary->zstd);
    zstd_shared_destroy(dictionary->shared);
    free(dictionary->sample);
    free(dictionary->sample_segments);
    free(dictionary->strings);
    free(dictionary->shapes);
    free(dictionary->string_slots);
    free(dictionary->shape_slots);
    free(dictionary->tags);
    free(dictionary);
}

uint32_t dictionary_epoch(const struct dictionary *dictionary) {
    return dictionary->epoch;
}

uint32_t dictionary_strings(const struct dictionary *dictionary) {
    return dictionary->now.strings;
}

uint32_t dictionary_shapes(const struct dictionary *dictionary) {
    return dictionary->now.shapes;
}

const struct span *dictionary_string_table(const struct dictionary *dictionary) {
    return dictionary->strings;
}

const struct dictionary_shape *dictionary_shape(const struct dictionary *dictionary,
                                                uint32_t number) {
    assert(number < dictionary->now.shapes);
    return &dictionary->shapes[number];
}

bool dictionary_is_full(const struct dictionary *dictionary) {
    return dictionary->now.strings >= DICTIONARY_STRINGS_MAX / 16 * 15 ||
           dictionary->now.shapes >= DICTIONARY_SHAPES_MAX / 16 * 15 ||
           dictionary->now.size >= DICTIONARY_SIZE_MAX / 16 * 15;
}

// Room for size bytes and the slack behind them, aligned to 2; NULL at a limit.
static uint8_t *allocate(struct dictionary *dictionary, size_t size) {
    assert(size + DICTIONARY_SLACK + 1 <= SEGMENT_SIZE);
    struct mark *now = &dictionary->now;
    if (now->size + size > DICTIONARY_SIZE_MAX) return NULL;
    size_t used = (now->used + 1) & ~(size_t)1;
    if (used + size + DICTIONARY_SLACK > SEGMENT_SIZE) {
        if (now->segment + 1 == SEGMENTS_MAX) return NULL;
        now->segment++;
        used = 0;
    }
    uint8_t **segment = &dictionary->segments[now->segment];
    // Zeroed, so that copies that run into the slack read defined bytes.
    if (*segment == NULL) *segment = calloc(1, SEGMENT_SIZE);
    if (*segment == NULL) return NULL;
    now->used = used + size;
    now->size += size;
    return *segment + used;
}

// Doubles an array that is full. False if memory runs out.
static bool make_room(void **items, uint32_t *room, uint32_t count, size_t item_size) {
    if (count < *room) return true;
    uint32_t more = *room == 0 ? 256 : 2 * *room;
    void *grown = realloc(*items, more * item_size);
    if (grown == NULL) return false;
    *items = grown;
    *room = more;
    return true;
}

static bool add_string(struct dictionary *dictionary, struct span string) {
    uint32_t number = dictionary->now.strings;
    if (number == DICTIONARY_STRINGS_MAX || string.size > DICTIONARY_STRING_SIZE_MAX) return false;
    void *table = dictionary->strings;
    if (!make_room(&table, &dictionary->strings_room, number, sizeof string)) return false;
    dictionary->strings = table;
    uint8_t *bytes = allocate(dictionary, string.size);
    if (bytes == NULL) return false;
    if (string.size > 0) memcpy(bytes, string.bytes, string.size);
    dictionary->strings[number] = span_of(bytes, string.size);
    dictionary->now.strings++;
    return true;
}

// The key of the slot behind a piece: from the name of the member whose value it is, else (elements
// of arrays) from the piece's last bytes. It depends on the piece alone; different names may share
// one.
static uint16_t find_key(const uint8_t *piece, size_t size) {
    const size_t tail_size = 4;
    size_t end = size;
    if (end > 0 && piece[end - 1] == '"') end--;
    while (end > 0 && (piece[end - 1] == ' ' || piece[end - 1] == ':')) end--;
    if (end == size || end < 2 || piece[end - 1] != '"') {
        size_t tail = size < tail_size ? size : tail_size;
        return (uint16_t)(hash_plain(span_of(piece + size - tail, tail)) % DICTIONARY_KEYS);
    }
    size_t begin = end - 1;
    while (begin > 0 && piece[begin - 1] != '"') begin--;
    return (uint16_t)(hash_plain(span_of(piece + begin, end - begin)) % DICTIONARY_KEYS);
}

static void find_keys(const struct dictionary_shape *shape, uint8_t *keys) {
    const uint8_t *piece = shape->bytes;
    for (uint32_t slot = 0; slot < shape->slots; slot++) {
        uint16_t key = find_key(piece, shape->pieces[slot]);
        memcpy(keys + slot * sizeof key, &key, sizeof key);
        piece += shape->pieces[slot];
    }
}

static bool add_shape(struct dictionary *dictionary, const struct dictionary_shape *shape) {
    uint32_t number = dictionary->now.shapes;
    if (number == DICTIONARY_SHAPES_MAX || shape->size > DICTIONARY_SHAPE_SIZE_MAX ||
        shape->slots > DICTIONARY_SLOTS_MAX) {
        return false;
    }
    void *table = dictionary->shapes;
    if (!make_room(&table, &dictionary->shapes_room, number, sizeof *shape)) return false;
    dictionary->shapes = table;
    size_t pieces_size = (shape->slots + 1) * sizeof *shape->pieces;
    size_t keys_size = shape->slots * sizeof *shape->keys;
    uint8_t *pieces = allocate(dictionary, pieces_size + keys_size + shape->size);
    if (pieces == NULL) return false;
    uint8_t *bytes = pieces + pieces_size + keys_size;
    memcpy(pieces, shape->pieces, pieces_size);
    find_keys(shape, pieces + pieces_size);
    memcpy(bytes, shape->bytes, shape->size);
    dictionary->shapes[number] = (struct dictionary_shape){
        .bytes = bytes,
        .pieces = (const uint16_t *)(const void *)pieces,
        .keys = (const uint16_t *)(const void *)(pieces + pieces_size),
        .size = shape->size,
        .slots = shape->slots,
    };
    dictionary->now.shapes++;
    return true;
}

uint64_t dictionary_hash_shape(const struct dictionary_shape *shape) {
    size_t pieces_size = (shape->slots + 1) * sizeof *shape->pieces;
    return hash_plain(span_of(shape->bytes, shape->size)) * 0x9E3779B97F4A7C15u +
           hash_plain(span_of(shape->pieces, pieces_size));
}

// The free slot where a new entry of this hash goes, or NULL if too many are taken.
static uint64_t *find_free(uint64_t *slots, uint32_t count, uint64_t hash) {
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        uint64_t *slot = &slots[(hash + probe) & (count - 1)];
        if (*slot == 0) return slot;
    }
    return NULL;
}

// What a slot of a string of this size and hash holds above its number.
static uint64_t string_key(uint64_t hash, size_t size) {
    return hash >> 32 << 32 | (uint64_t)size << SLOT_SIZE_SHIFT;
}

static uint64_t slot_of(uint64_t hash, uint32_t number) {
    return (hash >> 32) << 32 | (number + 1);
}

static bool slot_may_be(uint64_t slot, uint64_t hash) {
    return (slot ^ hash) >> 32 == 0;
}

// The same for a string.
static struct string_slot *find_free_string(struct dictionary *dictionary, uint64_t hash) {
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        struct string_slot *slot = &dictionary->string_slots[(hash + probe) & (STRING_SLOTS - 1)];
        if (slot->key == 0) return slot;
    }
    return NULL;
}

// Enters what was loaded from `from` on into the search tables. What finds no slot is readable all
// the same.
static void enter(struct dictionary *dictionary, struct mark from) {
    for (uint32_t number = from.strings; number < dictionary->now.strings; number++) {
        uint64_t hash = hash_plain(dictionary->strings[number]);
        struct string_slot *slot = find_free_string(dictionary, hash);
        if (slot == NULL) continue;
        struct span string = dictionary->strings[number];
        *slot = (struct string_slot){string_key(hash, string.size) | (number + 1), string.bytes};
    }
    for (uint32_t number = from.shapes; number < dictionary->now.shapes; number++) {
        uint64_t hash = dictionary_hash_shape(&dictionary->shapes[number]);
        uint64_t *slot = find_free(dictionary->shape_slots, SHAPE_SLOTS, hash);
        if (slot != NULL) *slot = slot_of(hash, number);
    }
}

// Takes a number out of a table. The last one entered goes first, so no search path breaks.
static void leave_string(struct dictionary *dictionary, uint64_t hash, uint32_t number) {
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        struct string_slot *slot = &dictionary->string_slots[(hash + probe) & (STRING_SLOTS - 1)];
        if (slot->key == (string_key(hash, dictionary->strings[number].size) | (number + 1))) {
            slot->key = 0;
        }
    }
}

static void leave_shape(struct dictionary *dictionary, uint64_t hash, uint32_t number) {
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        uint64_t *slot = &dictionary->shape_slots[(hash + probe) & (SHAPE_SLOTS - 1)];
        if (*slot == slot_of(hash, number)) *slot = 0;
    }
}

static void drop_shared(struct dictionary *dictionary) {
    zstd_shared_destroy(dictionary->shared);
    dictionary->shared = NULL;
    dictionary->shared_size = 0;
}

static void go_back(struct dictionary *dictionary, struct mark to) {
    if (dictionary->tags != NULL) {
        for (uint32_t number = dictionary->now.strings; number-- > to.strings;) {
            uint64_t hash = hash_plain(dictionary->strings[number]);
            leave_string(dictionary, hash, number);
        }
        for (uint32_t number = dictionary->now.shapes; number-- > to.shapes;) {
            uint64_t hash = dictionary_hash_shape(&dictionary->shapes[number]);
            leave_shape(dictionary, hash, number);
        }
    }
    dictionary->now = to;
    if (dictionary->shared_size > to.sample) drop_shared(dictionary);
}

// Room for the sample. False if memory runs out.
static bool make_sample(struct dictionary *dictionary) {
    if (dictionary->sample == NULL) dictionary->sample = malloc(DICTIONARY_SAMPLE_SIZE_MAX);
    return dictionary->sample != NULL;
}

bool dictionary_prepare(struct dictionary *dictionary) {
    if (dictionary->tags != NULL) return true;
    struct string_slot *string_slots = calloc(STRING_SLOTS, sizeof *string_slots);
    uint64_t *shape_slots = calloc(SHAPE_SLOTS, sizeof *shape_slots);
    uint16_t *tags = calloc(TAGS, sizeof *tags);
    uint32_t *segments = calloc(SAMPLE_SEGMENTS, sizeof *segments);
    bool good = string_slots != NULL && shape_slots != NULL && tags != NULL && segments != NULL;
    if (!good || !make_sample(dictionary)) {
        free(string_slots);
        free(shape_slots);
        free(tags);
        free(segments);
        return false;
    }
    dictionary->sample_segments = segments;
    dictionary->string_slots = string_slots;
    dictionary->shape_slots = shape_slots;
    dictionary->tags = tags;
    enter(dictionary, (struct mark){0});
    return true;
}

void dictionary_prefetch(const struct dictionary *dictionary, uint64_t hash) {
    __builtin_prefetch(&dictionary->string_slots[hash & (STRING_SLOTS - 1)]);
    __builtin_prefetch(&dictionary->tags[hash >> TAG_INDEX_SHIFT & (TAGS - 1)]);
}

void dictionary_prefetch_bytes(const struct dictionary *dictionary, uint64_t hash) {
    const struct string_slot *slot = &dictionary->string_slots[hash & (STRING_SLOTS - 1)];
    if (slot->key >> 32 == hash >> 32) __builtin_prefetch(slot->bytes);
}

uint32_t dictionary_find(const struct dictionary *dictionary, struct span string, uint64_t hash) {
    uint64_t key = string_key(hash, string.size);
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        const struct string_slot *slot =
            &dictionary->string_slots[(hash + probe) & (STRING_SLOTS - 1)];
        if (slot->key == 0) return DICTIONARY_NONE;
        if ((slot->key ^ key) >> SLOT_SIZE_SHIFT != 0) continue;
        if (memcmp(slot->bytes, string.bytes, string.size) == 0) {
            return ((uint32_t)slot->key & ((1u << SLOT_SIZE_SHIFT) - 1)) - 1;
        }
    }
    return DICTIONARY_NONE;
}

static bool shape_equal(const struct dictionary_shape *left, const struct dictionary_shape *right) {
    return left->slots == right->slots && left->size == right->size &&
           memcmp(left->pieces, right->pieces, (left->slots + 1) * sizeof *left->pieces) == 0 &&
           memcmp(left->bytes, right->bytes, left->size) == 0;
}

uint32_t dictionary_find_shape(const struct dictionary *dictionary,
                               const struct dictionary_shape *shape, uint64_t hash) {
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        uint64_t slot = dictionary->shape_slots[(hash + probe) & (SHAPE_SLOTS - 1)];
        if (slot == 0) return DICTIONARY_NONE;
        if (!slot_may_be(slot, hash)) continue;
        uint32_t number = (uint32_t)slot - 1;
        if (shape_equal(&dictionary->shapes[number], shape)) return number;
    }
    return DICTIONARY_NONE;
}

// Whether something of this hash was noted before; notes it.
static bool was_seen(struct dictionary *dictionary, uint64_t hash) {
    uint16_t *place = &dictionary->tags[hash >> TAG_INDEX_SHIFT & (TAGS - 1)];
    uint16_t tag = (uint16_t)(hash >> TAG_SHIFT | 1);
    bool seen = *place == tag;
    *place = tag;
    return seen;
}

static bool is_separator(uint8_t byte) {
    return byte == ',' || byte == '/' || byte == ' ' || byte == ':' || byte == ';' || byte == '"';
}

// Appends what is new to the sample, as much as fits.
static void add_sample(struct dictionary *dictionary, const uint8_t *text, size_t size) {
    struct mark *now = &dictionary->now;
    // The first byte keeps the sample from beginning like a trained dictionary.
    if (now->sample == 0) dictionary->sample[now->sample++] = '\n';
    size_t room = DICTIONARY_SAMPLE_SIZE_MAX - now->sample;
    if (size > room) size = room;
    memcpy(dictionary->sample + now->sample, text, size);
    now->sample += (uint32_t)size;
}

// Counts a segment at its place. Returns whether it has now come often enough to be worth its room;
// after that no more.
static bool count_segment(uint32_t *place, uint64_t hash) {
    uint32_t tag = (uint32_t)(hash >> 32) & ~(uint32_t)SAMPLE_COUNT_MASK;
    if ((*place & ~(uint32_t)SAMPLE_COUNT_MASK) != tag) *place = tag;
    uint32_t count = *place & SAMPLE_COUNT_MASK;
    if (count <= SAMPLE_COUNT) (*place)++;
    return count + 1 == SAMPLE_COUNT;
}

void dictionary_offer(struct dictionary *dictionary, struct span text) {
    if (dictionary->now.sample == DICTIONARY_SAMPLE_SIZE_MAX) return;
    const uint8_t *end = text.bytes + text.size;
    const uint8_t *run = NULL;      // begin of what is worth its room
    const uint8_t *run_end = NULL;  // behind the last segment that is
    for (const uint8_t *at = text.bytes; at < end;) {
        const uint8_t *begin = at;
        while (at < end && !is_separator(*at)) at++;
        if (at < end) at++;
        if (at - begin < SAMPLE_SEGMENT_MIN) continue;
        uint64_t hash = hash_plain(span_of(begin, (size_t)(at - begin)));
        if (count_segment(&dictionary->sample_segments[hash & (SAMPLE_SEGMENTS - 1)], hash)) {
            if (run == NULL) run = begin;
            run_end = at;
        } else if (run != NULL && at - run_end > SAMPLE_GAP_MAX) {
            // What stands together is worth more in one piece, even if some of it is there already.
            add_sample(dictionary, run, (size_t)(run_end - run));
            run = NULL;
        }
    }
    if (run != NULL) add_sample(dictionary, run, (size_t)(run_end - run));
}

uint32_t dictionary_share(struct dictionary *dictionary, const struct zstd_shared **shared) {
    uint32_t size = dictionary->now.sample;
    // Making it ready takes time: only when it has grown by a quarter.
    if (size >= SAMPLE_SIZE_MIN && size > dictionary->shared_size + dictionary->shared_size / 4) {
        drop_shared(dictionary);
        dictionary->shared = zstd_shared_create(span_of(dictionary->sample, size), SAMPLE_LEVEL);
        if (dictionary->shared != NULL) dictionary->shared_size = size;
    }
    *shared = dictionary->shared;
    return dictionary->shared_size;
}

bool dictionary_sample(const struct dictionary *dictionary, uint32_t size, struct span *sample) {
    if (size > dictionary->now.sample) return false;
    *sample = span_of(size == 0 ? NULL : dictionary->sample, size);
    return true;
}

uint32_t dictionary_admit(struct dictionary *dictionary, struct span string, uint64_t hash) {
    if (!was_seen(dictionary, hash)) return DICTIONARY_NONE;
    struct string_slot *slot = find_free_string(dictionary, hash);
    if (slot == NULL || !add_string(dictionary, string)) return DICTIONARY_NONE;
    uint32_t number = dictionary->now.strings - 1;
    *slot = (struct string_slot){string_key(hash, string.size) | (number + 1),
                                 dictionary->strings[number].bytes};
    return number;
}

uint32_t dictionary_admit_shape(struct dictionary *dictionary, const struct dictionary_shape *shape,
                                uint64_t hash) {
    if (!was_seen(dictionary, hash)) return DICTIONARY_NONE;
    uint64_t *slot = find_free(dictionary->shape_slots, SHAPE_SLOTS, hash);
    if (slot == NULL || !add_shape(dictionary, shape)) return DICTIONARY_NONE;
    uint32_t number = dictionary->now.shapes - 1;
    *slot = slot_of(hash, number);
    return number;
}

static bool mark_equal(const struct mark *left, const struct mark *right) {
    return left->strings == right->strings && left->shapes == right->shapes &&
           left->sample == right->sample;
}

void dictionary_keep(struct dictionary *dictionary) {
    assert(mark_equal(&dictionary->taken, &dictionary->now));
    dictionary->kept = dictionary->now;
    dictionary->taken = dictionary->now;
}

void dictionary_rollback(struct dictionary *dictionary) {
    go_back(dictionary, dictionary->kept);
    dictionary->taken = dictionary->kept;
}

// What is pending, as the body of a chunk: sizes of strings, sizes of shapes' pieces, bytes.
static void append_body(const struct dictionary *dictionary, struct buffer *body) {
    const struct mark *taken = &dictionary->taken;
    const struct mark *now = &dictionary->now;
    for (uint32_t number = taken->strings; number < now->strings; number++) {
        bytes_append_varint(body, dictionary->strings[number].size);
    }
    for (uint32_t number = taken->shapes; number < now->shapes; number++) {
        const struct dictionary_shape *shape = &dictionary->shapes[number];
        bytes_append_varint(body, shape->slots);
        for (uint32_t piece = 0; piece <= shape->slots; piece++) {
            bytes_append_varint(body, shape->pieces[piece]);
        }
    }
    for (uint32_t number = taken->strings; number < now->strings; number++) {
        buffer_append(body, dictionary->strings[number]);
    }
    for (uint32_t number = taken->shapes; number < now->shapes; number++) {
        buffer_append(body,
                      span_of(dictionary->shapes[number].bytes, dictionary->shapes[number].size));
    }
    buffer_append(body, span_of(dictionary->sample + taken->sample, now->sample - taken->sample));
}

bool dictionary_take_pending(struct dictionary *dictionary, struct buffer *chunk,
                             struct fault *fault) {
    struct mark *taken = &dictionary->taken;
    const struct mark *now = &dictionary->now;
    if (mark_equal(taken, now)) return true;
    struct buffer body;
    buffer_init(&body, CHUNK_BODY_MAX);
    append_body(dictionary, &body);
    size_t begin = chunk->size;
    uint8_t *header = buffer_reserve(chunk, CHUNK_HEADER_SIZE);
    if (header == NULL || buffer_overflowed(&body)) {
        buffer_done(&body);
        return fault_set(fault, FAULT_FULL, "dictionary chunk: no memory");
    }
    chunk->size += CHUNK_HEADER_SIZE;
    if (!zstd_compress(dictionary->zstd, buffer_span(&body), CHUNK_LEVEL, chunk, fault)) {
        chunk->size = begin;
        buffer_done(&body);
        return fault_add(fault, "dictionary chunk");
    }
    header = chunk->bytes + begin;
    bytes_put_32(header, CHUNK_MAGIC);
    bytes_put_32(header + 4, CHUNK_VERSION);
    bytes_put_32(header + 16, dictionary->epoch);
    bytes_put_32(header + 20, taken->strings);
    bytes_put_32(header + 24, now->strings - taken->strings);
    bytes_put_32(header + 28, taken->shapes);
    bytes_put_32(header + 32, now->shapes - taken->shapes);
    bytes_put_32(header + 36, (uint32_t)body.size);
    bytes_put_32(header + 40, taken->sample);
    bytes_put_32(header + 44, now->sample - taken->sample);
    bytes_put_64(header + 8,
                 hash_plain(span_of(header + CHUNK_CHECKED, chunk->size - begin - CHUNK_CHECKED)));
    buffer_done(&body);
    *taken = *now;
    return true;
}

// Adds the shapes of a body; their sizes are read with `sizes`, their bytes with `bytes`.
static bool load_shapes(struct dictionary *dictionary, uint32_t count, struct reader *sizes,
                        struct reader *bytes) {
    for (uint32_t index = 0; index < count; index++) {
        uint16_t pieces[DICTIONARY_SLOTS_MAX + 1];
        struct dictionary_shape shape = {.pieces = pieces};
        uint64_t slots = reader_varint(sizes);
        if (slots > DICTIONARY_SLOTS_MAX) return false;
        shape.slots = (uint32_t)slots;
        for (uint32_t piece = 0; piece <= slots; piece++) {
            uint64_t size = reader_varint(sizes);
            if (size > DICTIONARY_SHAPE_SIZE_MAX) return false;
            pieces[piece] = (uint16_t)size;
            shape.size += (uint32_t)size;
        }
        shape.bytes = reader_take(bytes, shape.size);
        if (shape.bytes == NULL || !add_shape(dictionary, &shape)) return false;
    }
    return !sizes->bad;
}

// Adds what a body holds. False if it is damaged (or memory ran out half-way).
static bool load_body(struct dictionary *dictionary, struct span body, uint32_t strings,
                      uint32_t shapes, uint32_t sample) {
    // One pass over the sizes finds where the bytes begin.
    struct reader sizes = reader_of(body);
    uint64_t strings_size = 0;
    for (uint32_t index = 0; index < strings; index++) strings_size += reader_varint(&sizes);
    struct reader bytes = sizes;
    for (uint32_t index = 0; index < shapes && !bytes.bad; index++) {
        uint64_t slots = reader_varint(&bytes);
        if (slots > DICTIONARY_SLOTS_MAX) return false;
        for (uint64_t piece = 0; piece <= slots; piece++) reader_varint(&bytes);
    }
    if (bytes.bad || strings_size > reader_left(&bytes)) return false;

    struct reader string_sizes = reader_of(body);
    for (uint32_t index = 0; index < strings; index++) {
        uint64_t size = reader_varint(&string_sizes);
        const uint8_t *string = reader_take(&bytes, size);
        if (string == NULL || !add_string(dictionary, span_of(string, (size_t)size))) return false;
    }
    if (!load_shapes(dictionary, shapes, &sizes, &bytes)) return false;
    const uint8_t *more = reader_take(&bytes, sample);
    if (more == NULL || reader_left(&bytes) != 0) return false;
    if (sample > 0) {
        if (!make_sample(dictionary)) return false;
        memcpy(dictionary->sample + dictionary->now.sample, more, sample);
        dictionary->now.sample += sample;
    }
    return true;
}

bool dictionary_load(struct dictionary *dictionary, struct span chunk, struct fault *fault) {
    assert(dictionary->kept.strings == dictionary->now.strings);
    if (chunk.size < CHUNK_HEADER_SIZE || bytes_get_32(chunk.bytes) != CHUNK_MAGIC) {
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: no chunk (%zu bytes)",
                         chunk.size);
    }
    if (bytes_get_32(chunk.bytes + 4) != CHUNK_VERSION) {
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: version %" PRIu32 ", not %d",
                         bytes_get_32(chunk.bytes + 4), CHUNK_VERSION);
    }
    if (bytes_get_64(chunk.bytes + 8) != hash_plain(span_from(chunk, CHUNK_CHECKED))) {
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: wrong checksum");
    }
    uint32_t epoch = bytes_get_32(chunk.bytes + 16);
    uint32_t strings_first = bytes_get_32(chunk.bytes + 20);
    uint32_t strings = bytes_get_32(chunk.bytes + 24);
    uint32_t shapes_first = bytes_get_32(chunk.bytes + 28);
    uint32_t shapes = bytes_get_32(chunk.bytes + 32);
    uint32_t body_size = bytes_get_32(chunk.bytes + 36);
    uint32_t sample_first = bytes_get_32(chunk.bytes + 40);
    uint32_t sample = bytes_get_32(chunk.bytes + 44);
    if (epoch != dictionary->epoch || strings_first != dictionary->now.strings ||
        shapes_first != dictionary->now.shapes || sample_first != dictionary->now.sample) {
        return fault_set(fault, FAULT_CORRUPT,
                         "dictionary chunk: is epoch %" PRIu32 " from string %" PRIu32
                         ", not epoch %" PRIu32 " from %" PRIu32,
                         epoch, strings_first, dictionary->epoch, dictionary->now.strings);
    }
    if (body_size > CHUNK_BODY_MAX || strings > DICTIONARY_STRINGS_MAX ||
        shapes > DICTIONARY_SHAPES_MAX || sample > DICTIONARY_SAMPLE_SIZE_MAX - sample_first) {
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: too large");
    }
    uint8_t *body = malloc((size_t)body_size + 1);
    if (body == NULL) return fault_set(fault, FAULT_FULL, "dictionary chunk: no memory");
    bool loaded =
        zstd_inflate(dictionary->zstd, span_from(chunk, CHUNK_HEADER_SIZE), body, body_size, fault);
    if (loaded && !load_body(dictionary, span_of(body, body_size), strings, shapes, sample)) {
        loaded = fault_set(fault, FAULT_CORRUPT, "dictionary chunk: damaged entries");
    }
    free(body);
    if (!loaded) {
        dictionary->now = dictionary->kept;
        return false;
    }
    if (dictionary->tags != NULL) enter(dictionary, dictionary->kept);
    dictionary->taken = dictionary->now;
    dictionary->kept = dictionary->now;
    return true;
}
