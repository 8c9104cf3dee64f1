#include "tests/sim/center.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/queue.h"
#include "collector/admit/roster_live.h"
#include "collector/append/append.h"
#include "collector/intake/intake.h"
#include "collector/metrics.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_retention.h"
#include "tests/sim/station.h"

enum {
    SESSIONS_MAX = 2 * WIRE_CONNECTIONS_MAX,  // those that are over wait for their batches
    HEARTBEAT_MS = 2000,
    MAP_SIZE = 256 * 1024 * 1024,
    TAIL_ROWS = 64,   // few, so that blocks are made
    WINDOW_IDS = 64,  // few, so that blocks are asked for what came before
    QUEUE_ITEMS = 64,
    UPKEEP_THOUSANDTHS = 20,
    RETENTION_DAYS_MAX = 3,
    PATH_SIZE = 600,
};

struct session {
    struct center *center;
    struct intake *intake;  // NULL: the slot is free
    struct connection *connection;
    bool is_waiting;  // for room in append's queue
};

struct center {
    struct center_options options;
    struct trail *trail;  // NULL while it is down
    struct append *append;
    struct queue *queue;
    struct batch_pool *pool;
    struct roster *roster;
    struct roster_live live;
    struct roster_account accounts[FEED_ACCOUNTS];
    char ids[FEED_ACCOUNTS][FEED_ACCOUNT_SIZE];
    struct intake_settings settings;
    struct span copy;   // of the trail's file, owned; empty: none
    uint32_t restores;  // each begins an epoch
    struct session sessions[SESSIONS_MAX];
};

static bool link_send(void *context, struct span message) {
    struct session *session = context;
    if (session->connection == NULL) return false;
    return wire_send_down(session->center->options.wire, session->connection, message);
}

static void link_resume(void *context) {
    struct session *session = context;
    if (session->connection != NULL) session->connection->is_paused = false;
}

static void link_close(void *context, enum fault_kind kind, const char *text) {
    struct session *session = context;
    if (session->connection == NULL) return;
    struct fault reason = {.kind = FAULT_NONE};
    fault_set(&reason, kind == FAULT_NONE ? FAULT_RETRY : kind, "closed by the collector: %s",
              text == NULL ? "" : text);
    wire_break(session->center->options.wire, session->connection, &reason);
}

static bool link_has_room(void *context) {
    struct session *session = context;
    if (batch_pool_weight(session->center->pool) < session->center->options.queue_size) return true;
    session->is_waiting = true;
    return false;
}

static bool link_submit(void *context, struct batch *batch) {
    struct session *session = context;
    return queue_push(session->center->queue, batch, batch->weight);
}

static struct session *session_of(struct center *center, const void *intake) {
    for (uint32_t index = 0; index < SESSIONS_MAX; index++) {
        if (center->sessions[index].intake == intake) return &center->sessions[index];
    }
    return NULL;
}

// Frees a session that is over once its last batch is back.
static void reap(struct session *session) {
    if (session->connection != NULL || !intake_is_idle(session->intake)) return;
    if (session->center->append != NULL)
        append_forget(session->center->append, session->intake, 0, false);
    intake_destroy(session->intake);
    session->intake = NULL;
}

static void on_report(void *context, struct batch *batch) {
    struct center *center = context;
    struct session *session = session_of(center, batch->owner);
    assert(session != NULL);
    intake_report(session->intake, batch);
}

static void on_superseded(void *context, void *owner) {
    struct session *session = session_of(context, owner);
    if (session != NULL) intake_superseded(session->intake);
}

static void on_unthrottled(void *context, void *owner) {
    struct session *session = session_of(context, owner);
    if (session != NULL) intake_unthrottled(session->intake);
}

static const struct append_callbacks CALLBACKS = {on_report, on_superseded, on_unthrottled};

struct center *center_create(const struct center_options *options) {
    // The collector's metrics belong to the process, and a test process has several runs.
    static bool has_metrics;
    if (!has_metrics) metrics_start();
    has_metrics = true;
    struct center *center = calloc(1, sizeof *center);
    assert(center != NULL);
    center->options = *options;
    for (uint32_t index = 0; index < FEED_ACCOUNTS; index++) {
        feed_account(index, center->ids[index]);
        center->accounts[index].id = center->ids[index];
    }
    return center;
}

void center_destroy(struct center *center) {
    if (center == NULL) return;
    if (center->trail != NULL) center_crash(center);
    free((void *)(uintptr_t)center->copy.bytes);
    free(center);
}

static uint32_t draw_retention(struct center *center) {
    if (!center->options.drops_days) return 0;
    return (uint32_t)timeline_draw(center->options.timeline, RETENTION_DAYS_MAX + 1);
}

static bool start_append(struct center *center, struct fault *fault) {
    struct append_options options = {
        .trail = center->trail,
        .queue = center->queue,
        .clock = &center->options.timeline->clock,
        .random = &center->options.timeline->random,
        .management_account = center->ids[0],
        .home_region = "eu-west-1",
        .quarantine_max = 256 << 20,
        .retention_days = draw_retention(center),
        .streams_max = SESSIONS_MAX,
        .callbacks = &CALLBACKS,
        .context = center,
    };
    return append_create(&options, &center->append, fault);
}

bool center_start(struct center *center, struct fault *fault) {
    assert(center->trail == NULL);
    struct trail_options options = {
        .directory = center->options.directory,
        .map_size = MAP_SIZE,
        .size_max = center->options.store_size,
        .tail_rows_max = TAIL_ROWS,
        .window_ids = WINDOW_IDS,
        .no_sync = true,
        .clock = &center->options.timeline->clock,
        .random = &center->options.timeline->random,
    };
    if (!trail_open(&options, &center->trail, fault)) return false;
    center->queue = queue_create(QUEUE_ITEMS, UINT64_MAX);
    center->pool = batch_pool_create();
    assert(center->queue != NULL && center->pool != NULL);
    if (!roster_create(center->accounts, FEED_ACCOUNTS, ROSTER_UNKNOWN_DEFAULT, &center->roster,
                       fault) ||
        !start_append(center, fault)) {
        return false;
    }
    roster_live_init(&center->live, center->roster);
    center->settings = (struct intake_settings){
        .organization_id = "o-sim",
        .heartbeat_ms = HEARTBEAT_MS,
        .future_max_s = 86400,
        .share_size = center->options.queue_size / 4,
        .roster = &center->live,
        .clock = &center->options.timeline->clock,
        .pool = center->pool,
    };
    trail_epoch(center->trail, center->settings.epoch);
    center->settings.epoch[0] ^= (uint8_t)center->restores;
    return ledger_attach(center->options.ledger, center->options.directory, fault);
}

// Gives back what waits for append, as undone.
static void drain_queue(struct center *center) {
    void *items[QUEUE_ITEMS];
    uint32_t count = queue_pop(center->queue, items, QUEUE_ITEMS, 0);
    for (uint32_t index = 0; index < count; index++) {
        struct batch *batch = items[index];
        fault_set(&batch->fault, FAULT_RETRY, "the collector is gone");
        on_report(center, batch);
    }
}

void center_crash(struct center *center) {
    assert(center->trail != NULL);
    struct fault fault;
    wire_forget_sessions(center->options.wire);
    for (uint32_t index = 0; index < SESSIONS_MAX; index++) {
        struct session *session = &center->sessions[index];
        if (session->intake == NULL || session->connection == NULL) continue;
        session->connection = NULL;
        intake_closed(session->intake);
    }
    append_destroy(center->append);
    center->append = NULL;
    drain_queue(center);
    for (uint32_t index = 0; index < SESSIONS_MAX; index++) {
        if (center->sessions[index].intake == NULL) continue;
        reap(&center->sessions[index]);
        assert(center->sessions[index].intake == NULL);
    }
    if (!ledger_attach(center->options.ledger, NULL, &fault)) assert(false);
    trail_close(center->trail);
    center->trail = NULL;
    roster_destroy(center->roster);
    queue_destroy(center->queue);
    batch_pool_destroy(center->pool);
}

static void print_path(const struct center *center, char path[PATH_SIZE]) {
    int size = snprintf(path, PATH_SIZE, "%s/data.mdb", center->options.directory);
    assert(size > 0 && size < PATH_SIZE);
}

bool center_keep_copy(struct center *center, struct fault *fault) {
    assert(center->trail != NULL);
    const struct files *files = files_system();
    char path[PATH_SIZE];
    print_path(center, path);
    int handle;
    if (!files_open(files, path, FILES_READ, &handle, fault)) return false;
    struct files_entry entry;
    uint8_t *bytes = NULL;
    size_t got = 0;
    bool read = files_describe(files, handle, &entry, fault);
    if (read) {
        bytes = malloc(entry.size);
        assert(bytes != NULL);
        read = files_read_at(files, handle, 0, bytes, entry.size, &got, fault);
    }
    files_close(files, handle);
    assert(!read || got == entry.size);
    free((void *)(uintptr_t)center->copy.bytes);
    center->copy = span_of(bytes, got);
    return read;
}

bool center_has_copy(const struct center *center) {
    return center->copy.size > 0;
}

bool center_restore(struct center *center, struct fault *fault) {
    assert(center->trail == NULL);
    assert(center_has_copy(center));
    char path[PATH_SIZE];
    print_path(center, path);
    if (!files_write_whole(files_system(), path, center->copy, 0640, fault)) return false;
    ledger_restart(center->options.ledger);
    center->restores++;
    return true;
}

bool center_is_up(const struct center *center) {
    return center->trail != NULL;
}

bool center_is_full(const struct center *center) {
    return center->append != NULL && append_is_full(center->append);
}

void center_allow(struct center *center) {
    center->options.store_size = 0;
}

bool center_step(struct center *center, struct fault *fault) {
    if (!append_step(center->append, 0, fault)) return false;
    for (uint32_t index = 0; index < SESSIONS_MAX; index++) {
        struct session *session = &center->sessions[index];
        if (session->intake == NULL) continue;
        if (session->is_waiting) {
            session->is_waiting = false;
            intake_retry(session->intake);
        }
        if (session->connection != NULL) intake_tick(session->intake);
        reap(session);
    }
    if (!timeline_happens(center->options.timeline, UPKEEP_THOUSANDTHS)) return true;
    bool more = false;
    return (trail_upkeep(center->trail, fault) && trail_sweep(center->trail, &more, fault)) ||
           fault->kind == FAULT_FULL;
}

void *center_accept(void *context, void *agent, struct connection *connection,
                    struct fault *fault) {
    struct center *center = context;
    const struct station *station = agent;
    if (center->trail == NULL) {
        fault_set(fault, FAULT_RETRY, "connection refused (simulated)");
        return NULL;
    }
    struct session *session = session_of(center, NULL);
    assert(session != NULL);
    *session = (struct session){.center = center, .connection = connection};
    connection->restores = center->restores;
    struct intake_link link = {
        .send = link_send,
        .resume = link_resume,
        .close = link_close,
        .has_room = link_has_room,
        .submit = link_submit,
        .context = session,
    };
    if (!intake_create(&center->settings, &link, span_text(station->uri), &session->intake,
                       fault)) {
        return NULL;
    }
    return session;
}

bool center_on_message(void *context, struct span message) {
    struct session *session = context;
    return intake_message(session->intake, message);
}

void center_on_sent(void *context) {
    struct session *session = context;
    intake_sent(session->intake);
}

void center_on_closed(void *context) {
    struct session *session = context;
    session->connection = NULL;
    intake_closed(session->intake);
    reap(session);
}
