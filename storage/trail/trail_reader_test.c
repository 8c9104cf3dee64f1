// The trail's readers, against an oracle that looks at every event.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "storage/trail/trail_environment.h"
#include "storage/trail/trail_fixture.h"
#include "storage/trail/trail_reader_internal.h"
#include "tests/kit/cases.h"

static struct trail_reader *open_reader(struct fixture *fixture) {
    struct trail_reader *reader = NULL;
    if (!trail_reader_open(fixture->directory, &reader, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    return reader;
}

// One attribute that a few or many events have, or none.
static struct attribute pick_attribute(struct fixture *fixture, char text[64]) {
    static const char *const names[] = {"RunInstances", "GetObject", "PutObject", "AssumeRole",
                                        "NoSuchCall"};
    uint64_t number = random_below(&fixture->random, 1000);
    enum attribute_kind kind = ATTRIBUTE_EVENT_NAME;
    switch (random_below(&fixture->random, 8)) {
        case 0:
            snprintf(text, 64, "%s", names[number % 5]);
            break;
        case 1:
            kind = ATTRIBUTE_USER_NAME;
            snprintf(text, 64, "user-%u", (unsigned)(number % 20));
            break;
        case 2:
            kind = ATTRIBUTE_READ_ONLY;
            snprintf(text, 64, "%s", number % 2 == 0 ? "true" : "false");
            break;
        case 3:
            kind = ATTRIBUTE_ACCOUNT;
            snprintf(text, 64, "%012u", (unsigned)(number % 8));
            break;
        case 4:
            kind = ATTRIBUTE_SOURCE_IP;
            snprintf(text, 64, "10.0.%u.%u", (unsigned)(number % 5), (unsigned)(number % 200));
            break;
        case 5:
            kind = ATTRIBUTE_ERROR_CODE;
            snprintf(text, 64, "AccessDenied");
            break;
        case 6:
            kind = ATTRIBUTE_ACCESS_KEY;
            snprintf(text, 64, "AKIA%08u", (unsigned)(number % 41));
            break;
        default:
            kind = ATTRIBUTE_REGION;
            snprintf(text, 64, "%s", number % 2 == 0 ? "eu-west-1" : "mars-north-1");
            break;
    }
    return (struct attribute){kind, span_text(text)};
}

// A random question; texts and attributes hold what it borrows.
static struct trail_query pick_query(struct fixture *fixture, struct attribute attributes[3],
                                     char texts[3][64]) {
    struct trail_query query = {
        .attributes = attributes,
        .attributes_count = (uint32_t)random_below(&fixture->random, 4),
        .time_min_s = INT64_MIN,
        .time_max_s = INT64_MAX,
        .newest_first = random_below(&fixture->random, 2) == 0,
    };
    query.is_bare = random_below(&fixture->random, 2) == 0;
    if (random_below(&fixture->random, 2) == 0)
        query.rows_hint = 1 + (uint32_t)random_below(&fixture->random, 60);
    for (uint32_t index = 0; index < query.attributes_count; index++)
        attributes[index] = pick_attribute(fixture, texts[index]);
    const struct fixture_event *events = fixture->events;
    uint64_t count = fixture->events_count;
    if (random_below(&fixture->random, 2) == 0) {
        query.time_min_s = events[random_below(&fixture->random, count)].key.event_time_s;
        query.time_max_s = query.time_min_s + (int64_t)random_below(&fixture->random, 7200);
    }
    if (random_below(&fixture->random, 3) == 0) {
        query.has_sequence_max = true;
        query.sequence_max = random_below(&fixture->random, count + 1);
    }
    if (random_below(&fixture->random, 6) == 0)
        query.id = events[random_below(&fixture->random, count)].key.id;
    if (random_below(&fixture->random, 3) == 0) {
        query.has_after = true;
        query.after = events[random_below(&fixture->random, count)].key;
    }
    return query;
}

static void test_answers_random_queries(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 700;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 9000, 1500);
    fixture_fill(&fixture, 9000, 900, 45);
    struct trail_reader *reader = open_reader(&fixture);
    for (uint32_t round = 0; round < 150; round++) {
        // Every other one with so few rows at hand that frames are taken in parts.
        reader->cursor_rows_max = round % 2 == 0 ? CURSOR_ROWS_MAX : 40;
        struct attribute attributes[3];
        char texts[3][64];
        struct trail_query query = pick_query(&fixture, attributes, texts);
        fixture_compare(&fixture, reader, &query);
        if (round % 10 == 9) fixture_fill(&fixture, 9900 + round * 10, 60, 13);
    }
    trail_reader_close(reader);
    fixture_done(&fixture);
}

// More than 64 blocks, so that there are group tables.
static void test_answers_through_groups(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 6000, 40);
    struct trail_reader *reader = open_reader(&fixture);
    struct trail_facts facts;
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    assert_true(facts.blocks > 130);
    for (uint32_t round = 0; round < 100; round++) {
        struct attribute attributes[3];
        char texts[3][64];
        struct trail_query query = pick_query(&fixture, attributes, texts);
        fixture_compare(&fixture, reader, &query);
    }
    trail_reader_close(reader);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// More than 64 blocks of so many rows that a filter knows their ids, for a reader that asks often.
static void test_finds_ids_by_filters(void **state) {
    (void)state;
    enum { COMMITS = 66, ROWS = 1100 };
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    for (uint32_t number = 0; number < COMMITS * ROWS; number++) {
        if (number % ROWS == 0) fixture_begin(&fixture);
        // Copies of one action in two accounts have one id here and there.
        char *text = fixture_make_record(number - (number % 100 == 1), number % 10000, number % 2);
        fixture_store(&fixture, text);
        free(text);
        if (number % ROWS == ROWS - 1) (void)fixture_commit(&fixture);
    }
    struct trail_reader *reader = open_reader(&fixture);
    for (uint32_t round = 0; round < 60; round++) {
        uint8_t absent[RECORD_ID_SIZE] = {(uint8_t)round, 0xEE};
        uint64_t index = random_below(&fixture.random, fixture.events_count / 100) * 100;
        struct trail_query query = {
            .time_min_s = INT64_MIN,
            .time_max_s = INT64_MAX,
            .newest_first = round % 2 == 0,
            .id = round % 3 == 0 ? absent : fixture.events[index + round % 2].key.id,
        };
        fixture_compare(&fixture, reader, &query);
    }
    trail_reader_close(reader);
    fixture_done(&fixture);
}

// Reads pages of a few rows, each with a new cursor, while events are added; then compares all
// pages with what was there at the first.
static void read_pages(struct fixture *fixture, struct trail_reader *reader, bool newest_first,
                       uint32_t *number) {
    struct trail_query query = {
        .time_min_s = INT64_MIN, .time_max_s = INT64_MAX, .newest_first = newest_first};
    uint32_t expected_count = 0;
    uint32_t *expected = fixture_answer(fixture, &query, &expected_count);
    uint32_t at = 0;
    bool more = true;
    while (more) {
        struct trail_cursor *cursor = NULL;
        assert_true(trail_cursor_open(reader, &query, &cursor, &fixture->fault));
        query.has_sequence_max = true;
        query.sequence_max = trail_cursor_sequence_max(cursor);
        for (uint32_t row_count = 0; row_count < 97 && more; row_count++) {
            struct trail_row row;
            if (!trail_cursor_next(cursor, &more, &row, &fixture->fault))
                fail_msg("%s", fixture->fault.text);
            if (!more) break;
            assert_true(at < expected_count);
            const struct fixture_event *event = &fixture->events[expected[at++]];
            assert_true(key_equal(&row.key, &event->key));
            assert_int_equal(row.sequence, event->sequence);
            query.has_after = true;
            query.after = row.key;
            // In the middle of a cursor, rows of the tail become blocks.
            if (row_count == 50) {
                fixture_fill(fixture, *number, 70, 35);
                *number += 70;
            }
        }
        trail_cursor_close(cursor);
    }
    assert_int_equal(at, expected_count);
    free(expected);
}

static void test_pages_while_events_arrive(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 300;
    fixture_open(&fixture);
    uint32_t number = 3000;
    fixture_fill(&fixture, 0, number, 290);
    struct trail_reader *reader = open_reader(&fixture);
    read_pages(&fixture, reader, true, &number);
    read_pages(&fixture, reader, false, &number);
    trail_reader_close(reader);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_orders_equal_ids_by_account(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 40;
    fixture_open(&fixture);
    for (uint32_t account = 60; account > 0; account--) {
        fixture_begin(&fixture);
        char *text = fixture_make_record(5, 1, account * 7 % 61);
        fixture_store(&fixture, text);
        free(text);
        fixture_commit(&fixture);
    }
    fixture_compare_all(&fixture);
    struct trail_reader *reader = open_reader(&fixture);
    for (uint32_t index = 0; index < 60; index += 7) {
        struct trail_query query = {
            .time_min_s = INT64_MIN,
            .time_max_s = INT64_MAX,
            .newest_first = index % 2 == 0,
            .has_after = true,
            .after = fixture.events[index].key,
        };
        fixture_compare(&fixture, reader, &query);
    }
    trail_reader_close(reader);
    fixture_done(&fixture);
}

// Copies of events in several accounts, all in one frame, which is given out in parts.
static void test_orders_equal_ids_of_a_frame(void **state) {
    (void)state;
    for (uint32_t accounts = 2; accounts < 10; accounts++) {
        struct fixture fixture;
        fixture_init(&fixture);
        fixture.options.block_rows_min = 1;
        fixture_open(&fixture);
        fixture_begin(&fixture);
        for (uint32_t index = 0; index < accounts * 10; index++) {
            // Not in order of time in the frame, which is sorted by user first.
            uint32_t number = index % 10;
            char *text = fixture_make_record(number, number * 7 % 10, index / 10 + 1);
            fixture_store(&fixture, text);
            free(text);
        }
        fixture_commit(&fixture);
        fixture_compare_all(&fixture);
        fixture_done(&fixture);
    }
}

struct following {
    uint64_t next;
    uint32_t stop_after;
};

static bool on_row(void *user, const struct trail_row *row) {
    struct following *following = user;
    assert_int_equal(row->sequence, following->next);
    following->next++;
    return --following->stop_after > 0;
}

static void test_follows(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 250;
    fixture_open(&fixture);
    struct trail_reader *reader = open_reader(&fixture);
    struct following following = {1, 0};
    uint64_t last = 0;
    for (uint32_t round = 0; round < 60; round++) {
        fixture_fill(&fixture, fixture.events_count, round % 7 == 0 ? 1100 : 83, 1200);
        following.stop_after = 1 + (uint32_t)random_below(&fixture.random, 400);
        if (!trail_reader_follow(reader, last, on_row, &following, &last, &fixture.fault))
            fail_msg("%s", fixture.fault.text);
        assert_int_equal(last + 1, following.next);
    }
    following.stop_after = UINT32_MAX;
    assert_true(trail_reader_follow(reader, last, on_row, &following, &last, &fixture.fault));
    assert_int_equal(last, fixture.events_count);
    assert_true(trail_reader_follow(reader, last, on_row, &following, &last, &fixture.fault));
    assert_int_equal(last, fixture.events_count);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

struct scanned {
    uint8_t *seen;
    uint64_t rows;
    uint64_t attributes;
    int64_t time_min_s;
    int64_t time_max_s;
};

static bool on_columns(void *user, const struct block_columns *columns) {
    struct scanned *scanned = user;
    assert_true(columns->rows <= BLOCK_FRAME_ROWS);
    for (uint32_t row = 0; row < columns->rows; row++) {
        if (columns->time_s[row] < scanned->time_min_s ||
            columns->time_s[row] > scanned->time_max_s)
            continue;
        assert_int_equal(scanned->seen[columns->sequence[row]], 0);
        scanned->seen[columns->sequence[row]] = 1;
        scanned->rows++;
        uint32_t first = row == 0 ? 0 : columns->attribute_end[row - 1];
        assert_true(columns->attribute_end[row] > first);
        scanned->attributes += columns->attribute_end[row] - first;
        assert_int_equal(columns->account[row].size, 12);
    }
    return true;
}

static void test_scans_columns(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 3000, 1500);
    fixture_fill(&fixture, 3000, 500, 170);
    struct trail_reader *reader = open_reader(&fixture);
    struct scanned scanned = {
        .seen = calloc(fixture.events_count + 1, 1),
        .time_min_s = FIXTURE_BASE_S + 50,
        .time_max_s = FIXTURE_BASE_S + 330,
    };
    uint32_t which = BLOCK_COLUMN_PROVENANCE | BLOCK_COLUMN_ATTRIBUTES | BLOCK_COLUMN_ACCOUNT;
    assert_true(trail_reader_scan(reader, scanned.time_min_s, scanned.time_max_s, which, on_columns,
                                  &scanned, &fixture.fault));
    const struct trail_query query = {.time_min_s = scanned.time_min_s,
                                      .time_max_s = scanned.time_max_s};
    uint32_t count = 0;
    free(fixture_answer(&fixture, &query, &count));
    assert_true(count > 1000);
    assert_int_equal(scanned.rows, count);
    assert_true(scanned.attributes > scanned.rows * 8);
    free(scanned.seen);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

struct counted {
    uint64_t rows;
    uint64_t hits;
    uint32_t hash;
};

static bool on_kind(void *user, const struct block_columns *columns,
                    const struct block_kind *kind) {
    struct counted *counted = user;
    assert_int_equal(columns->rows, kind->rows);
    counted->rows += kind->rows;
    for (uint32_t at = 0; kind->rows > 0 && at < kind->end[kind->rows - 1]; at++) {
        if (counted->hash == 0) counted->hash = kind->hash[at];
        if (kind->hash[at] == counted->hash) counted->hits++;
    }
    return true;
}

// Counts the events with the error code that is the only one there.
static void test_scans_one_kind(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 3000, 1500);
    fixture_fill(&fixture, 3000, 500, 170);
    struct trail_reader *reader = open_reader(&fixture);
    struct counted counted = {0};
    assert_true(trail_reader_scan_kind(reader, INT64_MIN, INT64_MAX, ATTRIBUTE_ERROR_CODE, on_kind,
                                       &counted, &fixture.fault));
    assert_int_equal(counted.rows, 3500);
    assert_int_equal(counted.hits, (3500 + 10) / 11);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

struct found_faults {
    uint32_t count;
    char first[FAULT_TEXT_SIZE];
};

static void on_fault(void *user, const struct fault *found) {
    struct found_faults *faults = user;
    if (faults->count == 0) snprintf(faults->first, sizeof faults->first, "%s", found->text);
    faults->count++;
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    (void)user;
    assert_true(done <= all);
}

// Changes one byte in the middle of a block, behind the trail's back.
static void damage_block(struct fixture *fixture, uint64_t number) {
    struct fault fault;
    struct trail_environment *environment = NULL;
    const struct trail_environment_options options = {
        .directory = fixture->directory, .map_size = fixture->options.map_size, .no_sync = true};
    assert_true(trail_environment_open(&options, &environment, &fault));
    MDB_txn *reading = NULL;
    assert_true(trail_environment_begin(environment, &reading, &fault));
    struct trail_walk walk;
    assert_true(
        trail_environment_walk(environment, reading, TRAIL_DATABASE_BLOCK, 0, &walk, &fault));
    struct trail_change change = {.database = TRAIL_DATABASE_BLOCK};
    struct buffer bytes;
    buffer_init(&bytes, 64 * 1024 * 1024);
    bool found = true;
    while (found) {
        struct span key;
        struct span value;
        assert_true(trail_walk_next(&walk, &found, &key, &value, &fault));
        if (!found || (trail_walk_number(key) & 0xFFFFFFFFFF) != number) continue;
        memcpy(change.key, key.bytes, key.size);
        change.key_size = (uint32_t)key.size;
        buffer_append(&bytes, value);
    }
    trail_walk_end(&walk);
    trail_environment_end(environment, reading);
    trail_environment_free(reading);
    assert_true(bytes.size > 1000);
    // Most of a block is its texts.
    bytes.bytes[bytes.size * 3 / 4] ^= 0x10;
    change.value_size = bytes.size;
    assert_true(
        trail_environment_commit(environment, &change, 1, buffer_span(&bytes), false, &fault));
    trail_environment_close(environment);
    buffer_done(&bytes);
}

static void test_names_a_damaged_block(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture_open(&fixture);
    // Blocks of one day each that do not overlap: 1 hour and 300 events a block.
    for (uint32_t block = 0; block < 3; block++) {
        fixture_begin(&fixture);
        for (uint32_t index = 0; index < 300; index++) {
            char *text = fixture_make_record(block * 300 + index, block * 90000 + index, 1);
            fixture_store(&fixture, text);
            free(text);
        }
        fixture_commit(&fixture);
    }
    damage_block(&fixture, 1);
    struct trail_reader *reader = open_reader(&fixture);
    struct found_faults faults = {0};
    struct trail_check check = {0};
    assert_true(trail_reader_check(reader, on_fault, on_progress, &faults, &check, &fixture.fault));
    assert_true(check.faults > 0);
    assert_int_equal(check.faults, faults.count);
    assert_int_equal(check.blocks, 3);
    assert_non_null(strstr(faults.first, "block 1 of 2023-11-15"));

    const struct trail_query query = {.time_min_s = INT64_MIN, .time_max_s = INT64_MAX};
    struct trail_cursor *cursor = NULL;
    assert_true(trail_cursor_open(reader, &query, &cursor, &fixture.fault));
    uint32_t rows = 0;
    uint32_t failures = 0;
    bool found = true;
    while (found && failures < 1000) {
        struct trail_row row;
        if (trail_cursor_next(cursor, &found, &row, &fixture.fault)) {
            if (found) rows++;
            continue;
        }
        failures++;
        assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
        assert_non_null(strstr(fixture.fault.text, "block 1 of 2023-11-15"));
    }
    // What is beside the damage can still be read.
    assert_true(rows >= 600);
    assert_true(failures > 0);
    trail_cursor_close(cursor);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

static void change_format(struct fixture *fixture, uint16_t major) {
    struct fault fault;
    struct trail_environment *environment = NULL;
    const struct trail_environment_options options = {.directory = fixture->directory,
                                                      .no_sync = true};
    assert_true(trail_environment_open(&options, &environment, &fault));
    uint8_t value[512] = "orgtrail";
    value[8] = (uint8_t)major;
    struct trail_change change = {
        .database = TRAIL_DATABASE_META, .key_size = 6, .key = "format", .value_size = 300};
    assert_true(trail_environment_commit(environment, &change, 1, span_of(value, sizeof value),
                                         false, &fault));
    trail_environment_close(environment);
}

static void test_refuses_newer_format(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    trail_close(fixture.trail);
    fixture.trail = NULL;
    change_format(&fixture, TRAIL_FORMAT_MAJOR + 1);
    struct trail_reader *reader = NULL;
    assert_false(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
    assert_non_null(strstr(fixture.fault.text, "format 3.0"));
    assert_non_null(strstr(fixture.fault.text, "reads 2.0"));
    assert_false(trail_open(&fixture.options, &fixture.trail, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
    fixture_done(&fixture);
}

static void test_limits_attributes_of_a_query(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    struct attribute attributes[65];
    for (uint32_t index = 0; index < 65; index++)
        attributes[index] = (struct attribute){ATTRIBUTE_REGION, SPAN_LITERAL("x")};
    const struct trail_query query = {.attributes = attributes, .attributes_count = 65};
    struct trail_reader *reader = open_reader(&fixture);
    struct trail_cursor *cursor = NULL;
    assert_false(trail_cursor_open(reader, &query, &cursor, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_INPUT);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

// What a snapshot of an empty trail holds stays nothing.
static void test_an_empty_snapshot_stays_empty(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    struct trail_reader *reader = open_reader(&fixture);
    struct trail_query query = {.time_min_s = INT64_MIN, .time_max_s = INT64_MAX};
    struct trail_cursor *cursor = NULL;
    assert_true(trail_cursor_open(reader, &query, &cursor, &fixture.fault));
    query.has_sequence_max = true;
    query.sequence_max = trail_cursor_sequence_max(cursor);
    trail_cursor_close(cursor);
    assert_int_equal(query.sequence_max, 0);
    fixture_fill(&fixture, 0, 5000, 2500);
    fixture_fill(&fixture, 5000, 10, 10);
    fixture_compare(&fixture, reader, &query);
    query.has_sequence_max = false;
    fixture_compare(&fixture, reader, &query);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

static void put_gap(struct fixture *fixture, uint64_t number) {
    bool is_new = false;
    struct trail_gap gap = {.agent = TRAIL_AGENT_OWN, .reason = "disk"};
    gap.first_seq = number;
    gap.last_seq = number;
    fixture_begin(fixture);
    assert_true(trail_gap_put(fixture->trail, &gap, &is_new, &fixture->fault));
    fixture_commit(fixture);
}

struct slow_list {
    struct fixture *fixture;
    uint64_t numbers[8];
    uint32_t count;
};

static bool on_slow_gap(void *user, const struct trail_gap *gap) {
    struct slow_list *list = user;
    list->numbers[list->count++] = gap->first_seq;
    if (list->count != 2) return true;
    // Longer than a snapshot may last: what comes behind is seen.
    put_gap(list->fixture, 1);
    put_gap(list->fixture, 7);
    assert_int_equal(usleep(600 * 1000), 0);
    return true;
}

// A list that takes long does not keep one snapshot, and gives each entry once.
static void test_a_slow_list_renews_its_snapshot(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    for (uint64_t number = 2; number <= 4; number++) put_gap(&fixture, number);
    struct trail_reader *reader = open_reader(&fixture);
    struct slow_list list = {.fixture = &fixture};
    assert_true(trail_reader_gaps(reader, on_slow_gap, &list, &fixture.fault));
    const uint64_t expected[] = {2, 3, 4, 7};
    assert_int_equal(list.count, 4);
    assert_memory_equal(list.numbers, expected, sizeof expected);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_random_queries),
        cmocka_unit_test(test_answers_through_groups),
        cmocka_unit_test(test_finds_ids_by_filters),
        cmocka_unit_test(test_pages_while_events_arrive),
        cmocka_unit_test(test_orders_equal_ids_by_account),
        cmocka_unit_test(test_orders_equal_ids_of_a_frame),
        cmocka_unit_test(test_follows),
        cmocka_unit_test(test_scans_columns),
        cmocka_unit_test(test_scans_one_kind),
        cmocka_unit_test(test_names_a_damaged_block),
        cmocka_unit_test(test_refuses_newer_format),
        cmocka_unit_test(test_limits_attributes_of_a_query),
        cmocka_unit_test(test_an_empty_snapshot_stays_empty),
        cmocka_unit_test(test_a_slow_list_renews_its_snapshot),
    };
    return cases_run("trail_reader", tests, sizeof tests / sizeof tests[0]);
}
