#include "collector/follow/followers.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "collector/append/test_trail.h"
#include "collector/follow/seat.h"
#include "collector/metrics.h"
#include "collector/notes/notes.h"
#include "tests/kit/cases.h"

enum { PATIENCE_MS = 20000 };

struct counter {
    struct follower base;  // first: it is found from it
    atomic_uint steps;
    atomic_uint ends;
    atomic_bool is_held;  // its step does not come back
    uint32_t failures;    // of the first steps
    uint32_t steps_max;   // 0: for ever
};

static void nap(void) {
    const struct timespec time = {0, 1000000};
    (void)nanosleep(&time, NULL);
}

static bool on_step(struct follower *follower, struct seat *seat, int64_t *wait_ms,
                    struct fault *fault) {
    struct counter *counter = (struct counter *)follower;
    uint32_t step = atomic_fetch_add(&counter->steps, 1) + 1;
    assert_non_null(seat->reader);
    while (atomic_load(&counter->is_held)) nap();
    if (step <= counter->failures) return fault_set(fault, FAULT_RETRY, "not yet");
    *wait_ms = counter->steps_max > 0 && step >= counter->steps_max ? -1 : 1;
    return true;
}

static void on_end(struct follower *follower) {
    atomic_fetch_add(&((struct counter *)follower)->ends, 1);
}

static void add(struct followers *followers, struct counter *counter, const char *name) {
    snprintf(counter->base.name, sizeof counter->base.name, "%s", name);
    counter->base.step = on_step;
    counter->base.end = on_end;
    assert_true(followers_add(followers, &counter->base));
}

static void wait_for(atomic_uint *count, uint32_t least) {
    for (uint32_t waited = 0; atomic_load(count) < least; waited++) {
        assert_true(waited < PATIENCE_MS);
        nap();
    }
}

static struct followers *start_with(struct test_trail *trail, struct notes *notes) {
    struct followers *followers = NULL;
    struct fault fault;
    const struct followers_options options = {
        .store_directory = trail->directory,
        .notes = notes,
        .clock = clock_system(),
        .random = random_system(),
    };
    assert_true(followers_start(&options, &followers, &fault));
    return followers;
}

static struct followers *start(struct test_trail *trail) {
    return start_with(trail, NULL);
}

static void test_one_that_hangs_holds_no_other_up(void **state) {
    static struct counter held, other, brief;
    held = other = brief = (struct counter){0};
    atomic_store(&held.is_held, true);
    brief.steps_max = 3;
    struct followers *followers = start(*state);
    add(followers, &held, "held");
    add(followers, &other, "other");
    add(followers, &brief, "brief");
    wait_for(&held.steps, 1);
    wait_for(&other.steps, 20);
    // One that is over is not stepped again.
    wait_for(&brief.ends, 1);
    assert_int_equal(atomic_load(&brief.steps), 3);
    assert_int_equal(atomic_load(&held.steps), 1);
    atomic_store(&held.is_held, false);
    assert_true(followers_stop(followers));
    assert_int_equal(atomic_load(&held.ends), 1);
    assert_int_equal(atomic_load(&other.ends), 1);
    assert_int_equal(atomic_load(&brief.ends), 1);
}

enum { HANGING = 8 };

static void test_many_that_hang_hold_no_other_up(void **state) {
    static struct counter held[HANGING], other;
    other = (struct counter){0};
    struct followers *followers = start(*state);
    for (uint32_t index = 0; index < HANGING; index++) {
        char name[16];
        held[index] = (struct counter){0};
        atomic_store(&held[index].is_held, true);
        snprintf(name, sizeof name, "held-%u", index);
        add(followers, &held[index], name);
    }
    for (uint32_t index = 0; index < HANGING; index++) wait_for(&held[index].steps, 1);
    add(followers, &other, "other");
    assert_int_equal(followers_count(followers), HANGING + 1);
    wait_for(&other.steps, 20);
    for (uint32_t index = 0; index < HANGING; index++) {
        assert_int_equal(atomic_load(&held[index].steps), 1);
        atomic_store(&held[index].is_held, false);
    }
    for (uint32_t index = 0; index < HANGING; index++) wait_for(&held[index].steps, 3);
    assert_true(followers_stop(followers));
    assert_int_equal(atomic_load(&other.ends), 1);
}

static void test_what_fails_is_tried_again_later(void **state) {
    static struct counter failing, other;
    failing = other = (struct counter){0};
    failing.failures = 1;
    struct followers *followers = start(*state);
    add(followers, &failing, "failing");
    add(followers, &other, "other");
    wait_for(&failing.steps, 1);
    uint32_t before = atomic_load(&other.steps);
    wait_for(&failing.steps, 2);
    // It waited for half a second at least, and the other one did not.
    assert_true(atomic_load(&other.steps) > before + 20);
    wait_for(&failing.steps, 10);
    assert_true(followers_stop(followers));
    struct metric *metric = &metrics_table[METRICS_FOLLOWER_FAILURES];
    assert_int_equal(metric_get(metric, metric_label(metric, SPAN_LITERAL("failing"))), 1);
    assert_int_equal(atomic_load(&failing.ends), 1);
}

static void check_told(void **state, bool is_target, enum metrics_index index, const char *fails,
                       const char *goes_on) {
    static struct counter failing;
    failing = (struct counter){.base.is_target = is_target, .failures = FOLLOWERS_FAILURES + 1};
    const struct metric *metric = &metrics_table[index];
    struct notes *notes = notes_create();
    assert_non_null(notes);
    struct followers *followers = start_with(*state, notes);
    add(followers, &failing, "failing");
    wait_for(&failing.steps, FOLLOWERS_FAILURES + 1);
    assert_int_equal(metric_get(metric, 0), 1);
    assert_int_equal(notes_choose(notes, 0), 1);
    assert_string_equal(notes_get(notes, 0)->name, fails);
    notes_keep(notes);
    wait_for(&failing.steps, FOLLOWERS_FAILURES + 4);
    assert_int_equal(metric_get(metric, 0), 0);
    assert_int_equal(notes_choose(notes, 0), 1);
    assert_string_equal(notes_get(notes, 0)->name, goes_on);
    notes_keep(notes);
    assert_true(followers_stop(followers));
    notes_destroy(notes);
}

static void test_what_fails_again_and_again_is_told(void **state) {
    check_told(state, false, METRICS_FOLLOWERS_FAILING, "FollowerFails", "FollowerGoesOn");
}

static void test_a_target_that_fails_is_told_as_one(void **state) {
    check_told(state, true, METRICS_TARGETS_FAILING, "TargetFails", "TargetGoesOn");
    assert_int_equal(metric_get(&metrics_table[METRICS_FOLLOWERS_FAILING], 0), 0);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_that_hangs_holds_no_other_up, test_trail_make,
                                        test_trail_end),
        cmocka_unit_test_setup_teardown(test_many_that_hang_hold_no_other_up, test_trail_make,
                                        test_trail_end),
        cmocka_unit_test_setup_teardown(test_what_fails_is_tried_again_later, test_trail_make,
                                        test_trail_end),
        cmocka_unit_test_setup_teardown(test_what_fails_again_and_again_is_told, test_trail_make,
                                        test_trail_end),
        cmocka_unit_test_setup_teardown(test_a_target_that_fails_is_told_as_one, test_trail_make,
                                        test_trail_end),
    };
    return cases_run("followers_test", tests, sizeof tests / sizeof tests[0]);
}
