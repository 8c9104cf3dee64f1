// Misfortunes put at a certain place, and a few seeds of the simulator.

#include <stdlib.h>

#include "tests/kit/cases.h"
#include "tests/sim/run.h"

static const char *directory(void) {
    const char *folder = getenv("TEST_TMPDIR");
    return folder != NULL ? folder : "/tmp";
}

// A run with this many stations in which nothing goes wrong by itself.
static void begin(struct run *run, uint64_t seed, uint32_t stations, uint64_t events) {
    struct run_options options = {
        .seed = seed,
        .directory = directory(),
        .stations = stations,
        .events = events,
        .spool_size = 16 * 1024 * 1024,
    };
    struct fault fault = {.kind = FAULT_NONE};
    if (!run_begin(run, &options, &fault)) fail_msg("%s", fault.text);
}

static void steps(struct run *run, uint32_t count) {
    struct fault fault = {.kind = FAULT_NONE};
    for (uint32_t step = 0; step < count; step++) {
        if (!run_step(run, &fault)) fail_msg("step %u: %s", (unsigned)run->steps, fault.text);
    }
}

static struct ledger_totals finish(struct run *run) {
    struct fault fault = {.kind = FAULT_NONE};
    struct ledger_totals totals;
    if (!run_finish(run, &fault)) fail_msg("%s", fault.text);
    ledger_count(run->ledger, &totals);
    return totals;
}

static void test_calm_run_stores_everything_once(void **state) {
    (void)state;
    struct run run;
    begin(&run, 1, 3, 300);
    struct ledger_totals totals = finish(&run);
    assert_int_equal(totals.accepted, 900);
    assert_true(totals.stored > 400 && totals.stored < 900);
    assert_true(totals.quarantined > 0);
    // Three agents of one account report every fifth event each.
    assert_true(totals.duplicates > 50);
    run_end(&run);
}

static void test_cloned_spool_loses_nothing(void **state) {
    (void)state;
    struct run run;
    begin(&run, 2, 1, 400);
    steps(&run, 60);
    struct station *station = run.stations[0];
    assert_non_null(station->spool);
    // The clone has the disk of this moment, its own certificate is the same, and reads on by
    // itself: two machines now number different events alike.
    struct station *clone = run_add_station(&run, 0, 0, 1, station);
    struct fault fault = {.kind = FAULT_NONE};
    if (!station_start(clone, &fault)) fail_msg("%s", fault.text);
    steps(&run, 300);
    finish(&run);
    struct uplink_status first, second;
    uplink_describe(station->uplink, &first);
    uplink_describe(clone->uplink, &second);
    assert_true(first.restreams + second.restreams > 0);
    run_end(&run);
}

// Lets a station reach a point, copies its disk there, goes on, and puts the disk back.
static void roll_back(struct run *run, uint32_t fork) {
    struct station *station = run->stations[0];
    steps(run, 40);
    assert_non_null(station->spool);
    struct fake_files *copy = fake_files_copy(station->files);
    uint64_t synced = station->synced;
    assert_true(synced > 0);
    while (station->checked <= synced) steps(run, 20);
    station_crash(station);
    station_roll_back(station, copy, synced, fork);
}

static void test_rolled_back_spool_loses_nothing(void **state) {
    (void)state;
    struct run run;
    begin(&run, 3, 1, 2000);
    roll_back(&run, 0);
    struct ledger_totals totals = finish(&run);
    // What was read again after the rollback was there already.
    assert_true(totals.duplicates > 0);
    run_end(&run);
}

static void test_rolled_back_spool_that_reads_on_offline_loses_nothing(void **state) {
    (void)state;
    struct run run;
    begin(&run, 4, 1, 3000);
    roll_back(&run, 1);
    struct station *station = run.stations[0];
    struct fault fault = {.kind = FAULT_NONE};
    if (!station_start(station, &fault)) fail_msg("%s", fault.text);
    // While it cannot reach the collector its numbers pass the collector's, with other events
    // under them.
    for (uint32_t turn = 0; turn < 40; turn++) {
        if (!station_read(station, 50, &fault)) fail_msg("%s", fault.text);
        if (!station_sync(station, &fault)) fail_msg("%s", fault.text);
    }
    finish(&run);
    struct uplink_status status;
    uplink_describe(station->uplink, &status);
    assert_int_equal(status.restreams, 1);
    run_end(&run);
}

static void test_full_spool_waits_and_loses_nothing(void **state) {
    (void)state;
    struct run run;
    struct run_options options = {
        .seed = 5,
        .directory = directory(),
        .stations = 1,
        .events = 3000,
        .spool_size = 128 * 1024,
    };
    struct fault fault = {.kind = FAULT_NONE};
    if (!run_begin(&run, &options, &fault)) fail_msg("%s", fault.text);
    center_crash(run.center);
    run.center_restart_at_ms = 600000;
    while (run.timeline.now_ms < 600000) steps(&run, 1);
    assert_true(run.stations[0]->full > 0);
    struct ledger_totals totals = finish(&run);
    assert_int_equal(totals.accepted, 3000);
    run_end(&run);
}

static void test_full_trail_waits_and_loses_nothing(void **state) {
    (void)state;
    struct run run;
    struct run_options options = {
        .seed = 6,
        .directory = directory(),
        .stations = 2,
        .events = 4000,
        .spool_size = 16 * 1024 * 1024,
        .store_size = 1024 * 1024,
    };
    struct fault fault = {.kind = FAULT_NONE};
    if (!run_begin(&run, &options, &fault)) fail_msg("%s", fault.text);
    for (uint32_t step = 0; run.full == 0 && step < 20000; step++) steps(&run, 1);
    assert_true(run.full > 0);
    struct ledger_totals totals = finish(&run);
    assert_int_equal(totals.accepted, 8000);
    run_end(&run);
}

// Agents send what is old by now again and again, while days go beneath them.
static void test_dropped_days_stay_away(void **state) {
    (void)state;
    struct run run;
    struct run_options options = {
        .seed = 9,
        .directory = directory(),
        .stations = 3,
        .events = 3000,
        .spool_size = 16 * 1024 * 1024,
        .drops_days = true,
        .center_crashes = 20,
        .breaks = 20,
    };
    struct fault fault = {.kind = FAULT_NONE};
    if (!run_begin(&run, &options, &fault)) fail_msg("%s", fault.text);
    steps(&run, 1500);
    struct ledger_totals totals = finish(&run);
    assert_true(totals.dropped > 50);
    assert_true(totals.expired > 50);
    assert_true(totals.stored > 50);
    run_end(&run);
}

static void test_seeds(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct fault fault = {.kind = FAULT_NONE};
        if (!run_seed(seed, false, directory(), &fault)) fail_msg("%s", fault.text);
    }
}

static void test_a_seed_is_the_same_run_again(void **state) {
    (void)state;
    struct ledger_totals totals[2];
    uint64_t messages[2];
    for (uint32_t turn = 0; turn < 2; turn++) {
        struct run run;
        begin(&run, 11, 2, 200);
        run.options.breaks = 50;
        run.options.station_crashes = 10;
        run.options.center_crashes = 10;
        steps(&run, 500);
        totals[turn] = finish(&run);
        messages[turn] = run.wire.messages;
        run_end(&run);
    }
    assert_int_equal(messages[0], messages[1]);
    assert_memory_equal(&totals[0], &totals[1], sizeof totals[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calm_run_stores_everything_once),
        cmocka_unit_test(test_cloned_spool_loses_nothing),
        cmocka_unit_test(test_rolled_back_spool_loses_nothing),
        cmocka_unit_test(test_rolled_back_spool_that_reads_on_offline_loses_nothing),
        cmocka_unit_test(test_full_spool_waits_and_loses_nothing),
        cmocka_unit_test(test_full_trail_waits_and_loses_nothing),
        cmocka_unit_test(test_dropped_days_stay_away),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_a_seed_is_the_same_run_again),
    };
    return cases_run("sim", tests, sizeof tests / sizeof tests[0]);
}
