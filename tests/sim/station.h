// station.h: one simulated agent: the real spool and uplink over files in memory.
//
// Its source is a line of events (feed.h) whose position is in every frame, so that a crash makes
// it read again what was not synced. It knows each of its frames, and which of them its disk
// damaged (station_harm.h), so that it can say of every number a gap names whether it is lost.

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

enum { STATION_URI_SIZE = 128, STATION_STREAMS_MAX = 64 };

#define STATION_DIRECTORY "spool"

struct station_options {
    uint32_t agent;    // who it is; also its line of events
    uint32_t account;  // index, see feed.h
    uint32_t fork;     // what it reads beside its line: not 0 after a rollback or for a clone
    uint64_t seed;
    uint64_t events;      // of its line; then its source has nothing more
    uint64_t spool_size;  // bytes
    bool rewinds;         // its source can read its line again
    struct timeline *timeline;
    struct wire *wire;
    struct ledger *ledger;
};

// What is known of the frame of a number.
struct station_frame {
    struct feed_place place;
    bool is_damaged;  // on the disk as it is now
};

// A frame that the disk damaged at some time.
struct station_damage {
    uint64_t number;
    struct feed_place place;
};

// A stream under which the spool was sent: number on the wire = frame number - base.
struct station_stream {
    uint8_t id[SPOOL_ID_SIZE];
    uint64_t base;
};

// The disk as it was once.
struct station_copy {
    struct fake_files *files;
    uint64_t synced;
    struct station_frame *frames;  // `frames_room` of them, also those not yet synced
    uint64_t frames_room;
    int64_t room_at_ms;  // as the station's
};

struct station {
    struct station_options options;
    char uri[STATION_URI_SIZE];
    struct fake_files *files;
    struct spool *spool;  // NULL while it is down
    struct uplink *uplink;
    struct connection *connection;
    struct buffer buffer;
    struct station_frame *frames;  // number n at n - 1
    uint64_t frames_room;
    uint64_t synced;        // frames the ledger knows
    uint64_t checked;       // frames acknowledged and found done
    uint64_t acknowledged;  // as last seen
    uint64_t dropped;       // the spool gave frames up to this one up, once they were acknowledged
    struct station_damage *damages;
    uint64_t damages_count;
    uint64_t damages_room;
    struct station_stream streams[STATION_STREAMS_MAX];
    uint32_t streams_count;
    struct station_copy copy;  // files NULL: none
    uint64_t main_next;        // next event of the line
    uint64_t extra_next;       // next event beside it
    uint64_t extra_seen;       // how far it ever was
    uint32_t met_restores;     // of the collector it has met last
    uint64_t restored;         // Notices of a restored collector written
    int64_t restart_at_ms;     // while it is down
    int64_t room_at_ms;        // when its full disk has room again; 0: it is not full
    uint64_t full;             // times the spool refused
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

// The machine goes down: what was not synced is lost, or some of it. Or only its process is killed.
void station_crash(struct station *station);

// Reads up to `count` events into the spool. Less if it is full or the line is at its end.
// FAULT_IO: the station must crash.
MUST_CHECK bool station_read(struct station *station, uint64_t count, struct fault *fault);

// Makes what was read durable. FAULT_IO: the station must crash.
MUST_CHECK bool station_sync(struct station *station, struct fault *fault);

// Does what is due. FAULT_IO: the station must crash.
MUST_CHECK bool station_step(struct station *station, struct fault *fault);

// Checks that what is acknowledged is done. FAULT_CORRUPT. `restores` of the collector's trail
// there were: what an earlier one acknowledged is checked once the station has met the present one.
MUST_CHECK bool station_check(struct station *station, uint32_t restores, struct fault *fault);

// Whether all of its line is read, and acknowledged by the present collector.
bool station_is_done(const struct station *station, uint32_t restores);

// For the wire.
void station_on_connected(void *station);
void station_on_message(void *station, struct span message);
void station_on_sent(void *station);
void station_on_closed(void *station, const struct fault *reason);
