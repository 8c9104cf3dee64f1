// trail_retention.h: what the trail no longer keeps: whole days of eventTime (UTC), oldest first.
//
// A day goes in one commit, which moves retained_from: from then on nobody finds its events, the
// counts are without them, and an event older than retained_from is TRAIL_EXPIRED for good. A day
// that a follower has not read to its end stays.
//
// The room of its blocks is given back after that by trail_sweep, in steps that are short beside a
// commit, and little by little: LMDB uses free pages in the order in which they came free, so that
// commits which find a whole day free tear it to holes that no block fits in (docs/store.md). A
// crash in between costs nothing but that the next process goes on with it.
//
// The writer's thread, as trail.h.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "storage/trail/trail.h"

enum { TRAIL_DAY_S = 24 * 60 * 60 };

// A day that has events.
struct trail_day {
    int64_t from_s;  // its first second, since the Unix epoch
    uint64_t events;
    uint64_t blocks;
    uint64_t size;           // bytes of its blocks
    uint64_t sequence_last;  // the largest of its events
};

// The oldest day that has events, outside a commit. False if there is none.
bool trail_retention_oldest(const struct trail *trail, struct trail_day *day);

// Events before this second are expired; 0: none are.
int64_t trail_retained_from(const struct trail *trail);

// The newest eventTime that any agent brought; 0: none did.
int64_t trail_newest_received_s(const struct trail *trail);

// The follower that has not read a day to its end and is furthest behind; NULL if none.
const struct trail_follower *trail_retention_holder(const struct trail *trail,
                                                    const struct trail_day *day);

// In a commit, before its first event: all days before from_s, which begins a day, go with it.
// Nothing changes if from_s is not after retained_from. FAULT_RETRY: a follower needs one of them
// (the text names it).
MUST_CHECK bool trail_retain(struct trail *trail, int64_t from_s, struct fault *fault);

// Whether dropped days still hold room and commits need it: since the last step the file became
// longer or a commit was refused (also for want of free_min), or size_max lets it grow by less than
// two of the largest commits. Then the next step is due at once, else after trail_sweep_pause_ms.
bool trail_needs_room(const struct trail *trail);

// Milliseconds from one step to the next while no commit needs the room, at most a minute: so few
// that the blocks of one dropped day are gone in a day, and those of more, but for the last, in an
// hour.
int64_t trail_sweep_pause_ms(const struct trail *trail);

// One step of giving back the room of dropped days, outside a commit and a read: of at most
// TRAIL_SWEEP_BLOCKS blocks. After a refused commit several, and behind the last of them a commit
// that changes nothing: what a step gives back can be used by the commit after the next. *more:
// there may be more. FAULT as trail_commit.
MUST_CHECK bool trail_sweep(struct trail *trail, bool *more, struct fault *fault);
