#include "agent/health.h"

#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/http_server.h"
#include "base/metric.h"

enum metrics_index {
    METRICS_RECORDS,
    METRICS_NOTICES,
    METRICS_LEFT_OUT,
    METRICS_SENT,
    METRICS_BATCHES,
    METRICS_DUPLICATES,
    METRICS_QUARANTINED,
    METRICS_GAPS,
    METRICS_SESSIONS,
    METRICS_RESTREAMS,
    METRICS_REFILLS,
    METRICS_CONNECTED,
    METRICS_WAITING,
    METRICS_SPOOL_BYTES,
    METRICS_SPOOL_FULL,
    METRICS_SOURCE_ERRORS,
    METRICS_SOURCE_BEHIND,
    METRICS_CERTIFICATE_EXPIRY,
    METRICS_COUNT,
};

static struct metric table[METRICS_COUNT] = {
    [METRICS_RECORDS] = {.name = "orgtrail_agent_read_records_total",
                         .help = "Records read from sources into the spool.",
                         .kind = METRIC_COUNTER},
    [METRICS_NOTICES] = {.name = "orgtrail_agent_notices_total",
                         .help = "Things lost or refused before they had a number.",
                         .kind = METRIC_COUNTER},
    [METRICS_LEFT_OUT] = {.name = "orgtrail_agent_left_out_records_total",
                          .help = "Records that no event selector selects: read and not sent.",
                          .kind = METRIC_COUNTER},
    [METRICS_SENT] = {.name = "orgtrail_agent_sent_events_total",
                      .help = "Events sent, repeats counted again.",
                      .kind = METRIC_COUNTER},
    [METRICS_BATCHES] = {.name = "orgtrail_agent_sent_batches_total",
                         .help = "Batches sent.",
                         .kind = METRIC_COUNTER},
    [METRICS_DUPLICATES] = {.name = "orgtrail_agent_duplicate_events_total",
                            .help = "Events the collector knew already.",
                            .kind = METRIC_COUNTER},
    [METRICS_QUARANTINED] = {.name = "orgtrail_agent_quarantined_events_total",
                             .help = "Events the collector put into quarantine.",
                             .kind = METRIC_COUNTER},
    [METRICS_GAPS] = {.name = "orgtrail_agent_gaps_total",
                      .help = "Gaps reported: numbers that can never be delivered.",
                      .kind = METRIC_COUNTER},
    [METRICS_SESSIONS] = {.name = "orgtrail_agent_sessions_total",
                          .help = "Sessions with the collector.",
                          .kind = METRIC_COUNTER},
    [METRICS_RESTREAMS] = {.name = "orgtrail_agent_restreams_total",
                           .help = "New stream ids taken: the collector knew another history.",
                           .kind = METRIC_COUNTER},
    [METRICS_REFILLS] = {.name = "orgtrail_agent_refills_total",
                         .help = "Times a restored collector was refilled.",
                         .kind = METRIC_COUNTER},
    [METRICS_CONNECTED] = {.name = "orgtrail_agent_connected",
                           .help = "1 while a session is open.",
                           .kind = METRIC_GAUGE},
    [METRICS_WAITING] = {.name = "orgtrail_agent_waiting_events",
                         .help = "Events in the spool that are not acknowledged.",
                         .kind = METRIC_GAUGE},
    [METRICS_SPOOL_BYTES] = {.name = "orgtrail_agent_spool_bytes",
                             .help = "Bytes of the spool, with what is kept for a refill.",
                             .kind = METRIC_GAUGE},
    [METRICS_SPOOL_FULL] = {.name = "orgtrail_agent_full_spool",
                            .help = "1 while nothing more fits and sources wait.",
                            .kind = METRIC_GAUGE},
    [METRICS_SOURCE_ERRORS] = {.name = "orgtrail_agent_source_errors_total",
                               .help = "Things a source could not read.",
                               .kind = METRIC_COUNTER,
                               .label = "source"},
    [METRICS_SOURCE_BEHIND] = {.name = "orgtrail_agent_source_behind_bytes",
                               .help = "Bytes a source knows of and has not read.",
                               .kind = METRIC_GAUGE,
                               .label = "source"},
    [METRICS_CERTIFICATE_EXPIRY] = {.name = "orgtrail_agent_certificate_expiry_seconds",
                                    .help = "When the agent's certificate ends, Unix time.",
                                    .kind = METRIC_GAUGE},
};

static struct http_server *server;
static _Atomic int64_t connected_ms;  // monotonic: when a session was open last
static atomic_bool is_full;

static int64_t monotonic(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static void answer_health(struct http_response *response) {
    response->content_type = "application/json";
    const char *reason = NULL;
    if (monotonic() - atomic_load(&connected_ms) > HEALTH_AWAY_MS) {
        reason = "no session with the collector";
    }
    if (atomic_load(&is_full)) reason = "the spool is full";
    if (reason == NULL) {
        buffer_append_text(&response->body, "{\"status\":\"ok\"}\n");
        return;
    }
    response->status = 503;
    buffer_print(&response->body, "{\"status\":\"failing\",\"reason\":\"%s\"}\n", reason);
}

static void handle(void *context, const struct http_request *request,
                   struct http_response *response) {
    (void)context;
    bool is_read = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    if (!is_read) {
        response->status = 405;
        buffer_append_text(&response->body, "only GET and HEAD are understood here\n");
    } else if (strcmp(request->path, "/metrics") == 0) {
        response->content_type = "text/plain; version=0.0.4; charset=utf-8";
        metric_print(&response->body);
    } else if (strcmp(request->path, "/healthz") == 0) {
        answer_health(response);
    } else {
        response->status = 404;
        buffer_append_text(&response->body, "there are /metrics and /healthz here\n");
    }
}

bool health_start(const char *listen, struct fault *fault) {
    metric_register(table, METRICS_COUNT);
    atomic_store(&connected_ms, monotonic());
    if (listen == NULL) return true;
    const struct http_server_options options = {.listen = listen, .handle = handle};
    if (!http_server_start(&options, &server, fault)) return fault_add(fault, "http.listen");
    return true;
}

// Brings a counter to a total that is counted elsewhere.
static void raise_to(enum metrics_index index, uint32_t label, uint64_t total) {
    metric_add(&table[index], label, (int64_t)total - metric_get(&table[index], label));
}

static void update_sources(struct agent *agent) {
    const char *name;
    struct source_status status;
    for (uint32_t index = 0; agent_describe_source(agent, index, &name, &status); index++) {
        struct span text = span_text(name);
        raise_to(METRICS_SOURCE_ERRORS, metric_label(&table[METRICS_SOURCE_ERRORS], text),
                 status.errors);
        metric_set(&table[METRICS_SOURCE_BEHIND], metric_label(&table[METRICS_SOURCE_BEHIND], text),
                   (int64_t)status.bytes_behind);
    }
}

void health_update(struct agent *agent, int64_t monotonic_ms) {
    struct agent_status status;
    agent_describe(agent, &status);
    const struct uplink_status *uplink = &status.uplink;
    bool is_connected = uplink->state == UPLINK_STREAMING;
    if (is_connected) atomic_store(&connected_ms, monotonic_ms);
    atomic_store(&is_full, status.is_full);
    raise_to(METRICS_RECORDS, 0, status.records);
    raise_to(METRICS_NOTICES, 0, status.notices);
    raise_to(METRICS_LEFT_OUT, 0, status.left_out);
    raise_to(METRICS_SENT, 0, uplink->events_sent);
    raise_to(METRICS_BATCHES, 0, uplink->batches_sent);
    raise_to(METRICS_DUPLICATES, 0, uplink->duplicates);
    raise_to(METRICS_QUARANTINED, 0, uplink->quarantined);
    raise_to(METRICS_GAPS, 0, uplink->gaps_sent);
    raise_to(METRICS_SESSIONS, 0, uplink->sessions);
    raise_to(METRICS_RESTREAMS, 0, uplink->restreams);
    raise_to(METRICS_REFILLS, 0, uplink->refills);
    metric_set(&table[METRICS_CONNECTED], 0, is_connected);
    metric_set(&table[METRICS_WAITING], 0,
               (int64_t)(status.spool.appended - status.spool.acknowledged));
    metric_set(&table[METRICS_SPOOL_BYTES], 0, (int64_t)status.spool.size);
    metric_set(&table[METRICS_SPOOL_FULL], 0, status.is_full);
    metric_set(&table[METRICS_CERTIFICATE_EXPIRY], 0, status.certificate_expires_s);
    update_sources(agent);
}

void health_stop(void) {
    http_server_stop(server);
    server = NULL;
}
