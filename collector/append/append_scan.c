#include "collector/append/append_scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "collector/metrics.h"
#include "storage/trail/trail_reader.h"
#include "storage/trail/trail_scan.h"

// The document: "SCANNED CONFLICTS ENDED_MS", decimal.
#define DOCUMENT_NAME "id-scan"

struct append_scan {
    struct trail *trail;
    struct append_commit *commit;
    const struct clock *clock;
    struct trail_scan *scan;  // NULL before the first look
    uint64_t scanned;
    uint64_t conflicts;  // found ever
    int64_t ended_ms;    // of the last round; 0: there was none
    int64_t look_ms;     // monotonic: when to look whether a round is due
    bool is_in_round;
    bool is_pending;  // a round's end waits for its commit
    struct trail_scan_state pending;
};

static bool on_document(void *user, struct span name, struct span value) {
    struct append_scan *scan = user;
    char text[96];
    if (!span_is(name, DOCUMENT_NAME) || value.size >= sizeof text) return true;
    memcpy(text, value.bytes, value.size);
    text[value.size] = '\0';
    // One that is damaged begins anew, and tells what it told before.
    if (sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNd64, &scan->scanned, &scan->conflicts,
               &scan->ended_ms) != 3) {
        scan->scanned = 0;
    }
    return false;
}

static void publish(const struct append_scan *scan) {
    metric_set(&metrics_table[METRICS_SCANNED], 0, (int64_t)scan->scanned);
}

struct append_scan *append_scan_create(struct trail *trail, struct append_commit *commit,
                                       const struct clock *clock) {
    struct append_scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL) return NULL;
    scan->trail = trail;
    scan->commit = commit;
    scan->clock = clock;
    struct trail_reader *reader = NULL;
    struct fault fault;
    if (trail_reader_open(trail_directory(trail), &reader, &fault)) {
        if (!trail_reader_documents(reader, SPAN_LITERAL(DOCUMENT_NAME), on_document, scan, &fault))
            LOG(LOG_WARNING, "the scan of ids begins anew", log_fault(&fault));
        trail_reader_close(reader);
    }
    publish(scan);
    return scan;
}

void append_scan_destroy(struct append_scan *scan) {
    if (scan == NULL) return;
    trail_scan_close(scan->scan);
    free(scan);
}

static bool tell(struct append_scan *scan, const struct trail_scan_found *found,
                 struct fault *fault) {
    char id[RECORD_UUID_TEXT_SIZE];
    char time[TIME_TEXT_SIZE];
    char other[TIME_TEXT_SIZE];
    record_print_uuid(found->key.id, id);
    time_print(found->key.event_time_s, time);
    time_print(found->other.event_time_s, other);
    const struct own_event_detail details[] = {
        {"account", span_of(found->key.account, found->key.account_size), 0},
        {"conflictEventId", span_text(id), 0},
        {"conflictEventTime", span_text(time), 0},
        {"otherEventTime", span_text(other), 0},
        {"sequence", {NULL, 0}, found->sequence},
        {"otherSequence", {NULL, 0}, found->other_sequence},
    };
    return append_commit_add_own_event(scan->commit, "EventTimeConflict", details,
                                       sizeof details / sizeof details[0], fault);
}

static bool tell_all(struct append_scan *scan, struct fault *fault) {
    const struct trail_scan_state *ended = &scan->pending;
    for (uint32_t index = 0; index < ended->found_count; index++) {
        if (!tell(scan, &ended->found[index], fault)) return false;
    }
    uint64_t rest = ended->count - ended->found_count;
    const struct own_event_detail details[] = {{"count", {NULL, 0}, rest}};
    if (rest == 0) return true;
    return append_commit_add_own_event(scan->commit, "EventTimeConflicts", details, 1, fault);
}

static bool try_save(struct append_scan *scan, struct append_commit_counts *counts,
                     struct fault *fault) {
    char text[96];
    int64_t now_ms = scan->clock->now_ms(scan->clock->context);
    int size = snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64 " %" PRId64,
                        scan->pending.scanned, scan->conflicts + scan->pending.count, now_ms);
    if (!append_commit_begin(scan->commit, true, fault)) return false;
    if (!tell_all(scan, fault) || !trail_document_put(scan->trail, SPAN_LITERAL(DOCUMENT_NAME),
                                                      span_of(text, (size_t)size), fault)) {
        return append_commit_abort(scan->commit);
    }
    return append_commit_finish(scan->commit, counts, fault);
}

// Saves the end of a round with what it found. Without room it is saved later.
static bool save(struct append_scan *scan, struct fault *fault) {
    struct append_commit_counts counts;
    struct fault reason;
    if (!try_save(scan, &counts, &reason))
        return reason.kind == FAULT_FULL || fault_set(fault, reason.kind, "%s", reason.text);
    const struct trail_scan_state *ended = &scan->pending;
    scan->is_pending = false;
    scan->scanned = ended->scanned;
    scan->conflicts += ended->count;
    scan->ended_ms = scan->clock->now_ms(scan->clock->context);
    metric_add(&metrics_table[METRICS_OWN_EVENTS], 0, (int64_t)counts.own_events);
    metric_add(&metrics_table[METRICS_TIME_CONFLICTS], 0, (int64_t)ended->count);
    publish(scan);
    if (ended->count > 0) {
        LOG(LOG_WARNING, "events with one id and two times: one of each pair is not what happened",
            log_number("events", (int64_t)ended->count));
    }
    return true;
}

// A reader may lack memory or a slot for a while: later, then.
static void put_off(struct append_scan *scan, const struct fault *reason, int64_t now_ms) {
    LOG(LOG_WARNING, "the scan of ids waits", log_fault(reason));
    scan->is_in_round = false;
    scan->look_ms = now_ms + APPEND_SCAN_LOOK_MS;
}

// Whether a round is to begin.
static bool is_due(struct append_scan *scan, struct fault *fault, bool *due) {
    struct trail_scan_state state;
    if (scan->scan == NULL &&
        !trail_scan_open(trail_directory(scan->trail), scan->scanned, &scan->scan, fault)) {
        return false;
    }
    if (!trail_scan_measure(scan->scan, &state, fault)) return false;
    bool is_old = scan->clock->now_ms(scan->clock->context) - scan->ended_ms >= APPEND_SCAN_MS;
    *due = state.waiting >= TRAIL_SCAN_IDS_MAX || (state.waiting > 0 && is_old);
    return true;
}

// Steps of a round, until it ends or the unit is over.
static bool run_unit(struct append_scan *scan, int64_t begun_ms, struct fault *fault) {
    for (uint32_t step = 0; step < APPEND_SCAN_UNIT_STEPS; step++) {
        struct trail_scan_state state;
        if (!trail_scan_step(scan->scan, &state, fault)) return false;
        if (state.has_ended) {
            scan->pending = state;
            scan->is_pending = true;
            scan->is_in_round = false;
            return true;
        }
        if (!state.is_in_round) return true;
        int64_t now_ms = scan->clock->monotonic_ms(scan->clock->context);
        if (now_ms - begun_ms >= APPEND_SCAN_UNIT_MS) return true;
    }
    return true;
}

bool append_scan_step(struct append_scan *scan, struct fault *fault) {
    int64_t now_ms = scan->clock->monotonic_ms(scan->clock->context);
    struct fault reason;
    if (scan->is_pending) return save(scan, fault);
    if (!scan->is_in_round) {
        if (now_ms < scan->look_ms) return true;
        scan->look_ms = now_ms + APPEND_SCAN_LOOK_MS;
        bool due = false;
        if (!is_due(scan, &reason, &due)) {
            put_off(scan, &reason, now_ms);
            return true;
        }
        if (!due) return true;
        scan->is_in_round = true;
    }
    if (!run_unit(scan, now_ms, &reason)) put_off(scan, &reason, now_ms);
    return !scan->is_pending || save(scan, fault);
}
