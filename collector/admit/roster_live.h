// roster_live.h: the roster that holds now, which may be replaced while others read it.
//
// Readers enter, use the roster for as long as they judge a batch, and leave; nobody waits for the
// disk or for another thread in between. The one thread that replaces it waits until all who
// entered before have left, and then owns the old one alone.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "collector/admit/roster.h"

// The even and the odd generation. Initialised by roster_live_init.
struct roster_live {
    atomic_uint generation;
    atomic_uint readers[2];
    const struct roster *rosters[2];
};

// Begins with a roster.
void roster_live_init(struct roster_live *live, const struct roster *roster);

// [any] The roster that holds now. It stays until roster_live_leave is called with the same place.
const struct roster *roster_live_enter(struct roster_live *live, uint32_t *place);
void roster_live_leave(struct roster_live *live, uint32_t place);

// [one thread] Puts another roster in place and returns the old one, which nobody uses any more.
const struct roster *roster_live_replace(struct roster_live *live, const struct roster *roster);
