// server.h: the running collector: streams of agents on one side, the trail's writer on the other.
//
// Threads: rpc's workers run the streams (struct intake). The writer runs append and does nothing
// that others wait for beside it. The warden keeps the list of streams and the heartbeat, so that
// agents hear from us while the writer waits for the disk. They are told through queues of streams
// that come, go or wait for room. server_start, server_reload and server_stop belong to the main
// thread; the rest may be called from any.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/rpc/rpc.h"
#include "collector/admit/roster_live.h"
#include "collector/intake/batch.h"
#include "collector/notes/notes.h"
#include "collector/server/gate.h"
#include "collector/settings/settings.h"

enum {
    SERVER_BATCHES_SIZE_MAX = 24 << 20,  // bytes that batches hold from their message to its Ack;
                                         // beyond it streams are not read
    SERVER_SHARE = 16,                   // one stream may hold that size divided by this, and more
    SERVER_SPARE_SIZE = SERVER_BATCHES_SIZE_MAX / 2,  // while all together hold less than this
    SERVER_ARRIVE_SIZE = 16 << 20,                    // bytes of one batch of each agent
    SERVER_DRAIN_MS = 8000,  // streams have so long to hear their last acknowledgement
    SERVER_GRACE_MS = RPC_LINGER_MS + 2000,  // and are then cut off within this
    SERVER_STALL_MS = 60000,  // the writer is called stuck after this long in one step
};

struct append;
struct server;
struct trail;

// Starts serving. All is borrowed for the server's life, but the gate is its own from then on, also
// on failure. Faults as rpc_server_start.
MUST_CHECK bool server_start(const struct settings *settings,
                             const struct rpc_credentials *credentials, struct gate *gate,
                             struct roster_live *roster, struct trail *trail,
                             struct server **server, struct fault *fault);

// Where other rooms put own events. Any thread, until server_stop.
struct notes *server_notes(struct server *server);

// The writer, for jobs (append_submit). Any thread, until server_stop.
struct append *server_append(struct server *server);

// The port that agents connect to.
uint16_t server_port(const struct server *server);

// New connections get these credentials. FAULT_INPUT: the old ones stay.
MUST_CHECK bool server_reload(struct server *server, const struct rpc_credentials *credentials,
                              struct fault *fault);

// From now on this gate, which becomes the server's own, is asked: when a stream opens, and of
// those that are open, within a few seconds. Waits for questions under way.
void server_set_gate(struct server *server, struct gate *gate);

// [any] Stores an own event soon, as notes_add without a subject; what is given is copied.
void server_tell(struct server *server, const char *name, const struct own_event_detail *details,
                 uint32_t details_count);

// Somebody who wants to look at all streams.
struct server_visit {
    // Called for each stream that sent a heartbeat, with its orgtrail.v1.AgentLive, borrowed.
    void (*each)(struct server_visit *visit, struct span live);
    // Called once, last.
    void (*done)(struct server_visit *visit);
};

// [any] Has the thread that keeps the list of streams visit it, within a few milliseconds. False:
// too many want to; nothing is called then.
bool server_visit(struct server *server, struct server_visit *visit);

// Why it is not healthy, or NULL.
const char *server_complaint(struct server *server);

// Whether the writer has been in one step for SERVER_STALL_MS.
bool server_is_stuck(const struct server *server);

// Whether the listener is dead, see rpc_server_is_deaf.
bool server_is_deaf(const struct server *server);

// Sets the gauges that nobody else keeps.
void server_measure(struct server *server);

// Tells agents to come back later, stops reading, acknowledges what was received, ends all streams,
// within SERVER_DRAIN_MS and SERVER_GRACE_MS, and frees the server. The trail is the caller's
// again.
void server_stop(struct server *server);
