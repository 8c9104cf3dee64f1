#include "agent/spool.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fake_files.h"
#include "agent/frame.h"
#include "event/chain.h"
#include "tests/kit/cases.h"

// A spool on fake files, and what it must hold.
struct bench {
    struct fake_files *fake;
    struct spool *spool;
    uint64_t random_state;
    struct random random;
    uint64_t size_max;
    uint32_t segment_size;
};

static const struct spool_source two_sources[] = {{"one", "directory"}, {"two", "tail"}};

static bool try_open(struct bench *bench, struct fault *fault) {
    struct spool_options options = {
        .files = fake_files_interface(bench->fake),
        .clock = clock_system(),
        .random = &bench->random,
        .directory = "/spool",
        .size_max = bench->size_max,
        .segment_size = bench->segment_size,
        .sources = two_sources,
        .sources_count = 2,
    };
    bench->spool = NULL;
    return spool_open(&options, &bench->spool, fault);
}

static void open_bench(struct bench *bench) {
    struct fault fault;
    if (!try_open(bench, &fault)) fail_msg("open: %s", fault.text);
}

static void begin(struct bench *bench, uint64_t size_max, uint32_t segment_size) {
    *bench = (struct bench){
        .fake = fake_files_create(),
        .random_state = 7,
        .size_max = size_max,
        .segment_size = segment_size,
    };
    bench->random = random_seeded(&bench->random_state);
    open_bench(bench);
}

static void end(struct bench *bench) {
    spool_close(bench->spool);
    fake_files_destroy(bench->fake);
}

static void reopen(struct bench *bench) {
    spool_close(bench->spool);
    open_bench(bench);
}

// What frame `number` holds is a function of the number, so that nothing need be remembered.
static size_t record_of(uint64_t number, char text[512]) {
    int size = snprintf(text, 512, "{\"eventID\":\"%" PRIu64 "\",\"pad\":\"%.*s\"}", number,
                        (int)(number * 37 % 300),
                        "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv"
                        "wxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopq"
                        "rstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl"
                        "mnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefg"
                        "hijklmnopqrstuvwxyz");
    return (size_t)size;
}

static bool try_append(struct bench *bench, uint64_t expected, struct fault *fault) {
    char record[512], position[32];
    size_t size = record_of(expected, record);
    snprintf(position, sizeof position, "at %" PRIu64, expected);
    struct spool_item item = {
        .kind = expected % 5 == 0 ? SPOOL_NOTICE : SPOOL_RECORD,
        .source = (uint32_t)(expected % 2),
        .record = span_of(record, size),
        .object = expected % 3 == 0 ? SPAN_LITERAL("a/b.json.gz") : (struct span){NULL, 0},
        .position = span_text(position),
    };
    uint64_t number;
    if (!spool_append(bench->spool, &item, &number, fault)) return false;
    assert_int_equal(number, expected);
    return true;
}

static void append(struct bench *bench, uint64_t first, uint64_t last) {
    struct fault fault;
    for (uint64_t number = first; number <= last; number++) {
        if (!try_append(bench, number, &fault)) fail_msg("append: %s", fault.text);
    }
}

static void sync_spool(struct bench *bench) {
    struct fault fault;
    if (!spool_sync(bench->spool, &fault)) fail_msg("sync: %s", fault.text);
}

static void check_frame(const struct spool_frame *frame, uint64_t number) {
    char record[512], position[32];
    size_t size = record_of(number, record);
    snprintf(position, sizeof position, "at %" PRIu64, number);
    assert_int_equal(frame->number, number);
    assert_int_equal(frame->kind, number % 5 == 0 ? SPOOL_NOTICE : SPOOL_RECORD);
    assert_int_equal(frame->source, number % 2);
    assert_true(span_equal(frame->record, span_of(record, size)));
    assert_true(span_is(frame->position, position));
    assert_true(span_is(frame->object, number % 3 == 0 ? "a/b.json.gz" : ""));
}

static void chain_of(uint64_t number, uint8_t chain[SPOOL_CHAIN_SIZE]) {
    memset(chain, 0, SPOOL_CHAIN_SIZE);
    for (uint64_t index = 1; index <= number; index++) {
        char record[512];
        size_t size = record_of(index, record);
        chain_advance(chain, index % 5 == 0, span_of(record, size));
    }
}

// Reads from a number to the end: frames first..last but the gap (0: none). Checks the chain.
static void check_reads(struct bench *bench, uint64_t first, uint64_t last, uint64_t gap_first,
                        uint64_t gap_last) {
    struct spool_reader *reader = spool_reader_create(bench->spool);
    spool_reader_seek(reader, first);
    struct spool_frame frame;
    struct spool_gap gap;
    struct fault fault;
    uint8_t chain[SPOOL_CHAIN_SIZE];
    chain_of(first - 1, chain);
    uint64_t number = first;
    while (number <= last) {
        enum spool_next next = spool_reader_next(reader, &frame, &gap, &fault);
        if (number == gap_first) {
            assert_int_equal(next, SPOOL_NEXT_GAP);
            assert_int_equal(gap.first, gap_first);
            assert_int_equal(gap.last, gap_last);
            chain_of(gap_last, chain);
            assert_memory_equal(gap.chain, chain, SPOOL_CHAIN_SIZE);
            number = gap_last + 1;
            continue;
        }
        assert_int_equal(next, SPOOL_NEXT_FRAME);
        check_frame(&frame, number);
        assert_memory_equal(frame.chain, chain, SPOOL_CHAIN_SIZE);
        chain_advance(chain, frame.kind == SPOOL_NOTICE, frame.record);
        number++;
    }
    assert_int_equal(spool_reader_next(reader, &frame, &gap, &fault), SPOOL_NEXT_END);
    spool_reader_destroy(reader);
}

static struct spool_facts facts_of(const struct bench *bench) {
    struct spool_facts facts;
    spool_describe(bench->spool, &facts);
    return facts;
}

static void test_append_sync_read_reopen(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 0, 0);
    append(&bench, 1, 100);
    check_reads(&bench, 1, 0, 0, 0);
    sync_spool(&bench);
    check_reads(&bench, 1, 100, 0, 0);
    check_reads(&bench, 57, 100, 0, 0);
    assert_int_equal(facts_of(&bench).synced, 100);
    reopen(&bench);
    assert_int_equal(facts_of(&bench).synced, 100);
    check_reads(&bench, 1, 100, 0, 0);
    assert_true(span_is(spool_position(bench.spool, 0), "at 100"));
    assert_true(span_is(spool_position(bench.spool, 1), "at 99"));
    append(&bench, 101, 150);
    sync_spool(&bench);
    check_reads(&bench, 1, 150, 0, 0);
    end(&bench);
}

static void test_unsynced_frames_are_not_read_and_die_in_a_crash(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 0, 0);
    append(&bench, 1, 10);
    sync_spool(&bench);
    append(&bench, 11, 20);
    check_reads(&bench, 1, 10, 0, 0);
    spool_close(bench.spool);
    fake_files_crash(bench.fake, 0);
    open_bench(&bench);
    assert_int_equal(facts_of(&bench).appended, 10);
    assert_true(span_is(spool_position(bench.spool, 0), "at 10"));
    assert_true(span_is(spool_position(bench.spool, 1), "at 9"));
    append(&bench, 11, 12);
    sync_spool(&bench);
    check_reads(&bench, 1, 12, 0, 0);
    end(&bench);
}

static void test_a_sync_that_has_only_begun_promises_nothing(void **state) {
    (void)state;
    struct bench bench;
    struct fault fault;
    begin(&bench, 0, 0);
    append(&bench, 1, 10);
    assert_true(spool_sync_begin(bench.spool, &fault));
    append(&bench, 11, 20);
    assert_int_equal(facts_of(&bench).synced, 0);
    // The next one ends it; it covers what was there when it began.
    assert_true(spool_sync_begin(bench.spool, &fault));
    check_reads(&bench, 1, 10, 0, 0);
    // The machine dies before the second one has ended.
    fake_files_fail(bench.fake, 1, FAULT_IO);
    spool_close(bench.spool);
    fake_files_crash(bench.fake, 0);
    open_bench(&bench);
    assert_int_equal(facts_of(&bench).appended, 10);
    end(&bench);
}

static void test_torn_tail_at_every_byte(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 0, 0);
    append(&bench, 1, 3);
    sync_spool(&bench);
    uint64_t before, after;
    fake_files_bytes(bench.fake, "/spool/00000000000000000001.segment", &before);
    append(&bench, 4, 4);
    sync_spool(&bench);
    fake_files_bytes(bench.fake, "/spool/00000000000000000001.segment", &after);
    spool_close(bench.spool);
    struct fake_files *whole = bench.fake;
    for (uint64_t size = before; size < after; size++) {
        bench.fake = fake_files_copy(whole);
        fake_files_cut(bench.fake, "/spool/00000000000000000001.segment", size);
        open_bench(&bench);
        assert_int_equal(facts_of(&bench).appended, 3);
        append(&bench, 4, 5);
        sync_spool(&bench);
        check_reads(&bench, 1, 5, 0, 0);
        end(&bench);
    }
    fake_files_destroy(whole);
}

// Appends, syncs, acknowledges and crashes as a seed says; what was synced is always there.
static void test_random_crashes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct bench bench;
        begin(&bench, 128 * 1024, 4096);
        uint64_t random = seed;
        uint64_t appended = 0, synced = 0;
        for (int turn = 0; turn < 40; turn++) {
            uint64_t count = random_splitmix64(&random) % 12;
            append(&bench, appended + 1, appended + count);
            appended += count;
            // A full segment was synced without being asked.
            synced = facts_of(&bench).synced;
            uint64_t how = random_splitmix64(&random) % 4;
            struct fault fault;
            if (how == 0) sync_spool(&bench);
            if (how == 1) assert_true(spool_sync_begin(bench.spool, &fault));
            synced = facts_of(&bench).synced;
            if (random_splitmix64(&random) % 3 == 0) spool_acknowledge(bench.spool, synced / 2);
            if (random_splitmix64(&random) % 5 == 0) assert_true(spool_save(bench.spool, &fault));
            if (random_splitmix64(&random) % 4 != 0) continue;
            fake_files_fail(bench.fake, 1, FAULT_IO);
            spool_close(bench.spool);
            fake_files_crash(bench.fake, random_splitmix64(&random) | 1);
            open_bench(&bench);
            struct spool_facts facts = facts_of(&bench);
            assert_true(facts.appended >= synced);
            assert_true(facts.appended <= appended);
            appended = facts.appended;
            char expected[32];
            snprintf(expected, sizeof expected, "at %" PRIu64, appended);
            if (appended > 0) {
                assert_true(span_is(spool_position(bench.spool, appended % 2), expected));
            }
        }
        sync_spool(&bench);
        check_reads(&bench, facts_of(&bench).first, appended, 0, 0);
        end(&bench);
    }
}

// Where a frame lies, found by walking the segment's bytes.
static uint64_t offset_of(struct bench *bench, const char *path, uint64_t number, uint64_t salt) {
    uint64_t size;
    const uint8_t *bytes = fake_files_bytes(bench->fake, path, &size);
    for (uint64_t at = 0; at < size; at++) {
        struct frame frame;
        size_t frame_bytes;
        if (frame_decode(span_of(bytes + at, size - at), salt, &frame, &frame_bytes) == FRAME_OK &&
            frame.number == number) {
            return at;
        }
    }
    fail_msg("no frame %" PRIu64, number);
    return 0;
}

static uint64_t salt_of(struct bench *bench, const char *path) {
    uint64_t size;
    const uint8_t *bytes = fake_files_bytes(bench->fake, path, &size);
    struct segment_header header;
    static struct segment_source sources[SPOOL_SOURCES_MAX];
    size_t header_bytes;
    struct fault fault;
    assert_true(
        segment_header_decode(span_of(bytes, size), &header, sources, &header_bytes, &fault));
    return header.salt;
}

static void test_damage_in_the_middle_is_an_exact_gap(void **state) {
    (void)state;
    static const char path[] = "/spool/00000000000000000001.segment";
    for (uint32_t byte = 0; byte < 100; byte += 3) {
        struct bench bench;
        begin(&bench, 0, 0);
        append(&bench, 1, 50);
        sync_spool(&bench);
        append(&bench, 51, 60);
        sync_spool(&bench);
        uint64_t salt = salt_of(&bench, path), size;
        fake_files_bytes(bench.fake, path, &size)[offset_of(&bench, path, 20, salt) + byte] ^= 0x40;
        fake_files_bytes(bench.fake, path, &size)[offset_of(&bench, path, 22, salt) + byte] ^= 1;
        uint64_t third = offset_of(&bench, path, 21, salt);
        fake_files_bytes(bench.fake, path, &size)[third + 10] ^= 1;
        check_reads(&bench, 1, 60, 20, 22);
        reopen(&bench);
        assert_int_equal(facts_of(&bench).appended, 60);
        check_reads(&bench, 1, 60, 20, 22);
        bool known;
        uint8_t chain[SPOOL_CHAIN_SIZE], expected[SPOOL_CHAIN_SIZE];
        struct fault fault;
        for (uint64_t number = 0; number <= 60; number++) {
            assert_true(spool_chain_after(bench.spool, number, &known, chain, &fault));
            chain_of(number, expected);
            assert_int_equal(known, number != 20 && number != 21);
            if (known) assert_memory_equal(chain, expected, SPOOL_CHAIN_SIZE);
        }
        end(&bench);
    }
}

static void test_damage_of_whole_segments(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 1 << 20, 4096);
    append(&bench, 1, 200);
    sync_spool(&bench);
    // The second segment loses everything, its header too; the third its header.
    char path[64];
    uint64_t second = 0, third = 0, fourth = 0;
    for (uint64_t number = 2; number <= 200 && fourth == 0; number++) {
        uint64_t size;
        snprintf(path, sizeof path, "/spool/%020" PRIu64 ".segment", number);
        if (fake_files_bytes(bench.fake, path, &size) == NULL) continue;
        if (second == 0) {
            second = number;
            memset(fake_files_bytes(bench.fake, path, &size), 0, size);
        } else if (third == 0) {
            third = number;
            fake_files_bytes(bench.fake, path, &size)[30] ^= 1;
        } else {
            fourth = number;
        }
    }
    assert_true(fourth > 0);
    check_reads(&bench, 1, 200, second, third - 1);
    reopen(&bench);
    check_reads(&bench, 1, 200, second, third - 1);
    uint64_t before;
    struct span position;
    struct fault fault;
    assert_true(spool_position_before(bench.spool, third + 1, 0, &before, &position, &fault));
    assert_int_equal(before, 0);
    assert_int_equal(position.size, 0);
    assert_true(spool_position_before(bench.spool, fourth, 1, &before, &position, &fault));
    assert_int_equal(before, fourth - 1);
    char expected[32];
    snprintf(expected, sizeof expected, "at %" PRIu64,
             (fourth - 1) % 2 == 1 ? fourth - 1 : fourth - 2);
    assert_true(span_is(position, expected));
    end(&bench);
}

static void test_damaged_last_header(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 1 << 20, 4096);
    append(&bench, 1, 60);
    sync_spool(&bench);
    uint64_t last = 0, size;
    char path[64];
    for (uint64_t number = 1; number <= 60; number++) {
        snprintf(path, sizeof path, "/spool/%020" PRIu64 ".segment", number);
        if (fake_files_bytes(bench.fake, path, &size) != NULL) last = number;
    }
    snprintf(path, sizeof path, "/spool/%020" PRIu64 ".segment", last);
    fake_files_bytes(bench.fake, path, &size)[30] ^= 1;
    reopen(&bench);
    assert_int_equal(facts_of(&bench).appended, 60);
    assert_true(span_is(spool_position(bench.spool, 0), "at 60"));
    append(&bench, 61, 80);
    sync_spool(&bench);
    check_reads(&bench, 1, 80, 0, 0);
    reopen(&bench);
    check_reads(&bench, 1, 80, 0, 0);
    end(&bench);
}

// A record may hold the bytes of a frame; damage before it must not make it one.
static void test_a_record_cannot_forge_a_frame(void **state) {
    (void)state;
    static const char path[] = "/spool/00000000000000000001.segment";
    struct bench bench;
    begin(&bench, 0, 0);
    struct buffer forged;
    buffer_init(&forged, 4096);
    struct frame frame = {.number = 1, .record = SPAN_LITERAL("{\"forged\":true}")};
    frame_encode(&frame, 0, &forged);
    struct spool_item item = {.record = buffer_span(&forged)};
    uint64_t number;
    struct fault fault;
    assert_true(spool_append(bench.spool, &item, &number, &fault));
    append(&bench, 2, 3);
    sync_spool(&bench);
    append(&bench, 4, 4);
    sync_spool(&bench);
    uint64_t size, offset = offset_of(&bench, path, 1, salt_of(&bench, path));
    fake_files_bytes(bench.fake, path, &size)[offset + 20] ^= 1;
    struct spool_reader *reader = spool_reader_create(bench.spool);
    struct spool_frame read;
    struct spool_gap gap;
    assert_int_equal(spool_reader_next(reader, &read, &gap, &fault), SPOOL_NEXT_GAP);
    assert_int_equal(gap.first, 1);
    assert_int_equal(gap.last, 1);
    assert_int_equal(spool_reader_next(reader, &read, &gap, &fault), SPOOL_NEXT_FRAME);
    assert_int_equal(read.number, 2);
    spool_reader_destroy(reader);
    buffer_done(&forged);
    end(&bench);
}

static void test_full_refuses_until_acknowledged(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 64 * 1024, 0);
    struct fault fault = {0};
    uint64_t count = 0;
    while (try_append(&bench, count + 1, &fault)) count++;
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_non_null(strstr(fault.text, "wait for the collector"));
    assert_true(count > 100);
    sync_spool(&bench);
    assert_false(try_append(&bench, count + 1, &fault));
    assert_int_equal(facts_of(&bench).first, 1);
    check_reads(&bench, 1, count, 0, 0);
    // Acknowledged frames stay until their space is needed.
    spool_acknowledge(bench.spool, count);
    assert_int_equal(facts_of(&bench).first, 1);
    assert_int_equal(facts_of(&bench).unacknowledged_size, 0);
    uint64_t last = count + count / 2;
    append(&bench, count + 1, last);
    sync_spool(&bench);
    struct spool_facts facts = facts_of(&bench);
    assert_true(facts.size <= facts.size_max);
    assert_true(facts.first > 1);
    assert_true(facts.first <= count + 1);
    check_reads(&bench, facts.first, last, 0, 0);
    reopen(&bench);
    assert_true(facts_of(&bench).acknowledged >= facts.first - 1);
    check_reads(&bench, facts.first, last, 0, 0);
    end(&bench);
}

static void test_full_disk_loses_nothing(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 1 << 20, 8192);
    append(&bench, 1, 10);
    sync_spool(&bench);
    for (uint64_t round = 0; round < 60; round++) {
        fake_files_limit(bench.fake, facts_of(&bench).size + 120 + 61 * round);
        struct fault fault = {0};
        uint64_t appended = facts_of(&bench).appended;
        while (appended < 3000 && try_append(&bench, appended + 1, &fault) &&
               spool_sync(bench.spool, &fault)) {
            appended++;
        }
        assert_int_equal(fault.kind, FAULT_FULL);
        fake_files_limit(bench.fake, UINT64_MAX);
        sync_spool(&bench);
        check_reads(&bench, 1, facts_of(&bench).appended, 0, 0);
    }
    spool_close(bench.spool);
    fake_files_crash(bench.fake, 0);
    open_bench(&bench);
    check_reads(&bench, 1, facts_of(&bench).appended, 0, 0);
    end(&bench);
}

static bool append_sized(struct bench *bench, size_t size) {
    char record[1024];
    memset(record, 'x', size);
    struct spool_item item = {.kind = SPOOL_RECORD, .record = span_of(record, size)};
    uint64_t number;
    struct fault fault;
    return spool_append(bench->spool, &item, &number, &fault);
}

static uint64_t count_frames(struct bench *bench) {
    struct spool_reader *reader = spool_reader_create(bench->spool);
    uint64_t count = 0;
    struct spool_frame frame;
    struct spool_gap gap;
    struct fault fault;
    while (spool_reader_next(reader, &frame, &gap, &fault) == SPOOL_NEXT_FRAME) count++;
    spool_reader_destroy(reader);
    return count;
}

// A segment that was begun and could not be opened must not stand beside the numbers that go into
// the one before it.
static void test_a_segment_that_cannot_be_opened(void **state) {
    (void)state;
    bool has_failed = true;
    for (uint64_t nth = 1; has_failed; nth++) {
        struct bench bench;
        begin(&bench, 1 << 20, 4096);
        while (facts_of(&bench).size < 3600) assert_true(append_sized(&bench, 100));
        sync_spool(&bench);
        fake_files_fail(bench.fake, nth, FAULT_RETRY);
        (void)append_sized(&bench, 1000);
        has_failed = fake_files_has_failed(bench.fake);
        fake_files_fail(bench.fake, 0, FAULT_RETRY);
        // This one still has room before the new segment.
        struct fault fault;
        bool synced = append_sized(&bench, 10) && spool_sync(bench.spool, &fault);
        uint64_t appended = facts_of(&bench).appended;
        spool_close(bench.spool);
        fake_files_crash(bench.fake, 0);
        open_bench(&bench);
        if (synced) assert_int_equal(facts_of(&bench).appended, appended);
        if (synced) assert_int_equal(count_frames(&bench), appended);
        end(&bench);
    }
}

// What is acknowledged is kept only as long as nobody else needs the space.
static void test_full_disk_costs_acknowledged_segments_first(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 1 << 20, 4096);
    append(&bench, 1, 200);
    sync_spool(&bench);
    spool_acknowledge(bench.spool, 200);
    assert_int_equal(facts_of(&bench).first, 1);
    fake_files_limit(bench.fake, facts_of(&bench).size + 3000);
    append(&bench, 201, 300);
    sync_spool(&bench);
    assert_true(facts_of(&bench).first > 50);
    check_reads(&bench, 201, 300, 0, 0);
    // What is not acknowledged is never given up.
    struct fault fault = {0};
    uint64_t number = 301;
    while (try_append(&bench, number, &fault) && spool_sync(bench.spool, &fault)) number++;
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_true(facts_of(&bench).first <= 201);
    check_reads(&bench, 201, facts_of(&bench).synced, 0, 0);
    end(&bench);
}

// Feeds a spool under failures the way its owner does. Returns false once the process would end.
static bool feed(struct bench *bench, uint64_t last, uint64_t *synced) {
    struct fault fault;
    while (facts_of(bench).appended < last) {
        uint64_t next = facts_of(bench).appended + 1;
        if (!try_append(bench, next, &fault)) {
            if (fault.kind == FAULT_IO) return false;
            continue;
        }
        if (next % 7 != 0 && next != last) continue;
        while (!spool_sync(bench->spool, &fault)) {
            if (fault.kind == FAULT_IO) return false;
        }
        *synced = next;
        spool_acknowledge(bench->spool, next / 2);
        if (!spool_save(bench->spool, &fault) && fault.kind == FAULT_IO) return false;
    }
    return true;
}

static void check_nth_failure(enum fault_kind kind) {
    for (uint64_t nth = 1;; nth++) {
        struct bench bench = {.fake = fake_files_create(),
                              .random_state = 7,
                              .size_max = 1 << 20,
                              .segment_size = 4096};
        bench.random = random_seeded(&bench.random_state);
        fake_files_fail(bench.fake, nth, kind);
        struct fault fault;
        uint64_t synced = 0;
        if (try_open(&bench, &fault)) {
            (void)feed(&bench, 60, &synced);
        } else {
            assert_int_equal(fault.kind, kind);
        }
        bool has_failed = fake_files_has_failed(bench.fake);
        spool_close(bench.spool);
        fake_files_crash(bench.fake, nth % 3 == 0 ? 0 : nth);
        open_bench(&bench);
        struct spool_facts facts = facts_of(&bench);
        assert_true(facts.appended >= synced);
        uint64_t now = facts.appended;
        assert_true(feed(&bench, now + 20, &synced));
        check_reads(&bench, facts_of(&bench).first, now + 20, 0, 0);
        end(&bench);
        if (!has_failed) break;
        assert_true(nth < 2000);
    }
}

static void test_each_operation_failing_once_with_io(void **state) {
    (void)state;
    check_nth_failure(FAULT_IO);
}

static void test_each_operation_failing_once_with_full(void **state) {
    (void)state;
    check_nth_failure(FAULT_FULL);
}

static void test_failure_while_opening(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 1 << 20, 4096);
    append(&bench, 1, 60);
    sync_spool(&bench);
    append(&bench, 61, 62);
    spool_close(bench.spool);
    for (uint64_t nth = 1;; nth++) {
        struct fault fault;
        fake_files_fail(bench.fake, nth, FAULT_IO);
        bool opened = try_open(&bench, &fault);
        fake_files_fail(bench.fake, 0, FAULT_IO);
        if (opened) break;
        assert_int_equal(fault.kind, FAULT_IO);
    }
    assert_true(facts_of(&bench).appended >= 60);
    check_reads(&bench, 1, facts_of(&bench).appended, 0, 0);
    end(&bench);
}

static void test_failed_sync_is_fatal_even_when_full(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 0, 0);
    append(&bench, 1, 3);
    struct fault fault;
    assert_true(spool_sync_begin(bench.spool, &fault));
    fake_files_fail(bench.fake, 1, FAULT_FULL);
    assert_false(spool_sync(bench.spool, &fault));
    assert_int_equal(fault.kind, FAULT_IO);
    end(&bench);
}

static void test_acknowledgement_epoch_and_restream(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 64 * 1024, 0);
    append(&bench, 1, 100);
    sync_spool(&bench);
    struct fault fault;
    spool_acknowledge(bench.spool, 80);
    spool_set_epoch(bench.spool, SPAN_LITERAL("epoch-1"));
    assert_true(spool_save(bench.spool, &fault));
    uint64_t syncs = fake_files_syncs(bench.fake);
    assert_true(spool_save(bench.spool, &fault));
    assert_int_equal(fake_files_syncs(bench.fake), syncs);
    reopen(&bench);
    assert_int_equal(facts_of(&bench).acknowledged, 80);
    assert_true(span_is(spool_epoch(bench.spool), "epoch-1"));
    spool_unacknowledge(bench.spool, 50);
    assert_int_equal(facts_of(&bench).acknowledged, 50);
    spool_acknowledge(bench.spool, 100);
    for (uint64_t number = 101; number <= 500; number += 50) {
        append(&bench, number, number + 49);
        sync_spool(&bench);
        spool_acknowledge(bench.spool, number);
    }
    struct spool_facts before = facts_of(&bench);
    assert_true(before.first > 1);
    assert_true(spool_restream(bench.spool, &fault));
    struct spool_facts after = facts_of(&bench);
    assert_memory_not_equal(after.stream_id, before.stream_id, SPOOL_ID_SIZE);
    assert_memory_equal(after.spool_id, before.spool_id, SPOOL_ID_SIZE);
    assert_int_equal(after.base, before.first - 1);
    assert_int_equal(after.acknowledged, after.base);
    spool_close(bench.spool);
    fake_files_crash(bench.fake, 0);
    open_bench(&bench);
    assert_memory_equal(facts_of(&bench).stream_id, after.stream_id, SPOOL_ID_SIZE);
    assert_int_equal(facts_of(&bench).base, after.base);
    check_reads(&bench, after.first, 500, 0, 0);
    // A restream that fails changes nothing.
    fake_files_fail(bench.fake, 3, FAULT_FULL);
    assert_false(spool_restream(bench.spool, &fault));
    assert_memory_equal(facts_of(&bench).stream_id, after.stream_id, SPOOL_ID_SIZE);
    end(&bench);
}

static void test_lost_stream_file_begins_a_new_stream(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 0, 0);
    append(&bench, 1, 30);
    sync_spool(&bench);
    struct spool_facts before = facts_of(&bench);
    uint64_t size;
    fake_files_bytes(bench.fake, "/spool/stream", &size)[50] ^= 1;
    reopen(&bench);
    struct spool_facts after = facts_of(&bench);
    assert_memory_not_equal(after.stream_id, before.stream_id, SPOOL_ID_SIZE);
    assert_memory_equal(after.spool_id, before.spool_id, SPOOL_ID_SIZE);
    assert_int_equal(after.base, 0);
    check_reads(&bench, 1, 30, 0, 0);
    end(&bench);
}

static void test_a_second_agent_is_refused(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 0, 0);
    struct spool *first = bench.spool;
    struct fault fault;
    assert_false(try_open(&bench, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    assert_non_null(strstr(fault.text, "another agent"));
    bench.spool = first;
    end(&bench);
}

static void test_sources_are_known_by_name(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 0, 0);
    append(&bench, 1, 10);
    sync_spool(&bench);
    spool_close(bench.spool);
    struct spool_source renamed[] = {{"two", "tail"}, {"three", "tail"}};
    struct spool_options options = {
        .files = fake_files_interface(bench.fake),
        .clock = clock_system(),
        .random = &bench.random,
        .directory = "/spool",
        .sources = renamed,
        .sources_count = 2,
    };
    struct fault fault;
    assert_true(spool_open(&options, &bench.spool, &fault));
    assert_int_equal(spool_source_index(bench.spool, "one"), 0);
    assert_int_equal(spool_source_index(bench.spool, "two"), 1);
    assert_int_equal(spool_source_index(bench.spool, "three"), 2);
    assert_int_equal(spool_source_index(bench.spool, "four"), UINT32_MAX);
    uint32_t count;
    assert_string_equal(spool_sources(bench.spool, &count)[2].name, "three");
    assert_int_equal(count, 3);
    assert_true(span_is(spool_position(bench.spool, 1), "at 9"));
    assert_int_equal(spool_position(bench.spool, 2).size, 0);
    reopen(&bench);
    assert_int_equal(spool_source_index(bench.spool, "three"), 2);
    append(&bench, 11, 12);
    sync_spool(&bench);
    check_reads(&bench, 1, 12, 0, 0);
    end(&bench);
}

static void test_foreign_and_newer_segments_are_refused(void **state) {
    (void)state;
    struct bench bench, other;
    begin(&bench, 0, 0);
    append(&bench, 1, 3);
    sync_spool(&bench);
    uint64_t size;
    uint8_t *bytes = fake_files_bytes(bench.fake, "/spool/00000000000000000001.segment", &size);
    bytes[8] = 2;
    bytes[20] ^= 1;  // the check, as a newer program would have written it
    spool_close(bench.spool);
    struct fault fault;
    assert_false(try_open(&bench, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    bytes[20] ^= 1;  // version 2 is damage now
    assert_true(try_open(&bench, &fault));
    spool_close(bench.spool);
    // The same folder with the identity of a spool that was made elsewhere.
    begin(&other, 0, 0);
    spool_close(other.spool);
    other.random_state = 99;
    uint8_t *stream = fake_files_bytes(other.fake, "/spool/stream", &size);
    assert_non_null(stream);
    fake_files_destroy(other.fake);
    other.fake = fake_files_create();
    assert_true(try_open(&other, &fault));
    stream = fake_files_bytes(other.fake, "/spool/stream", &size);
    memcpy(fake_files_bytes(bench.fake, "/spool/stream", &size), stream, size);
    assert_false(try_open(&bench, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    assert_non_null(strstr(fault.text, "belongs to another spool"));
    end(&other);
    fake_files_destroy(bench.fake);
}

static void test_large_records(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 16 << 20, 1 << 20);
    uint8_t *large = malloc(SPOOL_RECORD_SIZE_MAX);
    assert_non_null(large);
    struct fault fault;
    for (uint32_t index = 0; index < 9; index++) {
        memset(large, 'a' + (int)index, SPOOL_RECORD_SIZE_MAX);
        struct spool_item item = {.record = span_of(large, SPOOL_RECORD_SIZE_MAX)};
        uint64_t number;
        assert_true(spool_append(bench.spool, &item, &number, &fault));
    }
    sync_spool(&bench);
    reopen(&bench);
    struct spool_reader *reader = spool_reader_create(bench.spool);
    for (uint32_t index = 0; index < 9; index++) {
        struct spool_frame frame;
        struct spool_gap gap;
        assert_int_equal(spool_reader_next(reader, &frame, &gap, &fault), SPOOL_NEXT_FRAME);
        memset(large, 'a' + (int)index, SPOOL_RECORD_SIZE_MAX);
        assert_true(span_equal(frame.record, span_of(large, SPOOL_RECORD_SIZE_MAX)));
    }
    spool_reader_destroy(reader);
    free(large);
    end(&bench);
}

static void test_nearly_full_file_system_refuses(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, 1 << 20, 4096);
    append(&bench, 1, 2);
    sync_spool(&bench);
    fake_files_limit(bench.fake, facts_of(&bench).size + 900);
    struct fault fault = {0};
    uint64_t number = 3;
    while (try_append(&bench, number, &fault)) number++;
    assert_int_equal(fault.kind, FAULT_FULL);
    fake_files_limit(bench.fake, UINT64_MAX);
    append(&bench, number, 40);
    sync_spool(&bench);
    check_reads(&bench, 1, 40, 0, 0);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_sync_read_reopen),
        cmocka_unit_test(test_unsynced_frames_are_not_read_and_die_in_a_crash),
        cmocka_unit_test(test_a_sync_that_has_only_begun_promises_nothing),
        cmocka_unit_test(test_torn_tail_at_every_byte),
        cmocka_unit_test(test_random_crashes),
        cmocka_unit_test(test_damage_in_the_middle_is_an_exact_gap),
        cmocka_unit_test(test_damage_of_whole_segments),
        cmocka_unit_test(test_damaged_last_header),
        cmocka_unit_test(test_a_record_cannot_forge_a_frame),
        cmocka_unit_test(test_full_refuses_until_acknowledged),
        cmocka_unit_test(test_full_disk_loses_nothing),
        cmocka_unit_test(test_a_segment_that_cannot_be_opened),
        cmocka_unit_test(test_full_disk_costs_acknowledged_segments_first),
        cmocka_unit_test(test_each_operation_failing_once_with_io),
        cmocka_unit_test(test_each_operation_failing_once_with_full),
        cmocka_unit_test(test_failure_while_opening),
        cmocka_unit_test(test_failed_sync_is_fatal_even_when_full),
        cmocka_unit_test(test_acknowledgement_epoch_and_restream),
        cmocka_unit_test(test_lost_stream_file_begins_a_new_stream),
        cmocka_unit_test(test_a_second_agent_is_refused),
        cmocka_unit_test(test_sources_are_known_by_name),
        cmocka_unit_test(test_foreign_and_newer_segments_are_refused),
        cmocka_unit_test(test_large_records),
        cmocka_unit_test(test_nearly_full_file_system_refuses),
    };
    return cases_run("spool_test", tests, sizeof tests / sizeof tests[0]);
}
