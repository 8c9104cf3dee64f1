#include "storage/block/dictionary.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/table.h"
#include "storage/block/dictionary_chunk.h"
#include "storage/block/dictionary_pages.h"
#include "storage/block/dictionary_state.h"

enum {
    SLOT_SIZE_SHIFT = 19,  // of a string's slot: hash 32 bits, size 13, number + 1
    PROBES_MAX = 64,       // of one search: chosen collisions cost a sender size, not us time
    TAG_INDEX_SHIFT = 20,  // places and tags come from other bits of the hash than slots
    TAG_SHIFT = 48,
    CACHE_LINE = 64,
};

static_assert(DICTIONARY_STRINGS_MAX < 1 << SLOT_SIZE_SHIFT, "a number does not fit its bits");
static_assert(DICTIONARY_STRING_SIZE_MAX < 1 << (32 - SLOT_SIZE_SHIFT), "nor a size");

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

struct dictionary *dictionary_create_view(const struct dictionary_source *source) {
    struct dictionary *view = calloc(1, sizeof *view);
    struct dictionary_asker *asker = calloc(1, sizeof *asker);
    if (view == NULL || asker == NULL) {
        free(view);
        free(asker);
        return NULL;
    }
    if (source != NULL) asker->source = *source;
    view->asker = asker;
    view->is_view = true;
    return view;
}

void dictionary_view(struct dictionary *view, const struct dictionary *reader) {
    assert(view->is_view);
    assert(reader->pages != NULL);
    view->epoch = reader->epoch;
    view->now = reader->now;
    view->pages = reader->pages;
    view->asker->page_last = 0;
}

struct dictionary *dictionary_create_reader(uint32_t epoch,
                                            const struct dictionary_source *source) {
    struct dictionary *dictionary = dictionary_create_view(source);
    if (dictionary == NULL) return NULL;
    dictionary->epoch = epoch;
    dictionary->is_view = false;
    dictionary->pages = dictionary_pages_create(epoch);
    if (dictionary->pages == NULL) {
        dictionary_destroy(dictionary);
        return NULL;
    }
    return dictionary;
}

bool dictionary_index(struct dictionary *dictionary, uint32_t number, struct span chunk,
                      struct fault *fault) {
    assert(dictionary->pages != NULL);
    return dictionary_pages_index(dictionary->pages, number, chunk, &dictionary->now, fault);
}

size_t dictionary_memory(const struct dictionary *dictionary) {
    assert(dictionary->pages != NULL);
    return sizeof *dictionary + dictionary_pages_memory(dictionary->pages);
}

void dictionary_release(struct dictionary *dictionary) {
    assert(dictionary->pages != NULL);
    dictionary_pages_release(dictionary->pages);
}

void dictionary_destroy(struct dictionary *dictionary) {
    if (dictionary == NULL) return;
    for (uint32_t index = 0; index < DICTIONARY_SEGMENTS_MAX; index++)
        free(dictionary->segments[index]);
    zstd_destroy(dictionary->zstd);
    zstd_shared_destroy(dictionary->head_shared);
    if (!dictionary->is_view) dictionary_pages_destroy(dictionary->pages);
    free(dictionary->asker);
    free(dictionary->head);
    free(dictionary->sample);
    free(dictionary->strings);
    free(dictionary->shapes);
    free(dictionary->search);
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

bool dictionary_string(const struct dictionary *dictionary, uint32_t number, struct span *string) {
    assert(number < dictionary->now.strings);
    if (dictionary->pages != NULL)
        return dictionary_pages_string(dictionary->pages, dictionary->asker, number, string);
    *string = dictionary->strings[number];
    return true;
}

void dictionary_find_loaded(const struct dictionary *dictionary, const uint32_t *numbers,
                            uint32_t count, struct span *strings) {
    if (dictionary->pages != NULL) {
        dictionary_pages_find_loaded(dictionary->pages, dictionary->asker, numbers, count, strings);
        return;
    }
    for (uint32_t index = 0; index < count; index++)
        strings[index] = dictionary->strings[numbers[index]];
}

const struct dictionary_shape *dictionary_shape(const struct dictionary *dictionary,
                                                uint32_t number) {
    assert(number < dictionary->now.shapes);
    if (dictionary->pages != NULL)
        return dictionary_pages_shape(dictionary->pages, dictionary->asker, number);
    return &dictionary->shapes[number];
}

bool dictionary_has_head(const struct dictionary *dictionary) {
    return dictionary->now.head >= DICTIONARY_HEAD_SIZE;
}

bool dictionary_head(const struct dictionary *dictionary, struct span *head) {
    if (dictionary->pages != NULL)
        return dictionary_pages_head(dictionary->pages, dictionary->asker, head);
    if (!dictionary_has_head(dictionary)) return false;
    *head = span_of(dictionary->head, DICTIONARY_HEAD_SIZE);
    return true;
}

bool dictionary_failure(const struct dictionary *dictionary, struct fault *fault) {
    struct dictionary_asker *asker = dictionary->asker;
    if (asker == NULL || !asker->has_failed) return false;
    asker->has_failed = false;
    *fault = asker->fault;
    return true;
}

bool dictionary_is_full(const struct dictionary *dictionary) {
    return dictionary->now.strings >= DICTIONARY_STRINGS_MAX / 16 * 15 ||
           dictionary->now.shapes >= DICTIONARY_SHAPES_MAX / 16 * 15 ||
           dictionary->now.size >= DICTIONARY_SIZE_MAX / 16 * 15;
}

// Room for size bytes and the slack behind them, aligned to 2; NULL at a limit.
static uint8_t *allocate(struct dictionary *dictionary, size_t size) {
    assert(size + DICTIONARY_SLACK + 1 <= DICTIONARY_SEGMENT_SIZE);
    struct dictionary_mark *now = &dictionary->now;
    if (now->size + size > DICTIONARY_SIZE_MAX) return NULL;
    size_t used = (now->used + 1) & ~(size_t)1;
    if (used + size + DICTIONARY_SLACK > DICTIONARY_SEGMENT_SIZE) {
        if (now->segment + 1 == DICTIONARY_SEGMENTS_MAX) return NULL;
        now->segment++;
        used = 0;
    }
    uint8_t **segment = &dictionary->segments[now->segment];
    // Zeroed, so that copies that run into the slack read defined bytes.
    if (*segment == NULL) *segment = table_allocate(DICTIONARY_SEGMENT_SIZE);
    if (*segment == NULL) {
        dictionary->lacks_memory = true;
        return NULL;
    }
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

bool dictionary_refuse(const struct dictionary *dictionary, const char *damage,
                       struct fault *fault) {
    if (dictionary->lacks_memory)
        return fault_set(fault, FAULT_FULL, "dictionary chunk: no memory");
    return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: %s", damage);
}

bool dictionary_add_string(struct dictionary *dictionary, struct span string) {
    uint32_t number = dictionary->now.strings;
    if (number == DICTIONARY_STRINGS_MAX || string.size > DICTIONARY_STRING_SIZE_MAX) return false;
    void *table = dictionary->strings;
    if (!make_room(&table, &dictionary->strings_room, number, sizeof string)) {
        dictionary->lacks_memory = true;
        return false;
    }
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

static void find_keys(const struct dictionary_shape *shape, uint16_t *keys) {
    const uint8_t *piece = shape->bytes;
    for (uint32_t slot = 0; slot < shape->slots; slot++) {
        keys[slot] = find_key(piece, shape->pieces[slot]);
        piece += shape->pieces[slot];
    }
}

size_t dictionary_shape_size(const struct dictionary_shape *shape) {
    return (2 * (size_t)shape->slots + 1) * sizeof *shape->pieces + shape->size;
}

struct dictionary_shape dictionary_shape_copy(const struct dictionary_shape *shape,
                                              uint8_t *memory) {
    uint16_t *pieces = (uint16_t *)(void *)memory;
    uint16_t *keys = pieces + shape->slots + 1;
    uint8_t *bytes = (uint8_t *)(keys + shape->slots);
    memcpy(pieces, shape->pieces, (shape->slots + 1) * sizeof *pieces);
    find_keys(shape, keys);
    memcpy(bytes, shape->bytes, shape->size);
    return (struct dictionary_shape){bytes, pieces, keys, shape->size, shape->slots};
}

bool dictionary_add_shape(struct dictionary *dictionary, const struct dictionary_shape *shape) {
    uint32_t number = dictionary->now.shapes;
    if (number == DICTIONARY_SHAPES_MAX || shape->size > DICTIONARY_SHAPE_SIZE_MAX ||
        shape->slots > DICTIONARY_SLOTS_MAX) {
        return false;
    }
    void *table = dictionary->shapes;
    if (!make_room(&table, &dictionary->shapes_room, number, sizeof *shape)) {
        dictionary->lacks_memory = true;
        return false;
    }
    dictionary->shapes = table;
    uint8_t *memory = allocate(dictionary, dictionary_shape_size(shape));
    if (memory == NULL) return false;
    dictionary->shapes[number] = dictionary_shape_copy(shape, memory);
    dictionary->now.shapes++;
    return true;
}

bool dictionary_add_head(struct dictionary *dictionary, struct span page) {
    uint32_t *head = &dictionary->now.head;
    if (*head >= DICTIONARY_HEAD_SIZE) return true;
    if (dictionary->head == NULL) dictionary->head = malloc(DICTIONARY_HEAD_ROOM);
    if (dictionary->head == NULL) return false;
    assert(page.size <= DICTIONARY_HEAD_ROOM - *head);
    memcpy(dictionary->head + *head, page.bytes, page.size);
    *head += (uint32_t)page.size;
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

static uint32_t number_of(const struct dictionary_slot *slot) {
    return ((uint32_t)slot->key & ((1u << SLOT_SIZE_SHIFT) - 1)) - 1;
}

// The same for a string.
static struct dictionary_slot *find_free_string(struct dictionary *dictionary, uint64_t hash) {
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        struct dictionary_slot *slot =
            &dictionary->search->strings[(hash + probe) & (DICTIONARY_STRING_SLOTS - 1)];
        if (slot->key == 0) return slot;
    }
    return NULL;
}

void dictionary_enter(struct dictionary *dictionary, struct dictionary_mark from) {
    for (uint32_t number = from.strings; number < dictionary->now.strings; number++) {
        uint64_t hash = hash_plain(dictionary->strings[number]);
        struct dictionary_slot *slot = find_free_string(dictionary, hash);
        if (slot == NULL) continue;
        struct span string = dictionary->strings[number];
        *slot =
            (struct dictionary_slot){string_key(hash, string.size) | (number + 1), string.bytes};
    }
    for (uint32_t number = from.shapes; number < dictionary->now.shapes; number++) {
        uint64_t hash = dictionary_hash_shape(&dictionary->shapes[number]);
        uint64_t *slot = find_free(dictionary->search->shapes, DICTIONARY_SHAPE_SLOTS, hash);
        if (slot != NULL) *slot = slot_of(hash, number);
    }
    dictionary_enter_sample(dictionary, from.sample);
}

// Takes a number out of a table. The last one entered goes first, so no search path breaks.
static void leave_string(struct dictionary *dictionary, uint64_t hash, uint32_t number) {
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        struct dictionary_slot *slot =
            &dictionary->search->strings[(hash + probe) & (DICTIONARY_STRING_SLOTS - 1)];
        if (slot->key == (string_key(hash, dictionary->strings[number].size) | (number + 1))) {
            slot->key = 0;
        }
    }
}

static void leave_shape(struct dictionary *dictionary, uint64_t hash, uint32_t number) {
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        uint64_t *slot = &dictionary->search->shapes[(hash + probe) & (DICTIONARY_SHAPE_SLOTS - 1)];
        if (*slot == slot_of(hash, number)) *slot = 0;
    }
}

static void go_back(struct dictionary *dictionary, struct dictionary_mark to) {
    if (dictionary->search != NULL) {
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
    if (to.head >= DICTIONARY_HEAD_SIZE) return;
    zstd_shared_destroy(dictionary->head_shared);
    dictionary->head_shared = NULL;
}

bool dictionary_prepare(struct dictionary *dictionary) {
    if (dictionary->search != NULL) return true;
    if (!dictionary_make_sample(dictionary)) return false;
    dictionary->search = table_allocate(sizeof *dictionary->search);
    if (dictionary->search == NULL) return false;
    dictionary_enter(dictionary, (struct dictionary_mark){0});
    return true;
}

void dictionary_prefetch(const struct dictionary *dictionary, uint64_t hash) {
    __builtin_prefetch(&dictionary->search->strings[hash & (DICTIONARY_STRING_SLOTS - 1)]);
}

uint32_t dictionary_look(const struct dictionary *dictionary, size_t size, uint64_t hash,
                         const uint8_t **bytes) {
    uint64_t key = string_key(hash, size);
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        const struct dictionary_slot *slot =
            &dictionary->search->strings[(hash + probe) & (DICTIONARY_STRING_SLOTS - 1)];
        if (slot->key == 0) break;
        if ((slot->key ^ key) >> SLOT_SIZE_SHIFT != 0) continue;
        for (size_t offset = 0; offset < size; offset += CACHE_LINE) {
            __builtin_prefetch(slot->bytes + offset);
        }
        *bytes = slot->bytes;
        return number_of(slot);
    }
    __builtin_prefetch(&dictionary->search->tags[hash >> TAG_INDEX_SHIFT & (DICTIONARY_TAGS - 1)]);
    return DICTIONARY_NONE;
}

// The number of a string, or DICTIONARY_NONE.
static uint32_t find_string(const struct dictionary *dictionary, struct span string,
                            uint64_t hash) {
    uint64_t key = string_key(hash, string.size);
    for (uint32_t probe = 0; probe < PROBES_MAX; probe++) {
        const struct dictionary_slot *slot =
            &dictionary->search->strings[(hash + probe) & (DICTIONARY_STRING_SLOTS - 1)];
        if (slot->key == 0) return DICTIONARY_NONE;
        if ((slot->key ^ key) >> SLOT_SIZE_SHIFT != 0) continue;
        if (memcmp(slot->bytes, string.bytes, string.size) == 0) {
            return number_of(slot);
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
        uint64_t slot = dictionary->search->shapes[(hash + probe) & (DICTIONARY_SHAPE_SLOTS - 1)];
        if (slot == 0) return DICTIONARY_NONE;
        if (!slot_may_be(slot, hash)) continue;
        uint32_t number = (uint32_t)slot - 1;
        if (shape_equal(&dictionary->shapes[number], shape)) return number;
    }
    return DICTIONARY_NONE;
}

bool dictionary_was_seen(struct dictionary *dictionary, uint64_t hash) {
    uint16_t *place = &dictionary->search->tags[hash >> TAG_INDEX_SHIFT & (DICTIONARY_TAGS - 1)];
    uint16_t tag = (uint16_t)(hash >> TAG_SHIFT | 1);
    bool seen = *place == tag;
    *place = tag;
    return seen;
}

uint32_t dictionary_admit(struct dictionary *dictionary, struct span string, uint64_t hash,
                          const uint8_t **bytes) {
    if (!dictionary_was_seen(dictionary, hash)) return DICTIONARY_NONE;
    uint32_t number = find_string(dictionary, string, hash);
    if (number == DICTIONARY_NONE) {
        struct dictionary_slot *slot = find_free_string(dictionary, hash);
        if (slot == NULL || !dictionary_add_string(dictionary, string)) return DICTIONARY_NONE;
        number = dictionary->now.strings - 1;
        *slot = (struct dictionary_slot){string_key(hash, string.size) | (number + 1),
                                         dictionary->strings[number].bytes};
    }
    *bytes = dictionary->strings[number].bytes;
    return number;
}

uint32_t dictionary_admit_shape(struct dictionary *dictionary, const struct dictionary_shape *shape,
                                uint64_t hash) {
    if (!dictionary_was_seen(dictionary, hash)) return DICTIONARY_NONE;
    uint64_t *slot = find_free(dictionary->search->shapes, DICTIONARY_SHAPE_SLOTS, hash);
    if (slot == NULL || !dictionary_add_shape(dictionary, shape)) return DICTIONARY_NONE;
    uint32_t number = dictionary->now.shapes - 1;
    *slot = slot_of(hash, number);
    return number;
}

bool dictionary_mark_equal(const struct dictionary_mark *left,
                           const struct dictionary_mark *right) {
    return left->strings == right->strings && left->shapes == right->shapes &&
           left->sample == right->sample;
}

void dictionary_keep(struct dictionary *dictionary) {
    assert(dictionary_mark_equal(&dictionary->taken, &dictionary->now));
    dictionary->kept = dictionary->now;
    dictionary->taken = dictionary->now;
}

void dictionary_rollback(struct dictionary *dictionary) {
    go_back(dictionary, dictionary->kept);
    dictionary->taken = dictionary->kept;
}
