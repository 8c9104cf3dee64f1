// Chunks of dictionaries of stores of format 1, for a migration: one zstd frame of all there is.

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/zstd.h"
#include "storage/block/bytes.h"
#include "storage/block/dictionary_chunk.h"
#include "storage/block/dictionary_state.h"

enum {
    FIRST_HEADER_SIZE = 48,
    FIRST_BODY_MAX = DICTIONARY_SIZE_MAX + 16 * DICTIONARY_STRINGS_MAX + DICTIONARY_SAMPLE_SIZE_MAX,
};

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

static bool load_sample(struct dictionary *dictionary, uint32_t size, struct reader *bytes) {
    const uint8_t *more = reader_take(bytes, size);
    if (more == NULL || reader_left(bytes) != 0) return false;
    if (size == 0) return true;
    if (!dictionary_make_sample(dictionary)) {
        dictionary->lacks_memory = true;
        return false;
    }
    memcpy(dictionary->sample + dictionary->now.sample, more, size);
    dictionary->now.sample += size;
    return true;
}

// Adds what a body holds: sizes of strings, sizes of the shapes' pieces, then the bytes of both,
// and those of the sample.
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
    return load_shapes(dictionary, shapes, &sizes, &bytes) &&
           load_sample(dictionary, sample, &bytes);
}

static bool load(struct dictionary *dictionary, struct span chunk, struct fault *fault) {
    const uint8_t *header = chunk.bytes;
    uint32_t strings = bytes_get_32(header + 24);
    uint32_t shapes = bytes_get_32(header + 32);
    uint32_t body_size = bytes_get_32(header + 36);
    uint32_t sample = bytes_get_32(header + 44);
    bool follows = bytes_get_32(header + 16) == dictionary->epoch &&
                   bytes_get_32(header + 20) == dictionary->now.strings &&
                   bytes_get_32(header + 28) == dictionary->now.shapes &&
                   bytes_get_32(header + 40) == dictionary->now.sample;
    if (!follows || body_size > FIRST_BODY_MAX || strings > DICTIONARY_STRINGS_MAX ||
        shapes > DICTIONARY_SHAPES_MAX ||
        sample > DICTIONARY_SAMPLE_SIZE_MAX - dictionary->now.sample) {
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: does not follow, or too large");
    }
    uint8_t *body = malloc((size_t)body_size + 1);
    if (body == NULL) return fault_set(fault, FAULT_FULL, "dictionary chunk: no memory");
    bool loaded =
        zstd_inflate(dictionary->zstd, span_from(chunk, FIRST_HEADER_SIZE), body, body_size, fault);
    if (loaded && !load_body(dictionary, span_of(body, body_size), strings, shapes, sample))
        loaded = dictionary_refuse(dictionary, "damaged entries", fault);
    free(body);
    return loaded;
}

bool dictionary_load_first(struct dictionary *dictionary, struct span chunk, struct fault *fault) {
    if (chunk.size < FIRST_HEADER_SIZE || bytes_get_32(chunk.bytes) != CHUNK_MAGIC ||
        bytes_get_32(chunk.bytes + 4) != 1 ||
        bytes_get_64(chunk.bytes + 8) != hash_plain(span_from(chunk, CHUNK_CHECKED))) {
        return fault_set(fault, FAULT_CORRUPT, "dictionary chunk: damaged, or not of format 1");
    }
    dictionary->lacks_memory = false;
    if (!load(dictionary, chunk, fault)) {
        dictionary->now = dictionary->kept;
        return false;
    }
    dictionary->taken = dictionary->now;
    dictionary->kept = dictionary->now;
    return true;
}
