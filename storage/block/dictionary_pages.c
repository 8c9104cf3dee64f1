#include "storage/block/dictionary_pages.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "storage/block/dictionary_chunk.h"
#include "storage/block/dictionary_state.h"

enum {
    NOT_IN_HEAD = UINT32_MAX,
    FIND_AT_ONCE = 64,
};

// A page of strings.
struct page {
    uint32_t first;
    uint32_t strings;
    uint32_t chunk;
    uint32_t head_at;  // where it lies in the head, or NOT_IN_HEAD
    struct dictionary_part part;
    bool has_head;        // is compressed against the head
    atomic_bool is_used;  // since the last release
    const uint8_t *bytes;
    _Atomic(uint32_t *) offsets;  // NULL: not loaded; the bytes lie behind them, if not in the head
};

// The shapes and sample bytes of a chunk.
struct fixed {
    uint32_t chunk;
    uint32_t shapes_first;
    uint32_t shapes_end;
    uint32_t sample_first;
    uint32_t sample_end;
    _Atomic(uint8_t *) memory;  // NULL: not loaded
    struct dictionary_shape *shapes;
};

// What is loaded is published by the atomic member that says so, and never changes behind it.
struct dictionary_pages {
    uint32_t epoch;
    struct page *pages;  // in order of string; what lies between them is damaged
    uint32_t *firsts;    // of each page its first string: what a search looks at
    uint32_t pages_count;
    uint32_t pages_room;
    uint32_t firsts_room;
    struct fixed *fixed;  // in order of chunk
    uint32_t fixed_count;
    uint32_t fixed_room;
    uint32_t head_size;   // bytes of the head that the index knows
    bool is_head_broken;  // a chunk of it is damaged

    pthread_mutex_t loading;  // held by who adds to what follows
    uint8_t *head;
    atomic_uint head_loaded;  // bytes of it that are there
    uint8_t *sample;
    atomic_uint sample_loaded;
    atomic_size_t memory;
};

struct dictionary_pages *dictionary_pages_create(uint32_t epoch) {
    struct dictionary_pages *pages = calloc(1, sizeof *pages);
    if (pages == NULL) return NULL;
    pthread_mutex_init(&pages->loading, NULL);
    pages->epoch = epoch;
    pages->memory = sizeof *pages;
    return pages;
}

void dictionary_pages_destroy(struct dictionary_pages *pages) {
    if (pages == NULL) return;
    for (uint32_t index = 0; index < pages->pages_count; index++) free(pages->pages[index].offsets);
    for (uint32_t index = 0; index < pages->fixed_count; index++) free(pages->fixed[index].memory);
    free(pages->pages);
    free(pages->firsts);
    free(pages->fixed);
    free(pages->head);
    free(pages->sample);
    pthread_mutex_destroy(&pages->loading);
    free(pages);
}

size_t dictionary_pages_memory(const struct dictionary_pages *pages) {
    return pages->memory;
}

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "dictionary: no memory");
}

// Remembers why something cannot be had. Returns false.
static bool fail(const struct dictionary_pages *pages, struct dictionary_asker *asker,
                 uint32_t chunk) {
    asker->has_failed = true;
    return fault_add(&asker->fault, "chunk %" PRIu32 " of dictionary %" PRIu32, chunk,
                     pages->epoch);
}

// --- the index

static bool reserve(struct dictionary_pages *pages, void **items, uint32_t count, uint32_t *room,
                    size_t item_size) {
    if (count < *room) return true;
    uint32_t more = *room == 0 ? 64 : 2 * *room;
    void *grown = realloc(*items, more * item_size);
    if (grown == NULL) return false;
    pages->memory += (more - *room) * item_size;
    *items = grown;
    *room = more;
    return true;
}

static bool index_page(struct dictionary_pages *pages, const struct dictionary_chunk *chunk,
                       uint32_t number, const struct dictionary_part *part, uint32_t first,
                       uint32_t strings, struct fault *fault) {
    if (!reserve(pages, (void **)&pages->pages, pages->pages_count, &pages->pages_room,
                 sizeof *pages->pages) ||
        !reserve(pages, (void **)&pages->firsts, pages->pages_count, &pages->firsts_room,
                 sizeof *pages->firsts)) {
        return no_memory(fault);
    }
    pages->firsts[pages->pages_count] = first;
    struct page *page = &pages->pages[pages->pages_count++];
    *page = (struct page){
        .first = first,
        .strings = strings,
        .chunk = number,
        .head_at = NOT_IN_HEAD,
        .part = *part,
        .has_head = chunk->has_head,
    };
    if (chunk->has_head || pages->head_size >= DICTIONARY_HEAD_SIZE) return true;
    page->head_at = pages->head_size;
    pages->head_size += part->size;
    return true;
}

static bool index_fixed(struct dictionary_pages *pages, const struct dictionary_chunk *chunk,
                        uint32_t number, struct fault *fault) {
    if (chunk->shapes == 0 && chunk->sample == 0) return true;
    if (!reserve(pages, (void **)&pages->fixed, pages->fixed_count, &pages->fixed_room,
                 sizeof *pages->fixed)) {
        return no_memory(fault);
    }
    pages->fixed[pages->fixed_count++] = (struct fixed){
        .chunk = number,
        .shapes_first = chunk->shapes_first,
        .shapes_end = chunk->shapes_first + chunk->shapes,
        .sample_first = chunk->sample_first,
        .sample_end = chunk->sample_first + chunk->sample,
    };
    return true;
}

bool dictionary_pages_index(struct dictionary_pages *pages, uint32_t number, struct span bytes,
                            struct dictionary_mark *now, struct fault *fault) {
    struct dictionary_chunk chunk;
    if (!dictionary_chunk_open(bytes, &chunk, fault)) return false;
    if (chunk.epoch != pages->epoch || chunk.strings_first < now->strings ||
        chunk.shapes_first < now->shapes || chunk.sample_first < now->sample) {
        return fault_set(fault, FAULT_CORRUPT,
                         "dictionary chunk: is epoch %" PRIu32 " from string %" PRIu32
                         ", not epoch %" PRIu32 " from %" PRIu32,
                         chunk.epoch, chunk.strings_first, pages->epoch, now->strings);
    }
    // What pages refer to is found by its place: without a page of the head the rest is not it.
    if (chunk.strings_first > now->strings && pages->head_size < DICTIONARY_HEAD_SIZE)
        pages->is_head_broken = true;
    if (!index_fixed(pages, &chunk, number, fault)) return false;
    struct dictionary_part part = chunk.fixed;
    uint32_t first = chunk.strings_first;
    for (uint32_t page = 0; page < chunk.pages; page++) {
        uint32_t strings = 0;
        dictionary_chunk_step(&chunk, page, &part, &strings);
        if (!index_page(pages, &chunk, number, &part, first, strings, fault)) return false;
        first += strings;
    }
    now->strings = first;
    now->shapes = chunk.shapes_first + chunk.shapes;
    now->sample = chunk.sample_first + chunk.sample;
    return true;
}

// --- strings

static bool get_chunk(const struct dictionary_pages *pages, struct dictionary_asker *asker,
                      uint32_t number, struct span *bytes) {
    const struct dictionary_source *source = &asker->source;
    return source->get_chunk(source->user, pages->epoch, number, bytes, &asker->fault);
}

// The page that has a string, or NULL: its chunk is damaged.
static struct page *find_page(const struct dictionary_pages *pages, struct dictionary_asker *asker,
                              uint32_t number) {
    uint32_t low = 0;
    uint32_t high = pages->pages_count;
    if (asker->page_last < high && pages->firsts[asker->page_last] <= number)
        low = asker->page_last;
    if (low + 1 < high && pages->firsts[low + 1] > number) high = low + 1;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (pages->firsts[middle] <= number) {
            low = middle;
        } else {
            high = middle;
        }
    }
    if (low >= high) return NULL;
    struct page *page = &pages->pages[low];
    asker->page_last = low;
    return number >= page->first && number - page->first < page->strings ? page : NULL;
}

static bool inflate_page(const struct dictionary_pages *pages, struct dictionary_asker *asker,
                         const struct page *page, struct span head, uint8_t *output) {
    struct span bytes;
    return get_chunk(pages, asker, page->chunk, &bytes) &&
           dictionary_chunk_inflate(asker->source.zstd, bytes, &page->part, head, output,
                                    &asker->fault);
}

// Inflates the pages of the head up to this size.
static bool load_head(struct dictionary_pages *pages, struct dictionary_asker *asker,
                      uint32_t size) {
    if (pages->head == NULL) {
        pages->head = calloc(1, DICTIONARY_HEAD_ROOM + DICTIONARY_SLACK);
        if (pages->head == NULL) return no_memory(&asker->fault);
        pages->memory += DICTIONARY_HEAD_ROOM + DICTIONARY_SLACK;
    }
    const struct span none = span_of(NULL, 0);
    for (uint32_t index = 0; index < pages->pages_count && pages->head_loaded < size; index++) {
        const struct page *page = &pages->pages[index];
        if (page->head_at != pages->head_loaded) continue;
        if (!inflate_page(pages, asker, page, none, pages->head + page->head_at)) return false;
        pages->head_loaded += page->part.size;
    }
    assert(pages->head_loaded >= size);
    return true;
}

static bool get_head(struct dictionary_pages *pages, struct dictionary_asker *asker,
                     struct span *head) {
    if (pages->is_head_broken || pages->head_size < DICTIONARY_HEAD_SIZE)
        return fault_set(&asker->fault, FAULT_CORRUPT, "what it is compressed against is damaged");
    if (!load_head(pages, asker, DICTIONARY_HEAD_SIZE)) return false;
    *head = span_of(pages->head, DICTIONARY_HEAD_SIZE);
    return true;
}

bool dictionary_pages_head(struct dictionary_pages *pages, struct dictionary_asker *asker,
                           struct span *head) {
    if (!pages->is_head_broken && pages->head_loaded >= DICTIONARY_HEAD_SIZE) {
        *head = span_of(pages->head, DICTIONARY_HEAD_SIZE);
        return true;
    }
    pthread_mutex_lock(&pages->loading);
    bool is_good = get_head(pages, asker, head);
    pthread_mutex_unlock(&pages->loading);
    if (is_good) return true;
    asker->has_failed = true;
    return fault_add(&asker->fault, "head of dictionary %" PRIu32, pages->epoch);
}

static bool load_bytes(struct dictionary_pages *pages, struct dictionary_asker *asker,
                       struct page *page, uint8_t *room) {
    if (page->head_at != NOT_IN_HEAD) {
        if (!load_head(pages, asker, page->head_at + page->part.size)) return false;
        page->bytes = pages->head + page->head_at;
        return true;
    }
    page->bytes = room;
    struct span head = span_of(NULL, 0);
    if (page->has_head && !get_head(pages, asker, &head)) return false;
    return inflate_page(pages, asker, page, head, room);
}

static size_t page_memory(const struct page *page) {
    size_t offsets_size = (page->strings + 1) * sizeof(uint32_t);
    return page->head_at != NOT_IN_HEAD ? offsets_size
                                        : offsets_size + page->part.size + DICTIONARY_SLACK;
}

static bool load_page(struct dictionary_pages *pages, struct dictionary_asker *asker,
                      struct page *page) {
    size_t size = page_memory(page);
    uint32_t *offsets = malloc(size);
    if (offsets == NULL) return no_memory(&asker->fault);
    uint8_t *room = (uint8_t *)(offsets + page->strings + 1);
    bool good = load_bytes(pages, asker, page, room);
    if (good && !dictionary_chunk_find_strings(span_of(page->bytes, page->part.size), page->strings,
                                               offsets)) {
        good = fault_set(&asker->fault, FAULT_CORRUPT, "damaged strings");
    }
    if (!good) {
        free(offsets);
        return false;
    }
    if (page->head_at == NOT_IN_HEAD) memset(room + page->part.size, 0, DICTIONARY_SLACK);
    page->offsets = offsets;
    pages->memory += size;
    return true;
}

// Loads a page unless another thread has done so meanwhile.
static bool want_page(struct dictionary_pages *pages, struct dictionary_asker *asker,
                      struct page *page) {
    pthread_mutex_lock(&pages->loading);
    bool is_good = page->offsets != NULL || load_page(pages, asker, page);
    pthread_mutex_unlock(&pages->loading);
    return is_good || fail(pages, asker, page->chunk);
}

bool dictionary_pages_string(struct dictionary_pages *pages, struct dictionary_asker *asker,
                             uint32_t number, struct span *string) {
    struct page *page = find_page(pages, asker, number);
    if (page == NULL) {
        asker->has_failed = true;
        return fault_set(&asker->fault, FAULT_CORRUPT,
                         "string %" PRIu32 " of dictionary %" PRIu32
                         " is in a chunk that is damaged or missing",
                         number, pages->epoch);
    }
    if (page->offsets == NULL && !want_page(pages, asker, page)) return false;
    // Written once only: other threads have it in their caches.
    if (!page->is_used) page->is_used = true;
    const uint32_t *offset = page->offsets + (number - page->first);
    *string = span_of(page->bytes + offset[0], offset[1] - offset[0]);
    return true;
}

void dictionary_pages_find_loaded(struct dictionary_pages *pages, struct dictionary_asker *asker,
                                  const uint32_t *numbers, uint32_t count, struct span *strings) {
    const uint32_t *offsets[FIND_AT_ONCE];
    for (uint32_t begin = 0; begin < count; begin += FIND_AT_ONCE) {
        uint32_t some = count - begin < FIND_AT_ONCE ? count - begin : FIND_AT_ONCE;
        for (uint32_t at = 0; at < some; at++) {
            struct page *page = find_page(pages, asker, numbers[begin + at]);
            const uint32_t *loaded = page == NULL ? NULL : page->offsets;
            strings[begin + at] = span_of(NULL, 0);
            offsets[at] = loaded == NULL ? NULL : loaded + (numbers[begin + at] - page->first);
            if (loaded == NULL) continue;
            strings[begin + at].bytes = page->bytes;
            if (!page->is_used) page->is_used = true;
            __builtin_prefetch(offsets[at]);
        }
        for (uint32_t at = 0; at < some; at++) {
            struct span *string = &strings[begin + at];
            if (offsets[at] == NULL) continue;
            *string = span_of(string->bytes + offsets[at][0], offsets[at][1] - offsets[at][0]);
            __builtin_prefetch(string->bytes);
        }
    }
}

void dictionary_pages_release(struct dictionary_pages *pages) {
    for (uint32_t index = 0; index < pages->pages_count; index++) {
        struct page *page = &pages->pages[index];
        if (page->offsets != NULL && !page->is_used) {
            pages->memory -= page_memory(page);
            free(page->offsets);
            page->offsets = NULL;
        }
        page->is_used = false;
    }
}

// --- shapes and sample

// Counts the bytes of shapes, then copies them.
struct copying {
    struct dictionary_shape *shapes;
    uint32_t count;
    size_t size;
    uint8_t *next;  // NULL: counting
};

static size_t even(size_t size) {
    return (size + 1) & ~(size_t)1;
}

static bool copy_shape(void *user, const struct dictionary_shape *shape) {
    struct copying *copying = user;
    size_t size = even(dictionary_shape_size(shape));
    if (copying->next == NULL) {
        copying->size += size;
        return true;
    }
    copying->shapes[copying->count++] = dictionary_shape_copy(shape, copying->next);
    copying->next += size;
    return true;
}

static bool place_sample(struct dictionary_pages *pages, const struct fixed *fixed,
                         struct span sample) {
    if (sample.size == 0) return true;
    if (pages->sample == NULL) {
        pages->sample = malloc(DICTIONARY_SAMPLE_SIZE_MAX);
        if (pages->sample == NULL) return false;
        pages->memory += DICTIONARY_SAMPLE_SIZE_MAX;
    }
    memcpy(pages->sample + fixed->sample_first, sample.bytes, sample.size);
    return true;
}

// Takes the shapes and sample out of an inflated part.
static bool take_fixed(struct dictionary_pages *pages, struct fixed *fixed,
                       const struct dictionary_chunk *chunk, struct span inflated,
                       struct fault *fault) {
    struct copying copying = {0};
    struct span sample;
    if (!dictionary_chunk_find_shapes(chunk, inflated, copy_shape, &copying, &sample))
        return fault_set(fault, FAULT_CORRUPT, "damaged shapes");
    size_t table_size = chunk->shapes * sizeof *fixed->shapes;
    size_t size = table_size + copying.size + DICTIONARY_SLACK;
    uint8_t *memory = calloc(1, size);
    if (memory == NULL || !place_sample(pages, fixed, sample)) {
        free(memory);
        return no_memory(fault);
    }
    copying.shapes = (struct dictionary_shape *)(void *)memory;
    copying.next = memory + table_size;
    bool copied = dictionary_chunk_find_shapes(chunk, inflated, copy_shape, &copying, &sample);
    assert(copied && copying.count == chunk->shapes);
    fixed->shapes = copying.shapes;
    fixed->memory = memory;
    pages->memory += size;
    return true;
}

static bool load_fixed(struct dictionary_pages *pages, struct dictionary_asker *asker,
                       struct fixed *fixed) {
    struct span bytes;
    struct dictionary_chunk chunk;
    if (!get_chunk(pages, asker, fixed->chunk, &bytes) ||
        !dictionary_chunk_open(bytes, &chunk, &asker->fault)) {
        return false;
    }
    assert(chunk.shapes_first + chunk.shapes == fixed->shapes_end);
    uint8_t *room = malloc((size_t)chunk.fixed.size + 1);
    if (room == NULL) return no_memory(&asker->fault);
    bool good = dictionary_chunk_inflate(asker->source.zstd, bytes, &chunk.fixed, span_of(NULL, 0),
                                         room, &asker->fault) &&
                take_fixed(pages, fixed, &chunk, span_of(room, chunk.fixed.size), &asker->fault);
    free(room);
    return good;
}

// Loads shapes and sample bytes unless another thread has done so meanwhile.
static bool want_fixed(struct dictionary_pages *pages, struct dictionary_asker *asker,
                       struct fixed *fixed) {
    pthread_mutex_lock(&pages->loading);
    bool is_good = fixed->memory != NULL || load_fixed(pages, asker, fixed);
    pthread_mutex_unlock(&pages->loading);
    return is_good || fail(pages, asker, fixed->chunk);
}

const struct dictionary_shape *dictionary_pages_shape(struct dictionary_pages *pages,
                                                      struct dictionary_asker *asker,
                                                      uint32_t number) {
    uint32_t low = 0;
    uint32_t high = pages->fixed_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (pages->fixed[middle].shapes_end <= number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == pages->fixed_count || number < pages->fixed[low].shapes_first) {
        asker->has_failed = true;
        fault_set(&asker->fault, FAULT_CORRUPT,
                  "shape %" PRIu32 " of dictionary %" PRIu32
                  " is in a chunk that is damaged or missing",
                  number, pages->epoch);
        return NULL;
    }
    struct fixed *fixed = &pages->fixed[low];
    if (fixed->memory == NULL && !want_fixed(pages, asker, fixed)) return NULL;
    return &fixed->shapes[number - fixed->shapes_first];
}

// Places the sample up to this size, or as much as is known of it.
static bool load_sample(struct dictionary_pages *pages, struct dictionary_asker *asker,
                        uint32_t size) {
    for (uint32_t index = 0; index < pages->fixed_count && pages->sample_loaded < size; index++) {
        struct fixed *fixed = &pages->fixed[index];
        if (fixed->sample_end <= pages->sample_loaded) continue;
        if (fixed->sample_first > pages->sample_loaded) break;
        if (fixed->memory == NULL && !load_fixed(pages, asker, fixed))
            return fail(pages, asker, fixed->chunk);
        pages->sample_loaded = fixed->sample_end;
    }
    if (pages->sample_loaded >= size) return true;
    asker->has_failed = true;
    return fault_set(&asker->fault, FAULT_CORRUPT,
                     "the sample of dictionary %" PRIu32 " has a chunk that is damaged or missing",
                     pages->epoch);
}

bool dictionary_pages_sample(struct dictionary_pages *pages, struct dictionary_asker *asker,
                             uint32_t size, struct span *sample) {
    if (pages->sample_loaded < size) {
        pthread_mutex_lock(&pages->loading);
        bool is_good = load_sample(pages, asker, size);
        pthread_mutex_unlock(&pages->loading);
        if (!is_good) return false;
    }
    *sample = span_of(size == 0 ? NULL : pages->sample, size);
    return true;
}
