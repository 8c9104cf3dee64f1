// append_scan.h: the background scan for ids under two times, as the writer runs it.
//
// A unit of a few milliseconds between commits, when nothing waits. A round begins when
// TRAIL_SCAN_IDS_MAX events are new, or APPEND_SCAN_MS after the last one if any is. What a round
// found is told in the commit that saves how far it came, so that each is told once; a round cut
// short by the end of the process is run again.
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
    APPEND_SCAN_MS = 6 * 60 * 60 * 1000,
    APPEND_SCAN_LOOK_MS = 60 * 1000,  // between looks whether a round is due
    APPEND_SCAN_UNIT_MS = 5,
    APPEND_SCAN_UNIT_STEPS = 128,
};

struct append_scan;

// Reads how far earlier processes came. NULL if memory runs out.
struct append_scan *append_scan_create(struct trail *trail, struct append_commit *commit,
                                       const struct clock *clock);
void append_scan_destroy(struct append_scan *scan);

// Does a unit if a round is under way or due. What cannot be read now is tried again later.
// FAULT_IO or FAULT_CORRUPT of a commit: the trail cannot go on.
MUST_CHECK bool append_scan_step(struct append_scan *scan, struct fault *fault);
