// chatter.h: how many lines about streams that come and go may stand in the log.
//
// An agent that connects and fails in a loop would fill the disk with them. Beyond
// CHATTER_LINES_MAX in a minute they are left out and counted; metrics count all streams anyhow.
// Any thread.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CHATTER_LINES_MAX = 3000,  // of a minute: a thousand agents that connect again, and more
    CHATTER_WINDOW_MS = 60000,
};

// All zero at the beginning.
struct chatter {
    atomic_llong begun_ms;
    atomic_uint lines;
    atomic_uint left_out;
};

// Whether a line may be printed now, by the monotonic clock. *left_out is how many were not in the
// minute before, to be told once, or 0.
bool chatter_may_print(struct chatter *chatter, int64_t now_ms, uint32_t *left_out);
