// What is pending in a dictionary, as the chunk of a commit.

#include <assert.h>

#include "storage/block/bytes.h"
#include "storage/block/dictionary_chunk.h"
#include "storage/block/dictionary_state.h"

enum {
    FIXED_LEVEL = 3,
    HEAD_LEVEL = 3,
    PAGE_LEVEL = 1,  // of what is compressed against the head
    PARTS_SIZE_MAX = 2 * DICTIONARY_SIZE_MAX,
};

// A chunk on its way out.
struct taking {
    struct dictionary *dictionary;
    struct buffer inflated;  // the part at hand
    struct buffer table;
    struct buffer frames;
    uint32_t pages;
    const struct zstd_shared *head;  // NULL: it is not long enough yet
};

static void append_fixed(const struct dictionary *dictionary, struct buffer *fixed) {
    const struct dictionary_mark *taken = &dictionary->taken;
    const struct dictionary_mark *now = &dictionary->now;
    for (uint32_t number = taken->shapes; number < now->shapes; number++) {
        const struct dictionary_shape *shape = &dictionary->shapes[number];
        bytes_append_varint(fixed, shape->slots);
        for (uint32_t piece = 0; piece <= shape->slots; piece++) {
            bytes_append_varint(fixed, shape->pieces[piece]);
        }
    }
    for (uint32_t number = taken->shapes; number < now->shapes; number++) {
        const struct dictionary_shape *shape = &dictionary->shapes[number];
        buffer_append(fixed, span_of(shape->bytes, shape->size));
    }
    if (now->sample > taken->sample) {
        buffer_append(fixed,
                      span_of(dictionary->sample + taken->sample, now->sample - taken->sample));
    }
}

static void append_32(struct buffer *output, uint32_t value) {
    uint8_t bytes[4];
    bytes_put_32(bytes, value);
    buffer_append(output, span_of(bytes, sizeof bytes));
}

// Compresses the shapes and the sample; the numbers of the part go into the header.
static bool take_fixed(struct taking *taking, struct dictionary_part *part, struct fault *fault) {
    buffer_reset(&taking->inflated);
    append_fixed(taking->dictionary, &taking->inflated);
    *part = (struct dictionary_part){.size = (uint32_t)taking->inflated.size};
    if (part->size > 0 && !zstd_compress(taking->dictionary->zstd, buffer_span(&taking->inflated),
                                         FIXED_LEVEL, &taking->frames, fault)) {
        return false;
    }
    part->packed = (uint32_t)taking->frames.size;
    return true;
}

// How many strings from this number on are the next page.
static uint32_t measure_page(const struct taking *taking, uint32_t first) {
    const struct dictionary *dictionary = taking->dictionary;
    size_t limit = taking->head != NULL ? DICTIONARY_PAGE_SIZE : DICTIONARY_HEAD_PAGE_SIZE;
    size_t size = 0;
    uint32_t number = first;
    while (number < dictionary->now.strings && size < limit)
        size += dictionary->strings[number++].size;
    return number - first;
}

static bool take_page(struct taking *taking, uint32_t first, uint32_t strings,
                      struct fault *fault) {
    struct dictionary *dictionary = taking->dictionary;
    struct buffer *inflated = &taking->inflated;
    buffer_reset(inflated);
    for (uint32_t index = 0; index < strings; index++)
        bytes_append_varint(inflated, dictionary->strings[first + index].size);
    for (uint32_t index = 0; index < strings; index++)
        buffer_append(inflated, dictionary->strings[first + index]);
    assert(inflated->size <= DICTIONARY_PAGE_SIZE_MAX);
    size_t begin = taking->frames.size;
    struct span page = buffer_span(inflated);
    bool good =
        taking->head != NULL
            ? zstd_compress_shared(dictionary->zstd, taking->head, page, &taking->frames, fault)
            : zstd_compress(dictionary->zstd, page, HEAD_LEVEL, &taking->frames, fault);
    if (!good) return false;
    append_32(&taking->table, strings);
    append_32(&taking->table, (uint32_t)page.size);
    append_32(&taking->table, (uint32_t)(taking->frames.size - begin));
    append_32(&taking->table, 0);
    taking->pages++;
    return taking->head != NULL || dictionary_add_head(dictionary, page) ||
           fault_set(fault, FAULT_FULL, "no memory");
}

bool dictionary_share_head(struct dictionary *dictionary, const struct zstd_shared **head) {
    if (dictionary_has_head(dictionary) && dictionary->head_shared == NULL) {
        dictionary->head_shared =
            zstd_shared_create(span_of(dictionary->head, DICTIONARY_HEAD_SIZE), PAGE_LEVEL);
        if (dictionary->head_shared == NULL) return false;
    }
    *head = dictionary->head_shared;
    return true;
}

static void append_header(const struct taking *taking, const struct dictionary_part *fixed,
                          uint8_t header[CHUNK_HEADER_SIZE]) {
    const struct dictionary_mark *taken = &taking->dictionary->taken;
    const struct dictionary_mark *now = &taking->dictionary->now;
    bytes_put_32(header, CHUNK_MAGIC);
    bytes_put_32(header + 4, CHUNK_VERSION);
    bytes_put_32(header + 16, taking->dictionary->epoch);
    bytes_put_32(header + 20, taken->strings);
    bytes_put_32(header + 24, now->strings - taken->strings);
    bytes_put_32(header + 28, taken->shapes);
    bytes_put_32(header + 32, now->shapes - taken->shapes);
    bytes_put_32(header + 36, taken->sample);
    bytes_put_32(header + 40, now->sample - taken->sample);
    bytes_put_32(header + 44, fixed->size);
    bytes_put_32(header + 48, fixed->packed);
    bytes_put_32(header + 56, taking->pages);
    bytes_put_32(header + 60, taking->head != NULL ? DICTIONARY_HEAD_SIZE : 0);
}

static bool take_parts(struct taking *taking, struct buffer *chunk, struct fault *fault) {
    const struct dictionary *dictionary = taking->dictionary;
    struct dictionary_part fixed;
    if (!dictionary_share_head(taking->dictionary, &taking->head))
        return fault_set(fault, FAULT_FULL, "no memory");
    if (!take_fixed(taking, &fixed, fault)) return false;
    uint32_t strings = 0;
    for (uint32_t number = dictionary->taken.strings; number < dictionary->now.strings;
         number += strings) {
        strings = measure_page(taking, number);
        if (!take_page(taking, number, strings, fault)) return false;
    }
    size_t begin = chunk->size;
    uint8_t header[CHUNK_HEADER_SIZE] = {0};
    append_header(taking, &fixed, header);
    buffer_append(chunk, span_of(header, sizeof header));
    buffer_append(chunk, buffer_span(&taking->table));
    buffer_append(chunk, buffer_span(&taking->frames));
    if (buffer_overflowed(&taking->inflated) || buffer_overflowed(&taking->table) ||
        buffer_overflowed(&taking->frames) || buffer_overflowed(chunk)) {
        return fault_set(fault, FAULT_FULL, "no memory");
    }
    bool is_sealed = dictionary_chunk_seal(chunk->bytes + begin, chunk->size - begin);
    assert(is_sealed);
    return true;
}

bool dictionary_take_pending(struct dictionary *dictionary, struct buffer *chunk,
                             struct fault *fault) {
    if (dictionary_mark_equal(&dictionary->taken, &dictionary->now)) return true;
    struct taking taking = {.dictionary = dictionary};
    size_t begin = chunk->size;
    buffer_init(&taking.inflated, PARTS_SIZE_MAX);
    buffer_init(&taking.table, PARTS_SIZE_MAX);
    buffer_init(&taking.frames, PARTS_SIZE_MAX);
    bool good = take_parts(&taking, chunk, fault);
    buffer_done(&taking.inflated);
    buffer_done(&taking.table);
    buffer_done(&taking.frames);
    if (!good) {
        chunk->size = begin;
        dictionary->now.head = dictionary->taken.head;
        return fault_add(fault, "dictionary chunk");
    }
    dictionary->taken = dictionary->now;
    return true;
}
