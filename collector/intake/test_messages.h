// test_messages.h: messages as agents send them, for tests. All in the arena given.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"
#include "proto/orgtrail.pb-c.h"
#include "storage/trail/trail_types.h"

struct test_event {
    struct span text;  // record or serialized Notice
    bool is_notice;
    const char *object;  // may be NULL
};

// Hello of a stream whose id is 16 times this byte.
struct span test_hello(struct arena *arena, uint8_t stream);

// A batch that begins with number first, after the chain given, which moves over the events.
struct span test_batch(struct arena *arena, uint64_t first, const struct test_event *events,
                       uint32_t events_count, uint8_t chain[TRAIL_CHAIN_SIZE]);

// A batch of the same record count times.
struct span test_records(struct arena *arena, uint64_t first, const char *record, uint32_t count,
                         uint8_t chain[TRAIL_CHAIN_SIZE]);

// Numbers that will never come; the chain after them.
struct span test_gap(struct arena *arena, uint64_t first, uint64_t last,
                     const uint8_t chain[TRAIL_CHAIN_SIZE]);

// A heartbeat without anything in it.
struct span test_heartbeat(struct arena *arena);

// The agent ends.
struct span test_goodbye(struct arena *arena);

// A Notice to put into an event.
struct span test_notice(struct arena *arena, const char *reason, int64_t time_ms, struct span head);

// A message of the collector. Fails the test if the bytes are none.
Orgtrail__V1__CollectorMessage *test_unpack(struct arena *arena, struct span bytes);
