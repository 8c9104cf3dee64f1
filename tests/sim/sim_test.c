// Misfortunes put at a certain place, and a few seeds of the simulator.

#include <stdlib.h>

#include "tests/kit/cases.h"
#include "tests/sim/run.h"
#include "tests/sim/seed.h"
#include "tests/sim/station_harm.h"

enum { NOTICE_FRAME_SIZE_MIN = 180 };

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
static void roll_back(struct run *run, uint32_t fork, bool is_offline) {
    struct station *station = run->stations[0];
    steps(run, 40);
    assert_non_null(station->spool);
    station_keep_copy(station);
    uint64_t synced = station->synced;
    assert_true(synced > 0);
    while (station->checked <= synced) steps(run, 20);
    struct fault fault = {.kind = FAULT_NONE};
    if (!run_roll_back(run, station, fork, is_offline, &fault)) fail_msg("%s", fault.text);
}

static void test_rolled_back_spool_loses_nothing(void **state) {
    (void)state;
    struct run run;
    begin(&run, 3, 1, 2000);
    roll_back(&run, 0, false);
    struct ledger_totals totals = finish(&run);
    // What was read again after the rollback was there already.
    assert_true(totals.duplicates > 0);
    run_end(&run);
}

static void test_rolled_back_spool_that_reads_on_offline_loses_nothing(void **state) {
    (void)state;
    struct run run;
    begin(&run, 4, 1, 3000);
    roll_back(&run, 1, true);
    finish(&run);
    struct uplink_status status;
    uplink_describe(run.stations[0]->uplink, &status);
    assert_int_equal(status.restreams, 1);
    run_end(&run);
}

// The numbers the collector ends with cannot be compared if the spool is damaged there: that is not
// a reason to believe that they are the spool's.
static void test_rolled_back_spool_that_is_damaged_loses_nothing(void **state) {
    (void)state;
    struct run run;
    begin(&run, 12, 1, 3000);
    struct station *station = run.stations[0];
    steps(&run, 40);
    station_keep_copy(station);
    while (station->acknowledged < 300) steps(&run, 1);
    uint64_t acknowledged = station->acknowledged;
    struct fault fault = {.kind = FAULT_NONE};
    if (!run_roll_back(&run, station, 1, true, &fault)) fail_msg("%s", fault.text);
    assert_true(station->synced > acknowledged + 100);
    // Wherever the collector's numbers end, up to a batch further.
    for (uint64_t number = acknowledged; number <= station->synced - 100; number++) {
        station_damage_frame(station, number);
    }
    finish(&run);
    struct uplink_status status;
    uplink_describe(station->uplink, &status);
    assert_int_equal(status.restreams, 1);
    run_end(&run);
}

static void test_damage_is_told_as_the_numbers_it_cost(void **state) {
    (void)state;
    struct run run;
    begin(&run, 13, 1, 500);
    center_crash(run.center);
    run.center_restart_at_ms = INT64_MAX;
    struct station *station = run.stations[0];
    while (station->synced < 400) steps(&run, 1);
    station_damage_frame(station, 10);
    station_damage_frame(station, 200);
    station_damage_frame(station, 201);
    run.center_restart_at_ms = 0;
    struct ledger_totals totals = finish(&run);
    assert_int_equal(totals.gaps, 2);
    assert_int_equal(totals.accepted, 500);
    // What was lost is lost but for events that others have too: there are none.
    assert_int_equal(totals.excused[LEDGER_DAMAGED], 3);
    run_end(&run);
}

// The collector is restored to before what a spool has given up, and that spool is full: the Notice
// of it must go in all the same, or nothing could ever be sent.
static void restore_with_full_spool(bool rewinds) {
    struct run run;
    struct run_options options = {
        .seed = 14,
        .directory = directory(),
        .stations = 1,
        .events = 3000,
        .spool_size = 128 * 1024,
        .rewinds = rewinds,
    };
    struct fault fault = {.kind = FAULT_NONE};
    if (!run_begin(&run, &options, &fault)) fail_msg("%s", fault.text);
    struct station *station = run.stations[0];
    while (station->acknowledged < 100) steps(&run, 1);
    if (!center_keep_copy(run.center, &fault)) fail_msg("%s", fault.text);
    while (station->dropped < 300) steps(&run, 1);
    if (!run_restore(&run, &fault)) fail_msg("%s", fault.text);
    run.center_restart_at_ms = INT64_MAX;
    uint64_t full = station->full;
    while (station->full < full + 10) steps(&run, 1);
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    // With this seed not even the Notice would fit.
    assert_true(facts.size + NOTICE_FRAME_SIZE_MIN > facts.size_max);
    run.center_restart_at_ms = 0;
    struct ledger_totals totals = finish(&run);
    struct uplink_status status;
    uplink_describe(station->uplink, &status);
    assert_int_equal(status.refills, 1);
    assert_int_equal(totals.gaps, 1);
    if (rewinds) {
        assert_int_equal(totals.excused[LEDGER_DROPPED], 0);
    } else {
        assert_true(totals.excused[LEDGER_DROPPED] > 100);
    }
    run_end(&run);
}

static void test_restored_collector_is_told_what_a_full_spool_lacks(void **state) {
    (void)state;
    restore_with_full_spool(false);
}

static void test_restored_collector_is_refilled_by_a_source_that_rewinds(void **state) {
    (void)state;
    restore_with_full_spool(true);
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
    for (uint32_t step = 0; run.counts.full == 0 && step < 20000; step++) steps(&run, 1);
    assert_true(run.counts.full > 0);
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
        if (!seed_run(seed, false, directory(), &fault)) fail_msg("%s", fault.text);
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
        cmocka_unit_test(test_rolled_back_spool_that_is_damaged_loses_nothing),
        cmocka_unit_test(test_damage_is_told_as_the_numbers_it_cost),
        cmocka_unit_test(test_restored_collector_is_told_what_a_full_spool_lacks),
        cmocka_unit_test(test_restored_collector_is_refilled_by_a_source_that_rewinds),
        cmocka_unit_test(test_full_spool_waits_and_loses_nothing),
        cmocka_unit_test(test_full_trail_waits_and_loses_nothing),
        cmocka_unit_test(test_dropped_days_stay_away),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_a_seed_is_the_same_run_again),
    };
    return cases_run("sim", tests, sizeof tests / sizeof tests[0]);
}
