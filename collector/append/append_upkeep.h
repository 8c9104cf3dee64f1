// append_upkeep.h: what the writer does between commits: the trail's own upkeep, days that go, the
// scan of ids, and looks at readers.
//
// A step is one bounded unit of work, one commit at most. While batches wait a unit is done only
// when it is APPEND_UPKEEP_LATE_MS late, so that upkeep goes on under any load and on a full disk,
// and does not slow acknowledgements. Room of dropped days that commits need is given back behind
// each commit.
//
// Days are counted back from the earlier of two: the collector's clock, and the newest event that
// any agent brought. So a clock that is wrong drops nothing that is not old by the events too.
//
// The writer's thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "collector/append/append_commit.h"
#include "storage/trail/trail.h"

enum {
    APPEND_UPKEEP_MS = 1000,             // between units, unless there is more to do
    APPEND_UPKEEP_LATE_MS = 1000,        // a unit waits so long for batches to leave time
    APPEND_UPKEEP_RETENTION_MS = 60000,  // between looks for a day that is to go
    APPEND_UPKEEP_FOLLOWER_MS =
        24 * 60 * 60 * 1000,  // a follower that holds days back so long is told of
};

struct append_upkeep_options {
    struct trail *trail;
    struct append_commit *commit;
    const struct clock *clock;
    uint32_t retention_days;  // 0: all days are kept
};

struct append_upkeep;

// NULL if memory runs out. Options are borrowed.
struct append_upkeep *append_upkeep_create(const struct append_upkeep_options *options);
void append_upkeep_destroy(struct append_upkeep *upkeep);

// Does a unit if one is due. Without room it waits for room. FAULT_IO or FAULT_CORRUPT: the trail
// cannot go on.
MUST_CHECK bool append_upkeep_step(struct append_upkeep *upkeep, bool is_busy, struct fault *fault);
