// life.h: lives of a trail, from StartLogging to the end of its session, while where it delivers to
// fails at one operation or the process dies there; and what lies there then.

#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "collector/append/append_fixture.h"
#include "collector/deliver/deliver.h"
#include "collector/follow/seat.h"

enum { LIFE_OBJECTS_MAX = 64 };

#define LIFE_BUCKET "bucket"

struct life_object {
    const char *key;
    struct span bytes;
    struct span signature;  // its metadata's; empty: none
};

// What lies in the bucket; texts are in the arena.
struct life_found {
    struct arena *arena;
    struct life_object objects[LIFE_OBJECTS_MAX];
    uint32_t count;
};

// Where trails deliver to, as a test breaks it.
struct life_place {
    const struct objects *objects;
    void (*begin)(void *context);                   // an empty bucket
    void (*break_at)(void *context, uint64_t nth);  // the nth operation from now on fails; 0: none
    bool (*has_failed)(void *context);
    void (*mend)(void *context);                  // after a step that failed: what lasts ends
    void (*crash)(void *context, uint32_t seed);  // the process is gone, and what it had not kept
    void (*find)(void *context, struct life_found *found);
    void (*end)(void *context);
    void *context;
};

// The writer is on a thread of its own, as in the collector.
struct life {
    const struct life_place *place;
    struct rig *rig;
    pthread_t writer;
    atomic_bool is_over;
    struct deliver_options options;
    struct seat seat;
    struct follower *follower;
    uint8_t secret[CRYPTO_SEAL_KEY_SIZE];
    uint32_t number;
    uint64_t next_event;
    uint64_t first_event;
    bool is_crash;  // the process dies where an operation fails
    bool has_crashed;
};

// Lives in the rig's store. The caller ends them.
void life_begin(struct life *life, struct rig *rig, const struct life_place *place);
void life_end(struct life *life);

// Begins the next trail, which logs, in an empty bucket.
void life_start_trail(struct life *life);

// Frees what the trail had.
void life_end_trail(struct life *life);

// Runs a trail while the nth operation fails and checks that each event lies there once and that
// each digest verifies and names what lies there; the same for 1, 2, 3 ... until there is no nth.
// Returns how many operations there are.
uint64_t life_run_all(struct life *life, bool is_crash);

// Adds what lies in the bucket; all is copied.
void life_found_add(struct life_found *found, const char *key, struct span bytes,
                    struct span signature);

// Adds an event that the trail has, at the present time.
void life_add_event(struct life *life);

// Changes a document and adds a record; NULL: none.
void life_change(struct life *life, const char *name, const char *value, const char *record);

// Whether the trail's follower has a place in the log.
bool life_has_place(struct life *life);
