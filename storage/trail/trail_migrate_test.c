// A store that the first format's program wrote becomes one of today's, with everything in it.

#include "storage/trail/trail_migrate.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/trail/trail_fixture.h"
#include "tests/kit/cases.h"

enum { EVENTS = 401, LINE_SIZE = 8192 };

static const char *archive;
static char folder[64];
static char store[96];

static int64_t now_ms(void *context) {
    (void)context;
    return INT64_C(1700000000000);
}

static void run(const char *format, const char *argument) {
    char command[512];
    snprintf(command, sizeof command, format, argument);
    assert_int_equal(system(command), 0);
}

static int unpack(void **state) {
    (void)state;
    const char *base = getenv("TEST_TMPDIR");
    snprintf(folder, sizeof folder, "%.40s/migrate-XXXXXX",
             base == NULL || strlen(base) > 40 ? "/tmp" : base);
    if (mkdtemp(folder) == NULL) return 1;
    char command[512];
    snprintf(command, sizeof command, "tar -xJf '%s' -C '%s'", archive, folder);
    snprintf(store, sizeof store, "%s/store", folder);
    return system(command) == 0 ? 0 : 1;
}

static int remove_folder(void **state) {
    (void)state;
    run("rm -rf '%s'", folder);
    return 0;
}

static const struct clock fixed_clock = {now_ms, now_ms, NULL};

static bool migrate(struct trail_migrate_result *result, struct fault *fault) {
    uint64_t seed = 3;
    struct random random = random_seeded(&seed);
    const struct trail_migrate_options options = {
        .store = store,
        .clock = &fixed_clock,
        .random = &random,
    };
    return trail_migrate(&options, result, fault);
}

struct comparing {
    FILE *list;
    uint64_t count;
};

static bool on_row(void *user, const struct trail_row *row) {
    struct comparing *comparing = user;
    static char line[LINE_SIZE];
    unsigned agent = 0;
    long long received_ms = 0;
    char account[16];
    int begin = 0;
    assert_non_null(fgets(line, sizeof line, comparing->list));
    assert_int_equal(sscanf(line, "%u\t%lld\t%15[0-9]\t%n", &agent, &received_ms, account, &begin),
                     3);
    size_t size = strcspn(line + begin, "\n");
    assert_int_equal(row->sequence, ++comparing->count);
    assert_int_equal(row->agent, agent);
    assert_int_equal(row->received_ms, received_ms);
    assert_int_equal(row->key.account_size, 12);
    assert_memory_equal(row->key.account, account, 12);
    assert_int_equal(row->text.size, size);
    assert_memory_equal(row->text.bytes, line + begin, size);
    return true;
}

static bool on_stream(void *user, const struct trail_stream *stream) {
    struct trail_stream *sum = user;
    sum->stored += stream->stored;
    sum->quarantined += stream->quarantined;
    sum->received += stream->received;
    sum->gap_numbers += stream->gap_numbers;
    assert_int_equal(stream->durable_seq, stream->stored + stream->gap_numbers);
    assert_int_equal(stream->stream_id[0], stream->agent);
    return true;
}

static bool on_quarantined(void *user, const struct trail_quarantined *entry) {
    *(uint64_t *)user += entry->count;
    assert_string_equal(entry->reason, "no_account");
    assert_true(span_is(entry->bytes, "{\"not\": \"a record\"}"));
    assert_true(span_is(entry->detail, "number 7"));
    return true;
}

static bool on_gap(void *user, const struct trail_gap *gap) {
    *(uint64_t *)user += gap->last_seq - gap->first_seq + 1;
    assert_string_equal(gap->reason, "spool_corrupt");
    return true;
}

static void on_fault(void *user, const struct fault *found) {
    (void)user;
    fail_msg("check: %s", found->text);
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    (void)user;
    assert_true(done <= all);
}

static void compare_all(void) {
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    struct trail_check check = {0};
    struct fault fault;
    char path[128];
    snprintf(path, sizeof path, "%s/events.tsv", folder);
    struct comparing comparing = {.list = fopen(path, "r")};
    assert_non_null(comparing.list);
    if (!trail_reader_open(store, &reader, &fault)) fail_msg("%s", fault.text);
    assert_true(trail_reader_facts(reader, &facts, &fault));
    assert_int_equal(facts.format_major, TRAIL_FORMAT_MAJOR);
    assert_int_equal(facts.events, EVENTS);
    assert_int_equal(facts.sequence_last, EVENTS);
    assert_int_equal(facts.quarantined, 5);
    assert_int_equal(facts.quarantined_count, 15);
    assert_int_equal(facts.gaps, 15);
    uint64_t last = 0;
    assert_true(trail_reader_follow(reader, 0, on_row, &comparing, &last, &fault));
    assert_int_equal(last, EVENTS);
    assert_int_equal(comparing.count, EVENTS);
    fclose(comparing.list);
    struct trail_stream sum = {0};
    uint64_t refusals = 0;
    uint64_t numbers = 0;
    assert_true(trail_reader_streams(reader, on_stream, &sum, &fault));
    assert_int_equal(sum.stored, EVENTS);
    assert_int_equal(sum.received, EVENTS + sum.quarantined);
    assert_true(trail_reader_quarantine(reader, on_quarantined, &refusals, &fault));
    assert_int_equal(refusals, 15);
    assert_true(trail_reader_gaps(reader, on_gap, &numbers, &fault));
    assert_int_equal(numbers, sum.gap_numbers);
    struct span uri;
    assert_true(trail_reader_agent(reader, 2, &uri, &fault));
    assert_true(span_starts(uri, SPAN_LITERAL("spiffe://o-example123/account/10000000000")));
    assert_true(trail_reader_check(reader, on_fault, on_progress, NULL, &check, &fault));
    assert_int_equal(check.events, EVENTS);
    trail_reader_close(reader);
}

static bool open_trail(struct trail **trail, struct fault *fault) {
    static uint64_t seed = 4;
    static struct random random;
    random = random_seeded(&seed);
    const struct trail_options options = {
        .directory = store,
        .map_size = 64 * 1024 * 1024,
        .clock = &fixed_clock,
        .random = &random,
    };
    return trail_open(&options, trail, fault);
}

static void test_everything_comes_along(void **state) {
    (void)state;
    struct trail *trail = NULL;
    struct trail_reader *reader = NULL;
    struct trail_migrate_result result;
    struct fault fault;
    // Until then both sides say what to do.
    assert_false(open_trail(&trail, &fault));
    assert_non_null(strstr(fault.text, "orgtrail store migrate"));
    assert_false(trail_reader_open(store, &reader, &fault));
    assert_non_null(strstr(fault.text, "orgtrail store migrate"));
    if (!migrate(&result, &fault)) fail_msg("%s", fault.text);
    assert_false(result.is_todays);
    assert_int_equal(result.events, EVENTS);
    char path[5000];
    snprintf(path, sizeof path, "%s/data.mdb", result.aside);
    assert_int_equal(access(path, F_OK), 0);
    compare_all();
    // Once is enough, and the writer goes on with it.
    if (!migrate(&result, &fault)) fail_msg("%s", fault.text);
    assert_true(result.is_todays);
    if (!open_trail(&trail, &fault)) fail_msg("%s", fault.text);
    assert_false(trail_is_damaged(trail, &fault));
    trail_close(trail);
    compare_all();
}

static void test_refuses_beside_a_writer(void **state) {
    (void)state;
    struct trail_migrate_result result;
    struct trail *trail = NULL;
    struct fault fault;
    if (!migrate(&result, &fault) || !open_trail(&trail, &fault)) fail_msg("%s", fault.text);
    assert_false(migrate(&result, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    trail_close(trail);
}

static void test_damage_changes_nothing(void **state) {
    (void)state;
    struct trail_migrate_result result;
    struct fault fault;
    char path[128];
    snprintf(path, sizeof path, "%s/data.mdb", store);
    run("cd '%s' && cp store/data.mdb before", folder);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    // A byte in the middle of a block's texts.
    static char bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, file);
    size_t at = 16;
    while (at + 4096 < size && memcmp(bytes + at, "OTBK", 4) != 0) at += 4096;
    assert_true(at + 4096 < size);
    assert_int_equal(fseek(file, (long)at + 1500, SEEK_SET), 0);
    fputc(bytes[at + 1500] ^ 1, file);
    fclose(file);
    assert_false(migrate(&result, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    assert_non_null(strstr(fault.text, "block"));
    // Mended, it migrates.
    run("cd '%s' && mv before store/data.mdb", folder);
    if (!migrate(&result, &fault)) fail_msg("%s", fault.text);
    compare_all();
}

static void test_survives_kills(void **state) {
    for (uint32_t turn = 0; turn < 16; turn++) {
        struct trail_migrate_result result;
        struct fault fault;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(migrate(&result, &fault) ? 0 : 1);
        usleep(turn * 4000);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        if (!migrate(&result, &fault)) fail_msg("%s", fault.text);
        compare_all();
        remove_folder(state);
        assert_int_equal(unpack(state), 0);
    }
}

static void on_check_fault(void *user, const struct fault *found) {
    (void)user;
    print_message("%s\n", found->text);
}

static void on_check_progress(void *user, uint64_t done, uint64_t all) {
    (void)user;
    (void)done;
    (void)all;
}

static uint32_t count_named(struct fixture *fixture, struct trail_reader *reader,
                            const char *name) {
    const struct attribute wanted = {ATTRIBUTE_RESOURCE_NAME, span_text(name)};
    const struct trail_query query = {
        .time_min_s = INT64_MIN,
        .time_max_s = INT64_MAX,
        .attributes = &wanted,
        .attributes_count = 1,
    };
    struct trail_cursor *cursor = NULL;
    struct trail_row row;
    bool found = true;
    uint32_t count = 0;
    if (!trail_cursor_open(reader, &query, &cursor, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    while (true) {
        if (!trail_cursor_next(cursor, &found, &row, &fixture->fault))
            fail_msg("%s", fixture->fault.text);
        if (!found) break;
        count++;
    }
    trail_cursor_close(cursor);
    return count;
}

// Stores of before the parameters were looked at: what was indexed then is found, and nothing is
// wrong with them.
static void test_events_without_their_subjects(void **state) {
    static const char form[] =
        "{\"eventID\":\"%08x-0000-4000-8000-000000000000\",\"eventTime\":"
        "\"2023-11-14T22:13:2%dZ\",\"eventSource\":\"iam.amazonaws.com\",\"eventName\":"
        "\"DeleteUser\",\"awsRegion\":\"us-east-1\",\"recipientAccountId\":\"000000000001\","
        "\"readOnly\":false,\"requestParameters\":{\"userName\":\"eve\"},\"resources\":"
        "[{\"ARN\":\"arn:aws:iam::1:role/listed\",\"type\":\"AWS::IAM::Role\"}]}";
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 1;
    fixture_open(&fixture);
    for (int number = 0; number < 2; number++) {
        char text[512];
        struct record record;
        enum record_refusal refusal;
        enum trail_outcome outcome;
        snprintf(text, sizeof text, form, (unsigned)number, number);
        if (!record_read(fixture.json, fixture.arena, span_text(text), &record, &refusal,
                         &fixture.fault))
            fail_msg("%s", fixture.fault.text);
        assert_int_equal(record.subjects_count, 1);
        if (number == 0) record.subjects_count = 0;
        const struct trail_entry entry = {.record = &record,
                                          .account = record.recipient_account,
                                          .agent = TRAIL_AGENT_OWN,
                                          .received_ms = fixture.now_ms};
        fixture_begin(&fixture);
        if (!trail_add(fixture.trail, &entry, &outcome, &fixture.fault))
            fail_msg("%s", fixture.fault.text);
        fixture_commit(&fixture);
    }
    struct trail_reader *reader = NULL;
    if (!trail_reader_open(fixture.directory, &reader, &fixture.fault))
        fail_msg("%s", fixture.fault.text);
    assert_int_equal(count_named(&fixture, reader, "listed"), 2);
    assert_int_equal(count_named(&fixture, reader, "eve"), 1);
    struct trail_check check = {0};
    assert_true(trail_reader_check(reader, on_check_fault, on_check_progress, NULL, &check,
                                   &fixture.fault));
    assert_int_equal(check.events, 2);
    assert_int_equal(check.faults, 0);
    trail_reader_close(reader);
    fixture_done(&fixture);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    archive = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything_comes_along, unpack, remove_folder),
        cmocka_unit_test_setup_teardown(test_refuses_beside_a_writer, unpack, remove_folder),
        cmocka_unit_test_setup_teardown(test_damage_changes_nothing, unpack, remove_folder),
        cmocka_unit_test_setup_teardown(test_survives_kills, unpack, remove_folder),
        cmocka_unit_test(test_events_without_their_subjects),
    };
    return cases_run("trail_migrate", tests, sizeof tests / sizeof tests[0]);
}
