#include "query/follow.h"

#include <assert.h>
#include <stdlib.h>

#include "query/reading.h"

struct follow {
    struct trail_reader *reader;
    const struct filter *filter;
    struct reading *reading;
    uint64_t after;
};

// One run over arrived events.
struct step {
    struct follow *follow;
    const struct follow_sink *sink;
    uint64_t seen;
    struct fault fault;
    bool has_failed;  // and the step ends
    bool is_stopped;  // by the sink
};

bool follow_open(struct trail_reader *reader, const struct filter *filter, uint64_t after,
                 struct follow **follow, struct fault *fault) {
    struct follow *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    *made = (struct follow){.reader = reader, .filter = filter, .after = after};
    made->reading = reading_create();
    if (made->reading == NULL) {
        free(made);
        return fault_set(fault, FAULT_FULL, "no memory");
    }
    *follow = made;
    return true;
}

void follow_close(struct follow *follow) {
    if (follow == NULL) return;
    reading_destroy(follow->reading);
    free(follow);
}

// Tells of what cannot be read. False if it is more than that.
static bool pass_damage(const struct step *step, const struct fault *damage) {
    if (damage->kind != FAULT_CORRUPT) return false;
    if (step->sink->on_damage != NULL) step->sink->on_damage(step->sink->user, damage);
    return true;
}

static bool read_record(struct step *step, const struct trail_row *row, struct record *record) {
    const struct follow_sink *sink = step->sink;
    return (sink->skim != NULL && sink->skim(sink->user, row, record)) ||
           reading_read(step->follow->reading, row, record, &step->fault);
}

static bool on_row(void *user, const struct trail_row *row) {
    struct step *step = user;
    struct follow *follow = step->follow;
    struct record record;
    step->seen++;
    assert(row->sequence > follow->after);
    follow->after = row->sequence;
    if (!read_record(step, row, &record)) {
        step->has_failed = !pass_damage(step, &step->fault);
        return !step->has_failed;
    }
    if (follow->filter != NULL && !filter_matches(follow->filter, &record, row)) return true;
    step->is_stopped = !step->sink->on_event(step->sink->user, &record, row);
    return !step->is_stopped;
}

bool follow_step(struct follow *follow, const struct follow_sink *sink, uint64_t *seen,
                 struct fault *fault) {
    struct step step = {.follow = follow, .sink = sink};
    assert(sink->skim == NULL || follow->filter == NULL);
    bool is_whole = false;
    while (!is_whole && !step.has_failed && !step.is_stopped) {
        uint64_t before = follow->after;
        is_whole =
            trail_reader_follow(follow->reader, before, on_row, &step, &follow->after, &step.fault);
        // Damage that has moved nothing on is the trail's as a whole.
        bool is_passed = !is_whole && follow->after > before && pass_damage(&step, &step.fault);
        step.has_failed = step.has_failed || (!is_whole && !is_passed);
    }
    if (step.has_failed) {
        *fault = step.fault;
        return false;
    }
    *seen = step.seen;
    return true;
}

uint64_t follow_place(const struct follow *follow) {
    return follow->after;
}

// The newest sequence numbers of a run, in a ring.
struct ring {
    uint64_t *sequences;
    uint32_t count;
    uint64_t found;
};

static bool keep_sequence(void *user, const struct record *record, const struct trail_row *row) {
    (void)record;
    struct ring *ring = user;
    ring->sequences[ring->found % ring->count] = row->sequence;
    ring->found++;
    return true;
}

static bool search_window(struct trail_reader *reader, const struct filter *filter, uint64_t after,
                          struct ring *ring, struct fault *fault) {
    struct follow *follow = NULL;
    const struct follow_sink sink = {.on_event = keep_sequence, .user = ring};
    uint64_t seen;
    ring->found = 0;
    if (!follow_open(reader, filter, after, &follow, fault)) return false;
    bool is_good = follow_step(follow, &sink, &seen, fault);
    follow_close(follow);
    return is_good;
}

bool follow_find_last(struct trail_reader *reader, const struct filter *filter, uint32_t count,
                      uint64_t *after, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    if (count == 0 || facts.sequence_last == 0) {
        *after = facts.sequence_last;
        return true;
    }
    struct ring ring = {.count = count, .sequences = calloc(count, sizeof *ring.sequences)};
    if (ring.sequences == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    uint64_t window = count;
    uint64_t begin = 0;
    bool is_good = true;
    bool is_done = false;
    while (is_good && !is_done) {
        begin = facts.sequence_last > window ? facts.sequence_last - window : 0;
        is_good = search_window(reader, filter, begin, &ring, fault);
        is_done = ring.found >= count || begin == 0;
        window = window > UINT64_MAX / 8 ? UINT64_MAX : window * 8;
    }
    // The oldest that is wanted stands where the next one would be written.
    if (is_good && ring.found >= count) begin = ring.sequences[ring.found % count] - 1;
    free(ring.sequences);
    if (is_good) *after = begin;
    return is_good;
}
