// station.h: one simulated agent: the real spool and uplink over files in memory.
//
// Its source is a line of events (feed.h) whose position is in every frame, so that a crash makes
// it read again what was not synced.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/fake_files.h"
#include "agent/spool.h"
#include "agent/uplink.h"
#include "base/fault.h"
#include "tests/sim/feed.h"
#include "tests/sim/ledger.h"
#include "tests/sim/timeline.h"
#include "tests/sim/wire.h"

enum { STATION_URI_SIZE = 128 };

struct station_options {
    uint32_t agent;    // who it is; also its line of events
    uint32_t account;  // index, see feed.h
    uint32_t fork;     // what it reads beside its line: not 0 after a rollback or for a clone
    uint64_t seed;
    uint64_t events;      // of its line; then its source has nothing more
    uint64_t spool_size;  // bytes
    struct timeline *timeline;
    struct wire *wire;
    struct ledger *ledger;
};

struct station {
    struct station_options options;
    char uri[STATION_URI_SIZE];
    struct fake_files *files;
    struct spool *spool;  // NULL while it is down
    struct uplink *uplink;
    struct connection *connection;
    struct buffer buffer;
    struct feed_place *places;  // of frame number n at n - 1
    uint64_t places_room;
    uint64_t synced;        // frames the ledger knows
    uint64_t checked;       // frames acknowledged and found done
    uint64_t main_next;     // next event of the line
    uint64_t extra_next;    // next event beside it
    int64_t restart_at_ms;  // while it is down
    uint64_t full;          // times the spool refused
    uint64_t crashes;
    bool is_crashing;
};

// A station with an empty disk, or with the disk and history of another one (a clone). It is down
// until station_start. Ends the process if memory runs out.
struct station *station_create(const struct station_options *options, const struct station *clone);

// Frees it. NULL is allowed.
void station_destroy(struct station *station);

// Opens its spool and begins to connect. FAULT_CORRUPT: the spool has lost what was synced.
MUST_CHECK bool station_start(struct station *station, struct fault *fault);

// The machine goes down: what was not synced is lost, or some of it.
void station_crash(struct station *station);

// Puts the disk back to a copy made with fake_files_copy, and from now on reads other events
// between those of its line. The station is down; the copy is taken over.
void station_roll_back(struct station *station, struct fake_files *copy, uint64_t synced,
                       uint32_t fork);

// Reads up to `count` events into the spool. Less if it is full or the line is at its end.
// FAULT_IO: the station must crash.
MUST_CHECK bool station_read(struct station *station, uint64_t count, struct fault *fault);

// Makes what was read durable. FAULT_IO: the station must crash.
MUST_CHECK bool station_sync(struct station *station, struct fault *fault);

// Does what is due. FAULT_IO: the station must crash.
MUST_CHECK bool station_step(struct station *station, struct fault *fault);

// Checks that what is acknowledged is done and that nothing else is gone. FAULT_CORRUPT.
MUST_CHECK bool station_check(struct station *station, struct fault *fault);

// Whether all of its line is read and acknowledged.
bool station_is_done(const struct station *station);

// For the wire.
void station_on_connected(void *station);
void station_on_message(void *station, struct span message);
void station_on_sent(void *station);
void station_on_closed(void *station, const struct fault *reason);
