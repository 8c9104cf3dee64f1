#include "collector/follow/seat.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "collector/metrics.h"

enum {
    AGAIN_NOTED_MS = 60 * 1000,
    WINDOW_FIRST = 1024,  // events looked back at first
};

int64_t seat_now_ms(const struct seat *seat) {
    return seat->clock->now_ms(seat->clock->context);
}

bool seat_last(struct seat *seat, uint64_t *last, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(seat->reader, &facts, fault)) return false;
    *last = facts.sequence_last;
    return true;
}

bool seat_is_stopping(const struct seat *seat) {
    return seat->is_stopping != NULL && seat->is_stopping(seat->context);
}

bool seat_note(const struct seat *seat, const struct fault *why, char *note, size_t note_size,
               int64_t *attempted_ms) {
    int64_t now_ms = seat_now_ms(seat);
    bool is_known = strncmp(note, why->text, note_size - 1) == 0;
    if (is_known && now_ms - *attempted_ms < AGAIN_NOTED_MS) return false;
    snprintf(note, note_size, "%s", why->text);
    *attempted_ms = now_ms;
    return true;
}

// ---- places

struct search {
    const char *name;
    bool found;
    uint64_t sequence;
};

static bool on_follower(void *user, const struct trail_follower *follower) {
    struct search *search = user;
    if (strcmp(follower->name, search->name) != 0) return true;
    search->found = true;
    search->sequence = follower->sequence;
    return false;
}

bool seat_place(struct seat *seat, const char *name, bool *found, uint64_t *sequence,
                struct fault *fault) {
    struct search search = {.name = name};
    if (!trail_reader_followers(seat->reader, on_follower, &search, fault)) return false;
    *found = search.found;
    *sequence = search.sequence;
    return true;
}

void seat_show_lag(const char *name, uint64_t behind) {
    struct metric *metric = &metrics_table[METRICS_FOLLOWER_LAG];
    metric_set(metric, metric_label(metric, span_text(name)), (int64_t)behind);
}

void seat_show_place(struct seat *seat, const char *name, uint64_t place) {
    uint64_t last;
    struct fault ignored;
    if (!seat_last(seat, &last, &ignored)) return;
    seat_show_lag(name, last > place ? last - place : 0);
}

// ---- events

struct reading {
    const char *name;
    const struct follow_sink *sink;
};

static void on_damage(void *user, const struct fault *damage) {
    const struct reading *reading = user;
    LOG(LOG_ERROR, "events that cannot be read are passed", log_text("follower", reading->name),
        log_fault(damage));
}

static bool on_event(void *user, const struct record *record, const struct trail_row *row) {
    const struct reading *reading = user;
    return reading->sink->on_event(reading->sink->user, record, row);
}

static bool skim(void *user, const struct trail_row *row, struct record *record) {
    const struct reading *reading = user;
    return reading->sink->skim(reading->sink->user, row, record);
}

bool seat_read(struct seat *seat, const char *name, uint64_t after, const struct follow_sink *sink,
               uint64_t *place, struct fault *fault) {
    struct follow *follow = NULL;
    struct reading reading = {name, sink};
    const struct follow_sink into = {
        .on_event = on_event,
        .user = &reading,
        .on_damage = on_damage,
        .skim = sink->skim == NULL ? NULL : skim,
    };
    uint64_t seen;
    assert(sink->on_damage == NULL);
    if (!follow_open(seat->reader, NULL, after, &follow, fault)) return false;
    bool is_good = follow_step(follow, &into, &seen, fault);
    if (is_good) *place = follow_place(follow);
    follow_close(follow);
    return is_good;
}

// ---- looking back

struct moment {
    int64_t received_ms;
    uint64_t before;  // the last event received before it; 0: none yet
    bool is_first;    // only one event is looked at
    bool is_reached;
};

static bool on_arrived(void *user, const struct trail_row *row) {
    struct moment *moment = user;
    moment->is_reached = row->received_ms >= moment->received_ms;
    if (!moment->is_reached) moment->before = row->sequence;
    return !moment->is_reached && !moment->is_first;
}

// Looks at the first event behind `after`, or goes on to the first one received late enough.
static bool look(struct seat *seat, uint64_t after, bool is_first, struct moment *moment,
                 struct fault *fault) {
    uint64_t at = after, last = 0;
    moment->is_first = is_first;
    moment->is_reached = false;
    moment->before = after;
    while (!trail_reader_follow(seat->reader, at, on_arrived, moment, &last, fault)) {
        if (fault->kind != FAULT_CORRUPT || last <= at) return false;
        at = last;
    }
    return true;
}

bool seat_find_received(struct seat *seat, int64_t received_ms, uint64_t *after,
                        struct fault *fault) {
    uint64_t last;
    struct moment moment = {.received_ms = received_ms};
    if (!seat_last(seat, &last, fault)) return false;
    uint64_t window = WINDOW_FIRST;
    uint64_t begin = last;
    do {
        begin = last > window ? last - window : 0;
        if (!look(seat, begin, true, &moment, fault)) return false;
        window *= 4;
    } while (moment.is_reached && begin > 0);
    if (!look(seat, begin, false, &moment, fault)) return false;
    *after = moment.before;
    return true;
}

// ---- documents

struct finding {
    struct span name;
    struct buffer *value;
};

static bool on_document(void *user, struct span name, struct span value) {
    struct finding *finding = user;
    // In order of name, the name itself comes before all that only begin with it.
    if (span_equal(name, finding->name)) buffer_append(finding->value, value);
    return false;
}

bool seat_document(struct seat *seat, struct span name, struct buffer *value, struct fault *fault) {
    struct finding finding = {name, value};
    if (!trail_reader_documents(seat->reader, name, on_document, &finding, fault)) return false;
    return !buffer_overflowed(value) ||
           fault_set(fault, FAULT_FULL, "document %.*s: no memory", SPAN_PRINT(name));
}

bool seat_save(struct seat *seat, const struct append_document *documents, uint32_t documents_count,
               const struct append_follower *follower, struct fault *fault) {
    bool is_current = false;
    struct append_documents_options options = {
        .documents = documents,
        .documents_count = documents_count,
    };
    if (follower != NULL) options.follower = *follower;
    if (!append_documents_change(seat->append, &options, APPEND_DOCUMENTS_WAIT_MS, &is_current,
                                 fault)) {
        return fault_add(fault, "save");
    }
    return is_current ||
           fault_set(fault, FAULT_RETRY, "save: another change of the same documents came before");
}
