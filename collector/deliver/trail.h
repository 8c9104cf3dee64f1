// trail.h: one trail that delivers: a follower of the log, from StartLogging to StopLogging.
//
// A session begins with the first event received since StartLogging and ends with the event of
// StopLogging or DeleteTrail. In between come rounds (round.h) and, if the trail has them, digests
// (digests.h): the first at the session's begin, one for each interval, one at the end. Digests
// that could not be written in time are made up for by one late digest of the whole outage.
//
// All it remembers is in the store (state.h) and in the follower's place: it reads both again
// before each unit of work. collector/deliver/README.md has the laws.

#pragma once

#include <stdbool.h>

#include "base/fault.h"
#include "collector/deliver/deliver.h"
#include "collector/follow/followers.h"

enum {
    TRAIL_LOOK_MS = 1000,     // between looks at the trail's document
    TRAIL_DIGEST_LATE_S = 5,  // beyond a whole interval: a digest is not in time
};

// A follower for the trail of an id. Options are borrowed. It frees itself at its end. FAULT_FULL.
MUST_CHECK bool deliver_trail_create(const struct deliver_options *options, struct span id,
                                     struct span name, struct span account, struct span region,
                                     struct follower **follower, struct fault *fault);
