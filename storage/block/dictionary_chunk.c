#include "storage/block/dictionary_chunk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "storage/block/bytes.h"
#include "storage/block/dictionary_state.h"

enum {
    CHUNK_FIXED_MAX = DICTIONARY_SIZE_MAX + 4 * DICTIONARY_SLOTS_MAX * DICTIONARY_SHAPES_MAX,
};

static bool has_room_for(const struct dictionary_chunk *chunk, uint64_t frames_size) {
    return frames_size == chunk->bytes.size && chunk->fixed.size <= CHUNK_FIXED_MAX &&
           chunk->strings_first <= DICTIONARY_STRINGS_MAX &&
           chunk->strings <= DICTIONARY_STRINGS_MAX - chunk->strings_first &&
           chunk->shapes_first <= DICTIONARY_SHAPES_MAX &&
           chunk->shapes <= DICTIONARY_SHAPES_MAX - chunk->shapes_first &&
           chunk->sample_first <= DICTIONARY_SAMPLE_SIZE_MAX &&
           chunk->sample <= DICTIONARY_SAMPLE_SIZE_MAX - chunk->sample_first;
}

// Whether the pages have the chunk's strings, and the frames fill it.
static bool check_pages(const struct dictionary_chunk *chunk) {
    struct dictionary_part part = chunk->fixed;
    uint64_t end = (uint64_t)part.offset + part.packed;
    uint64_t strings = 0;
    for (uint32_t page = 0; page < chunk->pages; page++) {
        uint32_t count = 0;
        dictionary_chunk_step(chunk, page, &part, &count);
        if (count == 0 || count > part.size || part.size > DICTIONARY_PAGE_SIZE_MAX) return false;
        strings += count;
        end += part.packed;
    }
    return strings == chunk->strings && has_room_for(chunk, end);
}

// The sum of a frame's bytes.
static uint32_t sum_of(struct span packed) {
    return (uint32_t)hash_plain(packed);
}

// The sum of the header behind it and the table of pages.
static uint64_t header_sum(const struct dictionary_chunk *chunk) {
    const uint8_t *at = chunk->bytes.bytes + CHUNK_CHECKED;
    return hash_plain(span_of(at, chunk->fixed.offset - CHUNK_CHECKED));
}

// Reads the header of a chunk, whatever its sums and sizes are.
static bool read_header(struct span bytes, struct dictionary_chunk *chunk, struct fault *fault) {
    const uint8_t *at = bytes.bytes;
    if (bytes.size < CHUNK_HEADER_SIZE || bytes_get_32(at) != CHUNK_MAGIC) {
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: no chunk (%zu bytes)",
                         bytes.size);
    }
    if (bytes_get_32(at + 4) != CHUNK_VERSION) {
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: version %" PRIu32 ", not %d",
                         bytes_get_32(at + 4), CHUNK_VERSION);
    }
    uint32_t pages = bytes_get_32(at + 56);
    if (pages > (bytes.size - CHUNK_HEADER_SIZE) / CHUNK_ENTRY_SIZE)
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: damaged header");
    *chunk = (struct dictionary_chunk){
        .bytes = bytes,
        .epoch = bytes_get_32(at + 16),
        .strings_first = bytes_get_32(at + 20),
        .strings = bytes_get_32(at + 24),
        .shapes_first = bytes_get_32(at + 28),
        .shapes = bytes_get_32(at + 32),
        .sample_first = bytes_get_32(at + 36),
        .sample = bytes_get_32(at + 40),
        .pages = pages,
        .has_head = bytes_get_32(at + 60) != 0,
        .fixed = {.offset = CHUNK_HEADER_SIZE + pages * CHUNK_ENTRY_SIZE,
                  .packed = bytes_get_32(at + 48),
                  .size = bytes_get_32(at + 44),
                  .sum = bytes_get_32(at + 52)},
    };
    return true;
}

bool dictionary_chunk_open(struct span bytes, struct dictionary_chunk *chunk, struct fault *fault) {
    struct dictionary_chunk read;
    if (!read_header(bytes, &read, fault)) return false;
    if (bytes_get_64(bytes.bytes + 8) != header_sum(&read))
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: wrong checksum");
    uint32_t head = bytes_get_32(bytes.bytes + 60);
    if ((head != 0 && head != DICTIONARY_HEAD_SIZE) || !check_pages(&read))
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: damaged sizes");
    *chunk = read;
    return true;
}

// The packed bytes of a part; false if they are not all there.
static bool find_packed(struct span bytes, const struct dictionary_part *part,
                        struct span *packed) {
    if (part->offset > bytes.size || part->packed > bytes.size - part->offset) return false;
    *packed = span_of(bytes.bytes + part->offset, part->packed);
    return true;
}

bool dictionary_chunk_seal(uint8_t *bytes, size_t size) {
    struct dictionary_chunk chunk;
    struct fault ignored;
    struct span packed;
    if (!read_header(span_of(bytes, size), &chunk, &ignored)) return false;
    struct dictionary_part part = chunk.fixed;
    if (!find_packed(chunk.bytes, &part, &packed)) return false;
    bytes_put_32(bytes + 52, sum_of(packed));
    for (uint32_t page = 0; page < chunk.pages; page++) {
        uint32_t strings;
        dictionary_chunk_step(&chunk, page, &part, &strings);
        if (!find_packed(chunk.bytes, &part, &packed)) return false;
        bytes_put_32(bytes + CHUNK_HEADER_SIZE + (size_t)page * CHUNK_ENTRY_SIZE + 12,
                     sum_of(packed));
    }
    bytes_put_64(bytes + 8, header_sum(&chunk));
    return true;
}

void dictionary_chunk_step(const struct dictionary_chunk *chunk, uint32_t page,
                           struct dictionary_part *part, uint32_t *strings) {
    assert(page < chunk->pages);
    const uint8_t *at = chunk->bytes.bytes + CHUNK_HEADER_SIZE + (size_t)page * CHUNK_ENTRY_SIZE;
    *strings = bytes_get_32(at);
    *part = (struct dictionary_part){
        .offset = part->offset + part->packed,
        .packed = bytes_get_32(at + 8),
        .size = bytes_get_32(at + 4),
        .sum = bytes_get_32(at + 12),
    };
}

bool dictionary_chunk_inflate(struct zstd *zstd, struct span bytes,
                              const struct dictionary_part *part, struct span head, uint8_t *output,
                              struct fault *fault) {
    struct span packed;
    if (!find_packed(bytes, part, &packed))
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: a part beyond its end");
    if (part->sum != sum_of(packed))
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: wrong checksum of a part");
    if (part->packed == 0) {
        if (part->size == 0) return true;
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: a part is empty");
    }
    return zstd_inflate_shared(zstd, head, packed, output, part->size, fault);
}

bool dictionary_chunk_find_strings(struct span page, uint32_t strings, uint32_t *offsets) {
    struct reader sizes = reader_of(page);
    uint64_t at = 0;
    for (uint32_t index = 0; index < strings; index++) {
        uint64_t size = reader_varint(&sizes);
        if (size > DICTIONARY_STRING_SIZE_MAX) return false;
        offsets[index] = (uint32_t)at;
        at += size;
    }
    offsets[strings] = (uint32_t)at;
    if (sizes.bad || reader_left(&sizes) != at) return false;
    uint32_t begin = (uint32_t)(page.size - at);
    for (uint32_t index = 0; index <= strings; index++) offsets[index] += begin;
    return true;
}

// Reads the sizes of a shape's pieces.
static bool read_pieces(struct reader *sizes, uint16_t *pieces, struct dictionary_shape *shape) {
    *shape = (struct dictionary_shape){.pieces = pieces};
    uint64_t slots = reader_varint(sizes);
    if (slots > DICTIONARY_SLOTS_MAX) return false;
    shape->slots = (uint32_t)slots;
    for (uint32_t piece = 0; piece <= slots; piece++) {
        uint64_t size = reader_varint(sizes);
        if (size > DICTIONARY_SHAPE_SIZE_MAX) return false;
        pieces[piece] = (uint16_t)size;
        shape->size += (uint32_t)size;
    }
    return !sizes->bad && shape->size <= DICTIONARY_SHAPE_SIZE_MAX;
}

bool dictionary_chunk_find_shapes(const struct dictionary_chunk *chunk, struct span fixed,
                                  bool (*on_shape)(void *user,
                                                   const struct dictionary_shape *shape),
                                  void *user, struct span *sample) {
    uint16_t pieces[DICTIONARY_SLOTS_MAX + 1];
    struct dictionary_shape shape;
    // One pass over the sizes finds where the bytes begin.
    struct reader bytes = reader_of(fixed);
    for (uint32_t index = 0; index < chunk->shapes; index++) {
        if (!read_pieces(&bytes, pieces, &shape)) return false;
    }
    struct reader sizes = reader_of(fixed);
    for (uint32_t index = 0; index < chunk->shapes; index++) {
        if (!read_pieces(&sizes, pieces, &shape)) return false;
        shape.bytes = reader_take(&bytes, shape.size);
        if (shape.bytes == NULL || !on_shape(user, &shape)) return false;
    }
    const uint8_t *rest = reader_take(&bytes, chunk->sample);
    if (rest == NULL || reader_left(&bytes) != 0) return false;
    *sample = span_of(rest, chunk->sample);
    return true;
}

// --- loading all of a chunk, for who writes on

// Room to inflate a part in; freed with free.
static uint8_t *make_room(size_t size) {
    return malloc(size + 1);
}

static bool add_shape(void *user, const struct dictionary_shape *shape) {
    return dictionary_add_shape(user, shape);
}

static bool load_fixed(struct dictionary *dictionary, const struct dictionary_chunk *chunk,
                       uint8_t *room, struct fault *fault) {
    const struct dictionary_part *part = &chunk->fixed;
    struct span none = span_of(NULL, 0);
    struct span sample;
    if (!dictionary_chunk_inflate(dictionary->zstd, chunk->bytes, part, none, room, fault))
        return false;
    if (!dictionary_chunk_find_shapes(chunk, span_of(room, part->size), add_shape, dictionary,
                                      &sample)) {
        return dictionary_refuse(dictionary, "damaged shapes", fault);
    }
    if (sample.size == 0) return true;
    if (!dictionary_make_sample(dictionary))
        return fault_set(fault, FAULT_FULL, "dictionary chunk: no memory");
    memcpy(dictionary->sample + dictionary->now.sample, sample.bytes, sample.size);
    dictionary->now.sample += (uint32_t)sample.size;
    return true;
}

static bool load_page(struct dictionary *dictionary, const struct dictionary_chunk *chunk,
                      const struct dictionary_part *part, uint32_t strings, uint8_t *room,
                      uint32_t *offsets, struct fault *fault) {
    struct span head = span_of(NULL, 0);
    if (chunk->has_head) head = span_of(dictionary->head, DICTIONARY_HEAD_SIZE);
    if (!dictionary_chunk_inflate(dictionary->zstd, chunk->bytes, part, head, room, fault))
        return false;
    struct span page = span_of(room, part->size);
    if (!dictionary_chunk_find_strings(page, strings, offsets))
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: damaged strings");
    for (uint32_t index = 0; index < strings; index++) {
        struct span string = span_of(room + offsets[index], offsets[index + 1] - offsets[index]);
        if (!dictionary_add_string(dictionary, string))
            return dictionary_refuse(dictionary, "too many strings", fault);
    }
    if (!chunk->has_head && !dictionary_add_head(dictionary, page))
        return fault_set(fault, FAULT_FULL, "dictionary chunk: no memory");
    return true;
}

static bool load_pages(struct dictionary *dictionary, const struct dictionary_chunk *chunk,
                       struct fault *fault) {
    struct dictionary_part part = chunk->fixed;
    uint8_t *room = make_room(DICTIONARY_PAGE_SIZE_MAX);
    uint32_t *offsets = malloc((DICTIONARY_PAGE_SIZE_MAX + 1) * sizeof *offsets);
    bool good = room != NULL && offsets != NULL;
    if (!good) fault_set(fault, FAULT_FULL, "dictionary chunk: no memory");
    for (uint32_t page = 0; good && page < chunk->pages; page++) {
        uint32_t strings = 0;
        dictionary_chunk_step(chunk, page, &part, &strings);
        good = load_page(dictionary, chunk, &part, strings, room, offsets, fault);
    }
    free(room);
    free(offsets);
    return good;
}

static bool load_chunk(struct dictionary *dictionary, const struct dictionary_chunk *chunk,
                       struct fault *fault) {
    const struct dictionary_mark *now = &dictionary->now;
    if (chunk->epoch != dictionary->epoch || chunk->strings_first != now->strings ||
        chunk->shapes_first != now->shapes || chunk->sample_first != now->sample) {
        return fault_set(fault, FAULT_CORRUPT,
                         "dictionary chunk: is epoch %" PRIu32 " from string %" PRIu32
                         ", not epoch %" PRIu32 " from %" PRIu32,
                         chunk->epoch, chunk->strings_first, dictionary->epoch, now->strings);
    }
    if (chunk->has_head && now->head < DICTIONARY_HEAD_SIZE)
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: refers to no head");
    uint8_t *room = make_room(chunk->fixed.size);
    if (room == NULL) return fault_set(fault, FAULT_FULL, "dictionary chunk: no memory");
    bool good = load_fixed(dictionary, chunk, room, fault);
    free(room);
    return good && load_pages(dictionary, chunk, fault);
}

bool dictionary_load(struct dictionary *dictionary, struct span bytes, struct fault *fault) {
    assert(dictionary->kept.strings == dictionary->now.strings);
    struct dictionary_chunk chunk;
    dictionary->lacks_memory = false;
    if (!dictionary_chunk_open(bytes, &chunk, fault)) return false;
    if (!load_chunk(dictionary, &chunk, fault)) {
        dictionary->now = dictionary->kept;
        return false;
    }
    if (dictionary->search != NULL) dictionary_enter(dictionary, dictionary->kept);
    dictionary->taken = dictionary->now;
    dictionary->kept = dictionary->now;
    return true;
}
