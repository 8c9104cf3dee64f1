// intake.h: one stream of one agent: messages in, batches to append, messages out.
//
// The state machine of the protocol without a wire: bytes come in through intake_message, what it
// wants done goes out through struct intake_link. Hello goes to append, which owns what is durable;
// its answer becomes Welcome. Then numbers: expected is the last received number + 1; what lies
// below was received before and is dropped, a hole closes the stream, and the chain is advanced
// over every event and compared with what the agent says. Acks are coalesced: one at a time is
// under way, and it says what is durable when it is sent.
//
// Threads: one (the stream's worker). Batches in append's hands come back through intake_report,
// called on that same thread.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/metric.h"
#include "base/span.h"
#include "collector/admit/roster_live.h"
#include "collector/intake/batch.h"
#include "storage/trail/trail_types.h"

enum {
    INTAKE_PROTOCOL = 1,
    INTAKE_UNACKED_SIZE_MAX = 8 << 20,  // bytes an agent may have sent without an Ack; advice,
    INTAKE_UNACKED_BATCHES = 4,         // and as many batches, where batches are made smaller
    INTAKE_BATCH_SIZE_MIN = 16 * 1024,  // they are not made smaller than this
    INTAKE_HELLO_MS = 10000,            // a stream that has not said Hello by then is closed
    INTAKE_SEEN_MS = 60000,             // at most this often a silent agent's last-seen is stored
    INTAKE_THROTTLE_MS = 60000,         // what Throttle asks for while the quarantine is full
    INTAKE_SKEW_MAX_MS = 60000,         // a clock that is further off is told of, until it is off
                                        // by less than half of it
};

// The same for all streams; lives longer than they do.
struct intake_settings {
    const char *organization_id;
    uint8_t epoch[TRAIL_EPOCH_SIZE];
    int64_t backup_time_ms;  // of the backup the trail was restored from; 0: none
    uint32_t heartbeat_ms;
    int64_t future_max_s;
    uint64_t share_size;    // weight of batches one stream may have; more pauses reading, unless
    uint64_t spare_size;    // all batches of the pool weigh less than this
    uint64_t arrive_size;   // bytes that may arrive at once from all agents: each is told how large
                            // its batches may be. 0: as large as can be
    uint32_t agents_count;  // as many send at least
    const atomic_uint *streams_count;  // that are open now; NULL: not known
    struct roster_live *roster;
    const struct clock *clock;
    struct batch_pool *pool;
    struct metric *skew;  // shows how far each agent's clock is off, by its URI; NULL: nothing does
    struct notes *notes;  // what is told of an agent; NULL: nothing is
};

// What intake asks of the world. `context` is passed to each.
struct intake_link {
    // Sends a message. False: the stream is closed, or one is still on its way (does not happen as
    // long as intake_sent is called for each).
    bool (*send)(void *context, struct span message);
    // Reading was paused (intake_message returned false) and may go on.
    void (*resume)(void *context);
    // Ends the stream. Whoever is told calls intake_closed, now or later.
    void (*close)(void *context, enum fault_kind kind, const char *text);
    // Whether another batch may be made. False: intake_retry is called when that may have changed.
    bool (*has_room)(void *context);
    // Hands a batch to append's queue. False: it takes no more for good, and the batch stays here.
    bool (*submit)(void *context, struct batch *batch);
    void *context;
};

struct intake;
struct vitals;

// Begins a stream of the peer whose certificate has this URI. FAULT_DENIED: the URI is no grant of
// this organization. FAULT_FULL: no memory.
MUST_CHECK bool intake_create(const struct intake_settings *settings,
                              const struct intake_link *link, struct span uri,
                              struct intake **intake, struct fault *fault);

// Frees it. It must be closed and idle.
void intake_destroy(struct intake *intake);

// A message arrived. False: read no more until link.resume was called.
bool intake_message(struct intake *intake, struct span message);

// What was sent last is on its way; the next may go.
void intake_sent(struct intake *intake);

// A batch comes back from append, with its answer.
void intake_report(struct intake *intake, struct batch *batch);

// There may be room for another batch again.
void intake_retry(struct intake *intake);

// A newer stream of the same agent and stream_id has begun: this one is closed.
void intake_superseded(struct intake *intake);

// The agent's quarantine has room again.
void intake_unthrottled(struct intake *intake);

// Time has passed: sends an Ack if nothing was sent for a while, closes the stream if the agent was
// silent for three heartbeats. Call a few times per heartbeat.
void intake_tick(struct intake *intake);

// The collector is about to stop: sends Drain, reads no more, closes the stream once everything
// received is acknowledged.
void intake_drain(struct intake *intake);

// The stream is over. Nothing is sent from now on; batches may still come back.
void intake_closed(struct intake *intake);

// Whether no batch of it is in append's hands.
bool intake_is_idle(const struct intake *intake);

// When its last message came, by the monotonic clock, and whether its agent said that it does not
// come back.
int64_t intake_heard_ms(const struct intake *intake, bool *is_final);

// What its agent says of itself, for vitals_read on another thread; it lives as long as the intake.
struct vitals *intake_vitals(const struct intake *intake);

// Its certificate's URI, for logs.
struct span intake_uri(const struct intake *intake);

// The context of its link.
void *intake_context(const struct intake *intake);
