// tar.h: a small ustar archive in memory, so that a bundle travels as one file.
//
// POSIX.1-1988 ustar headers; owner root, so that unpacking as root gives files nobody else reads.
// Pure.

#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"

enum { TAR_NAME_SIZE_MAX = 100 };  // bytes of a path in the archive

// Appends one file. The name has no leading slash and at most TAR_NAME_SIZE_MAX - 1 bytes, and the
// size is under 8 GiB: our own mistake otherwise.
void tar_append(struct buffer *archive, const char *name, struct span bytes, uint32_t mode,
                int64_t modified_s);

// Appends the end of the archive.
void tar_finish(struct buffer *archive);
