// The writer at its limits: large commits, and events that cannot be decided.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/append/append.h"
#include "collector/append/append_fixture.h"
#include "collector/intake/test_messages.h"
#include "collector/metrics.h"
#include "tests/kit/cases.h"

enum { LARGE_SIZE = 1000 * 1000, LARGE_COUNT = 40, UNDECIDED_COUNT = 400 };

// Sends records of 1 MB, one a batch.
static void say_large(struct end *end, const char *prefix) {
    static char more[LARGE_SIZE];
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    for (uint32_t index = 0; index < LARGE_COUNT; index++) {
        char id[24];
        (void)snprintf(id, sizeof id, "%s%u", prefix, (unsigned)index);
        int size = snprintf(more, sizeof more, ",\"filler\":\"");
        memset(more + size, 'x', sizeof more - (size_t)size);
        memcpy(more + sizeof more - 2, "\"", 2);
        rig_say(end, index + 1, id, more, chain);
    }
}

// What waits is more than one commit may have: the rest goes into the next one.
static void test_commits_have_a_size(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    struct end *two = rig_enter(rig, 1, RIG_TWO, 1);
    say_large(one, "a");
    rig_pass(rig, 1);
    assert_int_equal(one->acked, 0);
    say_large(two, "b");
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, LARGE_COUNT);
    assert_true(two->acked > 0 && two->acked < LARGE_COUNT);
    assert_true(one->acked + two->acked <= TRAIL_COMMIT_SIZE_MAX / LARGE_SIZE);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(two->acked, LARGE_COUNT);
    assert_int_equal(rig_read_facts(rig, &own).events, 2 * LARGE_COUNT);
}

// Turns a bit in the first block in the file.
static void damage_block(const struct rig *rig) {
    static char bytes[1 << 22];
    char path[300];
    (void)snprintf(path, sizeof path, "%s/data.mdb", rig->directory);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    // A large value begins behind the header of its page.
    size_t at = 16;
    while (at + 200 < size && memcmp(bytes + at, "OTBK", 4) != 0) at += 4096;
    assert_true(at + 200 < size);
    assert_int_equal(fseek(file, (long)at + 180, SEEK_SET), 0);
    assert_int_equal(fputc(bytes[at + 180] ^ 1, file), (uint8_t)(bytes[at + 180] ^ 1));
    assert_int_equal(fclose(file), 0);
}

static void say_many(struct end *end, uint8_t chain[TRAIL_CHAIN_SIZE]) {
    struct rig *rig = end->rig;
    struct test_event *events = arena_allocate_array(rig->arena, UNDECIDED_COUNT, sizeof *events);
    assert_non_null(events);
    for (uint32_t index = 0; index < UNDECIDED_COUNT; index++) {
        char id[24];
        (void)snprintf(id, sizeof id, "e%u", (unsigned)index);
        events[index] = (struct test_event){.text = span_text(rig_make_record(rig, id, ""))};
    }
    assert_true(
        intake_message(end->intake, test_batch(rig->arena, 1, events, UNDECIDED_COUNT, chain)));
}

// All that a damaged block keeps from being decided is put aside in one attempt.
static void test_puts_aside_what_cannot_be_decided(void **state) {
    struct rig *rig = *state;
    rig_close_store(rig);
    rig->block_rows_min = 1;
    rig_open_store(rig);
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    say_many(rig_enter(rig, 0, RIG_ONE, 1), chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(rig->ends[0].acked, UNDECIDED_COUNT);
    rig_close_store(rig);
    damage_block(rig);
    rig_open_store(rig);

    uint8_t again[TRAIL_CHAIN_SIZE] = {0};
    struct end *end = rig_enter(rig, 0, RIG_ONE, 2);
    say_many(end, again);
    int64_t commits = metric_get(&metrics_table[METRICS_COMMITS], 0);
    rig->clock_calls = 0;
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(end->acked, UNDECIDED_COUNT);
    assert_int_equal(metric_get(&metrics_table[METRICS_COMMITS], 0), commits + 1);
    // Every attempt looks at the clock.
    assert_true(rig->clock_calls < 100);
    struct trail_facts facts;
    struct trail_reader *reader = NULL;
    struct fault fault = {0};
    assert_true(trail_reader_open(rig->directory, &reader, &fault));
    assert_true(trail_reader_facts(reader, &facts, &fault));
    trail_reader_close(reader);
    assert_int_equal(facts.quarantined, UNDECIDED_COUNT);
    assert_int_equal(rig_find_stream(rig, RIG_AGENT_ONE, 2).quarantined, UNDECIDED_COUNT);
}

// What we have to say ourselves is kept too, and ends nothing: the same event, of one id and
// second.
static void test_puts_aside_what_we_say_ourselves(void **state) {
    struct rig *rig = *state;
    rig->block_rows_min = 1;
    for (uint8_t stream = 1; stream <= 2; stream++) {
        rig_close_store(rig);
        if (stream == 2) damage_block(rig);
        rig->now_ms = RIG_NOW_MS;
        rig_open_store(rig);
        struct end *end = rig_enter(rig, 0, RIG_ONE, stream);
        uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
        say_many(end, chain);
        assert_true(intake_message(
            end->intake, test_gap(rig->arena, UNDECIDED_COUNT + 1, UNDECIDED_COUNT + 5, chain)));
        rig->seed = 99;
        rig_pass(rig, APPEND_COMMIT_MS);
        assert_int_equal(end->acked, UNDECIDED_COUNT + 5);
        assert_int_equal(rig_find_stream(rig, RIG_AGENT_ONE, stream).gaps, 1);
    }
    struct trail_facts facts;
    struct trail_reader *reader = NULL;
    struct fault fault = {0};
    assert_true(trail_reader_open(rig->directory, &reader, &fault));
    assert_true(trail_reader_facts(reader, &facts, &fault));
    trail_reader_close(reader);
    assert_int_equal(facts.quarantined, UNDECIDED_COUNT + 1);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commits_have_a_size, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_puts_aside_what_cannot_be_decided, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_puts_aside_what_we_say_ourselves, rig_make, rig_end),
    };
    return cases_run("collector/append_limits", tests, sizeof tests / sizeof tests[0]);
}
