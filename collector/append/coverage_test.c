#include "collector/append/coverage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "collector/append/test_trail.h"
#include "event/record.h"
#include "tests/kit/cases.h"

enum { ACCOUNTS = 1000, REGIONS = 17 };

static struct coverage *make(void) {
    struct coverage *coverage = coverage_create();
    assert_non_null(coverage);
    return coverage;
}

static void note(struct coverage *coverage, const char *account, const char *region,
                 uint64_t stored, int64_t time_s) {
    const struct coverage_change change = {
        .stored = stored, .duplicates = 1, .event_time_s = time_s, .received_ms = time_s * 1000};
    coverage_note(coverage, span_text(account), region, &change);
}

static const struct coverage_row *find(struct coverage *coverage, const char *account,
                                       const char *region) {
    uint32_t index = coverage_find(coverage, span_text(account), region);
    assert_true(index < COVERAGE_ROWS_MAX);
    return coverage_get(coverage, index);
}

// Saves it in a commit of its own, if it is due.
static void save(struct coverage *coverage, struct test_trail *trail, int64_t now_ms,
                 bool is_last) {
    struct fault fault = {0};
    test_trail_begin(trail);
    if (!coverage_save(coverage, trail->trail, now_ms, is_last, &fault)) fail_msg("%s", fault.text);
    test_trail_commit(trail);
    coverage_keep(coverage);
}

static void load(struct coverage *coverage, struct test_trail *trail) {
    struct fault fault = {0};
    struct trail_reader *reader = test_trail_read(trail);
    if (!coverage_load(coverage, reader, &fault)) fail_msg("%s", fault.text);
    trail_reader_close(reader);
}

// What a commit notes counts once it is durable, and not at all if it fails.
static void test_only_what_is_kept_counts(void **state) {
    (void)state;
    struct coverage *coverage = make();
    note(coverage, "111111111111", "eu-west-1", 5, 100);
    note(coverage, "111111111111", "eu-west-1", 2, 90);
    assert_int_equal(find(coverage, "111111111111", "eu-west-1")->stored, 0);
    coverage_undo(coverage);
    assert_int_equal(find(coverage, "111111111111", "eu-west-1")->stored, 0);
    assert_false(coverage_is_due(coverage, 1 << 30));
    note(coverage, "111111111111", "eu-west-1", 5, 100);
    note(coverage, "111111111111", "eu-west-1", 2, 90);
    coverage_keep(coverage);
    const struct coverage_row *row = find(coverage, "111111111111", "eu-west-1");
    assert_int_equal(row->stored, 7);
    assert_int_equal(row->duplicates, 2);
    assert_int_equal(row->last_event_s, 100);
    assert_int_equal(row->last_received_ms, 100000);
    // An older event moves no time back.
    note(coverage, "111111111111", "eu-west-1", 1, 50);
    coverage_keep(coverage);
    assert_int_equal(find(coverage, "111111111111", "eu-west-1")->last_event_s, 100);
    coverage_destroy(coverage);
}

// An account that names ever new regions gets one row for all further ones.
static void test_regions_of_an_account_have_an_end(void **state) {
    (void)state;
    struct coverage *coverage = make();
    for (uint32_t index = 0; index < 5 * COVERAGE_REGIONS_MAX; index++) {
        char region[COVERAGE_REGION_SIZE];
        snprintf(region, sizeof region, "made-up-%u", index);
        note(coverage, "111111111111", region, 1, 100);
    }
    note(coverage, "222222222222", "eu-west-1", 1, 100);
    coverage_keep(coverage);
    assert_in_range(coverage_rows_count(coverage), COVERAGE_REGIONS_MAX, COVERAGE_REGIONS_MAX + 4);
    assert_int_equal(find(coverage, "111111111111", "other")->stored, 4 * COVERAGE_REGIONS_MAX);
    assert_int_equal(find(coverage, "222222222222", "eu-west-1")->stored, 1);
    // No account, and one that is too long, are not noted.
    char account[COVERAGE_ACCOUNT_SIZE + 1];
    memset(account, '1', COVERAGE_ACCOUNT_SIZE);
    account[COVERAGE_ACCOUNT_SIZE] = 0;
    assert_int_equal(coverage_find(coverage, span_text(account), "x"), COVERAGE_ROWS_MAX);
    assert_int_equal(coverage_find(coverage, span_text(""), "x"), COVERAGE_ROWS_MAX);
    coverage_destroy(coverage);
}

static void print_account(uint32_t index, char text[16]) {
    snprintf(text, 16, "%012u", 700000000 + index);
}

// The size it is made for: all is found again, saved in one commit and read as it was.
static void test_thousand_accounts(void **state) {
    struct test_trail *trail = *state;
    static const char *const regions[REGIONS] = {
        "af-south-1",     "ap-east-1",      "ap-northeast-1", "ap-northeast-2", "ap-south-1",
        "ap-southeast-1", "ap-southeast-2", "ca-central-1",   "eu-central-1",   "eu-north-1",
        "eu-west-1",      "eu-west-2",      "global",         "sa-east-1",      "us-east-1",
        "us-east-2",      "us-west-2",
    };
    struct coverage *coverage = make();
    char account[16];
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t index = 0; index < ACCOUNTS * REGIONS; index++) {
            print_account(index % ACCOUNTS, account);
            note(coverage, account, regions[index / ACCOUNTS], index, 1000 + round);
        }
        coverage_keep(coverage);
    }
    // And a row of each account that ties its rows together.
    assert_int_equal(coverage_rows_count(coverage), ACCOUNTS * (REGIONS + 1));
    print_account(7, account);
    coverage_set(coverage, coverage_find(coverage, span_text(account), "eu-west-1"), 1234, 5678);

    // The more changed, the longer it is gathered.
    int64_t due_ms = COVERAGE_SAVE_MS + ACCOUNTS * COVERAGE_SAVE_ACCOUNT_MS;
    assert_false(coverage_is_due(coverage, due_ms - 1));
    assert_true(coverage_is_due(coverage, due_ms));
    save(coverage, trail, due_ms, false);
    assert_false(coverage_is_due(coverage, INT64_MAX));

    struct coverage *again = make();
    load(again, trail);
    assert_int_equal(coverage_rows_count(again), ACCOUNTS * (REGIONS + 1));
    for (uint32_t index = 0; index < ACCOUNTS * REGIONS; index++) {
        print_account(index % ACCOUNTS, account);
        const struct coverage_row *row = find(again, account, regions[index / ACCOUNTS]);
        assert_int_equal(row->stored, 3 * (uint64_t)index);
        assert_int_equal(row->last_event_s, 1002);
    }
    print_account(7, account);
    assert_int_equal(find(again, account, "eu-west-1")->expected_ms, 1234);
    assert_int_equal(find(again, account, "eu-west-1")->silent_ms, 5678);
    coverage_destroy(again);

    // One account that changes is saved soon, and alone.
    note(coverage, account, "eu-west-1", 1, 2000);
    coverage_keep(coverage);
    assert_true(coverage_is_due(coverage, due_ms + COVERAGE_SAVE_MS + COVERAGE_SAVE_ACCOUNT_MS));
    coverage_destroy(coverage);
}

// A commit that fails saves nothing: what was due still is.
static void test_failed_save_is_made_up_for(void **state) {
    struct test_trail *trail = *state;
    struct fault fault = {0};
    struct coverage *coverage = make();
    note(coverage, "111111111111", "eu-west-1", 5, 100);
    coverage_keep(coverage);
    test_trail_begin(trail);
    assert_true(coverage_save(coverage, trail->trail, 60000, false, &fault));
    trail_abort(trail->trail);
    coverage_undo(coverage);
    save(coverage, trail, 60001, true);
    struct coverage *again = make();
    load(again, trail);
    assert_int_equal(find(again, "111111111111", "eu-west-1")->stored, 5);
    coverage_destroy(again);
    coverage_destroy(coverage);
}

// Stores one event of this second, in a commit that saves no coverage.
static void store_event(struct test_trail *trail, uint32_t second) {
    struct json_reader *json = json_reader_create();
    struct arena *arena = arena_create(1 << 20);
    struct record record;
    enum record_refusal refusal;
    enum trail_outcome outcome;
    struct fault fault = {0};
    uint32_t agent;
    char text[300];
    snprintf(
        text, sizeof text,
        "{\"eventID\":\"00000000-0000-4000-8000-0000000000%02u\",\"eventTime\":"
        "\"2023-11-14T22:00:%02uZ\",\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":"
        "\"RunInstances\",\"awsRegion\":\"eu-west-1\",\"recipientAccountId\":\"111111111111\"}",
        second, second);
    assert_true(record_read(json, arena, span_text(text), &record, &refusal, &fault));
    test_trail_begin(trail);
    assert_true(
        trail_agent_number(trail->trail, SPAN_LITERAL("spiffe://o-abc/account/1"), &agent, &fault));
    const struct trail_entry entry = {
        .record = &record,
        .account = record.recipient_account,
        .agent = agent,
        .received_ms = 1700000000000 + second,
    };
    assert_true(trail_add(trail->trail, &entry, &outcome, &fault));
    assert_int_equal(outcome, TRAIL_STORED);
    test_trail_commit(trail);
    json_reader_destroy(json);
    arena_destroy(arena);
}

// What was stored after the last save is read again from the events.
static void test_start_reads_what_was_not_saved(void **state) {
    struct test_trail *trail = *state;
    struct coverage *coverage = make();
    store_event(trail, 1);
    load(coverage, trail);
    assert_int_equal(find(coverage, "111111111111", "eu-west-1")->stored, 1);
    save(coverage, trail, 60000, true);
    store_event(trail, 2);
    store_event(trail, 3);
    struct coverage *again = make();
    load(again, trail);
    const struct coverage_row *row = find(again, "111111111111", "eu-west-1");
    assert_int_equal(row->stored, 3);
    assert_int_equal(row->last_received_ms, 1700000000003);
    coverage_destroy(again);
    coverage_destroy(coverage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_is_kept_counts),
        cmocka_unit_test(test_regions_of_an_account_have_an_end),
        cmocka_unit_test_setup_teardown(test_thousand_accounts, test_trail_make, test_trail_end),
        cmocka_unit_test_setup_teardown(test_failed_save_is_made_up_for, test_trail_make,
                                        test_trail_end),
        cmocka_unit_test_setup_teardown(test_start_reads_what_was_not_saved, test_trail_make,
                                        test_trail_end),
    };
    return cases_run("coverage_test", tests, sizeof tests / sizeof tests[0]);
}
