// The file after days went and as many came: commits of another size than those that filled it, and
// room that is given back as they need it.

#include <stdio.h>
#include <sys/resource.h>

#include "event/record.h"
#include "storage/trail/trail_environment.h"
#include "storage/trail/trail_fixture.h"
#include "storage/trail/trail_retention.h"
#include "tests/kit/cases.h"
#include "tests/kit/traffic.h"

enum {
    FIRST_S = (FIXTURE_BASE_S / TRAIL_DAY_S + 1) * TRAIL_DAY_S,
    DAY_EVENTS = 40000,
    DAYS = 3,
    DAYS_DROPPED = 2,
    FULL_SIZE = 24 << 20,
    FULL_COMMIT_EVENTS = 2000,
    SHORT_COMMITS = 5,
};

static void store(struct fixture *fixture, const struct traffic_event *event) {
    struct record record;
    enum record_refusal refusal;
    enum trail_outcome outcome;
    struct span text;
    // Texts are borrowed until the commit.
    assert_true(arena_copy(fixture->arena, event->record, &text));
    assert_true(
        record_read(fixture->json, fixture->arena, text, &record, &refusal, &fixture->fault));
    const struct trail_entry entry = {
        .record = &record,
        .account = event->account,
        .agent = TRAIL_AGENT_OWN,
        .received_ms = event->event_time_s * 1000,
    };
    if (!trail_add(fixture->trail, &entry, &outcome, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    assert_int_equal(outcome, TRAIL_STORED);
}

static struct traffic *make_traffic(struct fixture *fixture, uint32_t day) {
    struct traffic *traffic = NULL;
    const struct traffic_options options = {
        .directory = "tests/data",
        .seed = 1 + day,
        .start_s = FIRST_S + (int64_t)day * TRAIL_DAY_S,
        .rate = (double)DAY_EVENTS / TRAIL_DAY_S,
        .account = -1,
        .region = -1,
    };
    assert_true(traffic_create(&options, &traffic, &fixture->fault));
    return traffic;
}

// Begins a commit of as many events.
static void offer(struct fixture *fixture, struct traffic *traffic, uint32_t count) {
    arena_reset(fixture->arena);
    fixture_begin(fixture);
    for (; count > 0; count--) {
        struct traffic_event event;
        traffic_next(traffic, &event);
        store(fixture, &event);
    }
}

static void give_room_back(struct fixture *fixture) {
    bool more = false;
    if (!trail_needs_room(fixture->trail)) return;
    if (!trail_sweep(fixture->trail, &more, &fixture->fault)) fail_msg("%s", fixture->fault.text);
}

// Days of events, in commits of commit_min to commit_max events. Gives room back between commits.
static void fill(struct fixture *fixture, uint32_t day, uint32_t days, uint32_t commit_min,
                 uint32_t commit_max) {
    struct traffic *traffic = make_traffic(fixture, day);
    for (uint32_t left = days * DAY_EVENTS; left > 0;) {
        uint32_t count =
            commit_min + (uint32_t)random_below(&fixture->random, commit_max - commit_min + 1);
        if (count > left) count = left;
        left -= count;
        offer(fixture, traffic, count);
        fixture_commit(fixture);
        give_room_back(fixture);
    }
    traffic_destroy(traffic);
}

struct size {
    uint64_t file;
    uint64_t used;
};

// A snapshot beside the writer.
struct snapshot {
    struct trail_environment *environment;
    MDB_txn *transaction;
};

static struct snapshot take_snapshot(const struct fixture *fixture) {
    const struct trail_environment_options options = {
        .directory = fixture->directory,
        .read_only = true,
    };
    struct snapshot snapshot = {NULL, NULL};
    struct fault fault;
    assert_true(trail_environment_open(&options, &snapshot.environment, &fault));
    assert_true(trail_environment_begin(snapshot.environment, &snapshot.transaction, &fault));
    return snapshot;
}

static void end_snapshot(struct snapshot *snapshot) {
    trail_environment_end(snapshot->environment, snapshot->transaction);
    trail_environment_free(snapshot->transaction);
    trail_environment_close(snapshot->environment);
}

static struct size measure(const struct fixture *fixture) {
    struct snapshot snapshot = take_snapshot(fixture);
    struct fault fault;
    struct size size = {.file = trail_environment_size(snapshot.environment)};
    assert_true(
        trail_environment_used(snapshot.environment, snapshot.transaction, &size.used, &fault));
    end_snapshot(&snapshot);
    print_message("%.1f MB, %.1f of them in use\n", (double)size.file / 1e6,
                  (double)size.used / 1e6);
    return size;
}

// The file after days went and as many came, with their room free at once or as commits need it.
static struct size replace_days(bool is_at_once) {
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.no_sync = true;
    fixture_open(&fixture);
    fill(&fixture, 0, DAYS, 4000, 4000);
    struct size before = measure(&fixture);
    fixture_drop(&fixture, FIRST_S + (int64_t)DAYS_DROPPED * TRAIL_DAY_S);
    // Nobody needs it yet.
    assert_false(trail_needs_room(fixture.trail));
    if (is_at_once) fixture_keep_up(&fixture);
    fill(&fixture, DAYS, DAYS_DROPPED, 700, 2200);
    fixture_keep_up(&fixture);
    assert_false(trail_needs_room(fixture.trail));
    struct size after = measure(&fixture);
    // Smaller blocks and the strings of another two days take more, and that is in use.
    assert_true(after.used > before.used);
    fixture_done(&fixture);
    return after;
}

static void test_the_room_of_days_that_went_is_used_again(void **state) {
    (void)state;
    struct size at_once = replace_days(true);
    struct size needed = replace_days(false);
    assert_true(needed.file - needed.used < at_once.file - at_once.used);
}

// A file at its limit does not grow: commits find the room of days that went nevertheless.
static void replace_days_of_full(bool is_reopened) {
    struct fixture fixture;
    struct trail_receipt receipt;
    fixture_init(&fixture);
    fixture.options.no_sync = true;
    fixture.options.map_size = 0;
    fixture.options.size_max = FULL_SIZE;
    fixture_open(&fixture);
    struct traffic *traffic = make_traffic(&fixture, 0);
    uint32_t commits = 0;
    for (bool is_full = false; !is_full; commits++) {
        offer(&fixture, traffic, FULL_COMMIT_EVENTS);
        is_full = !trail_commit(fixture.trail, &receipt, &fixture.fault);
    }
    assert_int_equal(fixture.fault.kind, FAULT_FULL);
    uint32_t days = commits * FULL_COMMIT_EVENTS / DAY_EVENTS / 2;
    assert_true(days > 0);
    fixture_drop(&fixture, FIRST_S + (int64_t)days * TRAIL_DAY_S);
    uint32_t went = days * DAY_EVENTS / FULL_COMMIT_EVENTS;
    print_message("%u commits, of which %u went\n", commits, went);
    // The next process does not know that a commit was refused. What the first step gives back is
    // of use to the commit after the next.
    if (is_reopened) fixture_reopen(&fixture);
    if (is_reopened) {
        give_room_back(&fixture);
        // Not by growth: there is none.
        assert_true(trail_needs_room(fixture.trail));
    }
    for (uint32_t count = 0; count < went * 2 / 3; count++) {
        give_room_back(&fixture);
        offer(&fixture, traffic, FULL_COMMIT_EVENTS);
        if (!trail_commit(fixture.trail, &receipt, &fixture.fault))
            fail_msg("commit %u: %s", count, fixture.fault.text);
    }
    traffic_destroy(traffic);
    fixture_done(&fixture);
}

static void test_a_full_store_takes_what_days_that_went_held(void **state) {
    (void)state;
    replace_days_of_full(false);
    replace_days_of_full(true);
}

// A disk that is short: what days that went held is used again, and the file does not grow.
static void test_a_short_disk_takes_what_days_that_went_held(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.no_sync = true;
    fixture_open(&fixture);
    fill(&fixture, 0, 1, 4000, 4000);
    fixture.options.free_min = UINT64_MAX;
    fixture_reopen(&fixture);
    assert_false(trail_begin(fixture.trail, &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_FULL);
    fixture_drop(&fixture, FIRST_S + TRAIL_DAY_S);
    assert_true(trail_needs_room(fixture.trail));
    give_room_back(&fixture);
    struct size before = measure(&fixture);
    struct traffic *traffic = make_traffic(&fixture, DAYS);
    for (uint32_t commit = 0; commit < SHORT_COMMITS; commit++) {
        give_room_back(&fixture);
        offer(&fixture, traffic, FULL_COMMIT_EVENTS);
        fixture_commit(&fixture);
    }
    struct size after = measure(&fixture);
    assert_true(after.used > before.used + (1 << 20));
    assert_true(after.file < before.file + before.file / 10);
    traffic_destroy(traffic);
    fixture_done(&fixture);
}

// Adds 1 MiB to the commit that is open.
static void add_refused(struct fixture *fixture, uint32_t number) {
    static char bytes[1 << 20];
    snprintf(bytes, sizeof bytes, "%u", number);
    const struct trail_refused refused = {
        .bytes = span_of(bytes, sizeof bytes),
        .reason = "test",
        .agent = TRAIL_AGENT_OWN,
    };
    bool is_new = false;
    if (!trail_quarantine(fixture->trail, &refused, &is_new, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
}

// Commits of 1 MiB each until one is refused before it begins; how many there were.
static uint32_t fill_short(struct fixture *fixture) {
    uint32_t commits = 0;
    for (; trail_begin(fixture->trail, &fixture->fault); commits++) {
        add_refused(fixture, commits);
        fixture_commit(fixture);
    }
    assert_int_equal(fixture->fault.kind, FAULT_FULL);
    return commits;
}

// A file that has grown as far as a short disk lets it goes on when another day gives room back.
static void test_a_short_disk_lets_it_grow_no_further(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.no_sync = true;
    fixture_open(&fixture);
    fill(&fixture, 0, 2, 4000, 4000);
    fixture.options.free_min = UINT64_MAX;
    fixture_reopen(&fixture);
    // Who reads holds the room of the first day: all that comes is growth.
    struct snapshot snapshot = take_snapshot(&fixture);
    fixture_drop(&fixture, FIRST_S + TRAIL_DAY_S);
    fixture_keep_up(&fixture);
    uint32_t commits = fill_short(&fixture);
    assert_in_range(commits, 60, 66);
    end_snapshot(&snapshot);
    fixture_keep_up(&fixture);
    assert_int_equal(fill_short(&fixture), 0);
    fixture_drop(&fixture, FIRST_S + 2 * TRAIL_DAY_S);
    fixture_keep_up(&fixture);
    assert_true(fill_short(&fixture) > 0);
    fixture_done(&fixture);
}

// What the last step gave back is of use only after another commit. A refused one is none.
static void test_the_last_room_is_used_again(void **state) {
    (void)state;
    enum { FEW = 2000, LAST = 200, SIZE = 6 << 20 };
    struct fixture fixture;
    struct trail_receipt receipt;
    fixture_init(&fixture);
    fixture.options.no_sync = true;
    fixture.options.map_size = 0;
    fixture.options.size_max = SIZE;
    fixture_open(&fixture);
    struct traffic *traffic = make_traffic(&fixture, 0);
    offer(&fixture, traffic, FEW);
    fixture_commit(&fixture);
    traffic_destroy(traffic);
    traffic = make_traffic(&fixture, 1);
    static const uint32_t counts[] = {FEW, FEW / 4, LAST};
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        do {
            offer(&fixture, traffic, counts[index]);
        } while (trail_commit(fixture.trail, &receipt, &fixture.fault));
        assert_int_equal(fixture.fault.kind, FAULT_FULL);
    }
    fixture_drop(&fixture, FIRST_S + TRAIL_DAY_S);
    // Were it not so, every further commit would be refused, and none of them is a commit.
    give_room_back(&fixture);
    offer(&fixture, traffic, LAST);
    if (!trail_commit(fixture.trail, &receipt, &fixture.fault)) fail_msg("%s", fixture.fault.text);
    traffic_destroy(traffic);
    fixture_done(&fixture);
}

// A commit that is larger than the file may become.
static void be_refused(struct fixture *fixture) {
    struct trail_receipt receipt;
    fixture_begin(fixture);
    for (uint32_t number = 0; number < 6; number++) add_refused(fixture, number);
    assert_false(trail_commit(fixture->trail, &receipt, &fixture->fault));
    assert_int_equal(fixture->fault.kind, FAULT_FULL);
}

// That other commit may fail for want of room on the disk: it is made again when one is refused.
static void test_a_turn_that_failed_is_passed_again(void **state) {
    (void)state;
    struct fixture fixture;
    struct rlimit whole;
    bool more = false;
    fixture_init(&fixture);
    fixture.options.no_sync = true;
    fixture.options.map_size = 0;
    fixture.options.size_max = 6 << 20;
    fixture_open(&fixture);
    struct traffic *traffic = make_traffic(&fixture, 0);
    offer(&fixture, traffic, FULL_COMMIT_EVENTS);
    fixture_commit(&fixture);
    traffic_destroy(traffic);
    fixture_drop(&fixture, FIRST_S + TRAIL_DAY_S);
    fixture_keep_up(&fixture);
    be_refused(&fixture);
    assert_true(trail_needs_room(fixture.trail));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &whole), 0);
    const struct rlimit none = {1, whole.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    assert_false(trail_sweep(fixture.trail, &more, &fixture.fault));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &whole), 0);
    assert_int_equal(fixture.fault.kind, FAULT_FULL);
    be_refused(&fixture);
    assert_true(trail_needs_room(fixture.trail));
    give_room_back(&fixture);
    assert_false(trail_needs_room(fixture.trail));
    fixture_done(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_room_of_days_that_went_is_used_again),
        cmocka_unit_test(test_a_full_store_takes_what_days_that_went_held),
        cmocka_unit_test(test_a_short_disk_takes_what_days_that_went_held),
        cmocka_unit_test(test_a_short_disk_lets_it_grow_no_further),
        cmocka_unit_test(test_the_last_room_is_used_again),
        cmocka_unit_test(test_a_turn_that_failed_is_passed_again),
    };
    return cases_run("trail_growth", tests, sizeof tests / sizeof tests[0]);
}
