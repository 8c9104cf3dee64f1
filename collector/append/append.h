// append.h: the one writer of the trail: takes batches of all agents, commits them, answers.
//
// Everything that waits (up to TRAIL_COMMIT_ROWS_MAX rows and TRAIL_COMMIT_SIZE_MAX bytes) goes
// into one transaction of the trail: events, quarantine, gaps, own events and the agents' numbers,
// made durable by one sync. Only then is any batch answered. A commit is due at once if the last
// one is APPEND_COMMIT_MS old or APPEND_COMMIT_EVENTS wait; otherwise when that becomes true.
//
// Law of conservation, asserted for every batch: received = stored + duplicate + variant +
// quarantined + expired. Notices, gaps and own events are not in `received`.
//
// A full disk aborts the commit and nothing is answered; the same batches are tried again every
// APPEND_FULL_RETRY_MS. Streams that are about to begin meanwhile are refused with FAULT_FULL.
//
// Threads: one calls everything here; batches come in through the queue from any thread, and the
// callbacks are called on append's thread. append_step is what a thread or a simulator repeats.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/queue.h"
#include "base/random.h"
#include "base/span.h"
#include "collector/admit/roster_live.h"
#include "collector/intake/batch.h"
#include "storage/trail/trail.h"

enum {
    APPEND_COMMIT_MS = 50,        // a commit of one event writes 55 KB: not more often than this
    APPEND_COMMIT_EVENTS = 2048,  // unless so many wait: more than make a block of their own
    APPEND_FULL_RETRY_MS = 1000,  // between attempts while the disk is full
    APPEND_JOBS_MAX = 64,
    APPEND_SEEN_MS = 5000,  // last-seen times wait this long for another commit to ride on
};

struct append_callbacks {
    // The batch is decided: it belongs to its owner again.
    void (*report)(void *context, struct batch *batch);
    // A newer session took the owner's stream_id.
    void (*superseded)(void *context, void *owner);
    // The owner's agent was told is_throttled and its quarantine has room again.
    void (*unthrottled)(void *context, void *owner);
};

struct append_options {
    struct trail *trail;
    struct queue *queue;  // of struct batch
    const struct clock *clock;
    const struct random *random;
    const char *management_account;  // own events are its
    const char *home_region;
    uint64_t quarantine_max;     // bytes per agent
    uint32_t retention_days;     // 0: all days are kept
    uint32_t streams_max;        // sessions at a time
    struct notes *notes;         // what other rooms have to tell; may be NULL
    const char *directory;       // of the store, whose disk is watched; NULL: it is not
    struct roster_live *roster;  // with notes: coverage is kept and silence told; may be NULL
    uint32_t heartbeat_ms;       // with roster
    int64_t region_silent_ms;    // with roster
    const struct append_callbacks *callbacks;
    void *context;
};

struct append;
struct append_commit;

// Something that another room wants done in commits of its own, in bounded steps. It belongs to the
// writer from append_submit until committed has returned false or failed was called. All are called
// on the writer's thread.
struct append_job {
    // Does the next step in a commit that has begun; again, if the commit failed for want of room.
    // Faults as append_commit_apply.
    bool (*apply)(struct append_job *job, struct append_commit *commit, struct fault *fault);
    // The step is durable. False: the job is done and gone.
    bool (*committed)(struct append_job *job);
    // It cannot be done, or not now (FAULT_RETRY: the collector is stopping); the job is gone.
    void (*failed)(struct append_job *job, const struct fault *fault);
};

// Makes the writer; all options are borrowed for its life. FAULT_FULL if memory runs out.
MUST_CHECK bool append_create(const struct append_options *options, struct append **append,
                              struct fault *fault);

// Frees it. Batches it still holds are reported with FAULT_RETRY. NULL is allowed.
void append_destroy(struct append *append);

// Takes what waits, waits up to wait_ms for something to do, and commits if a commit is due. False
// (FAULT_IO or FAULT_CORRUPT): the trail cannot go on, and the process ends.
MUST_CHECK bool append_step(struct append *append, int64_t wait_ms, struct fault *fault);

// [any] Hands a job over. False: too many wait, it stays the caller's.
bool append_submit(struct append *append, struct append_job *job);

// Reads what was saved of coverage and silence. Before the first step. Faults as
// trail_reader_documents.
struct trail_reader;
MUST_CHECK bool append_load(struct append *append, struct trail_reader *reader,
                            struct fault *fault);

// Saves what waits to be saved and tells what waits to be told, as the last thing. FAULT_FULL,
// FAULT_IO: it is read from the events again at the next start.
MUST_CHECK bool append_save(struct append *append, struct fault *fault);

// The owner has gone and none of its batches is here or in the queue. Its last message came then,
// by the monotonic clock; is_final: its agent does not come back.
void append_forget(struct append *append, const void *owner, int64_t heard_ms, bool is_final);

// The epoch of the trail, for Welcome.
void append_epoch(const struct append *append, uint8_t epoch[TRAIL_EPOCH_SIZE]);

// Whether it holds no batch (the queue may).
bool append_is_idle(const struct append *append);

// Whether the last attempt to commit found the disk full.
bool append_is_full(const struct append *append);
