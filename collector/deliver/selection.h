// selection.h: which events a trail has, and which of them ends its session.
//
// Whatever a trail delivers to, files or a log group, has the same events. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "collector/api/trail_document.h"
#include "event/record.h"
#include "storage/trail/trail_reader.h"

struct selection;

// The events of a trail, which is borrowed. FAULT_FULL; FAULT_CORRUPT if its selectors cannot be
// read.
MUST_CHECK bool selection_create(const struct trail *trail, struct selection **selection,
                                 struct fault *fault);

// Frees it. NULL is allowed.
void selection_destroy(struct selection *selection);

// Skims a row's record (record_skim) where that tells all that is asked below, and the region.
// False: the record is to be read. What is skimmed has the category and the flags that were stored;
// what is read has those of today's tables.
bool selection_skim(const struct selection *selection, const struct trail_row *row,
                    struct record *record);

// Whether the event is one of the trail's.
bool selection_has(const struct selection *selection, const struct record *record,
                   const struct trail_row *row);

// Whether the event is the call that ended the session that began at this time.
bool selection_is_end(struct selection *selection, int64_t session_ms, const struct record *record,
                      const struct trail_row *row);

// The account that an event is kept under.
struct span selection_account(const struct trail_row *row);
