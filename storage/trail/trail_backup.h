// trail_backup.h: a whole copy of the trail in a folder, made while the trail is written.
//
// A backup is data.mdb, compacted, and backup.json, which says of when and of what store it is and
// how the bytes must hash. It lies under DIR.part until it has been synced, read back and opened,
// and then becomes DIR in one rename: a folder of that name is a whole backup or none. The copy is
// of one moment, and holds a read transaction as long as it takes: what the writer frees meanwhile
// it cannot use again before the end.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "storage/trail/trail_types.h"

enum { TRAIL_BACKUP_CHECK_EVENTS = 1000 };  // oldest and newest ones that are rebuilt

// What backup.json says.
struct trail_backup_facts {
    uint8_t epoch[TRAIL_EPOCH_SIZE];
    int64_t started_ms;  // the copy has everything that was stored by then
    uint64_t events;
    uint64_t sequence_last;
    uint64_t size;  // bytes of data.mdb
    uint8_t sha256[32];
};

struct trail_backup_options {
    const char *store;   // its folder
    const char *target;  // must not be there, or be empty
    const struct clock *clock;
    // Now and then, on the caller's thread: bytes copied, of about so many. May be NULL.
    void (*on_progress)(void *user, uint64_t done, uint64_t all);
    void *user;
};

// Makes a backup. Without it the target is as it was, but for DIR.part, which the next attempt
// removes. FAULT_INPUT: the target holds something, or there is no store; FAULT_FULL: the target's
// disk has no room; FAULT_CORRUPT: the store or the copy is damaged; FAULT_DENIED; FAULT_IO.
MUST_CHECK bool trail_backup(const struct trail_backup_options *options,
                             struct trail_backup_facts *facts, struct fault *fault);

// Reads a backup's backup.json. FAULT_INPUT: the folder holds no backup; FAULT_CORRUPT: it cannot
// be understood.
MUST_CHECK bool trail_backup_read(const char *directory, struct trail_backup_facts *facts,
                                  struct fault *fault);

// Whether a copy opens as the trail that the facts speak of, and its oldest and newest events can
// be rebuilt. Leaves no file behind. FAULT_CORRUPT.
MUST_CHECK bool trail_backup_verify(const char *directory, const struct trail_backup_facts *facts,
                                    struct fault *fault);
