#include "collector/append/append_quarantine.h"

#include <stdlib.h>
#include <string.h>

#include "collector/append/append_fixture.h"
#include "collector/metrics.h"
#include "storage/trail/trail_reader.h"
#include "tests/kit/cases.h"

static const char foreign[] = ",\"recipientAccountId\":\"333333333333\"";

struct result {
    struct append_quarantine_counts counts;
    struct fault fault;
    uint32_t calls;
};

static void on_done(void *context, const struct append_quarantine_counts *counts,
                    const struct fault *fault) {
    struct result *result = context;
    result->calls++;
    result->counts = *counts;
    if (fault != NULL) result->fault = *fault;
}

struct keys {
    uint8_t list[64][TRAIL_REFUSED_KEY_SIZE];
    uint32_t count;
};

static bool on_entry(void *user, const struct trail_quarantined *entry) {
    struct keys *keys = user;
    memcpy(keys->list[keys->count++], entry->key, TRAIL_REFUSED_KEY_SIZE);
    return true;
}

static void read_keys(struct rig *rig, struct keys *keys) {
    struct trail_reader *reader = NULL;
    struct fault fault;
    keys->count = 0;
    assert_true(trail_reader_open(rig->directory, &reader, &fault));
    assert_true(trail_reader_quarantine(reader, on_entry, keys, &fault));
    trail_reader_close(reader);
}

static void submit(struct rig *rig, const struct keys *keys, bool is_discard,
                   struct result *result) {
    struct fault fault;
    *result = (struct result){0};
    const struct append_quarantine_options options = {
        .is_discard = is_discard,
        .keys = keys->list,
        .keys_count = keys->count,
        .user = "ana (uid 7)",
        .organization = "o-abc",
        .roster = &rig->live,
        .future_max_s = 86400,
        .done = on_done,
        .context = result,
    };
    assert_true(append_quarantine_submit(rig->append, &options, &fault));
}

static void expect_balance(const struct trail_stream *stream) {
    assert_int_equal(stream->received, stream->stored + stream->duplicates + stream->variants +
                                           stream->quarantined + stream->expired);
}

// Another roster takes effect; it and its accounts outlive the rig.
static void admit_account(struct rig *rig, const char *id, struct roster **made) {
    static struct roster_account accounts[3];
    struct fault fault;
    accounts[0] = (struct roster_account){.id = "111111111111"};
    accounts[1] = (struct roster_account){.id = "222222222222"};
    accounts[2] = (struct roster_account){.id = id};
    assert_true(roster_create(accounts, 3, ROSTER_UNKNOWN_QUARANTINE, made, &fault));
    assert_ptr_equal(roster_live_replace(&rig->live, *made), rig->roster);
    roster_destroy(rig->roster);
    rig->roster = *made;
}

static void test_retried_when_the_account_is_known(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct keys keys;
    struct result result;
    struct roster *roster;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    uint8_t other_chain[TRAIL_CHAIN_SIZE] = {0};
    // One agent, two spools: the entry does not know of which it is.
    const char *uri = "spiffe://o-abc/account/333333333333";
    struct end *one = rig_enter(rig, 0, uri, 1);
    struct end *two = rig_enter(rig, 1, uri, 2);
    rig_say(one, 1, "a", foreign, chain);
    rig_say(one, 2, "a", foreign, chain);
    rig_say(two, 1, "a", foreign, other_chain);
    rig_say(two, 2, "b", foreign, other_chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    rig_leave(rig, 1);
    rig_pass(rig, APPEND_COMMIT_MS);
    read_keys(rig, &keys);
    assert_int_equal(keys.count, 2);
    memcpy(keys.list[2], keys.list[0], TRAIL_REFUSED_KEY_SIZE);
    memset(keys.list[3], 7, TRAIL_REFUSED_KEY_SIZE);
    keys.count = 4;

    submit(rig, &keys, false, &result);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.counts.unchanged, 2);
    assert_int_equal(result.counts.missing, 2);
    assert_int_equal(rig_read_facts(rig, &own).quarantined_count, 4);
    assert_int_equal(own.count, 0);

    admit_account(rig, "333333333333", &roster);
    submit(rig, &keys, false, &result);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(result.counts.admitted, 2);
    assert_int_equal(result.counts.records, 4);
    assert_int_equal(result.counts.stored, 2);
    struct trail_facts facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.quarantined, 0);
    assert_int_equal(facts.quarantined_count, 0);
    assert_int_equal(facts.events, 3);
    assert_int_equal(rig_count_own(&own, "QuarantineRetried"), 1);
    struct trail_stream open = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    struct trail_stream left = rig_find_stream(rig, RIG_AGENT_ONE, 2);
    expect_balance(&open);
    expect_balance(&left);
    assert_int_equal(open.quarantined + left.quarantined, 0);
    assert_int_equal(open.stored + left.stored, 2);
    assert_int_equal(open.duplicates + left.duplicates, 2);
    // The session goes on from the moved counts.
    rig_say(one, 3, "c", foreign, chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    open = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    expect_balance(&open);
    assert_int_equal(open.quarantined, 0);
    assert_int_equal(open.received, 3);
}

static void test_another_reason_takes_its_place(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct keys keys;
    struct result result;
    struct roster *roster;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    // Too far ahead now; three days later it is only of an unknown account.
    rig_close_store(rig);
    rig->now_ms -= INT64_C(3) * 86400000;
    rig_open_store(rig);
    admit_account(rig, "444444444444", &roster);
    struct end *one = rig_enter(rig, 0, "spiffe://o-abc/account/333333333333", 1);
    rig_say(one, 1, "a", foreign, chain);
    rig_say(one, 2, "a", foreign, chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    read_keys(rig, &keys);
    assert_int_equal(keys.count, 1);
    rig->now_ms += INT64_C(3) * 86400000;
    submit(rig, &keys, false, &result);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(result.counts.other, 1);
    assert_int_equal(result.counts.records, 2);
    struct trail_facts facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.quarantined, 1);
    assert_int_equal(facts.quarantined_count, 2);
    struct keys moved;
    read_keys(rig, &moved);
    assert_memory_not_equal(moved.list[0], keys.list[0], TRAIL_REFUSED_KEY_SIZE);
    struct trail_stream stream = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    expect_balance(&stream);
    assert_int_equal(stream.quarantined, 2);
}

static void test_discarded_entries_stay_counted(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct keys keys;
    struct result result;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    rig_say(one, 1, "a", foreign, chain);
    rig_say(one, 2, "a", foreign, chain);
    rig_say(one, 3, "b", foreign, chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    read_keys(rig, &keys);
    assert_int_equal(keys.count, 2);
    submit(rig, &keys, true, &result);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(result.counts.discarded, 2);
    assert_int_equal(result.counts.records, 3);
    assert_int_equal(rig_read_facts(rig, &own).quarantined, 0);
    assert_int_equal(rig_count_own(&own, "QuarantineDiscarded"), 1);
    assert_non_null(strstr(own.texts[own.count - 1], "\"user\":\"ana (uid 7)\""));
    struct trail_stream stream = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    expect_balance(&stream);
    assert_int_equal(stream.quarantined, 3);
    assert_int_equal(trail_quarantine_size(rig->trail, RIG_AGENT_ONE), 0);
}

static void test_a_job_ends_with_the_collector(void **state) {
    struct rig *rig = *state;
    struct keys keys = {.count = 1};
    struct result result;
    submit(rig, &keys, true, &result);
    rig_close_store(rig);
    assert_int_equal(result.calls, 1);
    assert_int_equal(result.fault.kind, FAULT_RETRY);
    rig_open_store(rig);
}

// Violations that wait are told by the clock alone, also when their agent has gone.
static void test_waiting_violations_need_no_stream(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    rig_say(one, 1, "a", foreign, chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    rig_say(one, 2, "b", foreign, chain);
    rig_say(one, 3, "c", foreign, chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    rig_leave(rig, 0);
    rig_pass(rig, 30000);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "IdentityViolation"), 1);
    rig_pass(rig, 30000);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "IdentityViolation"), 2);
    assert_non_null(strstr(own.texts[1], "\"count\":2"));
    assert_non_null(strstr(own.texts[1], RIG_ONE));
    rig_pass(rig, 120000);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "IdentityViolation"), 2);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_retried_when_the_account_is_known, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_another_reason_takes_its_place, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_discarded_entries_stay_counted, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_a_job_ends_with_the_collector, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_waiting_violations_need_no_stream, rig_make, rig_end),
    };
    return cases_run("collector/append_quarantine", tests, sizeof tests / sizeof tests[0]);
}
