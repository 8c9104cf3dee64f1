#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "collector/metrics.h"
#include "collector/server/server_internal.h"

enum {
    CHAIN_SIZE_MAX = 32 * 1024,  // bytes of PEM that a peer may show
};

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

static bool on_has_room(void *context) {
    struct peer *peer = context;
    if (batch_pool_weight(peer->server->pool) < SERVER_BATCHES_SIZE_MAX) return true;
    if (!peer->is_waiting) {
        peer->is_waiting = true;
        bool is_pushed = queue_push(peer->server->waiting, peer, 1);
        assert(is_pushed);
    }
    return false;
}

static bool on_submit(void *context, struct batch *batch) {
    struct peer *peer = context;
    return queue_push(peer->server->batches, batch, batch->weight);
}

bool server_ask_gate(struct server *server, struct peer *peer, struct fault *fault) {
    const struct gate_peer who = {peer->facts.uri, peer->facts.serial, buffer_span(&peer->chain)};
    atomic_fetch_add(&server->gate_users, 1);
    // Before the gate: a change in between is asked about again.
    peer->gate_round = atomic_load(&server->gate_round);
    bool is_good = gate_check(atomic_load(&server->gate), &who, server_now_s(), fault);
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
              server_ask_gate(server, peer, fault);
    const struct intake_link link = {on_send, on_resume, on_close, on_has_room, on_submit, peer};
    is_good = is_good && intake_create(&server->intake_settings, &link, span_text(who->uri),
                                       &peer->intake, fault);
    if (is_good) return peer;
    buffer_done(&peer->chain);
    free(peer);
    return NULL;
}

static bool may_print(struct server *server) {
    uint32_t left_out;
    bool is_allowed = chatter_may_print(&server->chatter, server_monotonic_ms(), &left_out);
    if (left_out > 0) {
        LOG(LOG_WARNING, "lines about streams were left out", log_number("lines", left_out));
    }
    return is_allowed;
}

// A certificate of our CA that may not have a stream. Strangers do not come so far.
static void tell_refused(struct server *server, const struct rpc_peer *who,
                         const struct fault *fault) {
    const struct own_event_detail details[] = {
        {"peer", span_text(who->uri), 0},
        {"serial", span_text(who->serial), 0},
        {"address", span_text(who->address), 0},
        {"detail", span_text(fault->text), 0},
    };
    notes_add(server->notes, "StreamRefused", span_text(who->uri), details, 4);
}

static void refuse(struct server *server, const struct rpc_peer *who, const struct fault *fault) {
    metric_add(&metrics_table[METRICS_STREAMS_REFUSED], (uint32_t)fault->kind, 1);
    if (fault->kind == FAULT_DENIED) tell_refused(server, who, fault);
    if (may_print(server)) {
        LOG(LOG_WARNING, "stream refused", log_text("peer", who->uri),
            log_text("address", who->address), log_text("serial", who->serial), log_fault(fault),
            log_kind(fault));
    }
}

static bool on_screen(void *context, const struct rpc_peer *who) {
    struct server *server = context;
    struct fault fault;
    atomic_fetch_add(&server->gate_users, 1);
    bool is_good = gate_check_denied(atomic_load(&server->gate), who->uri, who->serial, &fault);
    atomic_fetch_sub(&server->gate_users, 1);
    if (!is_good) refuse(server, who, &fault);
    return is_good;
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
        refuse(server, who, fault);
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

static void tell_different(struct server *server, struct span uri, const struct fault *reason) {
    const struct own_event_detail details[] = {
        {"agent", uri, 0},
        {"detail", span_text(reason->text), 0},
    };
    notes_add(server->notes, "SpoolDiffers", uri, details, 2);
}

static void on_closed(void *stream_context, const struct fault *reason) {
    struct peer *peer = stream_context;
    struct span uri = intake_uri(peer->intake);
    metric_add(&metrics_table[METRICS_STREAMS_ENDED], (uint32_t)reason->kind, 1);
    if (reason->kind == FAULT_CORRUPT) tell_different(peer->server, uri, reason);
    enum log_level level = reason->kind == FAULT_NONE ? LOG_INFO : LOG_WARNING;
    if (may_print(peer->server)) {
        const char *text = reason->text[0] == 0 ? "none: it ended in order" : reason->text;
        LOG(level, "stream ended", (struct log_field){"peer", uri, 0}, log_text("error", text),
            log_kind(reason));
    }
    intake_closed(peer->intake);
    peer->is_closed = true;
    leave_if_done(peer);
}

void server_run_report(void *argument, bool is_closed) {
    (void)is_closed;
    struct batch *batch = argument;
    struct intake *intake = batch->owner;
    struct peer *peer = intake_context(intake);
    intake_report(intake, batch);
    leave_if_done(peer);
}

void server_run_tick(void *argument, bool is_closed) {
    struct peer *peer = argument;
    if (!is_closed) intake_tick(peer->intake);
    atomic_fetch_sub(&peer->posts, 1);
}

void server_run_drain(void *argument, bool is_closed) {
    struct peer *peer = argument;
    if (!is_closed) intake_drain(peer->intake);
    atomic_fetch_sub(&peer->posts, 1);
}

void server_run_superseded(void *argument, bool is_closed) {
    struct peer *peer = argument;
    if (!is_closed) intake_superseded(peer->intake);
    atomic_fetch_sub(&peer->posts, 1);
}

void server_run_unthrottled(void *argument, bool is_closed) {
    struct peer *peer = argument;
    if (!is_closed) intake_unthrottled(peer->intake);
    atomic_fetch_sub(&peer->posts, 1);
}

void server_run_retry(void *argument, bool is_closed) {
    struct peer *peer = argument;
    peer->is_waiting = false;
    if (!is_closed) intake_retry(peer->intake);
    leave_if_done(peer);
    atomic_fetch_sub(&peer->posts, 1);
}

const struct rpc_server_callbacks server_peer_callbacks = {on_open, on_message, on_sent, on_closed,
                                                           on_screen};

void server_post(struct peer *peer, void (*function)(void *argument, bool is_closed)) {
    atomic_fetch_add(&peer->posts, 1);
    rpc_stream_post(peer->stream, function, peer);
}
