// gzip_writer.h: whole objects deflated one after another with memory that is kept from one to the
// next; the door to ISA-L, and to libdeflate as gzip.h is.
//
// Level 1 is ISA-L's: three times as fast as libdeflate's level 1 and a twentieth larger. From 2 on
// they are libdeflate's levels. One thread.

#pragma once

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum { GZIP_WRITER_LEVEL_MAX = 12 };

struct gzip_writer;

// A writer of one level, 1 to GZIP_WRITER_LEVEL_MAX. NULL if memory runs out.
struct gzip_writer *gzip_writer_create(int level);

// Frees it. NULL is allowed.
void gzip_writer_destroy(struct gzip_writer *writer);

// Appends one gzip member that holds the bytes, at most 1 GiB. The output depends on the bytes, the
// level, the library and, at level 1, the processor alone (no time, no name, nothing of earlier
// objects). FAULT_FULL if the buffer overflows.
MUST_CHECK bool gzip_writer_write(struct gzip_writer *writer, struct span bytes,
                                  struct buffer *output, struct fault *fault);
