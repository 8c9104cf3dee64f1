// calls.h: the own events of API calls on their way into the trail, many in one commit.
//
// A call that changes nothing is answered before its event is stored: events are gathered for up to
// CALLS_GATHER_MS, so that thousands of calls a second cost a commit or two. None is dropped: when
// CALLS_MAX wait, calls are refused until there is room. What is not yet stored when the process is
// killed is lost, a second's worth at most.
//
// Threads: calls_add and calls_have_room any; a thread of its own hands them to the writer.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "collector/append/append.h"

enum {
    CALLS_MAX = 32768,                  // events that wait
    CALLS_SIZE_MAX = 64 * 1024 * 1024,  // bytes of them
    CALLS_RESERVE = 256,                // of both, that calls under way may still need
    CALLS_GATHER_MS = 500,
    CALLS_BATCH = 2048,                  // events of one commit
    CALLS_BATCH_SIZE = 8 * 1024 * 1024,  // bytes of them
    CALLS_STOP_MS = 8000,                // for the last of them when the collector stops
};

struct calls;

// Begins. The writer is borrowed and outlives it. FAULT_FULL if memory runs out.
MUST_CHECK bool calls_start(struct append *append, struct calls **calls, struct fault *fault);

// Hands over what waits, for as long as CALLS_STOP_MS, and ends. NULL is allowed.
void calls_stop(struct calls *calls);

// Adds a record, which is copied. False: too many wait.
bool calls_add(struct calls *calls, struct span record);

// Whether there is room for another call's.
bool calls_have_room(struct calls *calls);
