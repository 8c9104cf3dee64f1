// What the writer does between commits: days go, by clock and events, under load and on a full
// disk.

#include "collector/append/append_upkeep.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector/append/append_change.h"
#include "collector/append/append_fixture.h"
#include "collector/intake/test_messages.h"
#include "collector/metrics.h"
#include "storage/trail/trail_followers.h"
#include "storage/trail/trail_retention.h"
#include "tests/kit/cases.h"

#define DAY_MS INT64_C(86400000)

// The begin of the day that was so many days ago when the rig's clock began.
static int64_t day_ago(int64_t days) {
    return (time_day(RIG_NOW_MS / 1000) - days) * TRAIL_DAY_S;
}

static const char *make_record(struct rig *rig, uint64_t number, int64_t time_s) {
    char time[TIME_TEXT_SIZE];
    time_print(time_s, time);
    char *text = arena_print(rig->arena,
                             "{\"eventTime\":\"%s\",\"eventSource\":\"ec2.amazonaws.com\","
                             "\"eventName\":\"RunInstances\",\"eventID\":\"id-%llu\"}",
                             time, (unsigned long long)number);
    assert_non_null(text);
    return text;
}

// One stream that sends record after record.
struct sender {
    struct end *end;
    uint64_t number;
    uint8_t chain[TRAIL_CHAIN_SIZE];
};

static void say(struct sender *sender, int64_t time_s) {
    struct rig *rig = sender->end->rig;
    sender->number++;
    const char *text = make_record(rig, sender->number, time_s);
    (void)intake_message(sender->end->intake,
                         test_records(rig->arena, sender->number, text, 1, sender->chain));
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(sender->end->acked, sender->number);
}

static struct sender begin(struct rig *rig, uint32_t retention_days) {
    rig_close_store(rig);
    rig->retention_days = retention_days;
    rig_open_store(rig);
    return (struct sender){.end = rig_enter(rig, 0, RIG_ONE, 1)};
}

// Lets time pass until upkeep has had its turns.
static void pass_long(struct rig *rig) {
    for (uint32_t step = 0; step < 60; step++) rig_pass(rig, APPEND_UPKEEP_RETENTION_MS / 10);
}

static void test_keeps_all_unless_told(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 0);
    say(&sender, day_ago(4000));
    say(&sender, day_ago(0));
    pass_long(rig);
    assert_int_equal(rig_read_facts(rig, &own).events, 2);
    assert_int_equal(trail_retained_from(rig->trail), 0);
}

static void test_old_days_go_and_stay_away(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 3);
    int64_t days = metric_get(&metrics_table[METRICS_DROPPED_DAYS], 0);
    int64_t events = metric_get(&metrics_table[METRICS_DROPPED_EVENTS], 0);
    for (int64_t day = 9; day >= 0; day--) {
        say(&sender, day_ago(day));
        say(&sender, day_ago(day) + TRAIL_DAY_S - 1 - (day == 0) * 80000);
    }
    pass_long(rig);
    struct trail_facts facts = rig_read_facts(rig, &own);
    // Today and the three days before it are there; six went, each with an event that says so.
    assert_int_equal(facts.retained_from_s, day_ago(3));
    assert_int_equal(facts.events, 8 + 6);
    assert_int_equal(facts.dropped, 12);
    assert_int_equal(rig_count_own(&own, "DayDropped"), 6);
    char day[TIME_TEXT_SIZE];
    time_print(day_ago(9), day);
    day[TIME_DAY_TEXT_SIZE] = '\0';
    assert_non_null(strstr(own.texts[0], day));
    assert_non_null(strstr(own.texts[0], "\"events\":2"));
    assert_int_equal(metric_get(&metrics_table[METRICS_DROPPED_DAYS], 0) - days, 6);
    assert_int_equal(metric_get(&metrics_table[METRICS_DROPPED_EVENTS], 0) - events, 12);
    assert_int_equal(metric_get(&metrics_table[METRICS_RETAINED_FROM], 0), day_ago(3));

    // What is older is acknowledged, counted, and neither stored nor quarantined.
    say(&sender, day_ago(3) - 1);
    say(&sender, day_ago(3));
    struct trail_stream stream = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    assert_int_equal(stream.received, 22);
    assert_int_equal(stream.stored, 21);
    assert_int_equal(stream.expired, 1);
    facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.quarantined, 0);
    assert_int_equal(facts.events, 8 + 6 + 1);
}

// Days without events make no noise, and what is older than them is expired too.
static void test_days_without_events_are_quiet(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 30);
    say(&sender, day_ago(0));
    pass_long(rig);
    assert_int_equal(trail_retained_from(rig->trail), day_ago(30));
    struct trail_facts facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.events, 1);
    // It moves on with the days.
    rig->now_ms += 2 * DAY_MS;
    say(&sender, day_ago(-2));
    pass_long(rig);
    assert_int_equal(trail_retained_from(rig->trail), day_ago(28));
}

static void test_a_clock_that_is_ahead_drops_nothing(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 3);
    say(&sender, day_ago(2));
    say(&sender, day_ago(0));
    rig->now_ms += 4000 * DAY_MS;
    pass_long(rig);
    assert_int_equal(trail_retained_from(rig->trail), day_ago(3));
    assert_int_equal(rig_read_facts(rig, &own).events, 2);
}

static void test_no_event_drops_nothing_by_its_own_time(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 3);
    say(&sender, day_ago(2));
    // A day ahead is admitted; the collector's clock is what counts then.
    say(&sender, RIG_NOW_MS / 1000 + 80000);
    pass_long(rig);
    assert_int_equal(trail_retained_from(rig->trail), day_ago(3));
    assert_int_equal(rig_read_facts(rig, &own).events, 2);
}

static void move(struct rig *rig, const char *name, uint64_t from, uint64_t to) {
    struct trail_receipt receipt;
    struct fault fault;
    assert_true(trail_begin(rig->trail, &fault));
    assert_true(trail_follower_move(rig->trail, name, from, to, &fault));
    assert_true(trail_commit(rig->trail, &receipt, &fault));
}

static void test_a_follower_holds_days(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 3);
    say(&sender, day_ago(8));
    say(&sender, day_ago(7));
    say(&sender, day_ago(0));
    move(rig, "deliver", 0, 1);
    pass_long(rig);
    assert_int_equal(trail_retained_from(rig->trail), day_ago(7));
    assert_int_equal(metric_get(&metrics_table[METRICS_HELD], 0), 1);
    move(rig, "deliver", 1, 3);
    pass_long(rig);
    assert_int_equal(trail_retained_from(rig->trail), day_ago(3));
    assert_int_equal(metric_get(&metrics_table[METRICS_HELD], 0), 0);
    assert_int_equal(rig_count_own((rig_read_facts(rig, &own), &own), "DayDropped"), 2);
}

struct change_result {
    uint32_t calls;
    struct fault fault;
};

static void on_changed(void *context, const struct fault *fault) {
    struct change_result *result = context;
    result->calls++;
    if (fault != NULL) result->fault = *fault;
}

static struct change_result drop_follower(struct rig *rig, const char *name) {
    struct change_result result = {0};
    struct fault fault;
    const struct append_change_options options = {
        .kind = APPEND_CHANGE_DROP_FOLLOWER,
        .name = name,
        .user = "ana (uid 7)",
        .done = on_changed,
        .context = &result,
    };
    assert_true(append_change_submit(rig->append, &options, &fault));
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(result.calls, 1);
    return result;
}

static void test_a_stuck_follower_is_told_and_dropped(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 3);
    say(&sender, day_ago(8));
    say(&sender, day_ago(0));
    move(rig, "deliver", 0, 0);
    pass_long(rig);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "FollowerStuck"), 0);
    // After a day, and again a day later, not more often.
    for (uint32_t day = 1; day <= 2; day++) {
        rig->now_ms += DAY_MS;
        pass_long(rig);
        pass_long(rig);
        rig_read_facts(rig, &own);
        assert_int_equal(rig_count_own(&own, "FollowerStuck"), day);
        assert_int_equal(metric_get(&metrics_table[METRICS_HELD], 0), 1);
    }
    assert_non_null(strstr(own.texts[0], "\"follower\":\"deliver\""));
    assert_non_null(strstr(own.texts[0], "\"behind\":1"));
    struct change_result result = drop_follower(rig, "unknown");
    assert_int_equal(result.fault.kind, FAULT_INPUT);
    assert_non_null(strstr(result.fault.text, "no follower \"unknown\""));
    result = drop_follower(rig, "deliver");
    assert_int_equal(result.fault.kind, FAULT_NONE);
    pass_long(rig);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "FollowerDropped"), 1);
    assert_int_equal(rig_count_own(&own, "DayDropped"), 1);
    assert_int_equal(metric_get(&metrics_table[METRICS_HELD], 0), 0);
}

// Sends records of one time until the store is full; how many were acknowledged.
static uint64_t fill(struct sender *sender, int64_t time_s) {
    struct rig *rig = sender->end->rig;
    static char filler[20001];
    uint64_t random = 7;
    char time[TIME_TEXT_SIZE];
    time_print(time_s, time);
    while (!append_is_full(rig->append)) {
        for (uint32_t at = 0; at < sizeof filler - 1; at++)
            filler[at] = "0123456789ABCDEFGHIJKLMNOPQRSTUV"[random_splitmix64(&random) % 32];
        const char *text = arena_print(rig->arena,
                                       "{\"eventTime\":\"%s\",\"eventSource\":\"s\",\"eventName\":"
                                       "\"n\",\"eventID\":\"id-%llu\",\"filler\":\"%s\"}",
                                       time, (unsigned long long)++sender->number, filler);
        (void)intake_message(sender->end->intake,
                             test_records(rig->arena, sender->number, text, 1, sender->chain));
        rig_pass(rig, APPEND_COMMIT_MS);
        assert_true(sender->number < 1000);
    }
    return sender->end->acked;
}

// On a full store batches wait for ever, and a day that is due goes all the same.
static void test_a_full_store_is_relieved(void **state) {
    struct rig *rig = *state;
    struct own own;
    rig->size_max = 2 << 20;
    struct sender sender = begin(rig, 3);
    say(&sender, RIG_NOW_MS / 1000 + 80000);
    uint64_t acked = fill(&sender, day_ago(3));
    assert_int_equal(rig_read_facts(rig, &own).events, acked);
    pass_long(rig);
    assert_true(append_is_full(rig->append));
    assert_int_equal(sender.end->acked, acked);
    rig->now_ms += DAY_MS;
    pass_long(rig);
    assert_false(append_is_full(rig->append));
    assert_int_equal(sender.end->acked, sender.number);
    struct trail_facts facts = rig_read_facts(rig, &own);
    assert_int_equal(facts.dropped, acked - 1);
    assert_int_equal(rig_count_own(&own, "DayDropped"), 1);
    // What waited was of the day that went.
    struct trail_stream stream = rig_find_stream(rig, RIG_AGENT_ONE, 1);
    assert_int_equal(stream.expired, sender.number - acked);
    assert_int_equal(facts.events, 2);
}

static void test_tells_of_one_id_at_two_times(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 0);
    int64_t conflicts = metric_get(&metrics_table[METRICS_TIME_CONFLICTS], 0);
    say(&sender, day_ago(1));
    say(&sender, day_ago(1) + 60);
    // The first id again, at another time.
    const char *text = make_record(rig, 1, day_ago(0));
    sender.number++;
    (void)intake_message(sender.end->intake,
                         test_records(rig->arena, sender.number, text, 1, sender.chain));
    rig_pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(sender.end->acked, 3);
    pass_long(rig);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "EventTimeConflict"), 1);
    assert_non_null(strstr(own.texts[0], "\"sequence\":3"));
    assert_non_null(strstr(own.texts[0], "\"otherSequence\":1"));
    assert_int_equal(metric_get(&metrics_table[METRICS_TIME_CONFLICTS], 0) - conflicts, 1);
    assert_int_equal(metric_get(&metrics_table[METRICS_SCANNED], 0), 3);
    // Once, also after a restart, and half a day later only what is new is looked at.
    rig_close_store(rig);
    rig_open_store(rig);
    pass_long(rig);
    rig->now_ms += DAY_MS / 2;
    pass_long(rig);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "EventTimeConflict"), 1);
    assert_int_equal(metric_get(&metrics_table[METRICS_SCANNED], 0), 4);
}

// Holds a snapshot of the trail until it is killed.
static bool hold(void *user, const struct trail_stream *stream) {
    (void)stream;
    if (write(*(int *)user, "x", 1) != 1) _exit(1);
    for (;;) pause();
}

static void test_tells_of_a_stuck_reader(void **state) {
    struct rig *rig = *state;
    struct own own;
    struct sender sender = begin(rig, 0);
    say(&sender, day_ago(0));
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct trail_reader *reader = NULL;
        struct fault fault;
        if (!trail_reader_open(rig->directory, &reader, &fault)) _exit(1);
        _exit(trail_reader_streams(reader, hold, &ends[1], &fault) ? 0 : 1);
    }
    char byte;
    assert_int_equal(read(ends[0], &byte, 1), 1);
    pass_long(rig);
    say(&sender, day_ago(0) + 1);
    pass_long(rig);
    assert_int_equal(metric_get(&metrics_table[METRICS_STUCK_READERS], 0), 1);
    assert_true(metric_get(&metrics_table[METRICS_OLDEST_READER], 0) >= 60);
    char process[32];
    snprintf(process, sizeof process, "\"process\":%d", (int)child);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "ReaderStuck"), 1);
    assert_non_null(strstr(own.texts[0], process));
    // It is told again the next day, and no more once it has gone.
    rig->now_ms += DAY_MS;
    pass_long(rig);
    rig_read_facts(rig, &own);
    assert_int_equal(rig_count_own(&own, "ReaderStuck"), 2);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ends[0]);
    close(ends[1]);
    pass_long(rig);
    assert_int_equal(metric_get(&metrics_table[METRICS_STUCK_READERS], 0), 0);
    assert_int_equal(metric_get(&metrics_table[METRICS_OLDEST_READER], 0), 0);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keeps_all_unless_told, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_old_days_go_and_stay_away, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_days_without_events_are_quiet, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_a_clock_that_is_ahead_drops_nothing, rig_make,
                                        rig_end),
        cmocka_unit_test_setup_teardown(test_no_event_drops_nothing_by_its_own_time, rig_make,
                                        rig_end),
        cmocka_unit_test_setup_teardown(test_a_follower_holds_days, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_a_stuck_follower_is_told_and_dropped, rig_make,
                                        rig_end),
        cmocka_unit_test_setup_teardown(test_a_full_store_is_relieved, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_tells_of_one_id_at_two_times, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_tells_of_a_stuck_reader, rig_make, rig_end),
    };
    return cases_run("collector/append_upkeep", tests, sizeof tests / sizeof tests[0]);
}
