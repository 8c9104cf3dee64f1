// uplink.h: sends a spool to the collector and takes its acknowledgements.
//
// A state machine without clock, thread or network of its own: the link's operations send, the
// on_ functions tell what happened, uplink_step does what is due. It never waits but for the
// spool's reads. Everything sent can be sent again: numbers decide what is acknowledged.
//
// Order of a session: connect, Hello, Welcome (compare the chain, perhaps take a new stream id or
// refill a restored collector), then batches, gaps and heartbeats until the link closes; then a
// jittered pause and the next one.
//
// One thread, the spool's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/source/source.h"
#include "agent/spool.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "base/span.h"

enum {
    UPLINK_BATCH_EVENTS_MAX = 500,                // events of one batch
    UPLINK_BATCH_SIZE_MAX = 512 * 1024,           // bytes of one batch, or one record
    UPLINK_UNACKNOWLEDGED_MAX = 8 * 1024 * 1024,  // bytes sent and not acknowledged
    UPLINK_BATCHES_MAX = 64,                      // batches sent and not acknowledged
    UPLINK_HEARTBEAT_MS = 10000,                  // until a Welcome says otherwise
    UPLINK_GREETING_MS = 30000,                   // from connect to Welcome at most
    UPLINK_BACKOFF_MIN_MS = 1000,                 // first pause before connecting again
    UPLINK_BACKOFF_MAX_MS = 60000,                // longest one
    UPLINK_ORGANIZATION_SIZE_MAX = 64,            // bytes of an organization's id
};

struct uplink;

// The way to the collector. The functions do not call back into the uplink.
struct uplink_link {
    void *context;
    // Begins an attempt: uplink_on_connected or uplink_on_closed follows, later.
    void (*connect)(void *context);
    // Sends a message (copied before it returns); uplink_on_sent follows. Called only when
    // connected and nothing is on its way. False: the link is closed, uplink_on_closed will come.
    bool (*send)(void *context, struct span message);
    // Ends the stream or the attempt; uplink_on_closed follows, later.
    void (*close)(void *context, enum fault_kind kind, const char *text);
};

// What a heartbeat tells of the process; filled by the owner.
struct uplink_report {
    uint64_t rss_size;  // bytes
    uint64_t cpu_ms;
    uint64_t left_out;  // records that the agent's event selectors do not select, since its start
    uint32_t sources_count;
    struct {
        uint32_t source;  // as in the spool
        struct source_status status;
    } sources[16];  // the first ones, those in trouble before the others
};

struct uplink_options {
    struct spool *spool;
    const struct clock *clock;
    const struct random *random;
    struct uplink_link link;
    const char *organization;   // must be the collector's; NULL or "": any
    const char *agent_version;  // for Hello
    const char *host_name;
    int64_t started_at_ms;
    bool with_objects;  // send the objects' names: an organization grant needs them
    void *context;      // for the two below
    // Fills in a report. NULL: heartbeats go without.
    void (*report)(void *context, struct uplink_report *report);
    // The collector was restored and the spool no longer has all it needs: sources that can read
    // again rewind, durably. A fault goes to the caller of uplink_step, which comes back to it when
    // it is called again. NULL: nothing rewinds.
    bool (*rewind)(void *context, int64_t backup_time_ms, struct fault *fault);
};

enum uplink_state {
    UPLINK_WAITING,     // for the next attempt
    UPLINK_CONNECTING,  // attempt under way
    UPLINK_GREETING,    // Hello sent
    UPLINK_STREAMING,   // Welcome received
    UPLINK_CLOSING,     // asked the link to close
};

struct uplink_status {
    enum uplink_state state;
    uint64_t sessions;  // Welcomes received
    uint64_t endings;   // sessions and attempts that ended
    uint64_t batches_sent;
    uint64_t events_sent;  // repeats counted again
    uint64_t gaps_sent;
    uint64_t restreams;   // new stream ids taken
    uint64_t refills;     // restores of the collector noticed
    uint64_t duplicates;  // as the collector counts them, all sessions of this run
    uint64_t quarantined;
    uint64_t unacknowledged_size;
    int64_t connected_at_ms;  // wall clock; 0: not connected
    struct fault last_fault;  // why the last session ended; FAULT_NONE if none did
};

// Copies the options' texts; the rest is borrowed for its life. NULL if memory runs out.
struct uplink *uplink_create(const struct uplink_options *options);
void uplink_destroy(struct uplink *uplink);

// The stream is up.
void uplink_on_connected(struct uplink *uplink);

// A message arrived. Borrowed for the call. Wrong ones end the session.
void uplink_on_message(struct uplink *uplink, struct span message);

// What was sent last is on its way.
void uplink_on_sent(struct uplink *uplink);

// The stream or the attempt is over.
void uplink_on_closed(struct uplink *uplink, const struct fault *reason);

// Does what is due: connects, sends what may be sent, heartbeats, gives up a silent collector.
// *wait_ms is how long nothing will be due unless something happens or the spool grows (0: step
// again). FAULT_IO of the spool; FAULT_FULL if its disk is full (try again later).
MUST_CHECK bool uplink_step(struct uplink *uplink, int64_t *wait_ms, struct fault *fault);

// Says goodbye (final: this agent is being removed) once what is under way is sent, and connects no
// more. The owner goes on stepping until uplink_is_stopped or its patience ends.
void uplink_stop(struct uplink *uplink, const char *reason, bool final);
bool uplink_is_stopped(const struct uplink *uplink);

// Ends the session, if any, and begins the next at once (new certificates).
void uplink_reconnect(struct uplink *uplink);

// How it stands now.
void uplink_describe(const struct uplink *uplink, struct uplink_status *status);
