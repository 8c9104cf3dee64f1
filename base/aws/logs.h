// logs.h: batches of events to a stream of CloudWatch Logs, or of a store that speaks like it.
//
// Requests are signed by base/aws/caller. A fault's text begins with the store's code, its kind
// says whether another attempt is of use. The store takes a batch whole or not at all, but may
// refuse events of it for their time, which it says. Threads: one at a time.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/aws/caller.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/json_writer.h"
#include "base/span.h"

enum {
    LOGS_BATCH_SIZE_MAX = 1048576,  // bytes of a batch's messages, each with LOGS_EVENT_SIZE_MORE
    LOGS_EVENT_SIZE_MORE = 26,      // bytes that an event counts beside its message
    LOGS_EVENT_SIZE_MAX = LOGS_BATCH_SIZE_MAX - LOGS_EVENT_SIZE_MORE,  // bytes of a message
    LOGS_BATCH_EVENTS_MAX = 10000,
    LOGS_NAME_SIZE = 513,       // of a group or stream, with its final zero
    LOGS_TOKEN_SIZE_MAX = 256,  // bytes of a sequence token
    LOGS_ATTEMPTS = 4,          // of a call that is refused quickly, with pauses between them
    LOGS_QUICK_MS = 5000,       // a call that took longer is not repeated here
};

struct logs;

// A client; opens no connection. Texts are copied. Faults as caller_create.
MUST_CHECK bool logs_create(const struct caller_options *options, struct logs **logs,
                            struct fault *fault);

// Frees it. NULL is allowed.
void logs_destroy(struct logs *logs);

// Whether the last call failed because there is no such group.
bool logs_lacks_group(const struct logs *logs);

// Events of one time: in the order in which they are added, as the store wants them.
struct logs_batch {
    struct buffer events;  // as JSON
    struct json_writer writer;
    int64_t time_ms;
    uint64_t size;  // as the store counts
    uint32_t count;
};

// An empty batch. The caller ends it with logs_batch_done.
void logs_batch_init(struct logs_batch *batch);

// Frees it.
void logs_batch_done(struct logs_batch *batch);

// Empties it, for events of this time.
void logs_batch_begin(struct logs_batch *batch, int64_t time_ms);

// Adds a message of at most LOGS_EVENT_SIZE_MAX bytes of UTF-8. False: it does not fit any more.
bool logs_batch_add(struct logs_batch *batch, struct span message);

// How many events the store did not take for their time.
struct logs_refused {
    uint32_t too_old;
    uint32_t too_new;
    uint32_t expired;  // older than the group keeps them
};

// Puts a batch that is not empty, and makes its stream if there is none. What fails quickly and may
// pass is tried LOGS_ATTEMPTS times; a batch whose answer was lost may be there twice then.
// FAULT_RETRY, FAULT_DENIED, FAULT_INPUT, FAULT_FULL.
MUST_CHECK bool logs_put(struct logs *logs, const char *group, const char *stream,
                         struct logs_batch *batch, struct logs_refused *refused,
                         struct fault *fault);
