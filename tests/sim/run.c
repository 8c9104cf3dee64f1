#include "tests/sim/run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"

enum {
    STEP_MS_MAX = 30,
    LEAP_MS_MAX = 20000,
    LEAP_THOUSANDTHS = 30,
    READ_MAX = 40,
    REST_STEPS_MAX = 200000,  // after which a run that does not come to rest is broken
    CHAOS_STEPS = 1500,
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
        .timeline = &run->timeline,
        .wire = &run->wire,
        .ledger = run->ledger,
    };
    struct station *station = station_create(&options, clone);
    run->stations[run->stations_count++] = station;
    return station;
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
    run->ledger = ledger_create(options->seed);
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

static bool step_station(struct run *run, struct station *station, struct fault *fault) {
    struct timeline *timeline = &run->timeline;
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
    bool full = center_is_full(run->center);
    run->full += full;
    // Somebody makes room after a while.
    bool relieved = full && timeline_happens(timeline, 20);
    if (relieved) center_allow(run->center);
    if (relieved || timeline_happens(timeline, run->options.center_crashes)) {
        tell(run, relieved ? "gives the trail more room" : "crashes the collector", 0);
        center_crash(run->center);
        run->center_crashes++;
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
        if (!station_check(run->stations[index], fault)) return false;
    }
    return true;
}

static bool is_at_rest(const struct run *run) {
    for (uint32_t index = 0; index < run->stations_count; index++) {
        if (!station_is_done(run->stations[index])) return false;
    }
    return center_is_up(run->center);
}

bool run_finish(struct run *run, struct fault *fault) {
    run->options.station_crashes = 0;
    run->options.center_crashes = 0;
    run->options.breaks = 0;
    run->options.file_faults = 0;
    run->options.clock_jumps = 0;
    for (uint32_t index = 0; index < run->stations_count; index++) {
        fake_files_fail(run->stations[index]->files, 0, FAULT_NONE);
    }
    uint64_t last = run->steps + REST_STEPS_MAX;
    while (!is_at_rest(run)) {
        if (!run_step(run, fault)) return false;
        if (run->steps == last) {
            return fault_set(fault, FAULT_CORRUPT, "does not come to rest in %d steps",
                             REST_STEPS_MAX);
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

// What a seed makes of a run. Some runs are calm in one respect, so that the others show.
static struct run_options draw_options(uint64_t seed, bool verbose, const char *directory) {
    struct timeline chance;
    timeline_init(&chance, seed ^ 0x5eed);
    struct run_options options = {
        .seed = seed,
        .verbose = verbose,
        .directory = directory,
        .stations = 1 + (uint32_t)timeline_draw(&chance, 4),
        .events = 100 + timeline_draw(&chance, 400),
        .spool_size = timeline_happens(&chance, 500) ? 128 * 1024 : 16 * 1024 * 1024,
        .store_size = timeline_happens(&chance, 200) ? 2 * 1024 * 1024 : 0,
        .station_crashes = (uint32_t)timeline_draw(&chance, 20),
        .center_crashes = (uint32_t)timeline_draw(&chance, 20),
        .breaks = (uint32_t)timeline_draw(&chance, 60),
        .file_faults = timeline_happens(&chance, 300) ? 10 : 0,
        .clock_jumps = timeline_happens(&chance, 300) ? 5 : 0,
        .drops_days = timeline_happens(&chance, 400),
    };
    return options;
}

bool run_seed(uint64_t seed, bool verbose, const char *directory, struct fault *fault) {
    struct run run;
    struct run_options options = draw_options(seed, verbose, directory);
    bool good = run_begin(&run, &options, fault);
    for (uint32_t step = 0; good && step < CHAOS_STEPS; step++) good = run_step(&run, fault);
    good = good && run_finish(&run, fault);
    if (verbose && good) {
        struct ledger_totals totals;
        ledger_count(run.ledger, &totals);
        printf("steps %" PRIu64 " messages %" PRIu64 " lost %" PRIu64 " accepted %" PRIu64
               " stored %" PRIu64 " own %" PRIu64 " quarantined %" PRIu64 " duplicates %" PRIu64
               " expired %" PRIu64 " dropped %" PRIu64 " full steps %" PRIu64
               " collector crashes %" PRIu64 "\n",
               run.steps, run.wire.messages, run.wire.lost, totals.accepted, totals.stored,
               totals.own, totals.quarantined, totals.duplicates, totals.expired, totals.dropped,
               run.full, run.center_crashes);
    }
    if (!good) fault_add(fault, "seed %" PRIu64 " step %" PRIu64, seed, run.steps);
    run_end(&run);
    return good;
}
