// The search for ids that stand under two times: what it finds, what it does not, and how it goes
// on.

#include "storage/trail/trail_scan.h"

#include <stdlib.h>
#include <string.h>

#include "storage/trail/trail_fixture.h"
#include "tests/kit/cases.h"

static void begin(struct fixture *fixture) {
    fixture_init(fixture);
    fixture->options.tail_rows_max = 60;
    fixture->options.block_rows_min = 30;
    fixture_open(fixture);
}

static void store(struct fixture *fixture, uint32_t number, int64_t second, uint32_t account) {
    char *text = fixture_make_record(number, second, account);
    fixture_begin(fixture);
    fixture_store(fixture, text);
    fixture_commit(fixture);
    free(text);
}

// Runs rounds until nothing waits; what they found.
static struct trail_scan_state run(struct fixture *fixture, uint64_t scanned, uint32_t *steps) {
    struct trail_scan *scan = NULL;
    struct trail_scan_state state = {.is_in_round = true};
    struct trail_scan_state all = {.count = 0};
    assert_true(trail_scan_open(fixture->directory, scanned, &scan, &fixture->fault));
    *steps = 0;
    while (state.is_in_round || state.waiting > 0) {
        if (!trail_scan_step(scan, &state, &fixture->fault)) fail_msg("%s", fixture->fault.text);
        (*steps)++;
        if (!state.has_ended) continue;
        all.count += state.count;
        for (uint32_t index = 0; index < state.found_count; index++) {
            assert_true(all.found_count < TRAIL_SCAN_FOUND_MAX);
            all.found[all.found_count++] = state.found[index];
        }
    }
    all.scanned = state.scanned;
    trail_scan_close(scan);
    return all;
}

static void test_finds_what_stands_twice(void **state) {
    (void)state;
    struct fixture fixture;
    uint32_t steps = 0;
    begin(&fixture);
    fixture_fill(&fixture, 0, 600, 70);
    // In a block and in the tail; earlier and later by time; of another account: that is none.
    store(&fixture, 100, 500000, 1 + 100 % 7);
    store(&fixture, 200, -500000, 1 + 200 % 7);
    store(&fixture, 300, 700000, 2 + 300 % 7);
    fixture_fill(&fixture, 1000, 300, 70);
    store(&fixture, 400, 500000, 1 + 400 % 7);
    struct trail_scan_state found = run(&fixture, 0, &steps);
    assert_int_equal(found.scanned, fixture.events_count);
    assert_int_equal(found.count, 3);
    assert_int_equal(found.found_count, 3);
    bool was_there[3] = {false};
    for (uint32_t index = 0; index < 3; index++) {
        const struct trail_scan_found *one = &found.found[index];
        const struct fixture_event *event = &fixture.events[one->sequence - 1];
        const struct fixture_event *other = &fixture.events[one->other_sequence - 1];
        assert_true(key_equal(&one->key, &event->key));
        assert_true(key_equal(&one->other, &other->key));
        assert_memory_equal(one->key.id, one->other.id, sizeof one->key.id);
        assert_true(one->key.event_time_s != one->other.event_time_s);
        assert_true(one->sequence > one->other_sequence);
        was_there[0] = was_there[0] || one->sequence == 601;
        was_there[1] = was_there[1] || one->sequence == 602;
        was_there[2] = was_there[2] || one->sequence == fixture.events_count;
    }
    assert_true(was_there[0] && was_there[1] && was_there[2]);
    fixture_done(&fixture);
}

static void test_goes_on_where_it_was(void **state) {
    (void)state;
    struct fixture fixture;
    uint32_t steps = 0;
    begin(&fixture);
    fixture_fill(&fixture, 0, 500, 70);
    store(&fixture, 10, 500000, 1 + 10 % 7);
    assert_int_equal(run(&fixture, 0, &steps).count, 1);
    uint64_t scanned = fixture.events_count;
    // What was reported is not again; what comes is compared with all that was.
    assert_int_equal(run(&fixture, scanned, &steps).count, 0);
    store(&fixture, 20, 500000, 1 + 20 % 7);
    store(&fixture, 10, 600000, 1 + 10 % 7);
    struct trail_scan_state found = run(&fixture, scanned, &steps);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.scanned, fixture.events_count);
    fixture_done(&fixture);
}

static void test_counts_more_than_it_gives(void **state) {
    (void)state;
    struct fixture fixture;
    uint32_t steps = 0;
    begin(&fixture);
    fixture_fill(&fixture, 0, 100, 70);
    for (uint32_t number = 0; number < 100; number++)
        store(&fixture, number, 500000 + number, 1 + number % 7);
    struct trail_scan_state found = run(&fixture, 0, &steps);
    assert_int_equal(found.count, 100);
    assert_int_equal(found.found_count, TRAIL_SCAN_FOUND_MAX);
    fixture_done(&fixture);
}

// Rows move from the tail into blocks and days go between any two steps.
static void test_finds_all_while_the_trail_changes(void **state) {
    (void)state;
    for (uint32_t turn = 0; turn < 12; turn++) {
        struct fixture fixture;
        begin(&fixture);
        fixture_fill(&fixture, 0, 150, 70);
        store(&fixture, 20, 500000, 1 + 20 % 7);
        store(&fixture, 30, 500000, 1 + 30 % 7);
        struct trail_scan *scan = NULL;
        struct trail_scan_state now = {0};
        uint64_t count = 0;
        uint32_t steps = 0;
        assert_true(trail_scan_open(fixture.directory, 0, &scan, &fixture.fault));
        while (steps < 3 || now.is_in_round || now.waiting > 0) {
            assert_true(trail_scan_step(scan, &now, &fixture.fault));
            count += now.count;
            if (steps++ == turn) fixture_fill(&fixture, 5000, 90, 10);
        }
        trail_scan_close(scan);
        assert_int_equal(count, 2);
        fixture_done(&fixture);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_stands_twice),
        cmocka_unit_test(test_goes_on_where_it_was),
        cmocka_unit_test(test_counts_more_than_it_gives),
        cmocka_unit_test(test_finds_all_while_the_trail_changes),
    };
    return cases_run("trail_scan", tests, sizeof tests / sizeof tests[0]);
}
