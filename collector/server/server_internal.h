// server_internal.h: what the three kinds of threads of the server hand to one another, and when
// each may let go of it. Internal: a file for each kind, and server.c for the main thread.
//
// server_peer.c    on the worker of a stream: reading, judging, answering
// server_warden.c  the list of streams, heartbeats, who may stay
// server_writer.c  commits, and who is told of them

#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/queue.h"
#include "collector/append/append.h"
#include "collector/intake/intake.h"
#include "collector/server/chatter.h"
#include "collector/server/expiry.h"
#include "collector/server/server.h"

enum {
    SERVER_HOUSEKEEPING = 64,  // peers taken from a queue at once
};

// One stream of one agent. Its intake belongs to the stream's worker, its place in the list to the
// warden. The last thing the worker does is to push it to `gone`; the warden takes it off the list
// and pushes it to `left`; the writer, which may be in a commit until then, frees it.
struct peer {
    struct server *server;
    struct rpc_stream *stream;
    struct intake *intake;
    bool is_waiting;      // worker: in `waiting`, for room for another batch
    bool is_closed;       // worker
    bool is_gone;         // worker: in `gone`
    atomic_uint posts;    // functions posted by writer and warden that have not run
    bool was_drained;     // warden
    bool is_shut_out;     // warden: the gate has closed behind it
    uint64_t gate_round;  // warden: the last one that let it through
    struct certificate_facts facts;
    struct buffer chain;  // PEM, for the gate
    struct peer *next;    // warden, later writer
    struct peer *before;  // warden
};

struct server {
    struct rpc_server *rpc;
    struct append *append;
    struct notes *notes;
    struct batch_pool *pool;
    struct intake_settings intake_settings;
    const char *store_directory;  // the settings'
    struct queue *batches;
    struct queue *opened;   // peers, from workers to the warden
    struct queue *waiting;  // peers, from workers to the writer
    struct queue *gone;     // peers, from workers to the warden
    struct queue *left;     // peers, from the warden to the writer
    struct queue *visits;   // from any thread to the warden
    uint32_t streams_max;
    struct chatter chatter;
    int64_t tick_ms;

    pthread_t writer;
    pthread_t warden;
    atomic_uint peers_count;  // from open to free
    atomic_bool is_draining;
    atomic_bool is_cutting;  // what is left is cut off
    atomic_bool is_over;     // both threads end when no peer is left
    atomic_bool is_full;
    _Atomic(struct gate *) gate;  // set by the main thread
    atomic_uint gate_users;       // threads that look at it now
    atomic_ullong gate_round;     // counts its changes
    atomic_llong stepped_ms;      // monotonic: when the writer's last step began

    // The warden's. It never waits for the disk: streams hear from us while the writer does.
    struct peer *peers;
    int64_t ticked_ms;
    int64_t guarded_ms;      // when peers were last asked whether they may stay
    int64_t gate_changes_s;  // when the gate's answers change by themselves
    uint64_t gate_seen;      // one more than the round of the gate that was looked at last
    struct expiry *expiry;

    // The writer's.
    struct peer *leaving;  // left, with posts that have not run
};

static inline int64_t server_now_s(void) {
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context) / 1000;
}

static inline int64_t server_monotonic_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static inline void server_nap(int64_t ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

// What rpc calls, on the stream's worker.
extern const struct rpc_server_callbacks server_peer_callbacks;

// Asks the present gate whether the peer may have a stream. The gate is not freed while anybody is
// in here.
bool server_ask_gate(struct server *server, struct peer *peer, struct fault *fault);

// [writer, warden] Runs one of the functions below on the peer's worker. The peer outlives it.
void server_post(struct peer *peer, void (*function)(void *argument, bool is_closed));

// Their argument is the peer; that of server_run_report, which is posted to the stream itself, the
// batch: nothing is freed before it has run, since the batch keeps the intake busy.
void server_run_report(void *argument, bool is_closed);
void server_run_tick(void *argument, bool is_closed);
void server_run_drain(void *argument, bool is_closed);
void server_run_superseded(void *argument, bool is_closed);
void server_run_unthrottled(void *argument, bool is_closed);
void server_run_retry(void *argument, bool is_closed);

// The warden's thread; the argument is the server.
void *server_run_warden(void *argument);

// [warden, or main when it is gone] Shows all streams to those who want to look.
void server_show_peers(struct server *server);

// What append calls, on the writer's thread.
extern const struct append_callbacks server_append_callbacks;

// The writer's thread; the argument is the server.
void *server_run_writer(void *argument);
