#include "collector/append/append_disk.h"

#include <stdlib.h>

#include "base/clock.h"
#include "collector/metrics.h"
#include "collector/notes/notes.h"
#include "tests/kit/cases.h"

static int64_t now_ms;

static int64_t tell_now(void *context) {
    (void)context;
    return now_ms;
}

static const struct clock test_clock = {.now_ms = tell_now, .monotonic_ms = tell_now};

// Fails unless the next commit would tell exactly this own event; NULL: none.
static void expect_told(struct notes *notes, const char *name) {
    uint32_t count = notes_choose(notes, now_ms);
    assert_int_equal(count, name == NULL ? 0 : 1);
    if (name != NULL) assert_string_equal(notes_get(notes, 0)->name, name);
    notes_keep(notes);
}

static void test_forecast_needs_an_hour_and_a_slope(void **state) {
    (void)state;
    uint64_t samples[APPEND_DISK_SAMPLES];
    for (uint32_t index = 0; index < APPEND_DISK_SAMPLES; index++) {
        samples[index] = 1000 * (100 - index);
    }
    assert_true(append_disk_forecast(samples, APPEND_DISK_SAMPLES_MIN - 1, 600) == INT64_MAX);
    // 64,000 bytes are left and 1,000 go in each step.
    assert_int_equal(append_disk_forecast(samples, APPEND_DISK_SAMPLES, 600), 64 * 600);
    assert_int_equal(append_disk_forecast(samples, APPEND_DISK_SAMPLES_MIN, 600), 94 * 600);
    for (uint32_t index = 0; index < APPEND_DISK_SAMPLES; index++) samples[index] = 5000;
    assert_true(append_disk_forecast(samples, APPEND_DISK_SAMPLES, 600) == INT64_MAX);
    for (uint32_t index = 0; index < APPEND_DISK_SAMPLES; index++) samples[index] = 5000 + index;
    assert_true(append_disk_forecast(samples, APPEND_DISK_SAMPLES, 600) == INT64_MAX);
    // So slow that no one lives to see it.
    samples[0]--;
    for (uint32_t index = 1; index < APPEND_DISK_SAMPLES; index++)
        samples[index] = UINT64_MAX / 2 - index / 30;
    samples[0] = UINT64_MAX / 2;
    assert_true(append_disk_forecast(samples, APPEND_DISK_SAMPLES, 600) == INT64_MAX);
}

static void test_slow_commits_are_told_at_begin_and_end(void **state) {
    (void)state;
    struct notes *notes = notes_create();
    now_ms = 1000000;
    struct append_disk *disk = append_disk_create("/", notes, &test_clock);
    assert_non_null(notes);
    assert_non_null(disk);
    // What a machine does now and then is no news, nor is a second, nor a bad minute.
    append_disk_commit(disk, 5000);
    now_ms += APPEND_DISK_FAST_MS;
    for (int count = 0; count < 5; count++) append_disk_commit(disk, APPEND_DISK_SLOW_MS);
    append_disk_commit(disk, 5000);
    now_ms += APPEND_DISK_SLOW_FOR_MS;
    append_disk_commit(disk, 5000);
    expect_told(notes, NULL);
    now_ms += APPEND_DISK_FAST_MS;
    for (int count = 0; count < 5; count++) append_disk_commit(disk, 5000);
    now_ms += APPEND_DISK_SLOW_FOR_MS - 1;
    append_disk_commit(disk, 5000);
    expect_told(notes, NULL);
    now_ms++;
    append_disk_commit(disk, 1001);
    assert_int_equal(metric_get(&metrics_table[METRICS_SLOW_STORE], 0), 1);
    expect_told(notes, "StoreSlow");
    append_disk_commit(disk, 5000);
    expect_told(notes, NULL);
    // It ends when none was slow for a while.
    now_ms += APPEND_DISK_FAST_MS - 1;
    append_disk_step(disk);
    expect_told(notes, NULL);
    now_ms += APPEND_DISK_LOOK_MS;
    append_disk_step(disk);
    assert_int_equal(metric_get(&metrics_table[METRICS_SLOW_STORE], 0), 0);
    expect_told(notes, "StoreFast");
    append_disk_destroy(disk);
    notes_destroy(notes);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forecast_needs_an_hour_and_a_slope),
        cmocka_unit_test(test_slow_commits_are_told_at_begin_and_end),
    };
    return cases_run("append_disk_test", tests, sizeof tests / sizeof tests[0]);
}
