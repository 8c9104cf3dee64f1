// batch.h: one EventBatch message, encoded as its events come. Pure.
//
// Written by hand because it is what the agent spends its time on: each record is copied once, from
// the spool's read buffer into the message, and nothing is allocated for it. uplink_test holds it
// against protobuf-c.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/spool.h"
#include "base/buffer.h"
#include "base/span.h"

enum {
    BATCH_HEAD_SIZE = 64,         // room for everything before the events
    BATCH_EVENT_EXTRA_SIZE = 32,  // what an event takes at most beside its record and object
    BATCH_MESSAGE_SIZE_MAX = 2 * 1024 * 1024,
};

struct batch {
    struct buffer buffer;  // BATCH_HEAD_SIZE bytes, then the events
    uint32_t count;
    uint64_t first;  // frame numbers
    uint64_t last;
    int64_t oldest_ms;  // when the first one was appended
    uint8_t chain[SPOOL_CHAIN_SIZE];
};

// An empty batch.
void batch_init(struct batch *batch);

// Frees its memory.
void batch_done(struct batch *batch);

// Empties it.
void batch_reset(struct batch *batch);

// Bytes of events in it.
size_t batch_size(const struct batch *batch);

// Bytes that the frame would add at most.
size_t batch_measure(const struct spool_frame *frame, bool with_object);

// Adds a frame; its number is the next one. False if memory runs out: nothing was added.
bool batch_add(struct batch *batch, const struct spool_frame *frame, bool with_object);

// The message, borrowed until the batch changes. The first number on the wire is first - base.
struct span batch_finish(struct batch *batch, uint64_t base, int64_t sent_at_ms);
