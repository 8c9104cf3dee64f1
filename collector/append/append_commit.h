// append_commit.h: one commit of the trail: batches applied, agents' numbers moved, counts kept.
//
// Begin, apply batches in their order, finish. Nothing of it counts until append_commit_finish is
// true; after a fault everything (sessions and counts too) is as before append_commit_begin. One
// thread (append's).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "collector/append/coverage.h"
#include "collector/append/sessions.h"
#include "collector/append/silence.h"
#include "collector/intake/batch.h"
#include "collector/notes/notes.h"
#include "collector/notes/own_event.h"
#include "storage/trail/trail.h"

enum {
    APPEND_COMMIT_CONFLICTS_MAX = 16,  // own events for conflicts of one batch; the next one counts
    APPEND_COMMIT_IDENTITY_MS =
        60000,  // identity violations of an agent: one own event in this time
    APPEND_COMMIT_AGENT_SESSIONS_MAX = 4,    // streams that an agent may have open
    APPEND_COMMIT_AGENT_STREAMS_MAX = 1024,  // streams of an agent that are remembered
    APPEND_COMMIT_OWN_ROWS_MAX = 96,         // own events of a commit that no batch causes:
    APPEND_COMMIT_WAITING_MAX = 32,          // agents' violations that waited; the rest are
                                             // unlisted accounts and notes
    APPEND_COMMIT_ROWS_MAX = TRAIL_COMMIT_ROWS_MAX - APPEND_COMMIT_OWN_ROWS_MAX,
};

// What a commit did, for metrics and for the law of conservation.
struct append_commit_counts {
    uint64_t received;
    uint64_t stored;
    uint64_t duplicates;
    uint64_t variants;
    uint64_t quarantined;
    uint64_t expired;
    uint64_t globals;
    uint64_t notices;
    uint64_t gaps;
    uint64_t gap_numbers;
    uint64_t own_events;
    uint64_t unlisted;
    uint64_t reasons[ADMIT_REASONS];
};

struct append_commit;

struct append_commit_options {
    struct trail *trail;
    struct sessions *sessions;
    const struct clock *clock;
    const struct random *random;
    struct own_event_place place;
    struct notes *notes;        // what other rooms have to tell; may be NULL
    struct coverage *coverage;  // may be NULL
    struct silence *silence;    // may be NULL
};

// NULL if memory runs out. Options are borrowed.
struct append_commit *append_commit_create(const struct append_commit_options *options);
void append_commit_destroy(struct append_commit *commit);

// The most rows a batch can add to a commit; at most APPEND_COMMIT_ROWS_MAX for any batch.
uint32_t append_commit_rows(const struct batch *batch);

// Begins; uses_reserve: with trail_begin_reserved. Faults as trail_begin.
MUST_CHECK bool append_commit_begin(struct append_commit *commit, bool uses_reserve,
                                    struct fault *fault);

// Gives a commit up that has begun. Returns false.
bool append_commit_abort(struct append_commit *commit);

// All that waits to be saved goes into the commits from now on: the collector ends.
void append_commit_set_last(struct append_commit *commit);

// Adds an event of our own. False for the trail's faults only; the caller gives the commit up then.
MUST_CHECK bool append_commit_add_own_event(struct append_commit *commit, const char *name,
                                            const struct own_event_detail *details,
                                            uint32_t details_count, struct fault *fault);

// Adds a record of our own that is printed already; it lives until the commit ends. Faults as
// append_commit_add_own_event.
MUST_CHECK bool append_commit_add_own_record(struct append_commit *commit, struct span text,
                                             struct fault *fault);

// Says that a batch will be applied in this commit: what all of them bring is looked for together.
void append_commit_expect(struct append_commit *commit, const struct batch *batch);

// Applies one batch. Sets batch->fault if its session is gone or there is no room for it; that is
// no fault of the commit. Events that a damaged block keeps from being decided, our own too, are
// quarantined as ADMIT_UNDECIDED. Otherwise FAULT_FULL, FAULT_IO or FAULT_CORRUPT: the commit is
// aborted.
MUST_CHECK bool append_commit_apply(struct append_commit *commit, struct batch *batch,
                                    struct fault *fault);

// Whether identity violations wait to be told though no batch comes.
bool append_commit_has_violations(const struct append_commit *commit);

// Writes what batches caused together and makes all durable. Waits for the disk. Faults as
// trail_commit; the commit is aborted then. *counts is what it did.
MUST_CHECK bool append_commit_finish(struct append_commit *commit,
                                     struct append_commit_counts *counts, struct fault *fault);
