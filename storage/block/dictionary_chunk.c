#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "storage/block/bytes.h"
#include "storage/block/dictionary_state.h"

enum {
    CHUNK_MAGIC = 0x4344544f,  // "OTDC"
    CHUNK_VERSION = 1,
    CHUNK_CHECKED = 16,  // what the checksum covers begins here
    CHUNK_HEADER_SIZE = 48,
    CHUNK_LEVEL = 3,
    CHUNK_BODY_MAX = DICTIONARY_SIZE_MAX + 16 * DICTIONARY_STRINGS_MAX + DICTIONARY_SAMPLE_SIZE_MAX,
};

// What is pending, as the body of a chunk: sizes of strings, sizes of shapes' pieces, bytes.
static void append_body(const struct dictionary *dictionary, struct buffer *body) {
    const struct dictionary_mark *taken = &dictionary->taken;
    const struct dictionary_mark *now = &dictionary->now;
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
    struct dictionary_mark *taken = &dictionary->taken;
    const struct dictionary_mark *now = &dictionary->now;
    if (dictionary_mark_equal(taken, now)) return true;
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
        if (shape.bytes == NULL || !dictionary_add_shape(dictionary, &shape)) return false;
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
        if (string == NULL || !dictionary_add_string(dictionary, span_of(string, (size_t)size)))
            return false;
    }
    if (!load_shapes(dictionary, shapes, &sizes, &bytes)) return false;
    const uint8_t *more = reader_take(&bytes, sample);
    if (more == NULL || reader_left(&bytes) != 0) return false;
    if (sample > 0) {
        if (!dictionary_make_sample(dictionary)) return false;
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
    if (dictionary->tags != NULL) dictionary_enter(dictionary, dictionary->kept);
    dictionary->taken = dictionary->now;
    dictionary->kept = dictionary->now;
    return true;
}
