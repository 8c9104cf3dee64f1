// spool_internal.h: what the spool's own files share.

#pragma once

#include "agent/frame.h"
#include "agent/spool.h"
#include "base/buffer.h"

enum {
    SPOOL_PATH_SIZE = 4096,  // bytes of a path with final zero
    SPOOL_FILE_MODE = 0640,
    SPOOL_READ_SIZE = 256 * 1024,  // a reader reads so much at once, more for a larger frame
};

struct segment {
    uint64_t first;      // number of its first frame
    uint64_t size;       // bytes, with those still in the buffer if it is the last one
    size_t header_size;  // 0: the header is damaged
};

struct spool_position {
    size_t size;
    uint8_t bytes[SPOOL_POSITION_SIZE_MAX];
};

struct spool {
    const struct files *files;
    const struct clock *clock;
    const struct random *random;
    char *directory;
    uint64_t size_max;
    uint32_t segment_size;
    int lock;

    // From the file `stream`.
    uint64_t salt;
    uint8_t spool_id[SPOOL_ID_SIZE];
    uint8_t stream_id[SPOOL_ID_SIZE];
    uint64_t base;
    uint64_t acknowledged;
    uint8_t epoch[SPOOL_EPOCH_SIZE_MAX];
    size_t epoch_size;
    bool stream_is_dirty;  // acknowledged or epoch differ from the file

    struct spool_source sources[SPOOL_SOURCES_MAX];
    struct spool_position *positions;  // one for each source
    uint32_t sources_count;

    struct segment *segments;  // oldest first; never empty once open
    uint32_t segments_count;
    uint32_t segments_capacity;
    uint64_t size;  // of all segments

    // The last segment.
    int handle;
    uint64_t written;      // bytes of it that were handed to the files
    struct buffer buffer;  // frames behind them
    bool is_unsynced;      // something was written since the last sync began
    uint64_t appended;
    uint8_t chain[SPOOL_CHAIN_SIZE];  // after `appended`
    uint64_t synced;
    uint8_t synced_chain[SPOOL_CHAIN_SIZE];
    bool is_syncing;   // a sync has begun and not ended
    uint64_t syncing;  // the last number it makes durable
    uint8_t syncing_chain[SPOOL_CHAIN_SIZE];

    struct spool_reader *lookup;     // for questions about old frames
    struct spool_position borrowed;  // what spool_position_before gave
};

// Puts the path of a file of the spool into text.
void spool_path(const struct spool *spool, const char *name, char text[SPOOL_PATH_SIZE]);

// The path of the segment that begins with this number.
void spool_segment_path(const struct spool *spool, uint64_t first, char text[SPOOL_PATH_SIZE]);

// Writes the file `stream` from the spool's fields.
MUST_CHECK bool spool_write_stream(struct spool *spool, struct fault *fault);

// Makes room for one more segment in the table. FAULT_FULL if memory runs out.
MUST_CHECK bool spool_reserve_segment(struct spool *spool, struct fault *fault);

// Begins a segment whose first frame is appended + 1 and makes it the last one. Everything before
// is synced. FAULT_FULL: all is as before. FAULT_IO.
MUST_CHECK bool spool_begin_segment(struct spool *spool, struct fault *fault);

// The last number of a segment (first - 1 if it has none).
uint64_t spool_segment_last(const struct spool *spool, uint32_t index);

// The index of the segment that holds or would hold this number; 0 for older ones.
uint32_t spool_find_segment(const struct spool *spool, uint64_t number);

// Reads the header of a segment. Sources point into the buffer. FAULT_CORRUPT, FAULT_IO.
MUST_CHECK bool spool_read_header(const struct spool *spool, uint64_t first, struct buffer *buffer,
                                  struct segment_header *header, struct segment_source *sources,
                                  size_t *size, struct fault *fault);

// A good frame that a walk came to. Spans are borrowed until the next call.
struct spool_found {
    bool is_found;  // false: the segment ends
    struct frame frame;
    uint64_t offset;
    size_t size;
};

// Gives the good frames of one segment with numbers up to `last`, one after the other, whatever
// lies between; then once nothing, and begins again.
MUST_CHECK bool spool_reader_walk(struct spool_reader *reader, uint32_t index, uint64_t last,
                                  struct spool_found *found, struct fault *fault);
