// trail_followers.h: how far each follower of the trail has come, durable: name -> (sequence,
// when).
//
// A follower (a delivery, a rule, a scan) saves its place after its effect, in a commit of the
// writer: either both old and new place are as it believes, or nothing is saved. Days that a
// follower has not read to their end are not dropped.
//
// The writer's thread, as trail.h.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "storage/trail/trail.h"

// The followers there are, in order of name; borrowed until the next commit.
const struct trail_follower *trail_followers(const struct trail *trail, uint32_t *count);

// In a commit: moves a follower from one sequence to a later one (or the same: it is alive). One
// that is not there stands at `from` 0 and is made; its name is 1 to TRAIL_FOLLOWER_NAME_SIZE - 1
// letters, digits or '-'. FAULT_RETRY if it stands elsewhere: somebody else moves it; FAULT_INPUT
// for a name or sequence that cannot be; FAULT_FULL at TRAIL_FOLLOWERS_MAX.
MUST_CHECK bool trail_follower_move(struct trail *trail, const char *name, uint64_t from,
                                    uint64_t to, struct fault *fault);

// In a commit: forgets a follower; days wait for it no more. FAULT_INPUT if there is none.
MUST_CHECK bool trail_follower_drop(struct trail *trail, const char *name, struct fault *fault);
