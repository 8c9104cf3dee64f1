// Damage to what is stored: it is reported where it lies, and what lies beside it goes on.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "storage/trail/trail_environment.h"
#include "storage/trail/trail_fixture.h"
#include "tests/kit/cases.h"

// Reads the value at a place of a database, in order of key.
static void read_value(struct trail_environment *environment, enum trail_database database,
                       uint32_t place, struct trail_change *change, struct buffer *bytes) {
    struct fault fault;
    MDB_txn *reading = NULL;
    struct trail_walk walk;
    assert_true(trail_environment_begin(environment, &reading, &fault));
    assert_true(trail_environment_walk(environment, reading, database, 0, &walk, &fault));
    bool found = true;
    for (uint32_t at = 0; at <= place; at++) {
        struct span key;
        struct span value;
        assert_true(trail_walk_next(&walk, &found, &key, &value, &fault));
        assert_true(found);
        if (at < place) continue;
        memcpy(change->key, key.bytes, key.size);
        change->key_size = (uint32_t)key.size;
        buffer_append(bytes, value);
    }
    trail_walk_end(&walk);
    trail_environment_end(environment, reading);
    trail_environment_free(reading);
}

// Changes one bit of a stored value, behind the trail's back. Offsets below 0 count from the end;
// false if the value has no such byte.
static bool damage(struct fixture *fixture, enum trail_database database, uint32_t place,
                   int64_t offset) {
    struct fault fault;
    struct trail_environment *environment = NULL;
    const struct trail_environment_options options = {
        .directory = fixture->directory, .map_size = fixture->options.map_size, .no_sync = true};
    assert_true(trail_environment_open(&options, &environment, &fault));
    struct trail_change change = {.database = database};
    struct buffer bytes;
    buffer_init(&bytes, 64 * 1024 * 1024);
    read_value(environment, database, place, &change, &bytes);
    if (offset < 0) offset += (int64_t)bytes.size;
    bool has_byte = offset >= 0 && (size_t)offset < bytes.size;
    if (has_byte) {
        bytes.bytes[offset] ^= 0x01;
        change.value_size = bytes.size;
        assert_true(
            trail_environment_commit(environment, &change, 1, buffer_span(&bytes), false, &fault));
    }
    trail_environment_close(environment);
    buffer_done(&bytes);
    return has_byte;
}

static void close_trail(struct fixture *fixture) {
    trail_close(fixture->trail);
    fixture->trail = NULL;
}

static struct trail_reader *open_reader(struct fixture *fixture) {
    struct trail_reader *reader = NULL;
    if (!trail_reader_open(fixture->directory, &reader, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    return reader;
}

// What a cursor gives over the whole trail. Every row is compared with what was stored.
struct given {
    uint32_t rows;
    uint32_t faults;
    char text[FAULT_TEXT_SIZE];  // of the last fault
};

static struct given read_all(struct fixture *fixture, const struct attribute *attribute) {
    struct trail_reader *reader = open_reader(fixture);
    const struct trail_query query = {
        .time_min_s = INT64_MIN,
        .time_max_s = INT64_MAX,
        .attributes = attribute,
        .attributes_count = attribute != NULL,
    };
    struct trail_cursor *cursor = NULL;
    if (!trail_cursor_open(reader, &query, &cursor, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    struct given given = {0};
    bool found = true;
    while (found && given.faults < 100000) {
        struct trail_row row;
        if (!trail_cursor_next(cursor, &found, &row, &fixture->fault)) {
            assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
            memcpy(given.text, fixture->fault.text, sizeof given.text);
            given.faults++;
            continue;
        }
        if (!found) break;
        const char *text = fixture->events[row.sequence - 1].text;
        assert_int_equal(row.text.size, strlen(text));
        assert_memory_equal(row.text.bytes, text, row.text.size);
        given.rows++;
    }
    assert_false(found);
    trail_cursor_close(cursor);
    trail_reader_close(reader);
    return given;
}

// One event a block, one block a commit.
static void fill_blocks(struct fixture *fixture, uint32_t number, uint32_t blocks) {
    for (uint32_t index = 0; index < blocks; index++) {
        fixture_begin(fixture);
        char *text = fixture_make_record((number + index) * 5, number + index, 1);
        fixture_store(fixture, text);
        free(text);
        fixture_commit(fixture);
    }
}

static bool has_same_keys;  // trail_reader_check said so

static void on_fault(void *user, const struct fault *found) {
    (void)user;
    assert_int_equal(found->kind, FAULT_CORRUPT);
    if (strstr(found->text, "same key") != NULL) has_same_keys = true;
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    (void)user;
    assert_true(done <= all);
}

// What trail_reader_check finds.
static uint32_t count_faults(struct fixture *fixture) {
    struct trail_reader *reader = open_reader(fixture);
    struct trail_check check = {0};
    if (!trail_reader_check(reader, on_fault, on_progress, NULL, &check, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    trail_reader_close(reader);
    return (uint32_t)check.faults;
}

// A commit that ends a group of 64 reads all its blocks.
static void test_commits_beside_a_damaged_block(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture_open(&fixture);
    fill_blocks(&fixture, 0, 60);
    close_trail(&fixture);
    assert_true(damage(&fixture, TRAIL_DATABASE_BLOCK, 5, 0));
    fixture_open(&fixture);
    fill_blocks(&fixture, 60, 70);
    const struct attribute attribute = {.kind = ATTRIBUTE_EVENT_NAME,
                                        .value = SPAN_LITERAL("RunInstances")};
    struct given given = read_all(&fixture, &attribute);
    assert_int_equal(given.rows, 129);
    assert_int_equal(given.faults, 1);
    assert_true(count_faults(&fixture) > 0);
    fixture_done(&fixture);
}

// Wherever a bit of a block turns, no answer is wrong: rows are missing only with a fault.
static void test_tells_every_turned_bit(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture_open(&fixture);
    fixture_begin(&fixture);
    for (uint32_t number = 0; number < 300; number++) {
        char *text = fixture_make_record(number * 5, number, 1);
        fixture_store(&fixture, text);
        free(text);
    }
    fixture_commit(&fixture);
    close_trail(&fixture);
    const struct attribute attribute = {.kind = ATTRIBUTE_EVENT_NAME,
                                        .value = SPAN_LITERAL("RunInstances")};
    for (int64_t offset = 0; damage(&fixture, TRAIL_DATABASE_BLOCK, 0, offset); offset += 97) {
        struct given given = read_all(&fixture, &attribute);
        assert_true(given.rows == 300 || given.faults > 0);
        assert_true(given.rows == 300 || strstr(given.text, "block 0 of 2023-11-14") != NULL);
        assert_true(count_faults(&fixture) > 0);
        assert_true(damage(&fixture, TRAIL_DATABASE_BLOCK, 0, offset));
    }
    assert_int_equal(read_all(&fixture, &attribute).rows, 300);
    fixture_done(&fixture);
}

// A turned bit in what tells the ids of a block must not let a copy in.
static void test_stores_no_copy_beside_damage(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 300, 300);
    close_trail(&fixture);
    bool is_expected = false;
    for (int64_t offset = 112; damage(&fixture, TRAIL_DATABASE_BLOCK, 0, offset); offset += 331) {
        fixture_open(&fixture);
        fixture_begin(&fixture);
        is_expected = !is_expected;
        for (uint32_t index = 0; is_expected && index < fixture.events_count; index++)
            trail_expect(fixture.trail, &fixture.events[index].key);
        for (uint32_t index = 0; index < fixture.events_count; index += 29) {
            enum trail_outcome outcome = TRAIL_STORED;
            if (fixture_try(&fixture, fixture.events[index].text, &outcome))
                assert_int_equal(outcome, TRAIL_DUPLICATE);
            else
                assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
        }
        trail_abort(fixture.trail);
        close_trail(&fixture);
        assert_true(damage(&fixture, TRAIL_DATABASE_BLOCK, 0, offset));
    }
    fixture_done(&fixture);
}

static bool count_row(void *user, const struct trail_row *row) {
    (void)row;
    (*(uint32_t *)user)++;
    return true;
}

// Follows to the end, beyond what is damaged, and says how many rows came and how many did not.
static void follow_all(struct fixture *fixture, uint32_t *rows, uint64_t *missing) {
    struct trail_reader *reader = open_reader(fixture);
    uint64_t after = 0;
    *rows = 0;
    *missing = 0;
    for (uint32_t turn = 0; turn < 1000; turn++) {
        uint32_t before = *rows;
        uint64_t last = 0;
        bool good = trail_reader_follow(reader, after, count_row, rows, &last, &fixture->fault);
        *missing += last - after - (*rows - before);
        after = last;
        if (good) break;
        assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
        assert_non_null(strstr(fixture->fault.text, "events "));
    }
    assert_int_equal(after, fixture->events_count);
    trail_reader_close(reader);
}

static bool count_columns(void *user, const struct block_columns *columns) {
    *(uint32_t *)user += columns->rows;
    return true;
}

// Scans all. Returns the rows; there must be a fault.
static uint32_t scan_damaged(struct fixture *fixture) {
    struct trail_reader *reader = open_reader(fixture);
    uint32_t rows = 0;
    assert_false(
        trail_reader_scan(reader, INT64_MIN, INT64_MAX, 0, count_columns, &rows, &fixture->fault));
    assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
    trail_reader_close(reader);
    return rows;
}

// Opens the trail again, which must say that something is damaged.
static void open_damaged(struct fixture *fixture) {
    struct fault damage;
    fixture_open(fixture);
    assert_true(trail_is_damaged(fixture->trail, &damage));
    assert_int_equal(damage.kind, FAULT_CORRUPT);
}

static void test_reads_beside_a_damaged_block(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture_open(&fixture);
    fill_blocks(&fixture, 0, 64);
    close_trail(&fixture);
    const struct attribute attribute = {.kind = ATTRIBUTE_EVENT_NAME,
                                        .value = SPAN_LITERAL("RunInstances")};
    // A turned bit of the group's table hides no block.
    struct given given;
    for (int64_t offset = 0; damage(&fixture, TRAIL_DATABASE_GROUP, 0, offset); offset += 7) {
        given = read_all(&fixture, &attribute);
        assert_int_equal(given.rows, 64);
        assert_int_equal(given.faults, 0);
        assert_true(offset % 5 != 0 || count_faults(&fixture) == 1);
        assert_true(damage(&fixture, TRAIL_DATABASE_GROUP, 0, offset));
    }

    assert_true(damage(&fixture, TRAIL_DATABASE_BLOCK, 3, 0));
    assert_true(damage(&fixture, TRAIL_DATABASE_BLOCK, 4, 40));
    assert_true(damage(&fixture, TRAIL_DATABASE_BLOCK, 63, -1));
    uint32_t rows = 0;
    uint64_t missing = 0;
    follow_all(&fixture, &rows, &missing);
    assert_int_equal(rows, 61);
    assert_int_equal(missing, 3);
    // The last one's texts are damaged, its columns are not.
    assert_int_equal(scan_damaged(&fixture), 62);
    fixture_done(&fixture);
}

static void test_goes_on_beside_a_damaged_tail(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 90, 30);
    close_trail(&fixture);
    uint32_t faults = count_faults(&fixture);
    assert_int_equal(faults, 0);
    assert_true(damage(&fixture, TRAIL_DATABASE_TAIL, 1, -3));
    struct given given = read_all(&fixture, NULL);
    assert_true(given.rows >= 60 && given.rows < 90);
    assert_int_equal(given.faults, 1);
    uint32_t rows = 0;
    uint64_t missing = 0;
    follow_all(&fixture, &rows, &missing);
    assert_int_equal(rows, given.rows);
    assert_int_equal(missing, 90 - given.rows);
    assert_int_equal(scan_damaged(&fixture), given.rows);
    assert_true(count_faults(&fixture) > 0);

    // The writer goes on behind it, also into blocks.
    open_damaged(&fixture);
    fixture_fill(&fixture, 90, 6000, 2000);
    assert_int_equal(read_all(&fixture, NULL).rows, given.rows + 6000);
    fixture_done(&fixture);
}

static void test_goes_on_beside_a_damaged_dictionary(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 8000, 2000);
    close_trail(&fixture);
    assert_true(damage(&fixture, TRAIL_DATABASE_DICTIONARY, 2, -3));
    struct given given = read_all(&fixture, NULL);
    assert_true(given.rows >= 2000 && given.rows < 8000);
    assert_true(count_faults(&fixture) > 0);
    open_damaged(&fixture);
    fixture_fill(&fixture, 8000, 4000, 2000);
    fixture_reopen(&fixture);
    struct fault damage;
    assert_false(trail_is_damaged(fixture.trail, &damage));
    assert_int_equal(read_all(&fixture, NULL).rows, given.rows + 4000);
    fixture_done(&fixture);
}

// A summary can be had from its block; if that is damaged too, the block alone cannot be read.
static void test_goes_on_beside_a_damaged_summary(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture_open(&fixture);
    fill_blocks(&fixture, 0, 40);
    uint32_t whole = count_faults(&fixture);
    assert_int_equal(whole, 0);
    close_trail(&fixture);
    assert_true(damage(&fixture, TRAIL_DATABASE_SUMMARY, 2, 20));
    struct given given = read_all(&fixture, NULL);
    assert_int_equal(given.rows, 40);
    assert_int_equal(given.faults, 0);
    assert_int_equal(count_faults(&fixture), 1);
    uint32_t rows = 0;
    uint64_t missing = 0;
    follow_all(&fixture, &rows, &missing);
    assert_int_equal(rows, 40);

    // The writer knows what is in it.
    open_damaged(&fixture);
    fixture_begin(&fixture);
    for (uint32_t index = 0; index < 40; index++)
        assert_int_equal(fixture_add(&fixture, fixture.events[index].text), TRAIL_DUPLICATE);
    trail_abort(fixture.trail);
    close_trail(&fixture);

    assert_true(damage(&fixture, TRAIL_DATABASE_BLOCK, 2, 40));
    given = read_all(&fixture, NULL);
    assert_int_equal(given.rows, 39);
    assert_int_equal(given.faults, 1);
    assert_non_null(strstr(given.text, "block 2 of 2023-11-14"));
    follow_all(&fixture, &rows, &missing);
    assert_int_equal(rows, 39);
    assert_int_equal(missing, 1);
    assert_true(count_faults(&fixture) > 1);
    fixture_done(&fixture);
}

// Rows that stand twice are told, by their keys; keys that only have the same hash are not.
static void test_tells_keys_from_their_hashes(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 300, 150);
    close_trail(&fixture);
    struct trail_reader *reader = open_reader(&fixture);
    struct trail_check check = {.hash_bits = 8};
    has_same_keys = false;
    assert_true(trail_reader_check(reader, on_fault, on_progress, NULL, &check, &fixture.fault));
    assert_int_equal(check.faults, 0);
    trail_reader_close(reader);

    struct trail_environment *environment = NULL;
    const struct trail_environment_options options = {.directory = fixture.directory,
                                                      .no_sync = true};
    assert_true(trail_environment_open(&options, &environment, &fixture.fault));
    struct trail_change change = {.database = TRAIL_DATABASE_TAIL};
    struct buffer bytes;
    buffer_init(&bytes, 1024 * 1024);
    read_value(environment, TRAIL_DATABASE_TAIL, 0, &change, &bytes);
    change.key[2] ^= 1;
    change.value_size = bytes.size;
    assert_true(trail_environment_commit(environment, &change, 1, buffer_span(&bytes), false,
                                         &fixture.fault));
    trail_environment_close(environment);
    buffer_done(&bytes);
    assert_true(count_faults(&fixture) > 1);
    assert_true(has_same_keys);
    fixture_done(&fixture);
}

// Without its head or format a trail is refused, and it is said what to do.
static void test_refuses_a_damaged_head(void **state) {
    (void)state;
    static const char *const names[] = {"format", "head"};
    for (uint32_t place = 0; place < 2; place++) {
        struct fixture fixture;
        fixture_init(&fixture);
        fixture_open(&fixture);
        fixture_fill(&fixture, 0, 10, 5);
        close_trail(&fixture);
        assert_true(damage(&fixture, TRAIL_DATABASE_META, place, -20));
        assert_false(trail_open(&fixture.options, &fixture.trail, &fixture.fault));
        assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
        assert_non_null(strstr(fixture.fault.text, names[place]));
        assert_non_null(strstr(fixture.fault.text, "backup"));
        struct trail_reader *reader = NULL;
        struct trail_facts facts;
        bool read = trail_reader_open(fixture.directory, &reader, &fixture.fault) &&
                    trail_reader_facts(reader, &facts, &fixture.fault);
        assert_false(read);
        assert_non_null(strstr(fixture.fault.text, "backup"));
        trail_reader_close(reader);
        fixture_done(&fixture);
    }
}

// Valid until the next call.
static const char *data_path(const struct fixture *fixture) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/data.mdb", fixture->directory);
    return path;
}

static uint64_t file_size(const struct fixture *fixture) {
    struct stat facts;
    assert_int_equal(stat(data_path(fixture), &facts), 0);
    return (uint64_t)facts.st_size;
}

// Both the reader and the writer refuse the store, with this text.
static void refuse_both(struct fixture *fixture, const char *text) {
    struct trail_reader *reader = NULL;
    assert_false(trail_reader_open(fixture->directory, &reader, &fixture->fault));
    assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
    if (strstr(fixture->fault.text, text) == NULL) fail_msg("%s", fixture->fault.text);
    assert_non_null(strstr(fixture->fault.text, "restore a backup"));
    assert_false(trail_open(&fixture->options, &fixture->trail, &fixture->fault));
    assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
    if (strstr(fixture->fault.text, text) == NULL) fail_msg("%s", fixture->fault.text);
}

// A copy that was interrupted is refused: behind its end a read would kill the process.
static void test_refuses_a_file_cut_short(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 2000, 200);
    close_trail(&fixture);
    uint64_t whole = file_size(&fixture);
    assert_true(whole > (uint64_t)40 * 4096);
    const uint64_t cuts[] = {whole - 1, whole / 2, 3 * 4096, 2 * 4096};
    for (size_t index = 0; index < sizeof cuts / sizeof cuts[0]; index++) {
        char text[96];
        assert_int_equal(truncate(data_path(&fixture), (off_t)cuts[index]), 0);
        snprintf(text, sizeof text, "(%" PRIu64 " of %" PRIu64 " bytes): it was cut", cuts[index],
                 whole);
        refuse_both(&fixture, text);
        assert_true(file_size(&fixture) == cuts[index]);
    }
    assert_int_equal(truncate(data_path(&fixture), 4096), 0);
    refuse_both(&fixture, "is not a store of orgtrail");
    // Nothing at all is not the beginning of a store.
    assert_int_equal(truncate(data_path(&fixture), 0), 0);
    refuse_both(&fixture, "is empty: it was cut");
    assert_true(file_size(&fixture) == 0);
    fixture_done(&fixture);
}

// The same under a reader that is open: it says so at its next snapshot, and lives.
static void test_refuses_a_file_cut_under_a_reader(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 2000, 200);
    close_trail(&fixture);
    struct trail_reader *reader = open_reader(&fixture);
    struct trail_facts facts;
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    assert_int_equal(truncate(data_path(&fixture), (off_t)file_size(&fixture) - 1), 0);
    struct trail_cursor *cursor = NULL;
    const struct trail_query query = {.time_min_s = INT64_MIN, .time_max_s = INT64_MAX};
    assert_false(trail_cursor_open(reader, &query, &cursor, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
    assert_non_null(strstr(fixture.fault.text, "it was cut"));
    // Each attempt gives back its place among the readers.
    const struct trail_environment_options options = {
        .directory = fixture.directory,
        .read_only = true,
    };
    struct trail_environment *environment = NULL;
    assert_true(trail_environment_open(&options, &environment, &fixture.fault));
    for (uint32_t turn = 0; turn <= TRAIL_READERS_MAX; turn++) {
        MDB_txn *transaction = NULL;
        assert_false(trail_environment_begin(environment, &transaction, &fixture.fault));
        assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
        assert_null(transaction);
    }
    trail_environment_close(environment);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

// A file of another program.
static void test_refuses_another_file(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    close_trail(&fixture);
    FILE *file = fopen(data_path(&fixture), "w");
    assert_non_null(file);
    for (uint32_t line = 0; line < 2000; line++) fprintf(file, "line %u of a log\n", line);
    assert_int_equal(fclose(file), 0);
    refuse_both(&fixture, "is not a store of orgtrail");
    fixture_done(&fixture);
}

static bool count_stream(void *user, const struct trail_stream *stream) {
    (void)stream;
    (*(uint32_t *)user)++;
    return true;
}

static void test_goes_on_beside_a_damaged_stream(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_begin(&fixture);
    uint32_t agent = 0;
    assert_true(
        trail_agent_number(fixture.trail, SPAN_LITERAL("spiffe://o/a"), &agent, &fixture.fault));
    for (uint8_t index = 0; index < 3; index++) {
        const struct trail_stream stream = {.agent = agent, .stream_id = {index}};
        assert_true(trail_stream_put(fixture.trail, &stream, &fixture.fault));
    }
    fixture_commit(&fixture);
    close_trail(&fixture);
    assert_true(damage(&fixture, TRAIL_DATABASE_STREAM, 1, 0));
    assert_true(damage(&fixture, TRAIL_DATABASE_AGENT, 1, 0));
    struct trail_reader *reader = open_reader(&fixture);
    uint32_t streams = 0;
    assert_false(trail_reader_streams(reader, count_stream, &streams, &fixture.fault));
    assert_int_equal(streams, 2);
    struct span uri = SPAN_LITERAL("not yet");
    assert_true(trail_reader_agent(reader, agent, &uri, &fixture.fault));
    assert_int_equal(uri.size, 0);
    trail_reader_close(reader);

    open_damaged(&fixture);
    fixture_begin(&fixture);
    uint32_t other = 0;
    assert_true(
        trail_agent_number(fixture.trail, SPAN_LITERAL("spiffe://o/a"), &other, &fixture.fault));
    assert_int_equal(other, agent + 1);
    fixture_commit(&fixture);
    fixture_fill(&fixture, 0, 10, 5);
    close_trail(&fixture);
    assert_int_equal(count_faults(&fixture), 2);
    assert_true(damage(&fixture, TRAIL_DATABASE_STREAM, 1, 0));
    assert_true(damage(&fixture, TRAIL_DATABASE_AGENT, 1, 0));
    fixture_open(&fixture);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// A check reads also what stands beside the events: every turned bit there is a fault.
static void test_checks_what_stands_beside_the_events(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fixture_begin(&fixture);
    bool is_new = false;
    uint32_t agent = 0;
    assert_true(
        trail_agent_number(fixture.trail, SPAN_LITERAL("spiffe://o/a"), &agent, &fixture.fault));
    const struct trail_stream stream = {.agent = agent, .stream_id = {1}};
    assert_true(trail_stream_put(fixture.trail, &stream, &fixture.fault));
    const struct trail_gap gap = {
        .agent = agent, .stream_id = {1}, .first_seq = 3, .last_seq = 4, .reason = "expired"};
    assert_true(trail_gap_put(fixture.trail, &gap, &is_new, &fixture.fault));
    const struct trail_refused refused = {.bytes = SPAN_LITERAL("no record"),
                                          .reason = "invalid_json",
                                          .detail = SPAN_LITERAL("what and where"),
                                          .agent = agent};
    assert_true(trail_quarantine(fixture.trail, &refused, &is_new, &fixture.fault));
    fixture_commit(&fixture);
    close_trail(&fixture);
    assert_int_equal(count_faults(&fixture), 0);
    static const struct {
        enum trail_database database;
        uint32_t place;
    } values[] = {
        {TRAIL_DATABASE_AGENT, 1},      {TRAIL_DATABASE_STREAM, 0},     {TRAIL_DATABASE_GAP, 0},
        {TRAIL_DATABASE_QUARANTINE, 0}, {TRAIL_DATABASE_QUARANTINE, 1},
    };
    for (size_t index = 0; index < sizeof values / sizeof values[0]; index++) {
        for (int64_t at = 0; at < 200; at += 7) {
            if (!damage(&fixture, values[index].database, values[index].place, at)) break;
            assert_int_equal(count_faults(&fixture), 1);
            assert_true(damage(&fixture, values[index].database, values[index].place, at));
        }
    }
    assert_int_equal(count_faults(&fixture), 0);
    fixture_done(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commits_beside_a_damaged_block),
        cmocka_unit_test(test_tells_every_turned_bit),
        cmocka_unit_test(test_stores_no_copy_beside_damage),
        cmocka_unit_test(test_reads_beside_a_damaged_block),
        cmocka_unit_test(test_goes_on_beside_a_damaged_tail),
        cmocka_unit_test(test_goes_on_beside_a_damaged_dictionary),
        cmocka_unit_test(test_goes_on_beside_a_damaged_stream),
        cmocka_unit_test(test_checks_what_stands_beside_the_events),
        cmocka_unit_test(test_goes_on_beside_a_damaged_summary),
        cmocka_unit_test(test_refuses_a_damaged_head),
        cmocka_unit_test(test_refuses_a_file_cut_short),
        cmocka_unit_test(test_refuses_a_file_cut_under_a_reader),
        cmocka_unit_test(test_refuses_another_file),
        cmocka_unit_test(test_tells_keys_from_their_hashes),
    };
    return cases_run("trail_damage", tests, sizeof tests / sizeof tests[0]);
}
