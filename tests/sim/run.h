// run.h: one simulated organization: stations, a network and a collector, and all that goes wrong.
//
// A run is decided by its seed. Use it as the simulator does (seed.h) or step by step, to put a
// certain misfortune at a certain place.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "tests/sim/center.h"
#include "tests/sim/ledger.h"
#include "tests/sim/station.h"
#include "tests/sim/timeline.h"
#include "tests/sim/wire.h"

enum { RUN_STATIONS_MAX = 8, RUN_PATH_SIZE = 512 };

struct run_options {
    uint64_t seed;
    bool verbose;
    const char *directory;  // an empty folder for the trail is made in it
    uint32_t stations;
    uint64_t events;      // of each station's line
    uint64_t spool_size;  // bytes
    uint64_t store_size;  // bytes, 0: no limit
    bool drops_days;
    // How often a step goes wrong, in thousandths.
    uint32_t station_crashes;
    uint32_t center_crashes;
    uint32_t breaks;
    uint32_t file_faults;
    uint32_t clock_jumps;
    uint32_t clones;
    uint32_t roll_backs;
    uint32_t damages;
    uint32_t full_disks;
    uint32_t restores;  // of the collector's trail
    bool rewinds;       // sources can read their line again
};

// What has happened.
struct run_counts {
    uint64_t clones;
    uint64_t roll_backs;
    uint64_t offline;  // of them read on before they met the collector
    uint64_t damages;
    uint64_t full_disks;
    uint64_t center_crashes;
    uint64_t full;  // steps with a full trail
};

struct run {
    struct run_options options;
    char directory[RUN_PATH_SIZE];
    struct timeline timeline;
    struct wire wire;
    struct ledger *ledger;
    struct center *center;
    struct station *stations[RUN_STATIONS_MAX];
    uint32_t stations_count;
    int64_t center_restart_at_ms;
    uint32_t restores;  // of the collector's trail
    uint32_t forks;     // given out
    uint64_t steps;
    struct run_counts counts;
};

// Begins a run: everything is started. The run must not move in memory.
MUST_CHECK bool run_begin(struct run *run, const struct run_options *options, struct fault *fault);

// One step: time passes, things happen, and every law is checked. FAULT_CORRUPT: one is broken.
MUST_CHECK bool run_step(struct run *run, struct fault *fault);

// Nothing goes wrong any more: steps until every station is done, then checks that all that was
// ever accepted has ended as it must. FAULT_CORRUPT otherwise.
MUST_CHECK bool run_finish(struct run *run, struct fault *fault);

// Adds a station: a clone of another one's disk, or with an empty disk if `clone` is NULL.
struct station *run_add_station(struct run *run, uint32_t agent, uint32_t account, uint32_t fork,
                                const struct station *clone);

// Lets a station go back to the copy of its disk, which there must be. is_offline: it reads on by
// itself before it meets the collector.
MUST_CHECK bool run_roll_back(struct run *run, struct station *station, uint32_t fork,
                              bool is_offline, struct fault *fault);

// Puts the collector's trail back to its copy, which there must be, and lets it start later.
MUST_CHECK bool run_restore(struct run *run, struct fault *fault);

// Frees everything and removes the trail.
void run_end(struct run *run);
