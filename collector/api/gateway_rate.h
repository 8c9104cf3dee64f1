// gateway_rate.h: how many calls a second an account may make in a region: a bucket for each.
//
// Threads: any.

#pragma once

#include <stdint.h>

#include "base/span.h"

enum { GATEWAY_RATE_BUCKETS = 256 };  // accounts and regions; those that share one share its rate

struct gateway_rate;

// A second's worth of calls may come at once. NULL if memory runs out.
struct gateway_rate *gateway_rate_create(uint32_t per_second);

// Frees it. NULL is allowed.
void gateway_rate_destroy(struct gateway_rate *rate);

// Takes one call. 0: it may go on; otherwise so many milliseconds are to be waited.
uint32_t gateway_rate_take(struct gateway_rate *rate, struct span account, struct span region,
                           int64_t now_ms);
