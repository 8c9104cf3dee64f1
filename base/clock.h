// clock.h: what time it is, as an interface, and the one text form of it.
//
// Everything on an event's path asks a struct clock, never the system, so that the simulator can
// run the path under a clock of its own.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

struct clock {
    // Milliseconds since the Unix epoch, UTC; may jump.
    int64_t (*now_ms)(void *context);
    // Milliseconds since some fixed moment; never goes back.
    int64_t (*monotonic_ms)(void *context);
    void *context;
};

// The system's clocks. Lives for ever.
const struct clock *clock_system(void);

enum {
    TIME_TEXT_SIZE = 32,      // room for any time_print_* with its final zero
    TIME_DAY_TEXT_SIZE = 10,  // of it, what names the day
};

// Parses "YYYY-MM-DDThh:mm:ssZ" with optional fraction (ignored) and optional numeric offset
// (applied), years 1970 to 9999. seconds are since the Unix epoch. FAULT_INPUT.
MUST_CHECK bool time_parse(struct span text, int64_t *seconds, struct fault *fault);

// Prints "YYYY-MM-DDThh:mm:ssZ" with a final zero; seconds in the years 1970 to 9999.
void time_print(int64_t seconds, char text[TIME_TEXT_SIZE]);

// Prints "YYYY-MM-DDThh:mm:ss.mmmZ" with a final zero.
void time_print_ms(int64_t ms, char text[TIME_TEXT_SIZE]);

// Days since the Unix epoch of a moment in seconds, rounded down (also before 1970).
int64_t time_day(int64_t seconds);
