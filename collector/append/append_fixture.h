// append_fixture.h: a real trail in a folder, append and some intakes in one thread, for tests.

#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/queue.h"
#include "base/random.h"
#include "collector/admit/roster.h"
#include "collector/append/append.h"
#include "collector/intake/batch.h"
#include "collector/intake/intake.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_reader.h"

enum {
    RIG_ENDS = 6,
    RIG_OWN_MAX = 64,
    RIG_AGENT_ONE = TRAIL_AGENT_OWN + 1,  // the number of the first agent
};

#define RIG_NOW_MS INT64_C(1700000000000)

#define RIG_ONE "spiffe://o-abc/account/111111111111"
#define RIG_TWO "spiffe://o-abc/account/222222222222"

struct rig;

// One stream: its intake, and what the agent at its other end has heard.
struct end {
    struct rig *rig;
    struct intake *intake;
    uint64_t resume;
    uint64_t acked;
    uint64_t duplicates;
    uint64_t quarantined;
    uint32_t throttles;
    uint32_t to_send;
    bool is_closed;
    enum fault_kind closed_kind;
};

// A real trail in a folder, append and some intakes in one thread, under a clock of ours.
struct rig {
    char directory[256];
    int64_t now_ms;
    struct clock clock;
    uint64_t seed;
    struct random random;
    struct arena *arena;
    struct roster *roster;
    struct roster_live live;
    struct batch_pool *pool;
    struct queue *queue;
    struct trail *trail;
    struct append *append;
    struct intake_settings settings;
    struct end ends[RIG_ENDS];
    uint64_t size_max;
    uint64_t quarantine_max;
    uint32_t retention_days;
    uint32_t block_rows_min;
    uint32_t clock_calls;
};

// Setup and teardown of a test: a rig with an empty store, which is removed at the end.
int rig_make(void **state);
int rig_end(void **state);

// Closes trail, append and all streams; opens trail and append.
void rig_close_store(struct rig *rig);
void rig_open_store(struct rig *rig);

// Lets append work at this moment, or some time later, and all messages arrive.
void rig_step(struct rig *rig);
void rig_pass(struct rig *rig, int64_t ms);

// Connects an agent; with its Hello and Welcome; ends it.
struct end *rig_begin(struct rig *rig, uint32_t index, const char *uri);
struct end *rig_enter(struct rig *rig, uint32_t index, const char *uri, uint8_t stream);
void rig_leave(struct rig *rig, uint32_t index);

// A record of this id with more members.
const char *rig_make_record(struct rig *rig, const char *id, const char *more);

// Sends one record of this id.
void rig_say(struct end *end, uint64_t number, const char *id, const char *more,
             uint8_t chain[TRAIL_CHAIN_SIZE]);

// Events of our own that are stored.
struct own {
    char names[RIG_OWN_MAX][32];
    char texts[RIG_OWN_MAX][2048];
    uint32_t count;
};

// What is stored now.
struct trail_facts rig_read_facts(struct rig *rig, struct own *own);
uint32_t rig_count_own(const struct own *own, const char *name);

// A stream's state; its id is 16 times this byte.
struct trail_stream rig_find_stream(struct rig *rig, uint32_t agent, uint8_t byte);
