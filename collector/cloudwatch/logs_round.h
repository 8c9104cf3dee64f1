// logs_round.h: the events of one round of a trail on their way to its log group: gathered by
// stream, then put in batches.
//
// A stream has the events of one account and region, in order of arrival. What was put is not put
// again by this round, however often it is tried. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/aws/logs.h"
#include "base/fault.h"
#include "collector/api/trail_document.h"
#include "collector/follow/seat.h"

enum {
    LOGS_ROUND_SIZE_MAX = 8 * 1024 * 1024,  // bytes of its events; then the round ends
    LOGS_ROUND_EVENTS_MAX = 200000,         // looked at; the same
    LOGS_ROUND_STREAMS_MAX = 4096,          // the same
};

struct logs_round_options {
    const char *follower;      // for metrics and messages
    const char *organization;  // "o-..."
    uint64_t size_max;         // at most LOGS_ROUND_SIZE_MAX
    uint64_t event_size_max;   // bytes of an event, at most LOGS_EVENT_SIZE_MAX; larger: left out
};

// What a round has gathered, and what became of it.
struct logs_round_facts {
    uint64_t from;
    uint64_t to;        // the last event looked at
    bool is_last;       // it ended the session
    bool is_full;       // there may be more at once
    uint64_t gathered;  // events to put
    uint64_t put;       // of them
    uint64_t left_out;  // events that were too large, or refused for their time
    uint64_t large;     // bytes of the largest of them; 0: none was too large
    uint64_t sequence;  // of that one
};

struct logs_round;

// An empty round. FAULT_FULL.
MUST_CHECK bool logs_round_create(const struct logs_round_options *options,
                                  struct logs_round **round, struct fault *fault);

// Frees it. NULL is allowed.
void logs_round_destroy(struct logs_round *round);

// Gathers the trail's events behind `from`: up to the round's limits, what there is, or the event
// that ends the session of that time. Faults as seat_read and selection_create.
MUST_CHECK bool logs_round_gather(struct logs_round *round, struct seat *seat,
                                  const struct trail *trail, uint64_t from, int64_t session_ms,
                                  struct fault *fault);

// Puts what is not put yet. Faults as logs_put; FAULT_RETRY if the collector stops, or if the store
// takes no event of this time.
MUST_CHECK bool logs_round_put(struct logs_round *round, struct seat *seat, struct logs *logs,
                               const char *group, struct fault *fault);

// What is known of it.
const struct logs_round_facts *logs_round_facts(const struct logs_round *round);
