// followers.h: those who follow the trail: deliveries, and whatever else reads the log as it grows.
//
// A follower does one bounded unit of work at a time: it reads on behind its place, has its effect,
// and only then saves its place, with what it wants to remember, in one commit of the writer
// (seat.h). So after a crash it repeats its last unit. What fails is tried again, later each time,
// up to FOLLOWERS_WAIT_MAX_MS.
//
// Threads: each follower is on one thread at a time. There are as many as are needed: none before
// the first follower, one more whenever a follower that is due has waited FOLLOWERS_GROW_MS for
// one, up to one for each follower that can have a place; what was not needed for FOLLOWERS_IDLE_MS
// ends. So a destination that hangs holds up its own follower, and neither intake nor another one.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "collector/append/append.h"
#include "storage/trail/trail_types.h"

enum {
    FOLLOWERS_MAX = 1024,
    FOLLOWERS_TARGETS_MAX = 128,  // that are told of files and have no place in the trail
    // Those that look for followers hang nowhere.
    FOLLOWERS_THREADS_MAX = TRAIL_FOLLOWERS_MAX + FOLLOWERS_TARGETS_MAX + 8,
    FOLLOWERS_STACK_SIZE = 1024 * 1024,  // bytes of a thread's stack; used ones count
    FOLLOWERS_GROW_MS = 100,             // a follower that is due waits so long
    FOLLOWERS_IDLE_MS = 30 * 1000,
    FOLLOWERS_WAIT_MIN_MS = 1000,  // after the first failure; then twice as long each time
    FOLLOWERS_WAIT_MAX_MS = 60 * 1000,
    FOLLOWERS_FAILURES = 3,  // in a row: it is told in the trail that it fails, and when it ends
    FOLLOWERS_STOP_S = 8,    // steps under way have so long to end
};

struct seat;

// A follower; its owner puts it at the beginning of a struct of its own.
struct follower {
    char name[TRAIL_FOLLOWER_NAME_SIZE];  // as the trail knows it
    // Does a unit of work. *wait_ms: when it wants the next one; negative: never again. False: what
    // went wrong, and it is called again.
    bool (*step)(struct follower *follower, struct seat *seat, int64_t *wait_ms,
                 struct fault *fault);
    // It is not stepped any more, and is the owner's again.
    void (*end)(struct follower *follower);
    bool is_target;  // it tells a target of files: that it fails is told of the target
};

struct followers_options {
    const char *store_directory;
    struct append *append;
    struct notes *notes;  // what is told of them
    const struct clock *clock;
    const struct random *random;
};

struct followers;

// Starts the threads. Options are borrowed for its life. FAULT_FULL.
MUST_CHECK bool followers_start(const struct followers_options *options,
                                struct followers **followers, struct fault *fault);

// [any] Takes a follower, to be stepped at once. False: there are FOLLOWERS_MAX; it stays the
// caller's.
bool followers_add(struct followers *followers, struct follower *follower);

// Says that it is going to be stopped, and does not wait: whoever steps wait for may be ended then.
// NULL is allowed.
void followers_end_soon(struct followers *followers);

// Lets the steps under way end, ends all followers, and frees it. NULL is allowed. Before the
// writer's end, which steps may wait for. False: something hangs for FOLLOWERS_STOP_S and is left
// behind. All that it uses stays, and the process is to end.
bool followers_stop(struct followers *followers);

// [any] How many there are. NULL is allowed: none.
uint32_t followers_count(struct followers *followers);

// [any] Whether it is being stopped: long steps look.
bool followers_are_stopping(struct followers *followers);
