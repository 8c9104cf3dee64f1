// The file after days went and as many came: commits of another size than those that filled it, and
// room that is given back as they need it.

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

static struct size measure(const struct fixture *fixture) {
    const struct trail_environment_options options = {
        .directory = fixture->directory,
        .read_only = true,
    };
    struct trail_environment *environment = NULL;
    struct fault fault;
    assert_true(trail_environment_open(&options, &environment, &fault));
    struct size size = {
        .file = trail_environment_size(environment),
        .used = trail_environment_used(environment),
    };
    trail_environment_close(environment);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_room_of_days_that_went_is_used_again),
        cmocka_unit_test(test_a_full_store_takes_what_days_that_went_held),
        cmocka_unit_test(test_a_short_disk_takes_what_days_that_went_held),
        cmocka_unit_test(test_the_last_room_is_used_again),
    };
    return cases_run("trail_growth", tests, sizeof tests / sizeof tests[0]);
}
