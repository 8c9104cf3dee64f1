// import_compare.h: what an archive has and the store lacks.

#pragma once

#include <stdint.h>

#include "base/fault.h"
#include "cli/store.h"
#include "verify/delivered.h"
#include "verify/records.h"

struct import_comparison {
    const struct store_choice *choice;
    const char *root;                   // of the archive, for messages
    const struct delivered *delivered;  // it: AWSLogs is in it, or below a prefix
    uint64_t size;                      // bytes of its files
    void (*on_lacking)(void *user, const struct records_entry *entry);
    void *user;
    // The answer; 0 before.
    uint64_t records;  // in the archive, those of one event once
    uint64_t lacking;  // events that are not in the store, though retention would keep them
};

// Reads archive and store, and calls on_lacking for each record that is not there. FAULT_INPUT if
// nothing in the archive lies as CloudTrail lays it, and of store_open; FAULT_FULL, FAULT_IO,
// FAULT_CORRUPT.
MUST_CHECK bool import_compare(struct import_comparison *comparison, struct fault *fault);
