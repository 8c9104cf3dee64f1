#include "collector/server.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/queue.h"
#include "base/random.h"
#include "collector/append.h"
#include "collector/batch.h"
#include "collector/chatter.h"
#include "collector/expiry.h"
#include "collector/intake.h"
#include "collector/metrics.h"
#include "collector/vitals.h"
#include "storage/trail/trail_reader.h"

enum {
    TICKS_PER_HEARTBEAT = 4,
    TICK_MS_MIN = 20,
    STEP_MS = 100,  // the writer looks around at least this often
    ROUND_MS = 20,  // and the warden
    WORKERS = 2,    // rpc threads: reading and judging is spread over them
    NAP_MS = 20,    // between steps while the disk is full
    VISITS_MAX = 64,
    LIVE_SIZE_MAX = 64 * 1024,
    HOUSEKEEPING = 64,           // peers taken from a queue at once
    GUARD_MS = 1000,             // between two looks at who may stay
    GUARD_QUESTIONS = 64,        // of one round; each is a signature or two
    CHAIN_SIZE_MAX = 32 * 1024,  // bytes of PEM that a peer may show
};

// One file because what the three kinds of threads hand to one another, and when each may let go of
// it, can only be checked in one place.

// One stream of one agent. Its intake belongs to the stream's worker, its place in the list to the
// warden. The last thing the worker does is to push it to `gone`; the warden takes it off the list
// and pushes it to `left`; the writer, which may be in a commit until then, frees it.
struct peer {
    struct server *server;
    struct rpc_stream *stream;
    struct intake *intake;
    bool is_waiting;      // worker: in `waiting`, for room in the queue
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

static int64_t now_s(void) {
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context) / 1000;
}

static int64_t monotonic_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static void nap(int64_t ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

// On the stream's worker.

// Hands the peer to the warden, to be freed, once nothing of it is under way here.
static void leave_if_done(struct peer *peer) {
    if (!peer->is_closed || peer->is_waiting || peer->is_gone) return;
    if (!intake_is_idle(peer->intake)) return;
    peer->is_gone = true;
    // There is room for every peer, and each comes once.
    bool is_pushed = queue_push(peer->server->gone, peer, 1);
    assert(is_pushed);
}

static bool on_send(void *context, struct span message) {
    struct peer *peer = context;
    return rpc_stream_send(peer->stream, message);
}

static void on_resume(void *context) {
    struct peer *peer = context;
    rpc_stream_resume(peer->stream);
}

static void on_close(void *context, enum fault_kind kind, const char *text) {
    struct peer *peer = context;
    rpc_stream_close(peer->stream, kind, text);
}

static bool on_submit(void *context, struct batch *batch) {
    struct peer *peer = context;
    if (queue_push(peer->server->batches, batch, batch->size)) return true;
    if (!peer->is_waiting) {
        peer->is_waiting = true;
        bool is_pushed = queue_push(peer->server->waiting, peer, 1);
        assert(is_pushed);
    }
    return false;
}

// Asks the present gate whether the peer may have a stream. The gate is not freed while anybody is
// in here.
static bool ask_gate(struct server *server, struct peer *peer, struct fault *fault) {
    const struct gate_peer who = {peer->facts.uri, peer->facts.serial, buffer_span(&peer->chain)};
    atomic_fetch_add(&server->gate_users, 1);
    // Before the gate: a change in between is asked about again.
    peer->gate_round = atomic_load(&server->gate_round);
    bool is_good = gate_check(atomic_load(&server->gate), &who, now_s(), fault);
    atomic_fetch_sub(&server->gate_users, 1);
    return is_good;
}

static struct peer *create_peer(struct server *server, struct rpc_stream *stream,
                                const struct rpc_peer *who, struct fault *fault) {
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        fault_set(fault, FAULT_FULL, "no memory for another stream");
        return NULL;
    }
    peer->server = server;
    peer->stream = stream;
    buffer_init(&peer->chain, CHAIN_SIZE_MAX);
    buffer_append(&peer->chain, who->certificate);
    buffer_append(&peer->chain, who->chain);
    bool is_good = !buffer_overflowed(&peer->chain);
    if (!is_good) fault_set(fault, FAULT_DENIED, "the certificates you sent are too many");
    is_good = is_good && certificate_read(buffer_span(&peer->chain), &peer->facts, fault) &&
              ask_gate(server, peer, fault);
    const struct intake_link link = {on_send, on_resume, on_close, on_submit, peer};
    is_good = is_good && intake_create(&server->intake_settings, &link, span_text(who->uri),
                                       &peer->intake, fault);
    if (is_good) return peer;
    buffer_done(&peer->chain);
    free(peer);
    return NULL;
}

static bool may_print(struct server *server) {
    uint32_t left_out;
    bool is_allowed = chatter_may_print(&server->chatter, monotonic_ms(), &left_out);
    if (left_out > 0) {
        LOG(LOG_WARNING, "lines about streams were left out", log_number("lines", left_out));
    }
    return is_allowed;
}

static bool on_open(void *context, struct rpc_stream *stream, const struct rpc_peer *who,
                    void **stream_context, struct fault *fault) {
    struct server *server = context;
    struct peer *peer = NULL;
    // Counted before the question, so that whoever drains sees this one or is seen by it.
    uint32_t count = atomic_fetch_add(&server->peers_count, 1);
    if (atomic_load(&server->is_draining)) {
        fault_set(fault, FAULT_RETRY, "the collector is stopping");
    } else if (count >= server->streams_max) {
        fault_set(fault, FAULT_RETRY, "the collector has no room for another stream: it serves %u",
                  server->streams_max);
    } else {
        peer = create_peer(server, stream, who, fault);
    }
    if (peer == NULL) {
        atomic_fetch_sub(&server->peers_count, 1);
        metric_add(&metrics_table[METRICS_STREAMS_REFUSED], (uint32_t)fault->kind, 1);
        if (may_print(server)) {
            LOG(LOG_WARNING, "stream refused", log_text("peer", who->uri),
                log_text("address", who->address), log_text("serial", who->serial),
                log_fault(fault), log_kind(fault));
        }
        return false;
    }
    rpc_stream_hold(stream);
    bool is_pushed = queue_push(server->opened, peer, 1);
    assert(is_pushed);
    metric_add(&metrics_table[METRICS_STREAMS_OPENED], 0, 1);
    if (may_print(server)) {
        LOG(LOG_INFO, "stream opened", log_text("peer", who->uri),
            log_text("address", who->address), log_text("serial", who->serial));
    }
    *stream_context = peer;
    return true;
}

static enum rpc_read on_message(void *stream_context, struct span message) {
    struct peer *peer = stream_context;
    metric_add(&metrics_table[METRICS_MESSAGES], 0, 1);
    metric_add(&metrics_table[METRICS_MESSAGE_BYTES], 0, (int64_t)message.size);
    return intake_message(peer->intake, message) ? RPC_READ_ON : RPC_PAUSE;
}

static void on_sent(void *stream_context) {
    struct peer *peer = stream_context;
    intake_sent(peer->intake);
}

static void on_closed(void *stream_context, const struct fault *reason) {
    struct peer *peer = stream_context;
    struct span uri = intake_uri(peer->intake);
    metric_add(&metrics_table[METRICS_STREAMS_ENDED], (uint32_t)reason->kind, 1);
    enum log_level level = reason->kind == FAULT_NONE ? LOG_INFO : LOG_WARNING;
    if (may_print(peer->server)) {
        LOG(level, "stream ended", (struct log_field){"peer", uri, 0}, log_fault(reason),
            log_kind(reason));
    }
    intake_closed(peer->intake);
    peer->is_closed = true;
    leave_if_done(peer);
}

static void run_report(void *argument, bool is_closed) {
    (void)is_closed;
    struct batch *batch = argument;
    struct intake *intake = batch->owner;
    struct peer *peer = intake_context(intake);
    intake_report(intake, batch);
    leave_if_done(peer);
}

static void run_tick(void *argument, bool is_closed) {
    struct peer *peer = argument;
    if (!is_closed) intake_tick(peer->intake);
    atomic_fetch_sub(&peer->posts, 1);
}

static void run_drain(void *argument, bool is_closed) {
    struct peer *peer = argument;
    if (!is_closed) intake_drain(peer->intake);
    atomic_fetch_sub(&peer->posts, 1);
}

static void run_superseded(void *argument, bool is_closed) {
    struct peer *peer = argument;
    if (!is_closed) intake_superseded(peer->intake);
    atomic_fetch_sub(&peer->posts, 1);
}

static void run_unthrottled(void *argument, bool is_closed) {
    struct peer *peer = argument;
    if (!is_closed) intake_unthrottled(peer->intake);
    atomic_fetch_sub(&peer->posts, 1);
}

static void run_retry(void *argument, bool is_closed) {
    struct peer *peer = argument;
    peer->is_waiting = false;
    if (!is_closed) intake_retry(peer->intake);
    leave_if_done(peer);
    atomic_fetch_sub(&peer->posts, 1);
}

// On the writer's or the warden's thread.

// Runs a function on the peer's worker. The peer outlives it.
static void post(struct peer *peer, void (*function)(void *argument, bool is_closed)) {
    atomic_fetch_add(&peer->posts, 1);
    rpc_stream_post(peer->stream, function, peer);
}

// On the warden's thread.

static void list_peer(struct server *server, struct peer *peer) {
    peer->next = server->peers;
    if (server->peers != NULL) server->peers->before = peer;
    server->peers = peer;
}

static void unlist_peer(struct server *server, struct peer *peer) {
    if (peer->next != NULL) peer->next->before = peer->before;
    if (peer->before != NULL) {
        peer->before->next = peer->next;
    } else {
        server->peers = peer->next;
    }
    peer->next = NULL;
    peer->before = NULL;
}

static void welcome_opened(struct server *server, int64_t wait_ms) {
    void *items[HOUSEKEEPING];
    uint32_t count;
    while ((count = queue_pop(server->opened, items, HOUSEKEEPING, wait_ms)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            struct peer *peer = items[index];
            list_peer(server, peer);
            expiry_see_agent(server->expiry, &peer->facts, monotonic_ms());
        }
        wait_ms = 0;
    }
}

static void part_with_gone(struct server *server) {
    void *items[HOUSEKEEPING];
    uint32_t count;
    while ((count = queue_pop(server->gone, items, HOUSEKEEPING, 0)) > 0) {
        // One that is gone was opened before, so it is in the list once `opened` is empty.
        welcome_opened(server, 0);
        for (uint32_t index = 0; index < count; index++) {
            unlist_peer(server, items[index]);
            // There is room for every peer.
            bool is_pushed = queue_push(server->left, items[index], 1);
            assert(is_pushed);
        }
    }
}

static void tick_peers(struct server *server) {
    int64_t now = monotonic_ms();
    if (now - server->ticked_ms < server->tick_ms) return;
    server->ticked_ms = now;
    for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        // One tick at a time, if a worker is behind.
        if (atomic_load(&peer->posts) == 0) post(peer, run_tick);
    }
}

// Whether a stream may go on, by its certificate's end and, if the gate has changed, by the gate.
// *asked counts questions to the gate.
static bool may_stay(struct server *server, struct peer *peer, uint32_t *asked,
                     struct fault *fault) {
    uint64_t round = atomic_load(&server->gate_round);
    if (peer->gate_round == round && peer->facts.not_after_s > now_s()) return true;
    (*asked)++;
    return ask_gate(server, peer, fault);
}

// Looks at the certificates of the gate, if it is another one, and at all ends that come near.
static void watch_ends(struct server *server) {
    uint64_t round = atomic_load(&server->gate_round) + 1;
    if (server->gate_seen != round) {
        server->gate_seen = round;
        atomic_fetch_add(&server->gate_users, 1);
        const struct gate *gate = atomic_load(&server->gate);
        uint32_t count;
        const struct certificate_facts *cas = gate_cas(gate, &count);
        expiry_see_own(server->expiry, gate_own(gate), cas, count);
        server->gate_changes_s = gate_changes_s(gate, now_s());
        atomic_fetch_sub(&server->gate_users, 1);
    }
    expiry_step(server->expiry, now_s());
}

// Ends streams that the gate would not let in any more: a few questions in each round, since
// heartbeats wait for them.
static void guard_peers(struct server *server) {
    int64_t now = monotonic_ms();
    uint32_t asked = 0;
    if (now - server->guarded_ms < GUARD_MS) return;
    watch_ends(server);
    if (now_s() > server->gate_changes_s) {
        server->gate_changes_s = INT64_MAX;  // watch_ends finds the next
        atomic_fetch_add(&server->gate_round, 1);
    }
    struct peer *peer = server->peers;
    for (; peer != NULL && asked < GUARD_QUESTIONS; peer = peer->next) {
        struct fault fault;
        if (peer->is_shut_out || may_stay(server, peer, &asked, &fault)) continue;
        peer->is_shut_out = true;
        rpc_stream_close(peer->stream, fault.kind, fault.text);
    }
    if (peer == NULL) server->guarded_ms = now;
}

static void drain_peers(struct server *server) {
    for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        if (peer->was_drained) continue;
        peer->was_drained = true;
        post(peer, run_drain);
    }
}

// Ends all streams that are left.
static void cut_peers(struct server *server) {
    for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        rpc_stream_close(peer->stream, FAULT_RETRY, "the collector is stopping");
    }
}

static void show_peers(struct server *server) {
    void *item;
    while (queue_pop(server->visits, &item, 1, 0) == 1) {
        struct server_visit *visit = item;
        struct buffer live;
        buffer_init(&live, LIVE_SIZE_MAX);
        for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
            buffer_reset(&live);
            vitals_read(intake_vitals(peer->intake), &live);
            if (live.size > 0 && !buffer_overflowed(&live)) visit->each(visit, buffer_span(&live));
        }
        buffer_done(&live);
        visit->done(visit);
    }
}

static void *run_warden(void *argument) {
    struct server *server = argument;
    while (!atomic_load(&server->is_over) || atomic_load(&server->peers_count) > 0) {
        welcome_opened(server, server->tick_ms < ROUND_MS ? server->tick_ms : ROUND_MS);
        part_with_gone(server);
        tick_peers(server);
        show_peers(server);
        guard_peers(server);
        if (atomic_load(&server->is_draining)) drain_peers(server);
        // Again in each round, for one that opened just before: a second close does nothing.
        if (atomic_load(&server->is_cutting)) cut_peers(server);
    }
    return NULL;
}

// On the writer's thread.

static void on_report(void *context, struct batch *batch) {
    (void)context;
    struct peer *peer = intake_context(batch->owner);
    // The worker frees nothing before it has run; the batch itself keeps the intake busy.
    rpc_stream_post(peer->stream, run_report, batch);
}

static void on_superseded(void *context, void *owner) {
    (void)context;
    post(intake_context(owner), run_superseded);
}

static void on_unthrottled(void *context, void *owner) {
    (void)context;
    post(intake_context(owner), run_unthrottled);
}

static void free_peer(struct server *server, struct peer *peer) {
    rpc_stream_release(peer->stream);
    intake_destroy(peer->intake);
    buffer_done(&peer->chain);
    free(peer);
    atomic_fetch_sub(&server->peers_count, 1);
}

// Frees those that have left and that nothing posted will touch any more.
static void free_leaving(struct server *server) {
    struct peer **at = &server->leaving;
    while (*at != NULL) {
        struct peer *peer = *at;
        if (atomic_load(&peer->posts) > 0) {
            at = &peer->next;
            continue;
        }
        *at = peer->next;
        free_peer(server, peer);
    }
}

static void forget_left(struct server *server) {
    void *items[HOUSEKEEPING];
    uint32_t count;
    while ((count = queue_pop(server->left, items, HOUSEKEEPING, 0)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            struct peer *peer = items[index];
            if (server->append != NULL) {
                bool is_final = false;
                int64_t heard_ms = intake_heard_ms(peer->intake, &is_final);
                append_forget(server->append, peer->intake, heard_ms, is_final);
            }
            peer->next = server->leaving;
            server->leaving = peer;
        }
    }
    free_leaving(server);
}

static void wake_waiting(struct server *server) {
    void *items[HOUSEKEEPING];
    uint32_t count = queue_pop(server->waiting, items, HOUSEKEEPING, 0);
    for (uint32_t index = 0; index < count; index++) post(items[index], run_retry);
}

// Takes no more batches, and gives back those that will not be stored: their agents were told
// nothing of them and send them again.
static void end_append(struct server *server) {
    queue_close(server->batches);
    void *items[HOUSEKEEPING];
    uint32_t count;
    while ((count = queue_pop(server->batches, items, HOUSEKEEPING, 0)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            struct batch *batch = items[index];
            fault_set(&batch->fault, FAULT_RETRY, "the collector is stopping");
            on_report(server, batch);
        }
    }
    struct fault fault;
    if (!append_save(server->append, &fault)) {
        LOG(LOG_WARNING, "coverage was not saved: the next start reads it from the events",
            log_fault(&fault), log_kind(&fault));
    }
    append_destroy(server->append);
    server->append = NULL;
}

static void step_append(struct server *server) {
    atomic_store(&server->stepped_ms, monotonic_ms());
    int64_t wait_ms = server->tick_ms < STEP_MS ? server->tick_ms : STEP_MS;
    struct fault fault;
    if (!append_step(server->append, wait_ms, &fault)) {
        // Nobody knows what the disk holds: nothing more may be promised. Agents send again.
        LOG(LOG_ERROR, "the trail cannot go on: the collector ends", log_fault(&fault),
            log_kind(&fault));
        _exit(fault_exit_code(fault.kind));
    }
    bool is_full = append_is_full(server->append);
    atomic_store(&server->is_full, is_full);
    if (is_full) nap(NAP_MS);
}

static void *run_writer(void *argument) {
    struct server *server = argument;
    while (true) {
        if (server->append != NULL && atomic_load(&server->is_cutting)) end_append(server);
        if (server->append != NULL) {
            step_append(server);
        } else {
            nap(1);
        }
        forget_left(server);
        wake_waiting(server);
        bool is_last = atomic_load(&server->is_over) && server->append == NULL;
        if (is_last && atomic_load(&server->peers_count) == 0) return NULL;
    }
}

// On the main thread.

static void destroy(struct server *server) {
    append_destroy(server->append);
    // Who waits to look finds none.
    if (server->visits != NULL) show_peers(server);
    struct queue *const queues[] = {server->batches, server->opened, server->waiting,
                                    server->gone,    server->left,   server->visits};
    for (size_t index = 0; index < sizeof queues / sizeof queues[0]; index++) {
        if (queues[index] != NULL) queue_destroy(queues[index]);
    }
    batch_pool_destroy(server->pool);
    gate_destroy(atomic_load(&server->gate));
    expiry_destroy(server->expiry);
    notes_destroy(server->notes);
    free(server);
}

// What the store knows of certificates.
static bool load_expiry(struct server *server, const char *store_directory, struct fault *fault) {
    struct trail_reader *reader;
    server->expiry = expiry_create(server->notes);
    if (server->expiry == NULL) return fault_set(fault, FAULT_FULL, "no memory for certificates");
    if (!trail_reader_open(store_directory, &reader, fault)) return false;
    bool is_good = expiry_load(server->expiry, reader, fault);
    trail_reader_close(reader);
    return is_good;
}

// What the writer remembers beyond its trail.
static bool load_saved(struct server *server, const struct settings *settings,
                       struct fault *fault) {
    struct trail_reader *reader = NULL;
    bool is_good = trail_reader_open(settings->store_directory, &reader, fault) &&
                   append_load(server->append, reader, fault);
    trail_reader_close(reader);
    return is_good || fault_add(fault, "coverage");
}

static bool make_parts(struct server *server, const struct settings *settings,
                       struct roster_live *roster, struct trail *trail, struct fault *fault) {
    static const struct append_callbacks callbacks = {on_report, on_superseded, on_unthrottled};
    // Peers are counted until they are freed, so no queue of peers can hold more.
    uint32_t peers_max = settings->streams_max + 1;
    server->pool = batch_pool_create();
    server->notes = notes_create();
    server->batches = queue_create(SERVER_QUEUE_BATCHES_MAX, SERVER_QUEUE_SIZE_MAX);
    server->opened = queue_create(peers_max, peers_max);
    server->waiting = queue_create(peers_max, peers_max);
    server->gone = queue_create(peers_max, peers_max);
    server->left = queue_create(peers_max, peers_max);
    server->visits = queue_create(VISITS_MAX, VISITS_MAX);
    if (server->pool == NULL || server->batches == NULL || server->opened == NULL ||
        server->waiting == NULL || server->gone == NULL || server->left == NULL ||
        server->visits == NULL || server->notes == NULL) {
        return fault_set(fault, FAULT_FULL, "no memory for the queues");
    }
    server->streams_max = settings->streams_max;
    server->tick_ms = settings->heartbeat_ms / TICKS_PER_HEARTBEAT;
    if (server->tick_ms < TICK_MS_MIN) server->tick_ms = TICK_MS_MIN;
    server->store_directory = settings->store_directory;
    server->intake_settings = (struct intake_settings){
        .organization_id = settings->organization,
        .heartbeat_ms = settings->heartbeat_ms,
        .skew = &metrics_table[METRICS_CLOCK_SKEW],
        .future_max_s = (int64_t)settings->future_max_hours * 3600,
        .share_size = SERVER_QUEUE_SIZE_MAX / SERVER_SHARE,
        .roster = roster,
        .clock = clock_system(),
        .pool = server->pool,
    };
    const struct append_options options = {
        .trail = trail,
        .queue = server->batches,
        .clock = clock_system(),
        .random = random_system(),
        .management_account = settings->management_account,
        .home_region = settings->home_region,
        .quarantine_max = settings->quarantine_size_max,
        .retention_days = settings->retention_days,
        .streams_max = settings->streams_max,
        .notes = server->notes,
        .roster = roster,
        .heartbeat_ms = settings->heartbeat_ms,
        .region_silent_ms = (int64_t)settings->region_silent_s * 1000,
        .callbacks = &callbacks,
        .context = server,
    };
    if (!append_create(&options, &server->append, fault)) return false;
    if (!load_expiry(server, settings->store_directory, fault)) return false;
    if (!load_saved(server, settings, fault)) return false;
    append_epoch(server->append, server->intake_settings.epoch);
    server->intake_settings.backup_time_ms = trail_get_origin(trail)->backup_ms;
    return true;
}

// Ends both threads: no peer is left, or none will ever be.
static void end_threads(struct server *server) {
    atomic_store(&server->is_draining, true);
    atomic_store(&server->is_cutting, true);
    atomic_store(&server->is_over, true);
    int status = pthread_join(server->warden, NULL);
    assert(status == 0);
    status = pthread_join(server->writer, NULL);
    assert(status == 0);
}

static bool start_threads(struct server *server, struct fault *fault) {
    int status = pthread_create(&server->writer, NULL, run_writer, server);
    if (status != 0) return fault_set_errno(fault, FAULT_FULL, status, "start the writer's thread");
    status = pthread_create(&server->warden, NULL, run_warden, server);
    if (status == 0) return true;
    // A process that cannot have a few threads at its start is not worth saving.
    abort();
}

bool server_start(const struct settings *settings, const struct rpc_credentials *credentials,
                  struct gate *gate, struct roster_live *roster, struct trail *trail,
                  struct server **server, struct fault *fault) {
    static const struct rpc_server_callbacks callbacks = {on_open, on_message, on_sent, on_closed};
    struct server *made = calloc(1, sizeof *made);
    if (made == NULL) {
        gate_destroy(gate);
        return fault_set(fault, FAULT_FULL, "no memory for the server");
    }
    atomic_store(&made->gate, gate);
    made->gate_changes_s = INT64_MAX;
    if (!make_parts(made, settings, roster, trail, fault)) {
        destroy(made);
        return false;
    }
    atomic_store(&made->stepped_ms, monotonic_ms());
    if (!start_threads(made, fault)) {
        destroy(made);
        return false;
    }
    const struct rpc_server_options options = {
        .listen = settings->listen,
        .service = "/orgtrail.v1.Collector/Stream",
        .credentials = *credentials,
        .callbacks = &callbacks,
        .context = made,
        .workers = WORKERS,
        .streams_max = settings->streams_max,
    };
    if (!rpc_server_start(&options, &made->rpc, fault)) {
        end_threads(made);
        destroy(made);
        return false;
    }
    *server = made;
    return true;
}

uint16_t server_port(const struct server *server) {
    return rpc_server_port(server->rpc);
}

struct notes *server_notes(struct server *server) {
    return server->notes;
}

struct append *server_append(struct server *server) {
    return server->append;
}

bool server_reload(struct server *server, const struct rpc_credentials *credentials,
                   struct fault *fault) {
    return rpc_server_reload(server->rpc, credentials, fault);
}

void server_tell(struct server *server, const char *name, const struct own_event_detail *details,
                 uint32_t details_count) {
    (void)notes_add(server->notes, name, (struct span){NULL, 0}, details, details_count);
}

void server_set_gate(struct server *server, struct gate *gate) {
    struct gate *old = atomic_exchange(&server->gate, gate);
    atomic_fetch_add(&server->gate_round, 1);
    // Whoever comes from here on sees the new one.
    while (atomic_load(&server->gate_users) > 0) nap(1);
    gate_destroy(old);
}

bool server_is_deaf(const struct server *server) {
    return rpc_server_is_deaf(server->rpc);
}

bool server_is_stuck(const struct server *server) {
    return monotonic_ms() - atomic_load(&server->stepped_ms) > SERVER_STALL_MS;
}

bool server_visit(struct server *server, struct server_visit *visit) {
    return queue_push(server->visits, visit, 1);
}

const char *server_complaint(struct server *server) {
    if (atomic_load(&server->is_draining)) return "stopping";
    if (atomic_load(&server->is_full)) return "the store has no room: nothing is acknowledged";
    if (server_is_deaf(server)) return "the listener is dead";
    if (server_is_stuck(server))
        return "the writer has been waiting for the disk for more than a minute";
    return NULL;
}

void server_measure(struct server *server) {
    uint32_t batches;
    uint64_t size;
    queue_measure(server->batches, &batches, &size);
    metric_set(&metrics_table[METRICS_QUEUE_BATCHES], 0, batches);
    metric_set(&metrics_table[METRICS_QUEUE_BYTES], 0, (int64_t)size);
    metric_set(&metrics_table[METRICS_STREAMS], 0, atomic_load(&server->peers_count));
    uint64_t free_size, total_size;
    struct fault fault;
    if (files_measure_free(files_system(), server->store_directory, &free_size, &total_size,
                           &fault)) {
        metric_set(&metrics_table[METRICS_DISK], 0, (int64_t)total_size);
        metric_set(&metrics_table[METRICS_DISK_FREE], 0, (int64_t)free_size);
    }
}

void server_stop(struct server *server) {
    atomic_store(&server->is_draining, true);
    int64_t until = monotonic_ms() + SERVER_DRAIN_MS;
    while (atomic_load(&server->peers_count) > 0 && monotonic_ms() < until) {
        // What cannot be stored cannot be waited for.
        if (atomic_load(&server->is_full)) break;
        nap(5);
    }
    atomic_store(&server->is_cutting, true);
    until = monotonic_ms() + SERVER_GRACE_MS;
    while (atomic_load(&server->peers_count) > 0 && monotonic_ms() < until) nap(5);
    if (atomic_load(&server->peers_count) > 0) {
        // Whatever holds them, what is durable is durable and the rest was not acknowledged.
        LOG(LOG_ERROR, "streams did not end in time: the collector ends without them",
            log_number("streams", atomic_load(&server->peers_count)));
        _exit(0);
    }
    rpc_server_stop(server->rpc, 0);
    end_threads(server);
    destroy(server);
}
