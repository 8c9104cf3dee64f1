// trail_replace.h: another data.mdb in a store's folder, in the place of the one there is.
//
// It is prepared in a folder in the store's, and takes its place by renames; the old one is moved
// into a folder of its own and never deleted. Cut short, the store is the old one, or the folder
// has no data.mdb at all and the collector refuses to make a new one there.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"

enum {
    TRAIL_REPLACE_PATH_SIZE = 4096,
    TRAIL_REPLACE_NAMED_SIZE = TRAIL_REPLACE_PATH_SIZE + 64,  // with a name in the folder
};

struct trail_replace {
    char store[TRAIL_REPLACE_PATH_SIZE];
    char preparing[TRAIL_REPLACE_NAMED_SIZE];  // the folder to put data.mdb into
    char aside[TRAIL_REPLACE_PATH_SIZE];       // where the old store is; empty: there was none
    int lock;                                  // the writer's, held
};

// Takes the writer's lock of a store's folder, which is made if it is not there. `preparing` is a
// name in it. FAULT_RETRY: a collector has the store open; FAULT_INPUT; FAULT_DENIED; FAULT_IO.
MUST_CHECK bool trail_replace_begin(struct trail_replace *replace, const char *store,
                                    const char *preparing, struct fault *fault);

// Gives the lock back.
void trail_replace_end(struct trail_replace *replace);

// Makes the folder `preparing`, without what an earlier attempt left, on a disk with `size` bytes
// free. FAULT_FULL.
MUST_CHECK bool trail_replace_prepare(const struct trail_replace *replace, uint64_t size,
                                      struct fault *fault);

// Gives up before anything was put in place: removes what was prepared, for a full disk's sake.
void trail_replace_abandon(const struct trail_replace *replace);

// Puts what was prepared, and synced, in place; the old store goes into "PREFIX-TIME".
MUST_CHECK bool trail_replace_commit(struct trail_replace *replace, const char *prefix,
                                     const struct clock *clock, struct fault *fault);

// Puts in place what an attempt prepared that was cut short after the old store was put aside.
// *is_done false: there is nothing of the kind.
MUST_CHECK bool trail_replace_resume(struct trail_replace *replace, bool *is_done,
                                     struct fault *fault);
