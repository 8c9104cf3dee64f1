// center.h: the simulated collector: the real intake, append and trail, without threads.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "tests/sim/ledger.h"
#include "tests/sim/timeline.h"
#include "tests/sim/wire.h"

struct center;

struct center_options {
    const char *directory;  // of the trail, exists and is empty
    uint64_t store_size;    // bytes at most, 0: no limit; see center_allow
    uint64_t queue_size;    // bytes that may wait for append
    bool drops_days;        // with another retention_days at each start
    struct timeline *timeline;
    struct wire *wire;
    struct ledger *ledger;
};

// A collector that is down. Ends the process if memory runs out.
struct center *center_create(const struct center_options *options);

// Frees it; it is down afterwards. NULL is allowed.
void center_destroy(struct center *center);

// Opens the trail and takes connections.
MUST_CHECK bool center_start(struct center *center, struct fault *fault);

// The process ends: what was not committed is gone, and so are all sessions.
void center_crash(struct center *center);

// Whether it runs.
bool center_is_up(const struct center *center);

// Whether the trail has no more room.
bool center_is_full(const struct center *center);

// From the next start on the trail may be as large as it likes.
void center_allow(struct center *center);

// Keeps a copy of the trail as of its last commit, instead of the one before. It is up.
MUST_CHECK bool center_keep_copy(struct center *center, struct fault *fault);

// Whether there is a copy to go back to.
bool center_has_copy(const struct center *center);

// Puts the trail back to its copy, under a new epoch. It is down.
MUST_CHECK bool center_restore(struct center *center, struct fault *fault);

// Lets append decide and commit, and time pass for the sessions. False: the process must end
// (FAULT_IO, FAULT_CORRUPT).
MUST_CHECK bool center_step(struct center *center, struct fault *fault);

// For the wire.
void *center_accept(void *center, void *agent, struct connection *connection, struct fault *fault);
bool center_on_message(void *session, struct span message);
void center_on_sent(void *session);
void center_on_closed(void *session);
