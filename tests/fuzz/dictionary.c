// A reader's dictionary: good chunks with bytes changed, some with their sums made right again,
// taken into an index, and everything in them asked for. dictionary_load of any bytes is in
// block.c.

#include "storage/block/dictionary.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/zstd.h"
#include "storage/block/dictionary_chunk.h"
#include "tests/fuzz/fuzz.h"

enum {
    EPOCH = 1,
    CHUNKS = 3,  // the first makes the head, the second is compressed against it
    STRINGS = 700,
    CHUNK_SIZE_MAX = 64 * 1024 * 1024,
    PATCH_SIZE = 3,  // bytes of one change: where (16 bits of a fraction), what
};

struct sample {
    struct buffer chunks[CHUNKS];
    struct zstd *zstd;
    struct buffer changed;
    uint32_t changed_number;  // CHUNKS: none
};

static struct sample sample;

// Adds strings that are alike and differ, as resource names do.
static void add_strings(struct dictionary *dictionary, uint32_t from, uint32_t count,
                        uint32_t size) {
    static uint8_t text[DICTIONARY_STRING_SIZE_MAX];
    for (uint32_t index = from; index < from + count; index++) {
        for (uint32_t at = 0; at < size; at++)
            text[at] = (uint8_t)('a' + (at * 7 + index * (at % 13)) % 26);
        (void)snprintf((char *)text, sizeof text, "string-%08u", index);
        struct span string = span_of(text, size);
        uint64_t hash = hash_plain(string);
        const uint8_t *bytes = NULL;
        (void)dictionary_admit(dictionary, string, hash, &bytes);
        uint32_t number = dictionary_admit(dictionary, string, hash, &bytes);
        assert(number != DICTIONARY_NONE);
    }
}

static void add_shape(struct dictionary *dictionary, uint32_t number) {
    char text[64];
    int size = snprintf(text, sizeof text, "{\"name%u\":\"\",\"b\":\"\"}", number);
    uint16_t pieces[3] = {(uint16_t)(size - 9), 7, 2};
    const struct dictionary_shape shape = {
        .bytes = (const uint8_t *)text, .pieces = pieces, .size = (uint32_t)size, .slots = 2};
    uint64_t hash = dictionary_hash_shape(&shape);
    (void)dictionary_admit_shape(dictionary, &shape, hash);
    (void)dictionary_admit_shape(dictionary, &shape, hash);
}

static void make_sample(void) {
    struct fault fault;
    struct dictionary *dictionary = dictionary_create(EPOCH);
    sample.zstd = zstd_create();
    bool good = dictionary != NULL && sample.zstd != NULL && dictionary_prepare(dictionary);
    assert(good);
    buffer_init(&sample.changed, CHUNK_SIZE_MAX);
    for (uint32_t number = 0; number < CHUNKS; number++) {
        buffer_init(&sample.chunks[number], CHUNK_SIZE_MAX);
        uint32_t count = number == 0 ? STRINGS : 20;
        add_strings(dictionary, number * STRINGS, count, number == 0 ? 4000 : 300);
        add_shape(dictionary, number);
        dictionary_add_sample(dictionary, SPAN_LITERAL("part one, part two, part three"));
        good = dictionary_take_pending(dictionary, &sample.chunks[number], &fault);
        assert(good);
        dictionary_keep(dictionary);
    }
    assert(dictionary_has_head(dictionary));
    dictionary_destroy(dictionary);
}

static struct span chunk_of(uint32_t number) {
    return buffer_span(number == sample.changed_number ? &sample.changed : &sample.chunks[number]);
}

static bool get_chunk(void *user, uint32_t epoch, uint32_t number, struct span *bytes,
                      struct fault *fault) {
    (void)user;
    (void)fault;
    assert(epoch == EPOCH && number < CHUNKS);
    *bytes = chunk_of(number);
    return true;
}

// Reads the ends of what was found: a sanitizer sees what lies outside.
static uint64_t touch(struct span span) {
    return span.size == 0 ? 0 : (uint64_t)span.bytes[0] + span.bytes[span.size - 1];
}

// What could not be had has a reason.
static void expect_failure(const struct dictionary *dictionary) {
    struct fault fault = {.kind = FAULT_NONE};
    bool has_failed = dictionary_failure(dictionary, &fault);
    assert(has_failed);
    assert(fault.kind == FAULT_CORRUPT || fault.kind == FAULT_FULL);
}

static void ask_for_all(const struct dictionary *dictionary) {
    struct span span;
    uint64_t sum = 0;
    for (uint32_t number = 0; number < dictionary_strings(dictionary); number++) {
        if (dictionary_string(dictionary, number, &span)) {
            sum += touch(span);
        } else {
            expect_failure(dictionary);
        }
    }
    for (uint32_t number = 0; number < dictionary_shapes(dictionary); number++) {
        const struct dictionary_shape *shape = dictionary_shape(dictionary, number);
        if (shape == NULL) expect_failure(dictionary);
        if (shape != NULL) sum += touch(span_of(shape->bytes, shape->size));
    }
    if (dictionary_sample(dictionary, dictionary_sample_size(dictionary), &span)) {
        sum += touch(span);
    } else {
        expect_failure(dictionary);
    }
    if (dictionary_has_head(dictionary) && !dictionary_head(dictionary, &span))
        expect_failure(dictionary);
    static volatile uint64_t used;  // so that nothing of it is left out
    used = sum;
    (void)used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    if (sample.zstd == NULL) make_sample();
    sample.changed_number = data[0] % (CHUNKS + 1);
    buffer_reset(&sample.changed);
    if (sample.changed_number < CHUNKS) {
        struct buffer *changed = &sample.changed;
        buffer_append(changed, buffer_span(&sample.chunks[sample.changed_number]));
        for (size_t at = 1; at + PATCH_SIZE <= size; at += PATCH_SIZE) {
            size_t fraction = (size_t)(data[at] << 8 | data[at + 1]);
            // The beginning, where sizes stand, is met as often as all the rest.
            size_t span = (fraction & 1) != 0 ? changed->size : CHUNK_HEADER_SIZE + 64;
            changed->bytes[fraction * span / 65536] = data[at + 2];
        }
        if ((data[0] & 64) != 0) changed->size = changed->size * data[size - 1] / 256;
        if ((data[0] & 128) != 0) (void)dictionary_chunk_seal(changed->bytes, changed->size);
    }
    const struct dictionary_source source = {get_chunk, NULL, sample.zstd};
    struct dictionary *dictionary = dictionary_create_reader(EPOCH, &source);
    assert(dictionary != NULL);
    for (uint32_t number = 0; number < CHUNKS; number++) {
        struct fault fault = {.kind = FAULT_NONE};
        if (!dictionary_index(dictionary, number, chunk_of(number), &fault))
            assert(fault.kind == FAULT_CORRUPT);
    }
    ask_for_all(dictionary);
    dictionary_release(dictionary);
    dictionary_release(dictionary);
    dictionary_destroy(dictionary);
    return 0;
}
