#include <assert.h>

#include "collector/intake/vitals.h"
#include "collector/server/server_internal.h"

enum {
    ROUND_MS = 20,         // the warden looks around at least this often
    GUARD_MS = 1000,       // between two looks at who may stay
    GUARD_QUESTIONS = 64,  // of one round; each is a signature or two
    LIVE_SIZE_MAX = 64 * 1024,
};

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
    void *items[SERVER_HOUSEKEEPING];
    uint32_t count;
    while ((count = queue_pop(server->opened, items, SERVER_HOUSEKEEPING, wait_ms)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            struct peer *peer = items[index];
            list_peer(server, peer);
            expiry_see_agent(server->expiry, &peer->facts, server_monotonic_ms());
        }
        wait_ms = 0;
    }
}

static void part_with_gone(struct server *server) {
    void *items[SERVER_HOUSEKEEPING];
    uint32_t count;
    while ((count = queue_pop(server->gone, items, SERVER_HOUSEKEEPING, 0)) > 0) {
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
    int64_t now = server_monotonic_ms();
    if (now - server->ticked_ms < server->tick_ms) return;
    server->ticked_ms = now;
    for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        // One tick at a time, if a worker is behind.
        if (atomic_load(&peer->posts) == 0) server_post(peer, server_run_tick);
    }
}

// Whether a stream may go on, by its certificate's end and, if the gate has changed, by the gate.
// *asked counts questions to the gate.
static bool may_stay(struct server *server, struct peer *peer, uint32_t *asked,
                     struct fault *fault) {
    uint64_t round = atomic_load(&server->gate_round);
    if (peer->gate_round == round && peer->facts.not_after_s > server_now_s()) return true;
    (*asked)++;
    return server_ask_gate(server, peer, fault);
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
        server->gate_changes_s = gate_changes_s(gate, server_now_s());
        atomic_fetch_sub(&server->gate_users, 1);
    }
    expiry_step(server->expiry, server_now_s());
}

// Ends streams that the gate would not let in any more: a few questions in each round, since
// heartbeats wait for them.
static void guard_peers(struct server *server) {
    int64_t now = server_monotonic_ms();
    uint32_t asked = 0;
    if (now - server->guarded_ms < GUARD_MS) return;
    watch_ends(server);
    if (server_now_s() > server->gate_changes_s) {
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
        server_post(peer, server_run_drain);
    }
}

// Ends all streams that are left.
static void cut_peers(struct server *server) {
    for (struct peer *peer = server->peers; peer != NULL; peer = peer->next) {
        rpc_stream_close(peer->stream, FAULT_RETRY, "the collector is stopping");
    }
}

void server_show_peers(struct server *server) {
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

void *server_run_warden(void *argument) {
    struct server *server = argument;
    while (!atomic_load(&server->is_over) || atomic_load(&server->peers_count) > 0) {
        welcome_opened(server, server->tick_ms < ROUND_MS ? server->tick_ms : ROUND_MS);
        part_with_gone(server);
        tick_peers(server);
        server_show_peers(server);
        guard_peers(server);
        if (atomic_load(&server->is_draining)) drain_peers(server);
        // Again in each round, for one that opened just before: a second close does nothing.
        if (atomic_load(&server->is_cutting)) cut_peers(server);
    }
    return NULL;
}
