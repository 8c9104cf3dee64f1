// ledger.h: what must be true of a run, whatever happened: the law of the whole path.
//
// Every event that a spool accepted (synced) is stored exactly once, or quarantined with a reason,
// or of a day that the trail no longer retains, or still in a spool; the sequence of the trail has
// no hole but for events that went with their days, and of a retained day every event is there;
// received = stored + duplicates + variants + quarantined + expired for every stream. Checked after
// every step against the trail as readers see it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "storage/trail/trail_reader.h"
#include "tests/sim/feed.h"

struct ledger;

struct ledger_totals {
    uint64_t accepted;     // by spools, each number once
    uint64_t stored;       // events of agents in the trail
    uint64_t own;          // events of the collector itself in the trail
    uint64_t quarantined;  // entries
    uint64_t duplicates;   // variants included
    uint64_t expired;
    uint64_t dropped;  // events that went with their days
};

// An empty ledger of a run of this seed.
struct ledger *ledger_create(uint64_t seed);

// Frees it. NULL is allowed.
void ledger_destroy(struct ledger *ledger);

// The collector opened the trail in this folder, or closed it (NULL).
MUST_CHECK bool ledger_attach(struct ledger *ledger, const char *directory, struct fault *fault);

// A spool has synced the event of this place: from now on it must not be lost.
void ledger_accept(struct ledger *ledger, const struct feed_place *place);

// Reads what is new in the trail and checks it. FAULT_CORRUPT: a law is broken, the text says how.
MUST_CHECK bool ledger_read(struct ledger *ledger, struct fault *fault);

// Whether the event of a place has ended as it must. FAULT_CORRUPT if not.
MUST_CHECK bool ledger_expect_done(struct ledger *ledger, const struct feed_place *place,
                                   struct fault *fault);

// Whether all that was ever accepted has ended as it must, and counts agree. FAULT_CORRUPT if not.
MUST_CHECK bool ledger_expect_all_done(struct ledger *ledger, struct fault *fault);

// Numbers for people and for tests.
void ledger_count(const struct ledger *ledger, struct ledger_totals *totals);
