#include "agent/gather.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/fake_files.h"
#include "proto/orgtrail.pb-c.h"
#include "tests/kit/cases.h"

enum { RESTORED_MAX = 64 };

// A source that counts: record n holds n, its position too.
struct counter {
    uint64_t given;
    uint64_t last;       // nothing beyond this
    uint64_t notice_at;  // this one is a notice
    bool ends;           // after the last one; otherwise it rests
    uint32_t steps;
    uint64_t appended;
    uint64_t acknowledged;
    uint32_t saves;
    enum fault_kind save_fails;
    int64_t rewound_to_ms;
    enum source_state state;
    bool is_closed;
    char text[64];
    const char *record;  // of all; NULL: the text
    struct {
        uint64_t number;
        char position[32];
    } restored[RESTORED_MAX];
    uint32_t restored_count;
};

static bool restore(void *context, uint64_t number, struct span position, struct fault *fault) {
    struct counter *counter = context;
    (void)fault;
    assert_true(counter->restored_count < RESTORED_MAX);
    counter->restored[counter->restored_count].number = number;
    snprintf(counter->restored[counter->restored_count].position, 32, "%.*s", SPAN_PRINT(position));
    counter->restored_count++;
    return true;
}

static enum source_result step(void *context, struct source_item *item) {
    struct counter *counter = context;
    counter->steps++;
    if (counter->given == counter->last) {
        item->wait_ms = 77;
        return counter->ends ? SOURCE_END : SOURCE_IDLE;
    }
    counter->given++;
    snprintf(counter->text, sizeof counter->text, "%" PRIu64 "%50s", counter->given, "x");
    struct span text = span_text(counter->text);
    *item = (struct source_item){.position = text, .object = SPAN_LITERAL("object")};
    if (counter->given == counter->notice_at) {
        item->notice = (struct source_notice){
            .reason = "corrupt_file",
            .place = "byte 7",
            .detail = "why",
            .time_ms = 5,
            .head = SPAN_LITERAL("head"),
            .size = 1000,
        };
        return SOURCE_NOTICE;
    }
    item->record = counter->record != NULL ? span_text(counter->record) : text;
    return SOURCE_RECORD;
}

static void appended(void *context, uint64_t number) {
    struct counter *counter = context;
    counter->appended = number;
}

static void acknowledged(void *context, uint64_t number) {
    struct counter *counter = context;
    counter->acknowledged = number;
}

static bool save(void *context, struct fault *fault) {
    struct counter *counter = context;
    counter->saves++;
    if (counter->save_fails == FAULT_NONE) return true;
    return fault_set(fault, counter->save_fails, "told to fail");
}

static bool rewind_to(void *context, int64_t backup_time_ms, struct fault *fault) {
    struct counter *counter = context;
    (void)fault;
    counter->rewound_to_ms = backup_time_ms;
    return true;
}

static void describe(void *context, struct source_status *status) {
    const struct counter *counter = context;
    *status = (struct source_status){.state = counter->state, .events_read = counter->given};
}

static void close_counter(void *context) {
    struct counter *counter = context;
    counter->is_closed = true;
}

static const struct source_operations operations = {
    .restore = restore,
    .step = step,
    .appended = appended,
    .acknowledged = acknowledged,
    .save = save,
    .rewind = rewind_to,
    .describe = describe,
    .close = close_counter,
};

struct bench {
    struct fake_files *fake;
    uint64_t random_state;
    struct random random;
    uint64_t size_max;
    uint32_t segment_size;
    struct spool *spool;
    struct gather *gather;
    struct counter one;
    struct counter two;
    struct gather_turn turn;
    struct clock clock;
    int64_t now_ms;
    int64_t look_ms;  // how much time passes between two looks at the clock: none, usually
};

static int64_t look(void *context) {
    struct bench *bench = context;
    bench->now_ms += bench->look_ms;
    return bench->now_ms;
}

static void open_bench(struct bench *bench) {
    static const struct spool_source sources[] = {{"one", "directory"}, {"two", "tail"}};
    struct spool_options options = {
        .files = fake_files_interface(bench->fake),
        .clock = clock_system(),
        .random = &bench->random,
        .directory = "/spool",
        .size_max = bench->size_max,
        .segment_size = bench->segment_size,
        .sources = sources,
        .sources_count = 2,
    };
    struct fault fault;
    if (!spool_open(&options, &bench->spool, &fault)) fail_msg("%s", fault.text);
    bench->gather = gather_create(bench->spool, &bench->clock, true);
    assert_non_null(bench->gather);
    assert_true(
        gather_add(bench->gather, "one", (struct source){&operations, &bench->one}, &fault));
    assert_true(
        gather_add(bench->gather, "two", (struct source){&operations, &bench->two}, &fault));
    assert_true(gather_restore(bench->gather, &fault));
}

static void begin(struct bench *bench) {
    *bench = (struct bench){.fake = fake_files_create(), .random_state = 3, .size_max = 64 * 1024};
    bench->random = random_seeded(&bench->random_state);
    bench->clock = (struct clock){look, look, bench};
    bench->now_ms = 1000;
    bench->segment_size = 4096;
    bench->one.state = SOURCE_STATE_OK;
    bench->two.state = SOURCE_STATE_OK;
    open_bench(bench);
}

static void close_bench(struct bench *bench) {
    gather_destroy(bench->gather);
    spool_close(bench->spool);
}

static void end(struct bench *bench) {
    close_bench(bench);
    assert_true(bench->one.is_closed && bench->two.is_closed);
    fake_files_destroy(bench->fake);
}

static void turn(struct bench *bench) {
    struct fault fault;
    if (!gather_step(bench->gather, &bench->turn, &fault)) fail_msg("%s", fault.text);
}

static struct spool_facts facts_of(const struct bench *bench) {
    struct spool_facts facts;
    spool_describe(bench->spool, &facts);
    return facts;
}

static void test_a_turn_reads_appends_and_syncs(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    bench.one.last = 5;
    bench.two.last = 3;
    bench.two.notice_at = 2;
    turn(&bench);
    assert_int_equal(bench.turn.records, 7);
    assert_int_equal(bench.turn.notices, 1);
    assert_int_equal(bench.turn.wait_ms, 77);
    assert_false(bench.turn.has_ended);
    assert_int_equal(facts_of(&bench).synced, 8);
    assert_int_equal(bench.one.appended, 5);
    assert_int_equal(bench.two.appended, 8);
    struct spool_reader *reader = spool_reader_create(bench.spool);
    struct spool_frame frame;
    struct spool_gap gap;
    struct fault fault;
    spool_reader_seek(reader, 7);
    assert_int_equal(spool_reader_next(reader, &frame, &gap, &fault), SPOOL_NEXT_FRAME);
    assert_int_equal(frame.kind, SPOOL_NOTICE);
    assert_int_equal(frame.source, 1);
    assert_true(span_is(frame.object, "object"));
    Orgtrail__V1__Notice *notice =
        orgtrail__v1__notice__unpack(NULL, frame.record.size, frame.record.bytes);
    assert_non_null(notice);
    assert_string_equal(notice->reason, "corrupt_file");
    assert_string_equal(notice->source, "two");
    assert_string_equal(notice->place, "byte 7");
    assert_string_equal(notice->detail, "why");
    assert_int_equal(notice->head.len, 4);
    assert_int_equal(notice->size, 1000);
    assert_int_equal(notice->sha256.len, 0);
    orgtrail__v1__notice__free_unpacked(notice, NULL);
    spool_reader_destroy(reader);
    bench.one.ends = true;
    bench.two.ends = true;
    turn(&bench);
    assert_true(bench.turn.has_ended);
    // A source that has ended is left alone.
    uint32_t steps = bench.one.steps;
    turn(&bench);
    assert_int_equal(bench.one.steps, steps);
    end(&bench);
}

// The second counter's records are no events: the collector is to say so.
static void test_left_out_records_are_counted_and_told(void **state) {
    (void)state;
    struct bench bench;
    struct choice *choice;
    struct fault fault;
    char path[] = "/tmp/selectors-XXXXXX";
    int file = mkstemp(path);
    static const char selectors[] =
        "[{\"FieldSelectors\":[{\"Field\":\"eventCategory\",\"Equals\":[\"Management\"]}]}]";
    assert_int_equal(write(file, selectors, sizeof selectors - 1), sizeof selectors - 1);
    close(file);
    if (!choice_load(path, &choice, &fault)) fail_msg("%s", fault.text);
    unlink(path);
    begin(&bench);
    gather_choose(bench.gather, choice);
    bench.one.record =
        "{\"eventTime\":\"2026-01-01T00:00:00Z\",\"eventSource\":\"s\",\"eventName\":\"n\","
        "\"eventCategory\":\"Data\"}";
    bench.one.last = 5;
    bench.two.last = 3;
    turn(&bench);
    assert_int_equal(bench.turn.left_out, 5);
    assert_int_equal(bench.turn.records, 3);
    assert_int_equal(bench.turn.notices, 0);
    assert_int_equal(bench.turn.wait_ms, 77);
    assert_int_equal(facts_of(&bench).synced, 3);
    assert_int_equal(bench.one.appended, 0);
    assert_int_equal(spool_position(bench.spool, 0).size, 0);
    // An hour later the next one that is left out is a Notice, and the position goes with it.
    bench.now_ms += GATHER_LEFT_OUT_MS;
    bench.one.last = 8;
    turn(&bench);
    assert_int_equal(bench.turn.left_out, 3);
    assert_int_equal(bench.turn.notices, 1);
    assert_int_equal(bench.one.appended, 4);
    assert_true(span_starts(spool_position(bench.spool, 0), SPAN_LITERAL("6 ")));
    struct spool_reader *reader = spool_reader_create(bench.spool);
    struct spool_frame frame;
    struct spool_gap gap;
    spool_reader_seek(reader, 4);
    assert_int_equal(spool_reader_next(reader, &frame, &gap, &fault), SPOOL_NEXT_FRAME);
    assert_int_equal(frame.kind, SPOOL_NOTICE);
    Orgtrail__V1__Notice *notice =
        orgtrail__v1__notice__unpack(NULL, frame.record.size, frame.record.bytes);
    assert_non_null(notice);
    assert_string_equal(notice->reason, "left_out");
    assert_string_equal(notice->source, "one");
    assert_true(strncmp(notice->detail, "6 records were left out", 23) == 0);
    assert_int_equal(notice->head.len, 0);
    orgtrail__v1__notice__free_unpacked(notice, NULL);
    spool_reader_destroy(reader);
    end(&bench);
    choice_destroy(choice);
}

static void test_a_full_spool_holds_what_did_not_fit(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    bench.one.last = 2000;
    turn(&bench);
    assert_true(bench.turn.is_full);
    assert_int_equal(bench.turn.full.kind, FAULT_FULL);
    assert_int_equal(bench.turn.wait_ms, GATHER_FULL_MS);
    assert_true(bench.one.given == bench.one.appended + 1);
    assert_int_equal(facts_of(&bench).synced, bench.one.appended);
    uint32_t steps = bench.one.steps;
    turn(&bench);
    assert_int_equal(bench.one.steps, steps);
    while (bench.one.appended < 2000) {
        spool_acknowledge(bench.spool, facts_of(&bench).synced);
        turn(&bench);
    }
    // All of them, each once.
    assert_int_equal(facts_of(&bench).appended, 2000);
    assert_true(span_starts(spool_position(bench.spool, 0), SPAN_LITERAL("2000 ")));
    end(&bench);
}

static void test_a_full_disk_holds_too(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    bench.one.last = 20;
    fake_files_limit(bench.fake, facts_of(&bench).size + 1200);
    turn(&bench);
    assert_true(bench.turn.is_full);
    fake_files_limit(bench.fake, UINT64_MAX);
    turn(&bench);
    assert_false(bench.turn.is_full);
    assert_int_equal(facts_of(&bench).synced, 20);
    end(&bench);
}

static void test_a_busy_turn_does_not_wait_for_its_sync(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    bench.one.last = 40;
    bench.two.last = 40;
    // The turn is over at the first look at the clock in it.
    bench.look_ms = GATHER_TURN_MS;
    turn(&bench);
    assert_int_equal(bench.turn.wait_ms, 0);
    uint64_t first = facts_of(&bench).appended;
    assert_true(first > 0);
    assert_true(first < 80);
    uint64_t synced = facts_of(&bench).synced;
    assert_true(synced < first);
    turn(&bench);
    assert_true(facts_of(&bench).synced >= first);
    // Whoever has nothing to read waits for the disk.
    bench.look_ms = 0;
    turn(&bench);
    assert_int_equal(bench.turn.wait_ms, 77);
    assert_int_equal(facts_of(&bench).synced, 80);
    end(&bench);
}

static void test_one_sync_covers_some_turns(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    close_bench(&bench);
    bench.size_max = 256 << 20;
    bench.segment_size = 32 << 20;
    open_bench(&bench);
    bench.one.last = 200 * 1000;
    uint64_t before = fake_files_syncs(bench.fake);
    turn(&bench);
    uint64_t first = facts_of(&bench).appended;
    uint32_t turns = 1;
    while (facts_of(&bench).synced < first) {
        assert_int_equal(facts_of(&bench).synced, 0);
        assert_int_equal(fake_files_syncs(bench.fake), before);
        turn(&bench);
        assert_int_equal(bench.turn.wait_ms, 0);
        turns++;
    }
    assert_int_equal(turns, 1 + GATHER_SYNC_SIZE / GATHER_TURN_SIZE);
    assert_int_equal(facts_of(&bench).synced, first);
    // A slow disk gets more to do at once, and then is waited for.
    fake_files_slow_down(bench.fake, true);
    uint64_t second = facts_of(&bench).appended;
    for (turns = 0; facts_of(&bench).synced == first; turns++) turn(&bench);
    assert_int_equal(turns, GATHER_BEHIND_SIZE / GATHER_TURN_SIZE);
    assert_int_equal(facts_of(&bench).synced, second);
    fake_files_slow_down(bench.fake, false);
    // Time makes it due as well, if only by what nobody has read since.
    bench.now_ms += GATHER_SYNC_MS;
    turn(&bench);
    assert_int_equal(fake_files_syncs(bench.fake), before + 3);
    end(&bench);
}

static void test_a_broken_disk_ends_the_process(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    bench.one.last = 20;
    fake_files_fail(bench.fake, 1, FAULT_IO);
    struct fault fault;
    assert_false(gather_step(bench.gather, &bench.turn, &fault));
    assert_int_equal(fault.kind, FAULT_IO);
    end(&bench);
}

static void test_sources_are_told_what_the_spool_holds(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    // A new spool knows nothing.
    assert_int_equal(bench.one.restored_count, 1);
    assert_int_equal(bench.one.restored[0].number, 0);
    assert_string_equal(bench.one.restored[0].position, "");
    bench.one.last = 40;
    turn(&bench);
    bench.two.last = 3;
    turn(&bench);
    spool_acknowledge(bench.spool, 38);
    struct fault fault;
    assert_true(gather_save(bench.gather, &fault));
    assert_int_equal(bench.one.acknowledged, 38);
    assert_int_equal(bench.one.saves, 1);
    close_bench(&bench);
    bench.one.restored_count = 0;
    bench.two.restored_count = 0;
    open_bench(&bench);
    // The position before the segment of 39, then every frame from there on.
    uint64_t before = bench.one.restored[0].number;
    assert_true(before > 0);
    assert_true(before < 39);
    char expected[32];
    snprintf(expected, sizeof expected, "%" PRIu64 " ", before);
    assert_memory_equal(bench.one.restored[0].position, expected, strlen(expected));
    assert_int_equal(bench.one.restored_count, 1 + 40 - before);
    for (uint32_t index = 1; index < bench.one.restored_count; index++) {
        assert_int_equal(bench.one.restored[index].number, before + index);
    }
    assert_int_equal(bench.two.restored_count, 4);
    assert_int_equal(bench.two.restored[3].number, 43);
    assert_int_equal(bench.one.acknowledged, 38);
    end(&bench);
}

static void test_sources_save_before_the_spool(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    bench.one.last = 10;
    turn(&bench);
    spool_acknowledge(bench.spool, 10);
    bench.two.save_fails = FAULT_FULL;
    struct fault fault;
    assert_false(gather_save(bench.gather, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    close_bench(&bench);
    bench.two.save_fails = FAULT_NONE;
    open_bench(&bench);
    assert_int_equal(facts_of(&bench).acknowledged, 0);
    end(&bench);
}

static void test_report_and_rewind(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    bench.two.state = SOURCE_STATE_FAILED;
    struct uplink_report report = {0};
    gather_report(bench.gather, &report);
    assert_int_equal(report.sources_count, 2);
    assert_int_equal(report.sources[0].source, 1);
    assert_int_equal(report.sources[1].source, 0);
    struct fault fault;
    assert_true(gather_rewind(bench.gather, 4711, &fault));
    assert_int_equal(bench.one.rewound_to_ms, 4711);
    // Told once for a backup.
    assert_int_equal(facts_of(&bench).synced, 1);
    assert_true(gather_rewind(bench.gather, 4711, &fault));
    assert_int_equal(facts_of(&bench).synced, 1);
    assert_true(gather_rewind(bench.gather, 4712, &fault));
    assert_int_equal(facts_of(&bench).synced, 2);
    const char *name;
    struct source_status status;
    assert_true(gather_describe(bench.gather, 1, &name, &status));
    assert_string_equal(name, "two");
    assert_int_equal(status.state, SOURCE_STATE_FAILED);
    assert_false(gather_describe(bench.gather, 2, &name, &status));
    end(&bench);
}

// What a failed sync was about is in memory only, and no later sync is about it by itself.
static void test_a_failed_sync_is_made_good_at_the_next_start(void **state) {
    (void)state;
    struct bench bench;
    struct fault fault;
    begin(&bench);
    bench.one.last = 5;
    turn(&bench);
    bench.one.last = 10;
    // The write goes well.
    fake_files_fail(bench.fake, 2, FAULT_IO);
    assert_false(gather_step(bench.gather, &bench.turn, &fault));
    assert_int_equal(fault.kind, FAULT_IO);
    close_bench(&bench);
    open_bench(&bench);
    assert_int_equal(facts_of(&bench).synced, 10);
    bench.one.last = 15;
    turn(&bench);
    close_bench(&bench);
    fake_files_crash(bench.fake, 0);
    open_bench(&bench);
    assert_int_equal(facts_of(&bench).appended, 15);
    struct spool_reader *reader = spool_reader_create(bench.spool);
    spool_reader_seek(reader, 1);
    for (uint64_t number = 1; number <= 15; number++) {
        struct spool_frame frame;
        struct spool_gap gap;
        assert_int_equal(spool_reader_next(reader, &frame, &gap, &fault), SPOOL_NEXT_FRAME);
        assert_int_equal(frame.number, number);
    }
    spool_reader_destroy(reader);
    end(&bench);
}

// What was told of a rewinding is durable, or told to nobody.
static void test_a_rewinding_without_room_is_synced_later(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    fake_files_fail(bench.fake, 1, FAULT_FULL);
    struct fault fault;
    assert_false(gather_rewind(bench.gather, 4711, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_int_equal(facts_of(&bench).synced, 0);
    assert_true(gather_rewind(bench.gather, 4711, &fault));
    assert_int_equal(facts_of(&bench).synced, 1);
    assert_int_equal(facts_of(&bench).appended, 1);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_turn_reads_appends_and_syncs),
        cmocka_unit_test(test_left_out_records_are_counted_and_told),
        cmocka_unit_test(test_a_full_spool_holds_what_did_not_fit),
        cmocka_unit_test(test_a_full_disk_holds_too),
        cmocka_unit_test(test_a_busy_turn_does_not_wait_for_its_sync),
        cmocka_unit_test(test_one_sync_covers_some_turns),
        cmocka_unit_test(test_a_broken_disk_ends_the_process),
        cmocka_unit_test(test_sources_are_told_what_the_spool_holds),
        cmocka_unit_test(test_sources_save_before_the_spool),
        cmocka_unit_test(test_report_and_rewind),
        cmocka_unit_test(test_a_failed_sync_is_made_good_at_the_next_start),
        cmocka_unit_test(test_a_rewinding_without_room_is_synced_later),
    };
    return cases_run("gather_test", tests, sizeof tests / sizeof tests[0]);
}
