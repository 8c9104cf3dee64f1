// Digest files and lists of public keys, as somebody else wrote them; digests' names.

#include <assert.h>
#include <string.h>

#include "event/digest_read.h"
#include "tests/fuzz/fuzz.h"
#include "verify/keys.h"
#include "verify/known.h"

static void read_text(struct span text) {
    static struct json_reader *json;
    static struct arena *arena;
    if (json == NULL) json = json_reader_create();
    if (arena == NULL) arena = arena_create(16 * 1024 * 1024);
    assert(json != NULL && arena != NULL);
    struct fault fault = {.kind = FAULT_NONE};
    struct digest_text read;
    struct buffer claim;
    const uint8_t hash[SHA256_SIZE] = {0};
    arena_reset(arena);
    if (!digest_read(json, arena, text, &read, &fault)) {
        assert(fault.kind == FAULT_INPUT || fault.kind == FAULT_FULL);
        return;
    }
    const struct digest *digest = &read.digest;
    assert(digest->start_s <= digest->end_s && digest->bucket.size > 0 && read.end.size > 0);
    assert((digest->previous.bucket.size > 0) == (digest->previous.signature.size > 0));
    for (uint32_t index = 0; index < digest->files_count; index++)
        assert(digest->files[index].hash.size == 2 * SHA256_SIZE);
    buffer_init(&claim, DIGEST_TEXT_SIZE_MAX);
    digest_print_claim(&read, hash, &claim);
    buffer_done(&claim);
}

static void read_keys(struct span text) {
    struct public_keys *keys = keys_create();
    struct fault fault = {.kind = FAULT_NONE};
    assert(keys != NULL);
    if (keys_read(keys, text, &fault)) {
        assert(keys_count(keys) > 0);
    } else {
        assert(fault.kind == FAULT_INPUT || fault.kind == FAULT_FULL);
    }
    keys_destroy(keys);
}

static void read_report(struct span text) {
    struct arena *arena = arena_create(16 * 1024 * 1024);
    struct known known = {0};
    struct fault fault = {.kind = FAULT_NONE};
    assert(arena != NULL);
    if (known_read_report(&known, arena, text, &fault)) {
        known_sort(&known);
    } else {
        assert(fault.kind == FAULT_INPUT || fault.kind == FAULT_FULL);
    }
    known_done(&known);
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct digest_name name;
    if (size < 1) return 0;
    struct span text = span_of(data + 1, size - 1);
    switch (data[0] & 3) {
        case 0:
            read_text(text);
            break;
        case 1:
            read_keys(text);
            break;
        case 2:
            read_report(text);
            break;
        default:
            if (digest_parse_name(text, &name)) assert(name.trail.size > 0);
    }
    return 0;
}
