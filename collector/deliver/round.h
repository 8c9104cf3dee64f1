// round.h: the log files of one round of a trail: events gathered, packed and written.
//
// Events come in order of arrival and go to the file of their account, region and kind; a file that
// is full is followed by another. What a round makes depends on the trail's document, the events
// and the plan alone, so that it is the same when it is done again. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "collector/api/trail_document.h"
#include "collector/deliver/objects.h"
#include "collector/deliver/state.h"
#include "collector/follow/seat.h"

enum {
    ROUND_TEXT_SIZE_MAX = 128 * 1024 * 1024,    // bytes of all files' texts; then the round ends
    ROUND_TEXT_SIZE_MIN = 1024 * 1024,          // the same, of a trail's share
    ROUND_SHARED_SIZE = 256 * 1024 * 1024,      // bytes that all trails share
    ROUND_FILES_MAX = 4096,                     // then the round ends
    ROUND_EVENTS_MAX = 200000,                  // looked at; the same
    ROUND_DOCUMENT_SIZE_MAX = 8 * 1024 * 1024,  // bytes of the list of files
};

struct round;

// What a round delivers, and how.
struct round_options {
    const char *follower;      // for metrics and messages
    const char *organization;  // "o-..."
    const struct trail *trail;
    uint64_t file_size_max;  // bytes of a file's text
    uint64_t text_size_max;  // of all files' texts, at most ROUND_TEXT_SIZE_MAX
    bool is_repeat;          // of a plan that was perhaps begun
};

// Memory for rounds, one after another, which is touched as the first of them needs it. FAULT_FULL.
MUST_CHECK bool round_create(struct round **round, struct fault *fault);

// Frees it. NULL is allowed.
void round_destroy(struct round *round);

// Begins an empty round of a trail. What the options refer to is borrowed by the calls below;
// neither the beginning of the next round nor round_destroy looks at it. FAULT_FULL; FAULT_CORRUPT
// if the trail's selectors cannot be read.
MUST_CHECK bool round_begin(struct round *round, const struct round_options *options,
                            struct fault *fault);

// Gathers the events behind `from` up to the event `to` of a plan (UINT64_MAX: there is none yet),
// the round's limits, what there is, or the event that ends the session, whichever comes first.
// *place: the last one; *is_stopped: it ends the session; *is_full: there may be more at once.
// Faults as seat_read.
MUST_CHECK bool round_gather(struct round *round, struct seat *seat, uint64_t from, uint64_t to,
                             int64_t session_ms, uint64_t *place, bool *is_stopped, bool *is_full,
                             struct fault *fault);

// Whether there is nothing to deliver.
bool round_is_empty(const struct round *round);

// Writes its files and appends their list, the value of a document. Faults as objects_write;
// FAULT_RETRY if the collector stops.
MUST_CHECK bool round_write(struct round *round, struct seat *seat, const struct objects *objects,
                            const struct state_round *plan, struct buffer *list,
                            struct fault *fault);
