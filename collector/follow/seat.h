// seat.h: what a follower's step stands on: the trail to read, and its writer to save places with.
//
// One thread; a step has it for its length.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "collector/append/append_documents.h"
#include "query/follow.h"
#include "storage/trail/trail_reader.h"

struct seat {
    struct trail_reader *reader;
    struct append *append;
    const struct clock *clock;
    const struct random *random;
    bool (*is_stopping)(void *context);  // NULL: never
    void *context;
};

// The time now, in ms since the Unix epoch.
int64_t seat_now_ms(const struct seat *seat);

// The sequence number of the newest event; 0: none. Faults as trail_reader_facts.
MUST_CHECK bool seat_last(struct seat *seat, uint64_t *last, struct fault *fault);

// Whether the collector stops: long steps look.
bool seat_is_stopping(const struct seat *seat);

// Where a follower stands. *found false: it has no place in the trail.
MUST_CHECK bool seat_place(struct seat *seat, const char *name, bool *found, uint64_t *sequence,
                           struct fault *fault);

// Reads every event behind `after` in order of arrival, until the sink's on_event returns false or
// none is left; *place is how far it came, all that cannot be read passed, which is logged (the
// sink has no on_damage). Faults as follow_step.
MUST_CHECK bool seat_read(struct seat *seat, const char *name, uint64_t after,
                          const struct follow_sink *sink, uint64_t *place, struct fault *fault);

// The place behind which those events begin that were received at this time or later: looks back
// from the newest one.
MUST_CHECK bool seat_find_received(struct seat *seat, int64_t received_ms, uint64_t *after,
                                   struct fault *fault);

// A document's value, appended to the buffer; none: nothing is. FAULT_FULL if it does not fit.
MUST_CHECK bool seat_document(struct seat *seat, struct span name, struct buffer *value,
                              struct fault *fault);

// Saves documents and a follower's place in one commit and waits for it. FAULT_RETRY: it may happen
// yet, somebody else moved the follower, or changed a document: whoever saved reads everything
// again. FAULT_FULL.
MUST_CHECK bool seat_save(struct seat *seat, const struct append_document *documents,
                          uint32_t documents_count, const struct append_follower *follower,
                          struct fault *fault);

// Shows how far a follower is behind, in events: of one that stands at `place`, and for any number.
void seat_show_place(struct seat *seat, const char *name, uint64_t place);
void seat_show_lag(const char *name, uint64_t behind);

// Takes a failure into the note that a status shows, with the time of the attempt. False: it is the
// same as before, less than a minute ago, and the note stays.
bool seat_note(const struct seat *seat, const struct fault *why, char *note, size_t note_size,
               int64_t *attempted_ms);
