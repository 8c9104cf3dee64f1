// verify_records.h: delivered files compared with the collector's store, event by event.
//
// What trails deliver is decided anew, by their documents and selectors, of the session that goes
// on: of sessions before it, and of times before a trail was last changed, only what is in files is
// compared with the store, not the other way round.

#pragma once

#include "base/fault.h"
#include "cli/store.h"
#include "verify/verify.h"

// Compares, after the files were verified, and adds what it finds; *records: how many records of
// files it compared. Faults as store_open,
// FAULT_CORRUPT, FAULT_FULL.
MUST_CHECK bool verify_records_compare(const struct store_choice *choice,
                                       const struct verify_plan *plan,
                                       struct verification *verification, uint64_t *records,
                                       struct fault *fault);
