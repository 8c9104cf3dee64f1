#include "tests/sim/timeline.h"

#include <assert.h>

static int64_t wall_ms(void *context) {
    const struct timeline *timeline = context;
    return TIMELINE_EPOCH_S * INT64_C(1000) + timeline->now_ms + timeline->skew_ms;
}

static int64_t monotonic_ms(void *context) {
    const struct timeline *timeline = context;
    // A monotonic clock that begins anywhere but at 0 finds code that takes 0 for "never".
    return 1000000 + timeline->now_ms;
}

void timeline_init(struct timeline *timeline, uint64_t seed) {
    *timeline = (struct timeline){.state = seed * 0x9E3779B97F4A7C15 + 1};
    timeline->clock = (struct clock){wall_ms, monotonic_ms, timeline};
    timeline->random = random_seeded(&timeline->state);
}

uint64_t timeline_draw(struct timeline *timeline, uint64_t below) {
    assert(below > 0);
    return random_splitmix64(&timeline->state) % below;
}

bool timeline_happens(struct timeline *timeline, uint32_t thousandths) {
    return timeline_draw(timeline, 1000) < thousandths;
}
