// own_event.h: the records orgtrail writes about itself, eventSource "orgtrail.local".
//
// They look like CloudTrail's service events and belong to the management account and the home
// region; what happened stands in serviceEventDetails. docs/collector.md lists them. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/random.h"
#include "base/span.h"
#include "collector/intake/batch.h"

// Whose own events are.
struct own_event_place {
    const char *account;
    const char *region;
};

// One member of serviceEventDetails: a text, or a number if the text's bytes are NULL.
struct own_event_detail {
    const char *name;
    struct span text;
    uint64_t number;
};

enum { OWN_EVENT_ID_SIZE = 16 };

// A record in the arena. NULL bytes if the arena is full.
struct span own_event_print(const struct own_event_place *place, const char *name,
                            const uint8_t id[OWN_EVENT_ID_SIZE], int64_t time_s,
                            const struct own_event_detail *details, uint32_t details_count,
                            struct arena *arena);

// A random id (a UUID of version 4).
void own_event_make_id(const struct random *random, uint8_t id[OWN_EVENT_ID_SIZE]);

// The record of a Notice. Id, time and text depend on nothing but the certificate's URI and the
// Notice (and the place), so that a Notice sent again is the same event.
struct span own_event_print_notice(const struct own_event_place *place, struct span uri,
                                   struct span bytes, const struct batch_notice *notice,
                                   struct arena *arena);
