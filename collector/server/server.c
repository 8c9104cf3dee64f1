#include "collector/server/server.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/files.h"
#include "base/log.h"
#include "base/random.h"
#include "collector/metrics.h"
#include "collector/server/server_internal.h"
#include "storage/trail/trail_reader.h"

enum {
    TICKS_PER_HEARTBEAT = 4,
    TICK_MS_MIN = 20,
    WORKERS = 2,  // rpc threads: reading and judging is spread over them
    // No fewer than there can be: each worker may pass the limit by one, and Hellos ask nobody.
    QUEUE_BATCHES_MAX =
        (SERVER_BATCHES_SIZE_MAX + WORKERS * BATCH_ARENA_SIZE_MAX) / BATCH_WEIGHT_MIN,
    VISITS_MAX = 64,
    AGENTS_SINCE_MS = 3600 * 1000,
};

static void destroy(struct server *server) {
    append_destroy(server->append);
    // Who waits to look finds none.
    if (server->visits != NULL) server_show_peers(server);
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

// Counts streams that were there in the hour before the last one went.
struct agents_count {
    int64_t since_ms;
    uint32_t count;
};

static bool find_last(void *context, const struct trail_stream *stream) {
    struct agents_count *agents = context;
    int64_t since_ms = stream->last_seen_ms - AGENTS_SINCE_MS;
    if (since_ms > agents->since_ms) agents->since_ms = since_ms;
    return true;
}

static bool count_late(void *context, const struct trail_stream *stream) {
    struct agents_count *agents = context;
    if (stream->last_seen_ms >= agents->since_ms) agents->count++;
    return true;
}

// How many agents are going to come back after a restart.
static uint32_t count_agents(const struct trail *trail) {
    struct agents_count agents = {0};
    trail_streams_walk(trail, find_last, &agents);
    trail_streams_walk(trail, count_late, &agents);
    return agents.count;
}

static bool make_parts(struct server *server, const struct settings *settings,
                       struct roster_live *roster, struct trail *trail, struct fault *fault) {
    // Peers are counted until they are freed, so no queue of peers can hold more.
    uint32_t peers_max = settings->streams_max + 1;
    server->pool = batch_pool_create();
    server->notes = notes_create();
    server->batches = queue_create(QUEUE_BATCHES_MAX + peers_max, UINT64_MAX);
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
        .notes = server->notes,
        .future_max_s = (int64_t)settings->future_max_hours * 3600,
        .share_size = SERVER_BATCHES_SIZE_MAX / SERVER_SHARE,
        .spare_size = SERVER_SPARE_SIZE,
        .arrive_size = SERVER_ARRIVE_SIZE,
        .agents_count = count_agents(trail),
        .streams_count = &server->peers_count,
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
        .directory = settings->store_directory,
        .roster = roster,
        .heartbeat_ms = settings->heartbeat_ms,
        .region_silent_ms = (int64_t)settings->region_silent_s * 1000,
        .callbacks = &server_append_callbacks,
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
    int status = pthread_create(&server->writer, NULL, server_run_writer, server);
    if (status != 0) return fault_set_errno(fault, FAULT_FULL, status, "start the writer's thread");
    status = pthread_create(&server->warden, NULL, server_run_warden, server);
    if (status == 0) return true;
    // A process that cannot have a few threads at its start is not worth saving.
    abort();
}

bool server_start(const struct settings *settings, const struct rpc_credentials *credentials,
                  struct gate *gate, struct roster_live *roster, struct trail *trail,
                  struct server **server, struct fault *fault) {
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
    atomic_store(&made->stepped_ms, server_monotonic_ms());
    if (!start_threads(made, fault)) {
        destroy(made);
        return false;
    }
    const struct rpc_server_options options = {
        .listen = settings->listen,
        .service = "/orgtrail.v1.Collector/Stream",
        .credentials = *credentials,
        .callbacks = &server_peer_callbacks,
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
    while (atomic_load(&server->gate_users) > 0) server_nap(1);
    gate_destroy(old);
}

bool server_is_deaf(const struct server *server) {
    return rpc_server_is_deaf(server->rpc);
}

bool server_is_stuck(const struct server *server) {
    return server_monotonic_ms() - atomic_load(&server->stepped_ms) > SERVER_STALL_MS;
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
    int64_t until = server_monotonic_ms() + SERVER_DRAIN_MS;
    while (atomic_load(&server->peers_count) > 0 && server_monotonic_ms() < until) {
        // What cannot be stored cannot be waited for.
        if (atomic_load(&server->is_full)) break;
        server_nap(5);
    }
    atomic_store(&server->is_cutting, true);
    until = server_monotonic_ms() + SERVER_GRACE_MS;
    while (atomic_load(&server->peers_count) > 0 && server_monotonic_ms() < until) server_nap(5);
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
