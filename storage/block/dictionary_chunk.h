// dictionary_chunk.h: what one commit added to a dictionary, as bytes. Internal.
//
// A header and a table of pages, then one zstd frame of the fixed part (shapes and sample bytes)
// and one for each page of strings. The pages of an epoch's first chunks, inflated and one after
// another, are its head; from when it has DICTIONARY_HEAD_SIZE bytes on, pages are compressed
// against those first bytes, so that pages can be small (a reader inflates only those it needs) and
// take no more room than large ones. Layout: docs/store.md. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "base/zstd.h"
#include "storage/block/dictionary_internal.h"

enum {
    CHUNK_MAGIC = 0x4344544f,  // "OTDC"
    CHUNK_VERSION = 1,
    CHUNK_CHECKED = 16,  // what the checksum of header and table covers begins here
    CHUNK_HEADER_SIZE = 64,
    CHUNK_ENTRY_SIZE = 16,  // of a page in the table
};

enum {
    DICTIONARY_PAGE_SIZE = 4 * 1024,         // bytes of strings that end a page
    DICTIONARY_HEAD_PAGE_SIZE = 128 * 1024,  // the same, of the head
    // Bytes a page can have: of strings, of the last of them, and of their sizes.
    DICTIONARY_PAGE_SIZE_MAX = 3 * DICTIONARY_HEAD_PAGE_SIZE + DICTIONARY_STRING_SIZE_MAX + 16,
    DICTIONARY_HEAD_ROOM = DICTIONARY_HEAD_SIZE + DICTIONARY_PAGE_SIZE_MAX,
};

// A frame of a chunk.
struct dictionary_part {
    uint32_t offset;  // in the chunk
    uint32_t packed;  // bytes there; 0: empty
    uint32_t size;    // bytes inflated
    uint32_t sum;     // of the packed bytes
};

// A chunk opened for reading: borrows the bytes.
struct dictionary_chunk {
    struct span bytes;
    uint32_t epoch;
    uint32_t strings_first;
    uint32_t strings;
    uint32_t shapes_first;
    uint32_t shapes;
    uint32_t sample_first;
    uint32_t sample;
    uint32_t pages;
    bool has_head;  // its pages refer to the head
    struct dictionary_part fixed;
};

// Checks header, table and sizes, not the frames. FAULT_CORRUPT.
MUST_CHECK bool dictionary_chunk_open(struct span bytes, struct dictionary_chunk *chunk,
                                      struct fault *fault);

// Steps from the fixed part (page 0) or the page before to this page. *strings: how many it has.
// The chunk has a page of this number.
void dictionary_chunk_step(const struct dictionary_chunk *chunk, uint32_t page,
                           struct dictionary_part *part, uint32_t *strings);

// Writes all sums of a chunk that is there but for them. False if its sizes are wrong.
bool dictionary_chunk_seal(uint8_t *bytes, size_t size);

// Checks and inflates a frame of a chunk; `head` as it is for pages that refer to it, else empty.
// `output` has room for part->size. FAULT_CORRUPT.
MUST_CHECK bool dictionary_chunk_inflate(struct zstd *zstd, struct span bytes,
                                         const struct dictionary_part *part, struct span head,
                                         uint8_t *output, struct fault *fault);

// Where the strings of an inflated page lie: string n from offsets[n] to offsets[n + 1]. False if
// it is damaged.
bool dictionary_chunk_find_strings(struct span page, uint32_t strings, uint32_t *offsets);

// Gives the shapes of an inflated fixed part one after another, and the sample bytes. False if it
// is damaged or on_shape says so.
bool dictionary_chunk_find_shapes(const struct dictionary_chunk *chunk, struct span fixed,
                                  bool (*on_shape)(void *user,
                                                   const struct dictionary_shape *shape),
                                  void *user, struct span *sample);
