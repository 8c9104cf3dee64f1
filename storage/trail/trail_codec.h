// trail_codec.h: the values of the trail's databases as bytes. Pure.
//
// Every value begins with a version byte; numbers are little-endian, of fixed size. Reading checks
// sizes and version: FAULT_CORRUPT says which value is damaged, or newer than this program.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/span.h"
#include "storage/block/block.h"
#include "storage/trail/trail_types.h"

// Appends the lowest size bytes (1 to 8) of a number.
void trail_codec_append(struct buffer *output, uint64_t value, uint32_t size);

// Reads one value from its beginning. After a read past the end `failed` is set and all reads give
// zero; whoever reads asks once at the end.
struct trail_codec {
    struct span rest;
    bool failed;
};

// Takes a number of size bytes (1 to 8).
uint64_t trail_codec_take(struct trail_codec *codec, uint32_t size);

// Takes bytes, borrowed from the value; the zero span on failure.
struct span trail_codec_take_bytes(struct trail_codec *codec, size_t size);

// What is fixed when a store is made ("format" in meta).
struct trail_format {
    uint16_t major;
    uint16_t minor;
    uint8_t epoch[TRAIL_EPOCH_SIZE];
    uint8_t secret[HASH_SECRET_SIZE];
    int64_t created_ms;
};
void trail_codec_append_format(struct buffer *output, const struct trail_format *format);
MUST_CHECK bool trail_codec_take_format(struct span value, struct trail_format *format,
                                        struct fault *fault);

// What every commit moves on ("head" in meta).
struct trail_head {
    uint64_t sequence_last;
    uint64_t block_next;  // number of the next block; the first is 0
    uint32_t dictionary_epoch;
    uint32_t dictionary_chunk;  // number of that epoch's next chunk
    uint64_t events;
    uint64_t block_rows;
    uint64_t text_size;   // of records in blocks
    uint64_t block_size;  // of blocks
    int64_t time_min_s;   // of all events; meaningless without any
    int64_t time_max_s;
    uint64_t quarantined;
    uint64_t quarantined_count;
    uint64_t gaps;
    uint64_t blocks;          // there now
    uint64_t dropped;         // events that went with their days
    int64_t retained_from_s;  // events before it are expired; a whole day. 0: none was dropped
};
void trail_codec_append_head(struct buffer *output, const struct trail_head *head);
MUST_CHECK bool trail_codec_take_head(struct span value, struct trail_head *head,
                                      struct fault *fault);

// Beside each block.
void trail_codec_append_summary(struct buffer *output, const struct block_summary *summary);
MUST_CHECK bool trail_codec_take_summary(struct span value, struct block_summary *summary,
                                         struct fault *fault);

// A follower ("follower:NAME" in meta).
enum { TRAIL_FOLLOWER_KEY_SIZE = 9 + TRAIL_FOLLOWER_NAME_SIZE };
struct span trail_codec_follower_key(const char *name, uint8_t key[TRAIL_FOLLOWER_KEY_SIZE]);
bool trail_codec_is_follower(struct span key);
void trail_codec_append_follower(struct buffer *output, const struct trail_follower *follower);
MUST_CHECK bool trail_codec_take_follower(struct span key, struct span value,
                                          struct trail_follower *follower, struct fault *fault);

// Stores of format 1: format and head (of which the numbers of sequences, blocks, epochs,
// quarantine and gaps are read; the head is left out if the format is today's); and any other small
// value as it is now: they had no sum.
MUST_CHECK bool trail_codec_take_first(struct span format, struct span head,
                                       struct trail_format *read_format,
                                       struct trail_head *read_head, struct fault *fault);
void trail_codec_seal_first(struct buffer *output, struct span value);

// Where a store comes from (document "restored").
void trail_codec_append_origin(struct buffer *output, const struct trail_origin *origin);
MUST_CHECK bool trail_codec_take_origin(struct span value, struct trail_origin *origin,
                                        struct fault *fault);

// An agent by number. The URI is borrowed from the value.
struct trail_agent {
    struct span uri;
    uint64_t quarantine_size;  // bytes it has in quarantine
};
void trail_codec_append_agent(struct buffer *output, const struct trail_agent *agent);
MUST_CHECK bool trail_codec_take_agent(struct span value, struct trail_agent *agent,
                                       struct fault *fault);

// A stream; its key is agent (big-endian, so that one agent's streams lie together) and stream_id.
enum { TRAIL_STREAM_KEY_SIZE = 4 + TRAIL_STREAM_ID_SIZE };
void trail_codec_stream_key(uint32_t agent, const uint8_t stream_id[TRAIL_STREAM_ID_SIZE],
                            uint8_t key[TRAIL_STREAM_KEY_SIZE]);
void trail_codec_append_stream(struct buffer *output, const struct trail_stream *stream);
MUST_CHECK bool trail_codec_take_stream(struct span key, struct span value,
                                        struct trail_stream *stream, struct fault *fault);

// A gap; its key is the stream's, and first and last number (big-endian).
enum { TRAIL_GAP_KEY_SIZE = TRAIL_STREAM_KEY_SIZE + 16 };
void trail_codec_gap_key(const struct trail_gap *gap, uint8_t key[TRAIL_GAP_KEY_SIZE]);
void trail_codec_append_gap(struct buffer *output, const struct trail_gap *gap);
MUST_CHECK bool trail_codec_take_gap(struct span key, struct span value, struct trail_gap *gap,
                                     struct fault *fault);

// A quarantine entry; two values under its SHA-256 and a byte: 0 for what this writes, 1 for the
// refused bytes, so that counting a repeat does not write them again.
enum {
    TRAIL_QUARANTINE_KEY_SIZE = 33,
    TRAIL_QUARANTINE_ENTRY = 0,
    TRAIL_QUARANTINE_BYTES = 1,
    TRAIL_DETAIL_SIZE_MAX = 4096,  // bytes of the text for people; longer ones are cut
};

// What the key of a quarantined record begins with: the hash of who sent it, why it was refused,
// and its bytes.
void trail_codec_hash_refused(uint32_t agent, const char *reason, struct span bytes,
                              uint8_t hash[SHA256_SIZE]);

// The entry's value. Its detail is cut at TRAIL_DETAIL_SIZE_MAX; take leaves bytes empty.
void trail_codec_append_quarantined(struct buffer *output, const struct trail_quarantined *entry);
MUST_CHECK bool trail_codec_take_quarantined(struct span key, struct span value,
                                             struct trail_quarantined *entry, struct fault *fault);
