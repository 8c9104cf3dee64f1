// trail_tail.h: the rows of a small commit that wait to become part of a block, as one value.
//
// A chunk holds the rows of one commit and one day, with all that is known of them and the hashes
// of their attributes, so that a lookup parses only what it returns. It is zstd-compressed, has a
// version and a checksum, and is keyed by its first sequence number. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"
#include "base/zstd.h"
#include "storage/block/block.h"

enum {
    TRAIL_CHUNK_SIZE_MAX = 256 * 1024 * 1024,  // bytes inflated: what one commit may leave
};

// Appends a chunk of rows, in order of sequence, all of one day. `scratch` is overwritten.
// FAULT_FULL if a buffer is at its limit.
MUST_CHECK bool trail_tail_encode(struct zstd *zstd, const uint8_t secret[HASH_SECRET_SIZE],
                                  const struct block_row *rows, uint32_t rows_count,
                                  struct buffer *scratch, struct buffer *output,
                                  struct fault *fault);

// A row read back. Its attributes are those from attribute_first up to attribute_end in the chunk.
struct trail_tail_row {
    uint64_t sequence;
    struct key key;
    uint32_t agent;
    uint32_t flags;
    int64_t received_ms;
    struct span user;
    struct span text;
    uint32_t attribute_first;
    uint32_t attribute_end;
};

// A chunk read back, with memory of its own. Cursors share it: it is freed by the last release.
struct trail_tail_chunk {
    uint64_t key;
    uint32_t rows_count;
    struct trail_tail_row *rows;
    uint32_t *attribute_hash;
    uint8_t *attribute_kind;
    uint8_t *bytes;
    uint32_t references;
    bool is_damaged;  // it has no rows, and stands for those that cannot be read
};

// Makes a chunk of a value. FAULT_CORRUPT with the chunk's number; FAULT_FULL if memory runs out.
MUST_CHECK bool trail_tail_decode(struct zstd *zstd, uint64_t key, struct span value,
                                  struct trail_tail_chunk **chunk, struct fault *fault);

// Makes a chunk that stands for a damaged one. NULL if memory runs out.
struct trail_tail_chunk *trail_tail_make_damaged(uint64_t key);

// One more user of the chunk, and one less. NULL is allowed.
struct trail_tail_chunk *trail_tail_share(struct trail_tail_chunk *chunk);
void trail_tail_release(struct trail_tail_chunk *chunk);
