// What a spool holds that a killed process left behind, once the power goes off as well: the system
// still shows what nobody has synced, and the next process sends it.

#include <inttypes.h>
#include <stdio.h>

#include "agent/fake_files.h"
#include "agent/spool.h"
#include "tests/kit/cases.h"

enum {
    SEGMENT_SIZE = 4096,
    FRAME_SIZE = 88,  // of an event with a number of two digits
};

#define FIRST_SEGMENT "/spool/00000000000000000001.segment"

struct bench {
    struct fake_files *fake;
    struct spool *spool;
    uint64_t random_state;
    struct random random;
};

static void open_bench(struct bench *bench) {
    static const struct spool_source source = {"one", "tail"};
    bench->random = random_seeded(&bench->random_state);
    struct spool_options options = {
        .files = fake_files_interface(bench->fake),
        .clock = clock_system(),
        .random = &bench->random,
        .directory = "/spool",
        .segment_size = SEGMENT_SIZE,
        .sources = &source,
        .sources_count = 1,
    };
    struct fault fault;
    if (!spool_open(&options, &bench->spool, &fault)) fail_msg("open: %s", fault.text);
}

static void begin(struct bench *bench) {
    *bench = (struct bench){.fake = fake_files_create(), .random_state = 7};
    open_bench(bench);
}

static void end(struct bench *bench) {
    spool_close(bench->spool);
    fake_files_destroy(bench->fake);
}

static void append(struct bench *bench, uint64_t first, uint64_t last) {
    for (uint64_t number = first; number <= last; number++) {
        char text[32];
        snprintf(text, sizeof text, "event %" PRIu64, number);
        struct spool_item item = {.record = span_text(text), .position = span_text(text)};
        struct fault fault;
        uint64_t given;
        if (!spool_append(bench->spool, &item, &given, &fault)) fail_msg("%s", fault.text);
        assert_int_equal(given, number);
    }
}

// The process ends at once. What it had handed to the files stays, but nobody has synced it.
static void kill_process(struct bench *bench) {
    fake_files_fail(bench->fake, 1, FAULT_IO);
    spool_close(bench->spool);
    fake_files_fail(bench->fake, 0, FAULT_NONE);
}

static void cut_power(struct bench *bench) {
    kill_process(bench);
    fake_files_crash(bench->fake, 0);
}

static struct spool_facts facts_of(const struct bench *bench) {
    struct spool_facts facts;
    spool_describe(bench->spool, &facts);
    return facts;
}

static uint64_t synced(const struct bench *bench) {
    return facts_of(bench).synced;
}

// Every frame can be read, and none is given as lost.
static void check_reads(struct bench *bench, uint64_t last) {
    struct spool_reader *reader = spool_reader_create(bench->spool);
    struct spool_frame frame;
    struct spool_gap gap;
    struct fault fault;
    for (uint64_t number = 1; number <= last; number++) {
        char text[32];
        snprintf(text, sizeof text, "event %" PRIu64, number);
        assert_int_equal(spool_reader_next(reader, &frame, &gap, &fault), SPOOL_NEXT_FRAME);
        assert_int_equal(frame.number, number);
        assert_true(span_is(frame.record, text));
    }
    assert_int_equal(spool_reader_next(reader, &frame, &gap, &fault), SPOOL_NEXT_END);
    spool_reader_destroy(reader);
}

static void test_what_is_called_synced_at_the_start_is_on_the_disk(void **state) {
    (void)state;
    struct bench bench;
    struct fault fault;
    begin(&bench);
    append(&bench, 1, 5);
    assert_true(spool_sync(bench.spool, &fault));
    append(&bench, 6, 10);
    assert_true(spool_sync_begin(bench.spool, &fault));
    kill_process(&bench);
    open_bench(&bench);
    // These may be sent from here on.
    assert_int_equal(synced(&bench), 10);
    cut_power(&bench);
    open_bench(&bench);
    assert_int_equal(synced(&bench), 10);
    check_reads(&bench, 10);
    end(&bench);
}

// The next segment says where its sources go on: what stands before it must not be lost then.
static void test_a_segment_is_begun_only_behind_durable_frames(void **state) {
    (void)state;
    struct bench bench;
    struct fault fault;
    begin(&bench);
    uint64_t last = 0;
    for (; facts_of(&bench).size + FRAME_SIZE <= SEGMENT_SIZE; last++) {
        append(&bench, last + 1, last + 1);
    }
    assert_true(spool_sync_begin(bench.spool, &fault));
    kill_process(&bench);
    open_bench(&bench);
    append(&bench, last + 1, last + 5);
    assert_true(spool_sync(bench.spool, &fault));
    char path[64];
    uint64_t size;
    snprintf(path, sizeof path, "/spool/%020" PRIu64 ".segment", last + 1);
    assert_non_null(fake_files_bytes(bench.fake, path, &size));
    cut_power(&bench);
    open_bench(&bench);
    assert_int_equal(synced(&bench), last + 5);
    check_reads(&bench, last + 5);
    end(&bench);
}

// A segment gets its name by a rename, and the process may end before that is synced.
static void test_the_name_of_the_last_segment_is_made_durable(void **state) {
    (void)state;
    struct bench bench;
    struct fault fault;
    begin(&bench);
    spool_close(bench.spool);
    const struct files *files = fake_files_interface(bench.fake);
    assert_true(files_rename(files, FIRST_SEGMENT, FIRST_SEGMENT ".new", &fault));
    assert_true(files_sync_directory(files, "/spool", &fault));
    assert_true(files_rename(files, FIRST_SEGMENT ".new", FIRST_SEGMENT, &fault));
    open_bench(&bench);
    append(&bench, 1, 5);
    assert_true(spool_sync(bench.spool, &fault));
    cut_power(&bench);
    open_bench(&bench);
    assert_int_equal(synced(&bench), 5);
    check_reads(&bench, 5);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_called_synced_at_the_start_is_on_the_disk),
        cmocka_unit_test(test_a_segment_is_begun_only_behind_durable_frames),
        cmocka_unit_test(test_the_name_of_the_last_segment_is_made_durable),
    };
    return cases_run("spool_kill_test", tests, sizeof tests / sizeof tests[0]);
}
