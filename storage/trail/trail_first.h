// trail_first.h: a store of format 1, read for a migration: its events in order of sequence, and
// its other values as they are.
//
// Blocks are opened when their first event is due; those of which some events are not yet due stay
// in memory (a day's late events lie in a block of their own, so these are few). One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "storage/trail/trail_codec.h"
#include "storage/trail/trail_environment.h"

struct trail_first;

// Opens the store of a folder; *first is NULL if that has today's format already. FAULT_INPUT if
// there is none; FAULT_CORRUPT if it is damaged or of another format.
MUST_CHECK bool trail_first_open(const char *directory, struct trail_first **first,
                                 struct fault *fault);
void trail_first_close(struct trail_first *first);

// What is fixed of it, and its numbers.
const struct trail_format *trail_first_format(const struct trail_first *first);
const struct trail_head *trail_first_head(const struct trail_first *first);

// An event; spans live until the next call.
struct trail_first_row {
    uint64_t sequence;
    uint32_t agent;
    uint32_t flags;
    int64_t received_ms;
    struct span account;
    struct span text;
};

// The next event in order of sequence, from 1. *found false at the end. FAULT_CORRUPT names what is
// damaged or missing.
MUST_CHECK bool trail_first_next(struct trail_first *first, bool *found,
                                 struct trail_first_row *row, struct fault *fault);

// Calls on_value for each pair of a database, borrowed for the call; false ends it with the fault
// that on_value has set.
MUST_CHECK bool trail_first_walk(struct trail_first *first, enum trail_database database,
                                 bool (*on_value)(void *user, struct span key, struct span value,
                                                  struct fault *fault),
                                 void *user, struct fault *fault);
