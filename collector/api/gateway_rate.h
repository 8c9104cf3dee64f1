// gateway_rate.h: how many calls a second an account may make: a bucket for each.
//
// Of an account alone: the region of a call is what its caller writes.
//
// Threads: any.

#pragma once

#include <stdint.h>

#include "base/span.h"

enum { GATEWAY_RATE_BUCKETS = 4096 };  // accounts that share one share its rate

struct gateway_rate;

// A second's worth of calls may come at once. NULL if memory runs out.
struct gateway_rate *gateway_rate_create(uint32_t per_second);

// Frees it. NULL is allowed.
void gateway_rate_destroy(struct gateway_rate *rate);

// Takes one call. 0: it may go on; otherwise so many milliseconds are to be waited.
uint32_t gateway_rate_take(struct gateway_rate *rate, struct span account, int64_t now_ms);
