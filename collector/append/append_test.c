#include "collector/append/append.h"

#include <stdio.h>
#include <stdlib.h>

#include "collector/append/append_commit.h"
#include "collector/append/append_fixture.h"
#include "collector/append/unlisted.h"
#include "collector/intake/intake.h"
#include "collector/intake/test_messages.h"
#include "collector/metrics.h"
#include "tests/kit/cases.h"

static void test_one_commit_answers_all(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chains[2][TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    struct end *two = rig_enter(rig, 1, RIG_TWO, 1);
    assert_int_equal(one->resume, 1);
    int64_t commits = metric_get(&metrics_table[METRICS_COMMITS], 0);
    rig_say(one, 1, "a", "", chains[0]);
    rig_say(one, 2, "b", "", chains[0]);
    rig_say(two, 1, "a", "", chains[1]);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(metric_get(&metrics_table[METRICS_COMMITS], 0), commits + 1);
    assert_int_equal(one->acked, 2);
    assert_int_equal(two->acked, 1);
    assert_int_equal(rig_read_facts(rig, &own).events, 3);
    assert_true(append_is_idle(rig->append));
}

static void test_commits_are_not_too_frequent(void **state) {
    struct rig *rig = *state;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    rig_pass(rig, APPEND_COMMIT_MS);
    rig_say(one, 1, "a", "", chain);
    rig_step(rig);
    assert_int_equal(one->acked, 1);
    rig_say(one, 2, "b", "", chain);
    rig_pass(rig, APPEND_COMMIT_MS - 1);
    assert_int_equal(one->acked, 1);
    rig_pass(rig, 1);
    assert_int_equal(one->acked, 2);
    // Many do not wait.
    const char *record = rig_make_record(rig, "c", "");
    for (uint64_t first = 3; first < 3 + APPEND_COMMIT_EVENTS; first += 256) {
        (void)intake_message(one->intake, test_records(rig->arena, first, record, 256, chain));
    }
    rig_step(rig);
    assert_int_equal(one->acked, 2 + APPEND_COMMIT_EVENTS);
    assert_int_equal(one->duplicates, APPEND_COMMIT_EVENTS - 1);
}

static void test_copies_variants_and_conflicts(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    rig_say(one, 1, "a", "", chain);
    rig_say(one, 2, "a", "", chain);
    rig_say(one, 3, "a", " ", chain);
    rig_say(one, 4, "a", ",\"errorCode\":\"AccessDenied\"", chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    rig_say(one, 5, "a", ",\"errorCode\":\"AccessDenied\"", chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 5);
    assert_int_equal(one->duplicates, 2);
    assert_int_equal(one->quarantined, 2);
    struct trail_stream stream = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    assert_int_equal(stream.received, 5);
    assert_int_equal(stream.stored, 1);
    assert_int_equal(stream.duplicates, 1);
    assert_int_equal(stream.variants, 1);
    assert_int_equal(stream.conflicts, 2);
    struct trail_facts facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.quarantined, 1);
    assert_int_equal(facts.quarantined_count, 2);
    assert_int_equal(rig_count_own(&own, "EventConflict"), 1);
    assert_int_equal(facts.events, 2);
}

static void test_many_conflicts_are_told_together(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    struct test_event events[40] = {0};
    rig_say(one, 1, "a", "", chain);
    for (uint32_t index = 0; index < 40; index++) {
        char more[32];
        (void)snprintf(more, sizeof more, ",\"n\":%u", index);
        events[index].text = span_text(rig_make_record(rig, "a", more));
    }
    (void)intake_message(one->intake, test_batch(rig->arena, 2, events, 40, chain));
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 41);
    struct trail_facts facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.quarantined, 40);
    assert_int_equal(rig_count_own(&own, "EventConflict"), 16);
    assert_int_equal(rig_count_own(&own, "EventConflicts"), 1);
    assert_non_null(strstr(own.texts[own.count - 1], "\"count\":24"));
}

static void test_identity_violations_once_a_minute(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    const char *foreign = ",\"recipientAccountId\":\"222222222222\"";
    rig_say(one, 1, "a", foreign, chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    rig_say(one, 2, "b", foreign, chain);
    rig_say(one, 3, "c", foreign, chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(rig_read_facts(rig, &own).quarantined, 3);
    assert_int_equal(rig_count_own(&own, "IdentityViolation"), 1);
    assert_non_null(strstr(own.texts[0], "\"count\":1,"));
    assert_non_null(strstr(own.texts[0], "account 222222222222"));
    // The others are told when their minute is over, though nothing comes.
    rig_pass(rig, 60000 - 2 * APPEND_COMMIT_MS);
    assert_int_equal(rig_read_facts(rig, &own).events, 1);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(rig_read_facts(rig, &own).events, 2);
    assert_non_null(strstr(own.texts[1], "\"count\":2"));
    rig_pass(rig, 120000);
    assert_int_equal(rig_read_facts(rig, &own).events, 2);
}

static void test_gap_is_durable_and_told_once(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {3};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    assert_true(intake_message(one->intake, test_gap(rig->arena, 1, 9, chain)));
    assert_true(intake_message(one->intake, test_gap(rig->arena, 1, 9, chain)));
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 9);
    rig_say(one, 10, "a", "", chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 10);
    struct trail_facts facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.gaps, 1);
    assert_int_equal(rig_count_own(&own, "EventsLost"), 1);
    assert_non_null(strstr(own.texts[0], "\"firstNumber\":1,\"lastNumber\":9,\"count\":9"));
    struct trail_stream stream = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    assert_int_equal(stream.gap_numbers, 9);
    assert_int_equal(stream.received, 1);
}

static void test_notice_is_one_event_however_often_sent(void **state) {
    struct rig *rig = *state;
    struct own own;
    const struct test_event notice = {
        .text = test_notice(rig->arena, "rotated_away", RIG_NOW_MS - 5000, SPAN_LITERAL("{\"lost")),
        .is_notice = true,
    };
    for (uint8_t stream = 1; stream <= 2; stream++) {
        uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
        struct end *one = rig_enter(rig, stream, RIG_ONE, stream);
        assert_true(intake_message(one->intake, test_batch(rig->arena, 1, &notice, 1, chain)));
        rig_pass(rig, APPEND_COMMIT_MS);
        assert_int_equal(one->acked, 1);
        struct trail_facts facts = rig_read_facts(rig, &own);
        assert_int_equal(facts.events, 1);
        assert_int_equal(facts.quarantined, 1);
        assert_int_equal(facts.quarantined_count, stream);
        assert_int_equal(rig_count_own(&own, "AgentNotice"), 1);
    }
    struct trail_stream stream = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    assert_int_equal(stream.notices, 1);
    assert_int_equal(stream.received, 0);
}

static void test_bad_notices_are_kept(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    const struct test_event notices[] = {
        {.text = SPAN_LITERAL("\xff\xff"), .is_notice = true},
        {.text = test_notice(rig->arena, "r", INT64_MAX, SPAN_LITERAL("")), .is_notice = true},
        {.text = test_notice(rig->arena, "r", RIG_NOW_MS + 90000000, SPAN_LITERAL("")),
         .is_notice = true},
    };
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    assert_true(intake_message(one->intake, test_batch(rig->arena, 1, notices, 3, chain)));
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 3);
    struct trail_facts facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.events, 0);
    assert_int_equal(facts.quarantined, 3);
}

static void test_restart_resumes_numbers(void **state) {
    struct rig *rig = *state;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    for (uint64_t number = 1; number <= 3; number++) rig_say(one, number, "a", "", chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    rig_say(one, 4, "b", "", chain);  // not committed: the process ends
    void *item;
    while (queue_pop(rig->queue, &item, 1, 0) == 1) {
        struct batch *batch = item;
        fault_set(&batch->fault, FAULT_RETRY, "the end");
        intake_report(batch->owner, batch);
    }
    rig_close_store(rig);
    rig_open_store(rig);
    one = rig_enter(rig, 0, RIG_ONE, 1);
    assert_int_equal(one->resume, 4);
    struct end *other = rig_enter(rig, 1, RIG_ONE, 2);
    assert_int_equal(other->resume, 1);
}

static void test_newer_session_takes_over(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *older = rig_enter(rig, 0, RIG_ONE, 1);
    rig_say(older, 1, "a", "", chain);
    struct end *newer = rig_begin(rig, 1, RIG_ONE);
    assert_true(intake_message(newer->intake, test_hello(rig->arena, 1)));
    rig_say(older, 2, "b", "", chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    // What came before the newer Hello counts, what came behind it does not.
    assert_int_equal(newer->resume, 2);
    assert_true(older->is_closed);
    assert_int_equal(older->closed_kind, FAULT_RETRY);
    assert_int_equal(rig_read_facts(rig, &own).events, 1);
    rig_leave(rig, 0);
    uint8_t again[TRAIL_CHAIN_SIZE] = {0};
    rig_say(newer, 1, "a", "", again);
    rig_say(newer, 2, "b", "", again);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(newer->acked, 2);
    assert_int_equal(rig_read_facts(rig, &own).events, 2);
}

static void test_no_room_for_another_stream(void **state) {
    struct rig *rig = *state;
    for (uint8_t index = 0; index < RIG_ENDS; index++) {
        (void)rig_enter(rig, index, index % 2 == 0 ? RIG_ONE : RIG_TWO, index);
    }
    struct end *first = &rig->ends[0];
    struct end saved = *first;
    struct end *extra = rig_enter(rig, 0, RIG_ONE, 99);
    assert_true(extra->is_closed);
    assert_int_equal(extra->closed_kind, FAULT_RETRY);
    rig_leave(rig, 0);
    *first = saved;
    intake_destroy((intake_closed(saved.intake), append_forget(rig->append, saved.intake, 0, false),
                    saved.intake));
    first->intake = NULL;
    extra = rig_enter(rig, 0, RIG_ONE, 99);
    assert_false(extra->is_closed);
}

static void test_an_agent_takes_few_places(void **state) {
    struct rig *rig = *state;
    for (uint8_t index = 0; index < APPEND_COMMIT_AGENT_SESSIONS_MAX; index++) {
        assert_false(rig_enter(rig, index, RIG_ONE, index)->is_closed);
    }
    struct end *extra = rig_enter(rig, 4, RIG_ONE, 99);
    assert_true(extra->is_closed);
    assert_int_equal(extra->closed_kind, FAULT_FULL);
    assert_false(rig_enter(rig, 5, RIG_TWO, 99)->is_closed);
    // A stream it has already may be taken over.
    rig_leave(rig, 4);
    assert_false(rig_enter(rig, 4, RIG_ONE, 0)->is_closed);
    assert_true(rig->ends[0].is_closed);
}

// Who begins new streams for ever leaves nothing behind.
static void test_hellos_are_not_remembered(void **state) {
    struct rig *rig = *state;
    for (uint8_t stream = 0; stream < 50; stream++) {
        assert_false(rig_enter(rig, 0, RIG_ONE, stream)->is_closed);
        rig_leave(rig, 0);
    }
    // The first one says that the agent was seen.
    assert_int_equal(trail_streams_count(rig->trail, RIG_AGENT_ONE), 1);
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *end = rig_enter(rig, 0, RIG_ONE, 99);
    rig_say(end, 1, "a", "", chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(end->acked, 1);
    assert_int_equal(trail_streams_count(rig->trail, RIG_AGENT_ONE), 2);
    rig_leave(rig, 0);
    assert_int_equal(rig_enter(rig, 0, RIG_ONE, 99)->resume, 2);
}

static void test_streams_of_an_agent_are_bounded(void **state) {
    struct rig *rig = *state;
    struct fault fault = {0};
    struct trail_receipt receipt;
    (void)rig_enter(rig, 0, RIG_ONE, 0);
    rig_leave(rig, 0);
    assert_true(trail_begin(rig->trail, &fault));
    for (uint32_t count = 1; count < APPEND_COMMIT_AGENT_STREAMS_MAX; count++) {
        struct trail_stream stream = {.agent = RIG_AGENT_ONE, .durable_seq = 1};
        memcpy(stream.stream_id, &count, sizeof count);
        assert_true(trail_stream_put(rig->trail, &stream, &fault));
    }
    assert_true(trail_commit(rig->trail, &receipt, &fault));
    struct end *extra = rig_enter(rig, 0, RIG_ONE, 99);
    assert_true(extra->is_closed);
    assert_int_equal(extra->closed_kind, FAULT_FULL);
    assert_false(rig_enter(rig, 1, RIG_ONE, 0)->is_closed);
    assert_false(rig_enter(rig, 2, RIG_TWO, 99)->is_closed);
}

static void test_full_disk_acknowledges_nothing(void **state) {
    struct rig *rig = *state;
    rig_close_store(rig);
    rig->size_max = 3 << 20;
    rig_open_store(rig);
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    uint64_t number = 0;
    char filler[3001];
    uint64_t state_random = 7;
    while (!append_is_full(rig->append)) {
        struct test_event events[64] = {0};
        for (uint32_t index = 0; index < 64; index++) {
            for (uint32_t at = 0; at < sizeof filler - 1; at++) {
                filler[at] = (char)('!' + random_splitmix64(&state_random) % 90);
                if (filler[at] == '"' || filler[at] == '\\') filler[at] = '-';
            }
            filler[sizeof filler - 1] = '\0';
            char id[24];
            (void)snprintf(id, sizeof id, "id%llu", (unsigned long long)(number + index));
            char *more = arena_print(rig->arena, ",\"filler\":\"%s\"", filler);
            events[index].text = span_text(rig_make_record(rig, id, more));
        }
        (void)intake_message(one->intake, test_batch(rig->arena, number + 1, events, 64, chain));
        number += 64;
        rig_pass(rig, APPEND_COMMIT_MS);
        assert_true(number < 64 * 200);
    }
    uint64_t acked = one->acked;
    assert_true(acked < number);
    assert_false(one->is_closed);
    assert_int_equal(metric_get(&metrics_table[METRICS_IS_FULL], 0), 1);
    // Nobody else is let in, and nothing is lost or acknowledged by trying again.
    struct end *two = rig_begin(rig, 1, RIG_TWO);
    (void)intake_message(two->intake, test_hello(rig->arena, 1));
    rig_pass(rig, APPEND_FULL_RETRY_MS);
    assert_true(two->is_closed);
    assert_int_equal(two->closed_kind, FAULT_FULL);
    assert_int_equal(one->acked, acked);
    assert_false(append_is_idle(rig->append));

    rig_close_store(rig);
    rig->size_max = 0;
    rig_open_store(rig);
    one = rig_enter(rig, 0, RIG_ONE, 1);
    assert_int_equal(one->resume, acked + 1);
    struct own own;
    assert_int_equal(rig_read_facts(rig, &own).events, acked);
}

static void test_full_quarantine_throttles_its_agent(void **state) {
    struct rig *rig = *state;
    rig_close_store(rig);
    rig->quarantine_max = 100;
    rig_open_store(rig);
    uint8_t chains[2][TRAIL_CHAIN_SIZE] = {0};
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    struct end *two = rig_enter(rig, 1, RIG_TWO, 1);
    rig_say(one, 1, "a", ",\"recipientAccountId\":\"222222222222\"", chains[0]);
    rig_say(two, 1, "a", "", chains[1]);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 1);
    assert_int_equal(one->throttles, 1);
    assert_int_equal(two->throttles, 0);
    rig_say(two, 2, "b", "", chains[1]);
    rig_pass(rig, 2000);
    assert_int_equal(two->acked, 2);
    assert_int_equal(metric_get(&metrics_table[METRICS_AGENTS_THROTTLED], 0), 1);
    // It comes back and is throttled from the start.
    rig_leave(rig, 0);
    one = rig_enter(rig, 0, RIG_ONE, 1);
    assert_int_equal(one->throttles, 1);
    assert_int_equal(one->resume, 2);
}

static void test_last_seen_rides_or_waits(void **state) {
    struct rig *rig = *state;
    struct end *one = rig_enter(rig, 0, RIG_ONE, 1);
    int64_t seen_ms = rig_find_stream(rig, RIG_AGENT_ONE, 1).last_seen_ms;
    rig->now_ms += INTAKE_SEEN_MS;
    assert_true(intake_message(one->intake, test_heartbeat(rig->arena)));
    rig_step(rig);
    rig_pass(rig, APPEND_SEEN_MS - 1);
    assert_int_equal(rig_find_stream(rig, RIG_AGENT_ONE, 1).last_seen_ms, seen_ms);
    rig_pass(rig, 1);
    assert_true(rig_find_stream(rig, RIG_AGENT_ONE, 1).last_seen_ms >= seen_ms + INTAKE_SEEN_MS);
}

static void test_global_reports_are_all_counted(void **state) {
    struct rig *rig = *state;
    struct own own;
    static const char *const uris[] = {RIG_ONE "/region/eu-west-1", RIG_ONE "/region/us-west-2",
                                       RIG_ONE "/region/us-east-1"};
    const char *record =
        "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"iam.amazonaws.com\","
        "\"eventName\":\"CreateUser\",\"awsRegion\":\"us-east-1\",\"eventID\":\"g\"}";
    for (uint32_t index = 0; index < 3; index++) {
        uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
        struct end *end = rig_enter(rig, index, uris[index], 1);
        (void)intake_message(end->intake, test_records(rig->arena, 1, record, 1, chain));
        rig_pass(rig, APPEND_COMMIT_MS);
        assert_int_equal(end->acked, 1);
        assert_int_equal(rig_find_stream(rig, RIG_AGENT_ONE + index, 1).global_reported, 1);
    }
    assert_int_equal(rig_read_facts(rig, &own).events, 1);
}

// An organization's agent brings accounts that the roster lacks: each is told once.
static void test_unlisted_accounts_are_told_once(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *end = rig_enter(rig, 0, "spiffe://o-abc/organization", 1);
    rig_say(end, 1, "a", ",\"recipientAccountId\":\"333333333333\"", chain);
    rig_say(end, 2, "b", ",\"recipientAccountId\":\"333333333333\"", chain);
    rig_say(end, 3, "c", ",\"recipientAccountId\":\"111111111111\"", chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    rig_say(end, 4, "d", ",\"recipientAccountId\":\"333333333333\"", chain);
    rig_say(end, 5, "e", ",\"recipientAccountId\":\"444444444444\"", chain);
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(end->acked, 5);
    (void)rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "AccountUnlisted"), 2);
    assert_non_null(strstr(own.texts[0], "\"account\":\"333333333333\""));
    assert_non_null(strstr(own.texts[1], "\"account\":\"444444444444\""));
    // Of many new ones at once, some are told now and the others with what comes later.
    uint32_t many = UNLISTED_NEW_MAX + 4;
    for (uint32_t turn = 0; turn < 2; turn++) {
        for (uint32_t index = 0; index < many; index++) {
            char id[16], account[64];
            (void)snprintf(id, sizeof id, "%u-%u", turn, index);
            (void)snprintf(account, sizeof account, ",\"recipientAccountId\":\"5%011u\"", index);
            rig_say(end, 6 + turn * many + index, id, account, chain);
        }
        rig_pass(rig, APPEND_COMMIT_MS);
        (void)rig_read_facts(rig, &own);
        uint32_t told = turn == 0 ? UNLISTED_NEW_MAX : many;
        assert_int_equal(rig_count_own(&own, "AccountUnlisted"), 2 + told);
    }
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_commit_answers_all, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_commits_are_not_too_frequent, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_copies_variants_and_conflicts, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_many_conflicts_are_told_together, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_identity_violations_once_a_minute, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_gap_is_durable_and_told_once, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_notice_is_one_event_however_often_sent, rig_make,
                                        rig_end),
        cmocka_unit_test_setup_teardown(test_bad_notices_are_kept, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_restart_resumes_numbers, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_newer_session_takes_over, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_no_room_for_another_stream, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_an_agent_takes_few_places, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_hellos_are_not_remembered, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_streams_of_an_agent_are_bounded, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_full_disk_acknowledges_nothing, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_full_quarantine_throttles_its_agent, rig_make,
                                        rig_end),
        cmocka_unit_test_setup_teardown(test_last_seen_rides_or_waits, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_global_reports_are_all_counted, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_unlisted_accounts_are_told_once, rig_make, rig_end),
    };
    return cases_run("collector/append", tests, sizeof tests / sizeof tests[0]);
}
