// timeline.h: the simulated time and the one source of chance of a run.
//
// Everything in a run asks it, so a seed decides all that happens.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"

struct timeline {
    int64_t now_ms;      // since the run began
    int64_t skew_ms;     // of the wall clock
    uint64_t state;      // of chance
    struct clock clock;  // for what is tested
    struct random random;
};

enum { TIMELINE_EPOCH_S = 1767225600 };  // 2026-01-01: when runs begin, by the wall clock

// Begins a run. The timeline must not move in memory afterwards.
void timeline_init(struct timeline *timeline, uint64_t seed);

// A number from 0 to below - 1.
uint64_t timeline_draw(struct timeline *timeline, uint64_t below);

// Whether something of this likelihood, in thousandths, happens now.
bool timeline_happens(struct timeline *timeline, uint32_t thousandths);
