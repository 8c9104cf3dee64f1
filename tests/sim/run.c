#include "tests/sim/run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "tests/sim/station_harm.h"

enum {
    STEP_MS_MAX = 30,
    LEAP_MS_MAX = 20000,
    LEAP_THOUSANDTHS = 30,
    READ_MAX = 40,
    REST_STEPS_MAX = 200000,  // after which a run that does not come to rest is broken
    OFFLINE_TURNS = 20,
    FULL_MS = 20000,       // a disk stays full
    COPY_THOUSANDTHS = 5,  // how often copies are made for later
    INSPECT_THOUSANDTHS = 5,
};

static const struct wire_sides SIDES = {
    .agent_connected = station_on_connected,
    .agent_message = station_on_message,
    .agent_sent = station_on_sent,
    .agent_closed = station_on_closed,
    .accept = center_accept,
    .session_message = center_on_message,
    .session_sent = center_on_sent,
    .session_closed = center_on_closed,
};

static void tell(const struct run *run, const char *what, uint32_t agent) {
    if (!run->options.verbose) return;
    printf("%8" PRId64 " ms  %s %u\n", run->timeline.now_ms, what, agent);
}

struct station *run_add_station(struct run *run, uint32_t agent, uint32_t account, uint32_t fork,
                                const struct station *clone) {
    assert(run->stations_count < RUN_STATIONS_MAX);
    struct station_options options = {
        .agent = agent,
        .account = account,
        .fork = fork,
        .seed = run->options.seed,
        .events = run->options.events,
        .spool_size = run->options.spool_size,
        .rewinds = run->options.rewinds,
        .timeline = &run->timeline,
        .wire = &run->wire,
        .ledger = run->ledger,
    };
    struct station *station = station_create(&options, clone);
    run->stations[run->stations_count++] = station;
    return station;
}

// A gap in the trail: each number in it must be lost.
static bool on_gap(void *context, const struct ledger_gap *gap, struct fault *fault) {
    struct run *run = context;
    for (uint64_t number = gap->first; number <= gap->last; number++) {
        bool is_right = false;
        for (uint32_t index = 0; index < run->stations_count; index++) {
            // A clone and its original may both have lost something under this number.
            if (station_excuse(run->stations[index], gap, number)) is_right = true;
        }
        if (is_right) continue;
        return fault_set(fault, FAULT_CORRUPT,
                         "a gap from %" PRIu64 " to %" PRIu64 " of %.*s names %" PRIu64
                         ", which is not lost",
                         gap->first, gap->last, SPAN_PRINT(gap->uri), number);
    }
    return true;
}

static bool remove_file(void *user, const struct files_entry *entry) {
    const struct run *run = user;
    char path[RUN_PATH_SIZE + 256];
    struct fault fault;
    snprintf(path, sizeof path, "%s/%s", run->directory, entry->name);
    return files_remove(files_system(), path, &fault);
}

static void remove_trail(struct run *run) {
    struct fault fault;
    bool exists = false;
    struct files_entry entry;
    if (!files_find(files_system(), run->directory, &exists, &entry, &fault) || !exists) return;
    bool removed = files_list(files_system(), run->directory, remove_file, run, &fault) &&
                   files_remove(files_system(), run->directory, &fault);
    if (!removed) fprintf(stderr, "simulator: %s is left behind\n", run->directory);
}

bool run_begin(struct run *run, const struct run_options *options, struct fault *fault) {
    *run = (struct run){.options = *options};
    timeline_init(&run->timeline, options->seed);
    snprintf(run->directory, sizeof run->directory, "%s/sim-%d-%" PRIu64, options->directory,
             (int)getpid(), options->seed);
    remove_trail(run);
    if (!files_make_directory(files_system(), run->directory, fault)) return false;
    run->ledger = ledger_create(options->seed, on_gap, run);
    run->wire = (struct wire){
        .timeline = &run->timeline,
        .sides = SIDES,
        .delay_ms = 1 + (uint32_t)timeline_draw(&run->timeline, 200),
    };
    struct center_options center = {
        .directory = run->directory,
        .store_size = options->store_size,
        .queue_size = 1 << 20,
        .drops_days = options->drops_days,
        .timeline = &run->timeline,
        .wire = &run->wire,
        .ledger = run->ledger,
    };
    run->center = center_create(&center);
    run->wire.context = run->center;
    if (!center_start(run->center, fault)) return false;
    for (uint32_t agent = 0; agent < options->stations; agent++) {
        // The first ones share an account: copies of one event come from all of them.
        uint32_t account = agent < 3 ? 0 : (agent - 2) % FEED_ACCOUNTS;
        struct station *station = run_add_station(run, agent, account, 0, NULL);
        if (!station_start(station, fault)) return false;
    }
    return true;
}

static void pass_time(struct run *run) {
    struct timeline *timeline = &run->timeline;
    timeline->now_ms += 1 + (int64_t)timeline_draw(timeline, STEP_MS_MAX);
    if (timeline_happens(timeline, LEAP_THOUSANDTHS)) {
        timeline->now_ms += (int64_t)timeline_draw(timeline, LEAP_MS_MAX);
    }
    if (timeline_happens(timeline, run->options.clock_jumps)) {
        timeline->skew_ms += (int64_t)timeline_draw(timeline, 7200000) - 3600000;
    }
}

bool run_roll_back(struct run *run, struct station *station, uint32_t fork, bool is_offline,
                   struct fault *fault) {
    run->counts.roll_backs++;
    if (station->spool != NULL) station_crash(station);
    station_roll_back(station, fork);
    if (!is_offline) return true;
    run->counts.offline++;
    // Its numbers pass those the collector knows, with other events under them.
    if (!station_start(station, fault)) return fault->kind != FAULT_CORRUPT;
    bool good = true;
    for (uint32_t turn = 0; good && turn < OFFLINE_TURNS; turn++) {
        good = station_read(station, READ_MAX, fault) && station_sync(station, fault);
    }
    if (good || fault->kind == FAULT_CORRUPT) return good;
    station_crash(station);
    return true;
}

bool run_restore(struct run *run, struct fault *fault) {
    struct timeline *timeline = &run->timeline;
    run->restores++;
    if (center_is_up(run->center)) center_crash(run->center);
    run->center_restart_at_ms = timeline->now_ms + (int64_t)timeline_draw(timeline, 5000);
    return center_restore(run->center, fault);
}

// What befalls a station's disk.
static bool harm_station(struct run *run, struct station *station, struct fault *fault) {
    struct timeline *timeline = &run->timeline;
    const struct run_options *options = &run->options;
    uint32_t agent = station->options.agent;
    station_relieve(station, false);
    if (options->roll_backs > 0 && timeline_happens(timeline, COPY_THOUSANDTHS)) {
        tell(run, "copies the disk of agent", agent);
        station_keep_copy(station);
    }
    if (timeline_happens(timeline, options->damages)) {
        tell(run, "damages the spool of agent", agent);
        run->counts.damages++;
        station_damage(station);
    }
    if (timeline_happens(timeline, options->full_disks)) {
        tell(run, "fills the disk of agent", agent);
        run->counts.full_disks++;
        station_fill_disk(station, timeline->now_ms + (int64_t)timeline_draw(timeline, FULL_MS));
    }
    bool has_fork = run->forks + 1 < FEED_FORKS;
    if (has_fork && run->stations_count < RUN_STATIONS_MAX &&
        timeline_happens(timeline, options->clones)) {
        tell(run, "clones agent", agent);
        run->counts.clones++;
        run_add_station(run, agent, station->options.account, ++run->forks, station);
    }
    if (!has_fork || station->copy.files == NULL ||
        !timeline_happens(timeline, options->roll_backs)) {
        return true;
    }
    uint32_t fork = timeline_happens(timeline, 300) ? 0 : ++run->forks;
    bool is_offline = timeline_happens(timeline, 500);
    tell(run, is_offline ? "rolls back, and lets read on offline, agent" : "rolls back agent",
         agent);
    return run_roll_back(run, station, fork, is_offline, fault);
}

static bool step_station(struct run *run, struct station *station, struct fault *fault) {
    struct timeline *timeline = &run->timeline;
    if (!harm_station(run, station, fault)) return false;
    if (station->spool == NULL) {
        if (timeline->now_ms < station->restart_at_ms) return true;
        tell(run, "starts agent", station->options.agent);
        if (station_start(station, fault)) return true;
        // A fault that was asked for may hit the start as well.
        if (fault->kind == FAULT_CORRUPT) return false;
        station->restart_at_ms = timeline->now_ms + 100;
        return true;
    }
    if (timeline_happens(timeline, run->options.file_faults)) {
        enum fault_kind kind = timeline_happens(timeline, 500) ? FAULT_FULL : FAULT_IO;
        fake_files_fail(station->files, 1 + timeline_draw(timeline, 20), kind);
    }
    bool good = true;
    if (timeline_happens(timeline, 300)) {
        good = station_read(station, timeline_draw(timeline, READ_MAX), fault);
    }
    if (good && timeline_happens(timeline, 400)) good = station_sync(station, fault);
    if (good) good = station_step(station, fault);
    if (!good && fault->kind == FAULT_CORRUPT) return false;
    if (!good || timeline_happens(timeline, run->options.station_crashes)) {
        tell(run, good ? "crashes agent" : "has a broken disk: agent", station->options.agent);
        station_crash(station);
    }
    return true;
}

static bool step_center(struct run *run, struct fault *fault) {
    struct timeline *timeline = &run->timeline;
    if (!center_is_up(run->center)) {
        if (timeline->now_ms < run->center_restart_at_ms) return true;
        tell(run, "starts the collector", 0);
        return center_start(run->center, fault);
    }
    if (!center_step(run->center, fault)) return false;
    // Before it may crash: an acknowledgement can reach its agent while nobody can read the trail.
    if (!ledger_read(run->ledger, fault)) return false;
    if (run->options.restores > 0 && timeline_happens(timeline, COPY_THOUSANDTHS)) {
        tell(run, "copies the trail of the collector", 0);
        if (!center_keep_copy(run->center, fault)) return false;
    }
    if (center_has_copy(run->center) && timeline_happens(timeline, run->options.restores)) {
        tell(run, "restores the trail of the collector", 0);
        return run_restore(run, fault);
    }
    bool full = center_is_full(run->center);
    run->counts.full += full;
    // Somebody makes room after a while.
    bool relieved = full && timeline_happens(timeline, 20);
    if (relieved) center_allow(run->center);
    if (relieved || timeline_happens(timeline, run->options.center_crashes)) {
        tell(run, relieved ? "gives the trail more room" : "crashes the collector", 0);
        center_crash(run->center);
        run->counts.center_crashes++;
        run->center_restart_at_ms = timeline->now_ms + (int64_t)timeline_draw(timeline, 5000);
    }
    return true;
}

static void break_something(struct run *run) {
    struct timeline *timeline = &run->timeline;
    if (!timeline_happens(timeline, run->options.breaks)) return;
    struct connection *connection =
        &run->wire.connections[timeline_draw(timeline, WIRE_CONNECTIONS_MAX)];
    for (uint32_t index = 0; index < WIRE_CONNECTIONS_MAX && !connection->in_use; index++) {
        connection = &run->wire.connections[index];
    }
    if (!connection->in_use) return;
    struct fault reason = {.kind = FAULT_NONE};
    tell(run, "breaks a connection", 0);
    wire_break(&run->wire, connection, &reason);
}

bool run_step(struct run *run, struct fault *fault) {
    run->steps++;
    pass_time(run);
    break_something(run);
    wire_step(&run->wire);
    for (uint32_t index = 0; index < run->stations_count; index++) {
        if (!step_station(run, run->stations[index], fault)) return false;
    }
    if (!step_center(run, fault)) return false;
    for (uint32_t index = 0; index < run->stations_count; index++) {
        struct station *station = run->stations[index];
        if (!station_check(station, run->restores, fault)) return false;
        if (station->spool == NULL || !timeline_happens(&run->timeline, INSPECT_THOUSANDTHS)) {
            continue;
        }
        // A disk that was told to fail tells nothing of the spool.
        if (!station_inspect(station, fault) && fault->kind == FAULT_CORRUPT) return false;
    }
    return true;
}

static bool is_at_rest(const struct run *run) {
    for (uint32_t index = 0; index < run->stations_count; index++) {
        if (!station_is_done(run->stations[index], run->restores)) return false;
    }
    return center_is_up(run->center);
}

// Says who is not done.
static bool tell_unrest(const struct run *run, struct fault *fault) {
    fault_set(fault, FAULT_CORRUPT, "does not come to rest in %d steps", REST_STEPS_MAX);
    for (uint32_t index = 0; index < run->stations_count; index++) {
        const struct station *station = run->stations[index];
        if (station_is_done(station, run->restores)) continue;
        if (station->spool == NULL) {
            return fault_add(fault, "agent %u is down", station->options.agent);
        }
        struct spool_facts facts;
        struct uplink_status status;
        spool_describe(station->spool, &facts);
        uplink_describe(station->uplink, &status);
        return fault_add(fault,
                         "agent %u has read %" PRIu64 ", %" PRIu64 " of %" PRIu64
                         " are acknowledged, its last session ended with: %s",
                         station->options.agent, station->main_next, facts.acknowledged,
                         facts.appended, status.last_fault.text);
    }
    return fault_add(fault, "the collector is %s", center_is_up(run->center) ? "up" : "down");
}

bool run_finish(struct run *run, struct fault *fault) {
    run->options.station_crashes = 0;
    run->options.center_crashes = 0;
    run->options.breaks = 0;
    run->options.file_faults = 0;
    run->options.clock_jumps = 0;
    run->options.clones = 0;
    run->options.roll_backs = 0;
    run->options.damages = 0;
    run->options.full_disks = 0;
    run->options.restores = 0;
    for (uint32_t index = 0; index < run->stations_count; index++) {
        fake_files_fail(run->stations[index]->files, 0, FAULT_NONE);
        station_relieve(run->stations[index], true);
    }
    uint64_t last = run->steps + REST_STEPS_MAX;
    while (!is_at_rest(run)) {
        if (!run_step(run, fault)) return false;
        if (run->steps == last) {
            return tell_unrest(run, fault);
        }
    }
    return ledger_read(run->ledger, fault) && ledger_expect_all_done(run->ledger, fault);
}

void run_end(struct run *run) {
    for (uint32_t index = 0; index < run->stations_count; index++) {
        station_destroy(run->stations[index]);
    }
    center_destroy(run->center);
    wire_done(&run->wire);
    ledger_destroy(run->ledger);
    remove_trail(run);
}
