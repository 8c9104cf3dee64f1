// trail_restore.h: the only supported way back from a backup, while no collector runs.
//
// The backup is copied beside the store and verified, gets a new epoch and a note of when it was
// made, and takes the store's place by renames. What was there before stays in a folder of its own
// in the store's; nothing is deleted. When this is cut short the store is either the old one, or
// none at all and the collector refuses to make a new one: then the same restore is run again.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "storage/trail/trail_backup.h"

enum { TRAIL_RESTORE_PATH_SIZE = 4096 };

struct trail_restore_options {
    const char *backup;  // its folder
    const char *store;   // the store's; made if it is not there (its parent must be)
    const struct clock *clock;
    const struct random *random;
    // Now and then: bytes copied, of so many. May be NULL.
    void (*on_progress)(void *user, uint64_t done, uint64_t all);
    void *user;
};

struct trail_restore_result {
    struct trail_backup_facts backup;
    uint8_t epoch[TRAIL_EPOCH_SIZE];      // the new one
    char aside[TRAIL_RESTORE_PATH_SIZE];  // where the old store is; empty if there was none
};

// Restores. FAULT_RETRY: a collector has the store open (the text names its process); FAULT_INPUT:
// no backup; FAULT_CORRUPT: its bytes are not those that were backed up, or a newer version's;
// FAULT_FULL: the store's disk has no room for it beside the old store; FAULT_DENIED; FAULT_IO.
MUST_CHECK bool trail_restore(const struct trail_restore_options *options,
                              struct trail_restore_result *result, struct fault *fault);
