// gzip.h: the door to zlib (streams) and libdeflate (whole objects).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    // Inflated : compressed, judged once 1 MiB has been inflated. Deflate ends at 1032; records
    // with
    // ids of their own stay under 100; zeros are above 1000.
    GZIP_RATIO_MAX = 500,
};

// Inflates a gzip file (one or more members) as a stream with flat memory. One thread.
struct gzip_reader;

// A reader that gives at most size_max inflated bytes. NULL if memory runs out.
struct gzip_reader *gzip_reader_create(uint64_t size_max);

// Frees it. NULL is allowed.
void gzip_reader_destroy(struct gzip_reader *reader);

// Begins a new file, also after a fault.
void gzip_reader_reset(struct gzip_reader *reader);

// Takes compressed bytes from *input (moved past what was used) and writes inflated bytes to
// output[0..output_size). *written says how many; when it is less than output_size, all input was
// used. FAULT_INPUT: not gzip, corrupt (with the offset), more than size_max or than the ratio, or
// bytes other than zeros behind the last member; the file is then given up (gzip_reader_reset), but
// *written says how many bytes came out before, and they stand.
MUST_CHECK bool gzip_reader_step(struct gzip_reader *reader, struct span *input, uint8_t *output,
                                 size_t output_size, size_t *written, struct fault *fault);

// Whether the bytes so far end a complete file. FAULT_INPUT "truncated" otherwise: call at the end.
MUST_CHECK bool gzip_reader_finish(struct gzip_reader *reader, struct fault *fault);

// Inflates a whole file of one member at once, which costs half of what the reader does. False if
// it is anything else: damaged, several members, larger than output_size, or memory runs out.
// Nothing more is known then; the reader tells.
bool gzip_inflate_whole(struct span file, uint8_t *output, size_t output_size, size_t *written);

// Appends one gzip member that holds the bytes, level 1 to 12. The output depends on the bytes and
// the level alone (no time, no name). FAULT_FULL if the buffer overflows or memory runs out.
MUST_CHECK bool gzip_write(struct span bytes, int level, struct buffer *output,
                           struct fault *fault);
