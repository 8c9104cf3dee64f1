#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "collector/server/server_internal.h"

enum {
    STEP_MS = 100,  // the writer looks around at least this often
    NAP_MS = 20,    // between steps while the disk is full
    WAKE_ROUNDS = 8,
};

static void on_report(void *context, struct batch *batch) {
    (void)context;
    struct peer *peer = intake_context(batch->owner);
    // The worker frees nothing before it has run; the batch itself keeps the intake busy.
    rpc_stream_post(peer->stream, server_run_report, batch);
}

static void on_superseded(void *context, void *owner) {
    (void)context;
    server_post(intake_context(owner), server_run_superseded);
}

static void on_unthrottled(void *context, void *owner) {
    (void)context;
    server_post(intake_context(owner), server_run_unthrottled);
}

const struct append_callbacks server_append_callbacks = {on_report, on_superseded, on_unthrottled};

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
    void *items[SERVER_HOUSEKEEPING];
    uint32_t count;
    while ((count = queue_pop(server->left, items, SERVER_HOUSEKEEPING, 0)) > 0) {
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

// Has those look again that wait for room: all in turn, and many of them if there is some. Who is
// over is let go by this too.
static void wake_waiting(struct server *server) {
    void *items[SERVER_HOUSEKEEPING];
    bool has_room = batch_pool_weight(server->pool) < SERVER_BATCHES_SIZE_MAX;
    for (int round = 0; round < (has_room ? WAKE_ROUNDS : 1); round++) {
        uint32_t count = queue_pop(server->waiting, items, SERVER_HOUSEKEEPING, 0);
        for (uint32_t index = 0; index < count; index++) {
            server_post(items[index], server_run_retry);
        }
    }
}

// Takes no more batches, and gives back those that will not be stored: their agents were told
// nothing of them and send them again.
static void end_append(struct server *server) {
    queue_close(server->batches);
    void *items[SERVER_HOUSEKEEPING];
    uint32_t count;
    while ((count = queue_pop(server->batches, items, SERVER_HOUSEKEEPING, 0)) > 0) {
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
    atomic_store(&server->stepped_ms, server_monotonic_ms());
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
    if (is_full) server_nap(NAP_MS);
}

void *server_run_writer(void *argument) {
    struct server *server = argument;
    while (true) {
        if (server->append != NULL && atomic_load(&server->is_cutting)) end_append(server);
        if (server->append != NULL) {
            step_append(server);
        } else {
            server_nap(1);
        }
        forget_left(server);
        wake_waiting(server);
        bool is_last = atomic_load(&server->is_over) && server->append == NULL;
        if (is_last && atomic_load(&server->peers_count) == 0) return NULL;
    }
}
