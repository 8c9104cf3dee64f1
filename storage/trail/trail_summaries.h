// trail_summaries.h: the summaries of blocks, from the store into the catalog.
//
// A summary that is damaged is taken from its block's own header. If that cannot be trusted either,
// the block is listed with all of its day and every sequence number, so that whoever may need one
// of its rows meets it and says that it is damaged.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "storage/trail/trail_catalog.h"
#include "storage/trail/trail_environment.h"

// Which summaries to load, and who is told of damage.
struct trail_summaries {
    uint64_t number_first;
    int64_t retained_from_s;  // what is left of days before is not there any more; 0: none is
    void (*on_damage)(void *user, const struct fault *damage);  // or NULL
    void *user;
};

// Adds those blocks to the catalog. One whose summary is damaged is there all the same, unless its
// block is gone. FAULT_FULL, FAULT_IO.
MUST_CHECK bool trail_summaries_load(struct trail_environment *environment, MDB_txn *transaction,
                                     const struct trail_summaries *wanted,
                                     struct trail_catalog *catalog, struct fault *fault);
