// trail_migrate.h: a store of format 1 becomes one of today's.
//
// Its events are stored again, in order, by today's writer into a new data.mdb, each under the
// sequence number it had; agents, streams, quarantine and gaps, and the epoch, are taken over. Then
// the new one takes the place of the old, which is kept aside. Nothing is sent again by agents.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "storage/trail/trail_types.h"

enum { TRAIL_MIGRATE_PATH_SIZE = 4096 };

struct trail_migrate_options {
    const char *store;
    const struct clock *clock;
    const struct random *random;
    // Now and then: events stored, of so many. May be NULL.
    void (*on_progress)(void *user, uint64_t done, uint64_t all);
    void *user;
};

struct trail_migrate_result {
    bool is_todays;  // it has today's format already: nothing was done
    uint64_t events;
    char aside[TRAIL_MIGRATE_PATH_SIZE];  // where the old store is
};

// Migrates, with the collector stopped. FAULT_RETRY: one has the store open; FAULT_INPUT: there is
// no store; FAULT_CORRUPT: something of it is damaged (nothing is changed); FAULT_FULL: no room for
// it beside the old one; FAULT_DENIED; FAULT_IO.
MUST_CHECK bool trail_migrate(const struct trail_migrate_options *options,
                              struct trail_migrate_result *result, struct fault *fault);
