// batch.h: what one message of an agent becomes on its way from intake to append and back.
//
// A batch owns all its memory, which is one arena. Intake fills it on the stream's worker thread,
// append decides and answers in it on its own thread, and it goes back to intake, which gives it to
// the pool. Exactly one of them has it at a time. A thousand agents have a batch each on its way to
// the disk, so a batch holds nothing that only reading it needs: JSON readers are the pool's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/span.h"
#include "collector/admit/admit.h"
#include "event/record.h"
#include "storage/trail/trail_types.h"

enum {
    BATCH_EVENTS_MAX = 500,            // events of one message
    BATCH_BYTES_MAX = 512 * 1024,      // of their records, unless there is only one
    BATCH_NOTICE_HEAD_MAX = 65536,     // bytes of a Notice's head
    BATCH_MESSAGE_SIZE_MAX = 2 << 20,  // bytes of a message
    BATCH_ARENA_SIZE_MAX = 24 << 20,   // bytes: a message of 2 MiB and all that is read from it
    BATCH_KEPT_SIZE_MAX = 64 * 1024,   // a batch that held more is not kept for reuse
    BATCH_POOL_MAX = 64,               // batches kept
    BATCH_WEIGHT_MIN = 16 * 1024,      // bytes that any batch holds: an arena is not smaller
};

// The largest number an agent may speak of: a million events a second for nine years. A number near
// 2^63 would leave its stream no room to go on.
#define BATCH_NUMBER_MAX (UINT64_C(1) << 48)

enum batch_kind {
    BATCH_HELLO,   // a stream wants to begin: append answers with its durable state
    BATCH_EVENTS,  // events of consecutive numbers
    BATCH_GAP,     // numbers that will never come
    BATCH_SEEN,    // the agent is alive and has nothing new
};

// What an agent says of something it lost or refused.
struct batch_notice {
    struct span reason;
    struct span source;
    struct span place;
    struct span detail;
    struct span head;    // the first bytes of what was refused
    struct span sha256;  // of all of it, or empty
    uint64_t size;       // of all of it, or 0
    int64_t time_ms;
};

// One event and what admit says of it.
struct batch_event {
    struct span text;          // the record as it came, or the serialized Notice
    enum admit_reason reason;  // ADMIT_GOOD: `record` and `account` are set
    bool is_notice;            // ADMIT_NOTICE: `notice` is set; ADMIT_BAD_NOTICE: it is not
    struct batch_notice notice;
    struct span notice_record;  // the own event it becomes, once append has made it
    struct record record;
    struct span account;
    bool is_unlisted;    // good, of an account that is not in the roster
    struct span detail;  // if refused, for people: what and where
};

struct batch {
    enum batch_kind kind;
    void *owner;  // the intake that made it
    struct arena *arena;
    uint64_t size;        // of the message
    uint64_t weight;      // bytes of memory it holds, once weighed
    uint64_t id;          // for people: counts from 1 in each session
    int64_t received_ms;  // by the collector's clock

    // Who. HELLO fills uri and stream_id; the others slot and session, as HELLO's answer gave them.
    struct span uri;
    uint8_t stream_id[TRAIL_STREAM_ID_SIZE];
    uint32_t slot;
    uint64_t session;

    // EVENTS and GAP: numbers first_seq to last_seq, and the chain after last_seq.
    uint64_t first_seq;
    uint64_t last_seq;
    uint8_t chain[TRAIL_CHAIN_SIZE];
    struct batch_event *events;
    uint32_t events_count;
    struct span gap_reason;

    // Append's answer.
    struct fault fault;  // FAULT_NONE: all of it is durable
    uint64_t durable_seq;
    uint8_t durable_chain[TRAIL_CHAIN_SIZE];
    uint64_t session_duplicates;   // of this session so far, variants included
    uint64_t session_quarantined;  // of this session so far
    bool is_throttled;             // the agent's quarantine is full
    void *superseded;              // HELLO: the owner that had the stream until now, or NULL
};

struct batch_pool;

// A pool that keeps up to BATCH_POOL_MAX small batches, and a few JSON readers. NULL if memory runs
// out. Any thread may take and give.
struct batch_pool *batch_pool_create(void);

// All batches and readers are back. NULL is allowed.
void batch_pool_destroy(struct batch_pool *pool);

// An empty batch for a message of so many bytes, or NULL if memory runs out.
struct batch *batch_take(struct batch_pool *pool, size_t size);

// Sets what it weighs, now that all is in it, and counts it.
void batch_weigh(struct batch_pool *pool, struct batch *batch);

// Gives a batch back and forgets all in it.
void batch_give(struct batch_pool *pool, struct batch *batch);

// A JSON reader for the records of one message, or NULL if memory runs out.
struct json_reader *batch_take_reader(struct batch_pool *pool);

// Gives a reader back; one that has grown large gives its pool back, and knows what it knew.
void batch_give_reader(struct batch_pool *pool, struct json_reader *reader);

// Bytes that the weighed batches hold that have not been given back.
uint64_t batch_pool_weight(const struct batch_pool *pool);

// Bytes that the batches kept for reuse hold.
uint64_t batch_pool_size(struct batch_pool *pool);
