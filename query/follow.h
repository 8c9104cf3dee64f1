// follow.h: events that match a filter, in order of arrival, as they come.
//
// Borrowed parts outlive it. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "query/filter.h"
#include "storage/trail/trail_reader.h"

struct follow;

// What is called for each event; false stops the step after it. on_damage (NULL: nobody listens)
// names events that cannot be read, in their place.
struct follow_sink {
    bool (*on_event)(void *user, const struct record *record, const struct trail_row *row);
    void *user;
    void (*on_damage)(void *user, const struct fault *damage);
    // Fills what on_event looks at of a row's record and spares reading it; false: it is read.
    // NULL: every record is. Not with a filter.
    bool (*skim)(void *user, const struct trail_row *row, struct record *record);
};

// Begins behind the event of this sequence number (0: at the very first). A filter of NULL: every
// event. FAULT_FULL.
MUST_CHECK bool follow_open(struct trail_reader *reader, const struct filter *filter,
                            uint64_t after, struct follow **follow, struct fault *fault);
void follow_close(struct follow *follow);

// Gives the events that are there now and were not given yet. *seen: how many were looked at.
// What cannot be read is told to the sink and passed. FAULT_FULL, FAULT_IO.
MUST_CHECK bool follow_step(struct follow *follow, const struct follow_sink *sink, uint64_t *seen,
                            struct fault *fault);

// How far it has come: the sequence number of the last event that it has looked at or passed.
uint64_t follow_place(const struct follow *follow);

// The sequence number behind which the last `count` matching events begin: reads backwards in
// growing windows, up to the beginning. What cannot be read is passed: whoever follows hears of it.
// FAULT_FULL, FAULT_IO.
MUST_CHECK bool follow_find_last(struct trail_reader *reader, const struct filter *filter,
                                 uint32_t count, uint64_t *after, struct fault *fault);
