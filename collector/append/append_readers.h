// append_readers.h: who reads the trail for too long.
//
// Every reader's transaction lives under a second. One that stays open keeps the pages that commits
// free from being used again, and the file grows with every commit. It is told of by its PID, once
// when it is found and once a day while it stays, and again when it has gone.
//
// The writer's thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "collector/append/append_commit.h"
#include "storage/trail/trail.h"

enum {
    APPEND_READERS_LOOK_MS = 10 * 1000,
    APPEND_READERS_STUCK_MS = 60 * 1000,  // a snapshot that is held so long
    APPEND_READERS_TELL_MS = 24 * 60 * 60 * 1000,
    APPEND_READERS_MAX = 512,
};

struct append_readers;

// NULL if memory runs out.
struct append_readers *append_readers_create(struct trail *trail, struct append_commit *commit,
                                             const struct clock *clock);
void append_readers_destroy(struct append_readers *readers);

// Looks, if it is time to. FAULT_IO or FAULT_CORRUPT of a commit: the trail cannot go on.
MUST_CHECK bool append_readers_step(struct append_readers *readers, struct fault *fault);
