// frame.h: the bytes of a spool's segments: headers and frames. Pure; docs/spool.md draws them.
//
// A frame's check covers everything in it but itself and is salted with a secret of the spool, so
// that no record can hold bytes that pass for a frame when damage is skipped.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/spool.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    FRAME_HEADER_SIZE = 72,
    FRAME_SIZE_MAX =
        FRAME_HEADER_SIZE + SPOOL_POSITION_SIZE_MAX + SPOOL_OBJECT_SIZE_MAX + SPOOL_RECORD_SIZE_MAX,
    SEGMENT_HEADER_SIZE = 96,  // without the sources
    SEGMENT_HEADER_SIZE_MAX =
        SEGMENT_HEADER_SIZE +
        SPOOL_SOURCES_MAX * (2 * SPOOL_NAME_SIZE + SPOOL_POSITION_SIZE_MAX + 4),
};

// What a frame holds. Spans point into the bytes it was decoded from.
struct frame {
    uint64_t number;
    uint64_t synced;  // highest number known durable when this one was appended
    uint8_t chain[SPOOL_CHAIN_SIZE];
    int64_t appended_ms;
    uint32_t source;
    enum spool_kind kind;
    struct span position;
    struct span object;
    struct span record;
};

// Bytes of this frame on disk.
size_t frame_size(const struct frame *frame);

// Appends the frame. The caller has made sure of the sizes; the buffer marks overflow.
void frame_encode(const struct frame *frame, uint64_t salt, struct buffer *buffer);

enum frame_result {
    FRAME_OK,     // *frame and *size are set
    FRAME_SHORT,  // could be the beginning of a frame of *size bytes: give that many
    FRAME_BAD,    // no frame begins here
};

// Reads the frame at the beginning of the bytes. Any bytes are allowed.
enum frame_result frame_decode(struct span bytes, uint64_t salt, struct frame *frame, size_t *size);

// Where in the bytes, from offset 1 on, the next frame might begin; bytes.size - 3 or less is where
// to go on with more bytes.
size_t frame_scan(struct span bytes);

// The check of what follows it in a file of this version, a segment or `stream`. It covers the
// version too: a damaged one does not pass for a newer program's.
uint64_t spool_check(struct span checked, uint32_t version);

// The beginning of a segment.
struct segment_header {
    uint64_t salt;
    uint8_t spool_id[SPOOL_ID_SIZE];
    uint64_t first;  // number of its first frame
    uint8_t chain[SPOOL_CHAIN_SIZE];
    uint32_t sources_count;
};

// One source in it. The position is borrowed.
struct segment_source {
    struct spool_source source;
    struct span position;
};

// Appends a header with its sources.
void segment_header_encode(const struct segment_header *header,
                           const struct segment_source *sources, struct buffer *buffer);

// Reads a header; sources has room for SPOOL_SOURCES_MAX. *size is how many bytes it has.
// FAULT_CORRUPT: damaged. FAULT_INPUT: written by a newer version.
MUST_CHECK bool segment_header_decode(struct span bytes, struct segment_header *header,
                                      struct segment_source *sources, size_t *size,
                                      struct fault *fault);
