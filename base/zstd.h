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
