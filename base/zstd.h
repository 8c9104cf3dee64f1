// zstd.h: the door to zstd: one frame at a time, contexts reused.

#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

struct zstd;

// Contexts for both directions. NULL if memory runs out. One thread.
struct zstd *zstd_create(void);

// Frees them. NULL is allowed.
void zstd_destroy(struct zstd *zstd);

// Appends one frame that holds the bytes, without content checksum. FAULT_FULL on overflow.
MUST_CHECK bool zstd_compress(struct zstd *zstd, struct span bytes, int level,
                              struct buffer *output, struct fault *fault);

// Inflates one frame of exactly inflated_size bytes into output. FAULT_CORRUPT.
MUST_CHECK bool zstd_inflate(struct zstd *zstd, struct span frame, uint8_t *output,
                             size_t inflated_size, struct fault *fault);

// Bytes that frames may refer to instead of repeating them, made ready for one level. Copied. NULL
// if memory runs out. They do not begin with the magic number of a trained dictionary (37 a4 30
// ec).
struct zstd_shared;
struct zstd_shared *zstd_shared_create(struct span bytes, int level);

// Frees them. NULL is allowed.
void zstd_shared_destroy(struct zstd_shared *shared);

// As zstd_compress, at the level of the shared bytes.
MUST_CHECK bool zstd_compress_shared(struct zstd *zstd, const struct zstd_shared *shared,
                                     struct span bytes, struct buffer *output, struct fault *fault);

// As zstd_inflate, for a frame of zstd_compress_shared with exactly these shared bytes (none: a
// frame of zstd_compress).
MUST_CHECK bool zstd_inflate_shared(struct zstd *zstd, struct span shared, struct span frame,
                                    uint8_t *output, size_t inflated_size, struct fault *fault);
