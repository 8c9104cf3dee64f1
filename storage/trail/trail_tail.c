#include "storage/trail/trail_tail.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "storage/trail/trail_codec.h"

enum {
    VERSION = 1,
    LEVEL = -4,  // of zstd: a chunk lives for hours at most, so speed counts and not size
    HEADER_SIZE = 1 + 4 + 4 + 4 + 8,
    ROW_SIZE_MIN = 8 + 8 + RECORD_ID_SIZE + 4 + 4 + 8 + 1 + 2 + 2 + 4,
    ATTRIBUTE_SIZE = 5,
};

static void append_row(struct buffer *output, const uint8_t secret[HASH_SECRET_SIZE],
                       const struct block_row *row) {
    trail_codec_append(output, row->sequence, 8);
    trail_codec_append(output, (uint64_t)row->key.event_time_s, 8);
    buffer_append(output, span_of(row->key.id, RECORD_ID_SIZE));
    trail_codec_append(output, row->agent, 4);
    trail_codec_append(output, row->flags, 4);
    trail_codec_append(output, (uint64_t)row->received_ms, 8);
    trail_codec_append(output, row->key.account_size, 1);
    buffer_append(output, span_of(row->key.account, row->key.account_size));
    assert(row->user.size <= UINT16_MAX);
    trail_codec_append(output, row->user.size, 2);
    buffer_append(output, row->user);
    trail_codec_append(output, row->attributes_count, 2);
    for (uint32_t index = 0; index < row->attributes_count; index++) {
        trail_codec_append(output, (uint64_t)row->attributes[index].kind, 1);
        trail_codec_append(output, block_attribute_hash(secret, &row->attributes[index]), 4);
    }
    trail_codec_append(output, row->text.size, 4);
    buffer_append(output, row->text);
}

bool trail_tail_encode(struct zstd *zstd, const uint8_t secret[HASH_SECRET_SIZE],
                       const struct block_row *rows, uint32_t rows_count, struct buffer *scratch,
                       struct buffer *output, struct fault *fault) {
    assert(rows_count > 0);
    buffer_reset(scratch);
    uint32_t attributes_count = 0;
    for (uint32_t index = 0; index < rows_count; index++) {
        append_row(scratch, secret, &rows[index]);
        attributes_count += rows[index].attributes_count;
    }
    if (buffer_overflowed(scratch))
        return fault_set(fault, FAULT_FULL, "trail: too much in one commit for the tail");

    size_t start = output->size;
    trail_codec_append(output, VERSION, 1);
    trail_codec_append(output, rows_count, 4);
    trail_codec_append(output, attributes_count, 4);
    trail_codec_append(output, scratch->size, 4);
    trail_codec_append(output, hash_plain(buffer_span(scratch)), 8);
    if (!zstd_compress(zstd, buffer_span(scratch), LEVEL, output, fault)) {
        output->size = start;
        return fault_add(fault, "trail: tail");
    }
    return true;
}

static bool damaged(uint64_t key, struct fault *fault) {
    return fault_set(fault, FAULT_CORRUPT, "trail: tail chunk %" PRIu64 " is damaged", key);
}

// Reads one row; text and user borrow from the chunk's bytes.
static void take_row(struct trail_codec *codec, struct trail_tail_chunk *chunk,
                     struct trail_tail_row *row, uint32_t attributes_max, uint32_t *attributes) {
    row->sequence = trail_codec_take(codec, 8);
    row->key.event_time_s = (int64_t)trail_codec_take(codec, 8);
    struct span id = trail_codec_take_bytes(codec, RECORD_ID_SIZE);
    if (id.size == RECORD_ID_SIZE) memcpy(row->key.id, id.bytes, RECORD_ID_SIZE);
    row->agent = (uint32_t)trail_codec_take(codec, 4);
    row->flags = (uint32_t)trail_codec_take(codec, 4);
    row->received_ms = (int64_t)trail_codec_take(codec, 8);
    row->key.account_size = (uint8_t)trail_codec_take(codec, 1);
    struct span account = trail_codec_take_bytes(codec, row->key.account_size);
    if (account.size > KEY_ACCOUNT_SIZE_MAX) codec->failed = true;
    if (!codec->failed && account.size > 0) memcpy(row->key.account, account.bytes, account.size);
    row->user = trail_codec_take_bytes(codec, (size_t)trail_codec_take(codec, 2));
    uint32_t count = (uint32_t)trail_codec_take(codec, 2);
    if (count > attributes_max - *attributes) codec->failed = true;
    row->attribute_first = *attributes;
    for (uint32_t index = 0; index < count && !codec->failed; index++) {
        chunk->attribute_kind[*attributes] = (uint8_t)trail_codec_take(codec, 1);
        chunk->attribute_hash[*attributes] = (uint32_t)trail_codec_take(codec, 4);
        (*attributes)++;
    }
    row->attribute_end = *attributes;
    row->text = trail_codec_take_bytes(codec, (size_t)trail_codec_take(codec, 4));
}

static bool read_rows(struct trail_tail_chunk *chunk, size_t size, uint32_t attributes_count) {
    struct trail_codec codec = {.rest = span_of(chunk->bytes, size)};
    uint32_t attributes = 0;
    for (uint32_t index = 0; index < chunk->rows_count && !codec.failed; index++)
        take_row(&codec, chunk, &chunk->rows[index], attributes_count, &attributes);
    return !codec.failed && codec.rest.size == 0;
}

bool trail_tail_decode(struct zstd *zstd, uint64_t key, struct span value,
                       struct trail_tail_chunk **result, struct fault *fault) {
    struct trail_codec codec = {.rest = value};
    uint64_t version = trail_codec_take(&codec, 1);
    uint32_t rows_count = (uint32_t)trail_codec_take(&codec, 4);
    uint32_t attributes_count = (uint32_t)trail_codec_take(&codec, 4);
    uint32_t size = (uint32_t)trail_codec_take(&codec, 4);
    uint64_t checksum = trail_codec_take(&codec, 8);
    if (codec.failed || version != VERSION || size > TRAIL_CHUNK_SIZE_MAX ||
        rows_count > size / ROW_SIZE_MIN || attributes_count > size / ATTRIBUTE_SIZE) {
        return damaged(key, fault);
    }
    struct trail_tail_chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL) return fault_set(fault, FAULT_FULL, "trail: out of memory for the tail");
    chunk->key = key;
    chunk->references = 1;
    chunk->rows_count = rows_count;
    chunk->rows = calloc(rows_count + 1, sizeof *chunk->rows);
    chunk->attribute_hash = calloc(attributes_count + 1, sizeof *chunk->attribute_hash);
    chunk->attribute_kind = calloc(attributes_count + 1, 1);
    chunk->bytes = malloc((size_t)size + 1);
    if (chunk->rows == NULL || chunk->attribute_hash == NULL || chunk->attribute_kind == NULL ||
        chunk->bytes == NULL) {
        trail_tail_release(chunk);
        return fault_set(fault, FAULT_FULL, "trail: out of memory for the tail");
    }
    struct fault inner;
    bool read = zstd_inflate(zstd, codec.rest, chunk->bytes, size, &inner) &&
                hash_plain(span_of(chunk->bytes, size)) == checksum &&
                read_rows(chunk, size, attributes_count);
    if (!read) {
        trail_tail_release(chunk);
        return damaged(key, fault);
    }
    *result = chunk;
    return true;
}

struct trail_tail_chunk *trail_tail_make_damaged(uint64_t key) {
    struct trail_tail_chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL) return NULL;
    chunk->key = key;
    chunk->references = 1;
    chunk->is_damaged = true;
    return chunk;
}

struct trail_tail_chunk *trail_tail_share(struct trail_tail_chunk *chunk) {
    chunk->references++;
    return chunk;
}

void trail_tail_release(struct trail_tail_chunk *chunk) {
    if (chunk == NULL) return;
    assert(chunk->references > 0);
    chunk->references--;
    if (chunk->references > 0) return;
    free(chunk->rows);
    free(chunk->attribute_hash);
    free(chunk->attribute_kind);
    free(chunk->bytes);
    free(chunk);
}
