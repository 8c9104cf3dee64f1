// gather.h: takes what the sources yield into the spool, and tells the sources what became of it.
//
// One turn reads a bounded amount from all sources; between two turns the link is served. A sync
// covers some turns: it is begun when enough was read or some time has passed, and does not keep
// the next turns waiting; who has nothing more to read waits for it at once. A full spool or disk
// holds the one thing that did not fit; its source is not stepped before it went in. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/choice.h"
#include "agent/source/source.h"
#include "agent/spool.h"
#include "agent/uplink.h"
#include "base/clock.h"
#include "base/fault.h"

enum {
    GATHER_TURN_SIZE = 256 * 1024,         // bytes taken in one turn
    GATHER_TURN_MS = 20,                   // and how long it takes at most, about
    GATHER_SYNC_SIZE = 1024 * 1024,        // bytes that a sync waits for, or
    GATHER_SYNC_MS = 20,                   // how long it does, while there is more to read
    GATHER_BEHIND_SIZE = 2 * 1024 * 1024,  // bytes that wait behind a sync that takes long
    GATHER_FULL_MS = 100,                  // pause while the spool or the disk is full
    GATHER_FULL_TOLD_MS = 10000,           // a spool that was full for so long tells it in a Notice
    GATHER_LEFT_OUT_MS = 3600000,          // between two Notices of a source about left-out records
};

struct gather;

// Told of a notice of the source of this name.
typedef void gather_on_notice(void *user, const char *source, const struct source_notice *notice);

// An empty one. with_objects: names of objects go into the spool. NULL if memory runs out.
struct gather *gather_create(struct spool *spool, const struct clock *clock, bool with_objects);

// Closes all sources.
void gather_destroy(struct gather *gather);

// Leaves out what it does not keep; borrowed, NULL: all is kept. A source whose records are left
// out tells it in a Notice each hour, with which its position moves on. Before the first step.
void gather_choose(struct gather *gather, struct choice *choice);

// Tells of each notice that a source gave and the spool took. What it is told is borrowed for the
// call. NULL: nobody listens. Before the first step.
void gather_listen(struct gather *gather, gather_on_notice *on_notice, void *user);

// Adds a source that the spool knows by this name, and takes it over. FAULT_FULL.
MUST_CHECK bool gather_add(struct gather *gather, const char *name, struct source source,
                           struct fault *fault);

// Tells the sources what the spool holds. Once, after all were added. FAULT_IO.
MUST_CHECK bool gather_restore(struct gather *gather, struct fault *fault);

// What a turn did.
struct gather_turn {
    uint64_t records;
    uint64_t left_out;  // by the choice
    uint64_t notices;
    bool is_full;     // of the spool or its disk; fault says which
    bool has_ended;   // no source will ever give anything
    int64_t wait_ms;  // until something may be there; 0: now
    struct fault full;
};

// Does one turn: reads, appends, and syncs; if turn->wait_ms is 0 it only begins to, or leaves it
// to a later turn. FAULT_IO: end the process.
MUST_CHECK bool gather_step(struct gather *gather, struct gather_turn *turn, struct fault *fault);

// Tells the sources what is acknowledged.
void gather_acknowledge(struct gather *gather);

// Makes durable what follows from acknowledgements: the sources' part first, then the spool's.
// FAULT_FULL: try again later. FAULT_IO.
MUST_CHECK bool gather_save(struct gather *gather, struct fault *fault);

// The collector was restored and the spool cannot refill it: the sources rewind. FAULT_FULL,
// FAULT_IO.
MUST_CHECK bool gather_rewind(struct gather *gather, int64_t backup_time_ms, struct fault *fault);

// Fills in the sources of a report, those in trouble first.
void gather_report(struct gather *gather, struct uplink_report *report);

// Looks at one source: false if there is none with this index.
bool gather_describe(struct gather *gather, uint32_t index, const char **name,
                     struct source_status *status);
