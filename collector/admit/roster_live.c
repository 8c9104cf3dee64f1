#include "collector/admit/roster_live.h"

#include <assert.h>
#include <time.h>

void roster_live_init(struct roster_live *live, const struct roster *roster) {
    atomic_init(&live->generation, 0);
    atomic_init(&live->readers[0], 0);
    atomic_init(&live->readers[1], 0);
    live->rosters[0] = roster;
    live->rosters[1] = NULL;
}

const struct roster *roster_live_enter(struct roster_live *live, uint32_t *place) {
    for (;;) {
        uint32_t generation = atomic_load(&live->generation);
        uint32_t found = generation & 1;
        atomic_fetch_add(&live->readers[found], 1);
        // Counted while it still holds: whoever replaces it waits for us.
        if (atomic_load(&live->generation) == generation) {
            *place = found;
            return live->rosters[found];
        }
        atomic_fetch_sub(&live->readers[found], 1);
    }
}

void roster_live_leave(struct roster_live *live, uint32_t place) {
    uint32_t before = atomic_fetch_sub(&live->readers[place], 1);
    assert(before > 0);
}

static void wait_for_readers(const struct roster_live *live, uint32_t place) {
    const struct timespec pause = {0, 1000000};
    while (atomic_load(&live->readers[place]) > 0) (void)nanosleep(&pause, NULL);
}

const struct roster *roster_live_replace(struct roster_live *live, const struct roster *roster) {
    uint32_t generation = atomic_load(&live->generation);
    uint32_t now = generation & 1;
    uint32_t next = now ^ 1;
    // One who entered by mistake leaves at once, without having looked.
    wait_for_readers(live, next);
    live->rosters[next] = roster;
    atomic_store(&live->generation, generation + 1);
    wait_for_readers(live, now);
    const struct roster *old = live->rosters[now];
    live->rosters[now] = NULL;
    return old;
}
