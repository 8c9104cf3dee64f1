// uplink_internal.h: what the uplink's own files share.

#pragma once

#include "agent/batch.h"
#include "agent/uplink.h"
#include "base/buffer.h"

// A Gap that waits to be sent.
struct uplink_gap {
    bool is_waiting;
    uint64_t first;  // frame numbers
    uint64_t last;
    const char *reason;
    uint8_t chain[SPOOL_CHAIN_SIZE];
};

// A Welcome that arrived and was not yet acted upon.
struct uplink_welcome {
    bool is_waiting;
    uint32_t protocol;
    uint64_t resume;
    size_t chain_size;
    uint8_t chain[SPOOL_CHAIN_SIZE];
    size_t epoch_size;
    uint8_t epoch[SPOOL_EPOCH_SIZE_MAX];
    uint32_t batch_events_max;
    uint32_t batch_size_max;
    uint32_t unacknowledged_max;
    uint32_t heartbeat_ms;
    int64_t backup_time_ms;
    char organization[UPLINK_ORGANIZATION_SIZE_MAX + 1];
};

// A batch or gap that was sent.
struct uplink_flight {
    uint64_t last;
    uint64_t size;
    int64_t oldest_ms;  // when its first event was appended
};

struct uplink {
    struct spool *spool;
    const struct clock *clock;
    const struct random *random;
    struct uplink_link link;
    char *organization;
    char *agent_version;
    char *host_name;
    int64_t started_at_ms;
    bool with_objects;
    void *context;
    void (*report)(void *context, struct uplink_report *report);
    bool (*rewind)(void *context, int64_t backup_time_ms, struct fault *fault);

    enum uplink_state state;
    struct uplink_status status;
    int64_t retry_at_ms;  // monotonic, as all that follow
    int64_t backoff_ms;
    int64_t deadline_ms;  // of connecting and greeting
    int64_t heard_at_ms;
    int64_t heartbeat_at_ms;  // when the next one is due
    int64_t paused_until_ms;
    int64_t drain_until_ms;  // what is under way may finish until then
    int64_t drain_retry_ms;  // connect again after so long
    int64_t streaming_since_ms;
    bool is_sending;   // a message is on its way
    bool is_draining;  // the collector asked us to go
    bool is_stopping;  // the owner asked us to end
    bool is_stopped;
    bool retries_now;    // the next attempt does not wait
    bool was_useful;     // something was acknowledged in this session
    bool has_own_fault;  // status.last_fault is why we closed
    uint32_t restreams_in_row;
    char stop_reason[64];
    bool stop_is_final;

    struct uplink_welcome welcome;
    uint32_t batch_events_max;
    uint64_t batch_size_max;
    uint64_t unacknowledged_max;
    int64_t heartbeat_ms;

    struct spool_reader *reader;
    struct spool_frame held;  // read, but did not fit into the batch
    bool has_held;
    struct uplink_gap gap;
    struct batch batch;
    uint64_t base;
    uint64_t taken;  // last frame number in the batch, in the gap, or sent
    uint64_t sent;   // last frame number sent
    struct uplink_flight flights[UPLINK_BATCHES_MAX];
    uint32_t flights_begin;
    uint32_t flights_count;
    uint64_t session_duplicates;
    uint64_t session_quarantined;
    struct buffer message;  // of the other messages
};

// Each encodes one message into uplink->message. False if memory runs out.
bool uplink_encode_hello(struct uplink *uplink);
bool uplink_encode_heartbeat(struct uplink *uplink);
bool uplink_encode_gap(struct uplink *uplink);
bool uplink_encode_goodbye(struct uplink *uplink);

// Ends the session because of what the fault says, and remembers it as the reason.
void uplink_end_session(struct uplink *uplink, enum fault_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Acts on the Welcome that waits: goes on streaming, or ends the session. FAULT_FULL, FAULT_IO of
// the spool.
MUST_CHECK bool uplink_take_welcome(struct uplink *uplink, struct fault *fault);

// Milliseconds of the monotonic clock.
int64_t uplink_now(const struct uplink *uplink);
