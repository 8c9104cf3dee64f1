// ledger.h: what must be true of a run, whatever happened: the law of the whole path.
//
// Every event that a spool accepted (synced) is stored exactly once, or quarantined with a reason,
// or of a day that the trail no longer retains, or named in a gap, or still in a spool; a gap names
// nothing that is not lost; the sequence of the trail has no hole but for events that went with
// their days, and of a retained day every event is there; received = stored + duplicates + variants
// + quarantined + expired for every stream. Checked after every step against the trail as readers
// see it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "storage/trail/trail_reader.h"
#include "tests/sim/feed.h"

struct ledger;

// Why an event need not be in the trail.
enum ledger_excuse {
    LEDGER_DAMAGED,   // its frame was damaged, and a gap names it
    LEDGER_DROPPED,   // its frame was given up before the collector was restored, a gap names it
    LEDGER_TOLD,      // the same under an older stream: a Notice says so, as no number can
    LEDGER_RELEASED,  // it went with a disk that was replaced, before anybody else had it
    LEDGER_EXCUSES,
};

struct ledger_totals {
    uint64_t accepted;     // by spools, each number once
    uint64_t stored;       // events of agents in the trail
    uint64_t own;          // events of the collector itself in the trail
    uint64_t quarantined;  // entries
    uint64_t duplicates;   // variants included
    uint64_t expired;
    uint64_t dropped;  // events that went with their days
    uint64_t gaps;     // in the trail
    uint64_t excused[LEDGER_EXCUSES];
};

// What a gap in the trail names: whose, and which numbers. Borrowed for the call.
struct ledger_gap {
    struct span uri;
    const uint8_t *stream_id;
    uint64_t first;
    uint64_t last;
};

// Excuses what the gap names. FAULT_CORRUPT: it names an event that is not lost.
typedef bool (*ledger_on_gap)(void *context, const struct ledger_gap *gap, struct fault *fault);

// An empty ledger of a run of this seed. on_gap is called once for each gap in the trail.
struct ledger *ledger_create(uint64_t seed, ledger_on_gap on_gap, void *context);

// Frees it. NULL is allowed.
void ledger_destroy(struct ledger *ledger);

// The collector opened the trail in this folder, or closed it (NULL).
MUST_CHECK bool ledger_attach(struct ledger *ledger, const char *directory, struct fault *fault);

// The trail will be another one, from a backup: what was read of it is forgotten. It is detached.
void ledger_restart(struct ledger *ledger);

// A spool has synced the event of this place: from now on it must not be lost.
void ledger_accept(struct ledger *ledger, const struct feed_place *place);

// The event of a place need not be in the trail. LEDGER_DAMAGED and LEDGER_DROPPED hold as long as
// the gap that says so is in the trail.
void ledger_excuse(struct ledger *ledger, const struct feed_place *place,
                   enum ledger_excuse excuse);

// Whether this agent's source read its line again after the last restore, so that at the end it
// owes also what was dropped.
void ledger_set_rewound(struct ledger *ledger, uint32_t agent, bool has_rewound);

// Reads what is new in the trail and checks it. FAULT_CORRUPT: a law is broken, the text says how.
MUST_CHECK bool ledger_read(struct ledger *ledger, struct fault *fault);

// Whether the event of a place has ended as it must, or is excused. FAULT_CORRUPT if not.
MUST_CHECK bool ledger_expect_done(struct ledger *ledger, const struct feed_place *place,
                                   struct fault *fault);

// Whether all that was ever accepted has ended as it must, and counts agree. FAULT_CORRUPT if not.
MUST_CHECK bool ledger_expect_all_done(struct ledger *ledger, struct fault *fault);

// Numbers for people and for tests.
void ledger_count(const struct ledger *ledger, struct ledger_totals *totals);
