// Days that go: what is seen afterwards, what a crash in between leaves, and what followers keep.

#include "storage/trail/trail_retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/trail/trail_environment.h"
#include "storage/trail/trail_fixture.h"
#include "storage/trail/trail_followers.h"
#include "tests/kit/cases.h"

enum { EVENTS = 2500, DAYS = 32, DAY_ROWS = 8000 };

// The first second of the day a number of days after the fixture's first.
static int64_t day_begin(int64_t days) {
    return (time_day(FIXTURE_BASE_S) + days) * TRAIL_DAY_S;
}

// Small blocks, so that a few thousand events fill several groups.
static void open_small(struct fixture *fixture) {
    fixture_init(fixture);
    fixture->options.tail_rows_max = 40;
    fixture->options.block_rows_min = 20;
    fixture_open(fixture);
}

// Commits records of one day at a time, `per_day` of each.
static void fill_days(struct fixture *fixture, uint32_t number_first, uint32_t days,
                      uint32_t per_day) {
    for (uint32_t day = 0; day < days; day++) {
        fixture_begin(fixture);
        for (uint32_t index = 0; index < per_day; index++) {
            uint32_t number = number_first + day * per_day + index;
            int64_t second = day_begin(day) - FIXTURE_BASE_S + 1 + index * 7;
            char *text = fixture_make_record(number, second, 1 + number % 7);
            fixture_store(fixture, text);
            free(text);
        }
        fixture_commit(fixture);
    }
}

// Entries of one database.
static uint64_t count_entries(const struct fixture *fixture, enum trail_database database) {
    const struct trail_environment_options options = {
        .directory = fixture->directory,
        .read_only = true,
    };
    struct trail_environment *environment = NULL;
    struct fault fault;
    MDB_txn *transaction = NULL;
    struct trail_walk walk;
    assert_true(trail_environment_open(&options, &environment, &fault));
    assert_true(trail_environment_begin(environment, &transaction, &fault));
    assert_true(trail_environment_walk(environment, transaction, database, 0, &walk, &fault));
    uint64_t count = 0;
    for (bool found = true; found; count += found) {
        struct span key;
        struct span value;
        assert_true(trail_walk_next(&walk, &found, &key, &value, &fault));
    }
    trail_walk_end(&walk);
    trail_environment_end(environment, transaction);
    trail_environment_free(transaction);
    trail_environment_close(environment);
    return count;
}

static void test_days_go_one_after_another(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    fixture_fill(&fixture, 0, EVENTS, 60);
    struct trail_day oldest;
    uint32_t days = 0;
    while (fixture_count(&fixture) > 0) {
        assert_true(trail_retention_oldest(fixture.trail, &oldest));
        uint32_t before = fixture_count(&fixture);
        fixture_drop(&fixture, oldest.from_s + TRAIL_DAY_S);
        assert_int_equal(before - fixture_count(&fixture), oldest.events);
        // Before its room is given back, after that, and after a restart all is the same.
        fixture_compare_all(&fixture);
        fixture_keep_up(&fixture);
        fixture_compare_all(&fixture);
        fixture_reopen(&fixture);
        fixture_compare_all(&fixture);
        days++;
    }
    assert_true(days >= 4);
    assert_false(trail_retention_oldest(fixture.trail, &oldest));
    assert_int_equal(count_entries(&fixture, TRAIL_DATABASE_BLOCK), 0);
    assert_int_equal(count_entries(&fixture, TRAIL_DATABASE_SUMMARY), 0);
    assert_int_equal(count_entries(&fixture, TRAIL_DATABASE_GROUP), 0);
    assert_int_equal(count_entries(&fixture, TRAIL_DATABASE_TAIL), 0);
    // New ones are stored as if nothing had been.
    fixture.retained_from_s = trail_retained_from(fixture.trail);
    int64_t second = fixture.retained_from_s - FIXTURE_BASE_S;
    for (uint32_t number = EVENTS; number < EVENTS + 300; number++) {
        fixture_begin(&fixture);
        char *text = fixture_make_record(number, second + number, 1);
        fixture_store(&fixture, text);
        free(text);
        fixture_commit(&fixture);
    }
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_what_is_older_is_expired(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    fill_days(&fixture, 0, 4, 50);
    fixture_drop(&fixture, day_begin(2));
    for (uint32_t turn = 0; turn < 2; turn++) {
        fixture_begin(&fixture);
        for (uint32_t index = 0; index < fixture.events_count; index++) {
            bool is_old = fixture.events[index].key.event_time_s < day_begin(2);
            enum trail_outcome outcome = fixture_add(&fixture, fixture.events[index].text);
            assert_int_equal(outcome, is_old ? TRAIL_EXPIRED : TRAIL_DUPLICATE);
        }
        struct trail_receipt receipt = fixture_commit(&fixture);
        assert_int_equal(receipt.stored, 0);
        fixture_keep_up(&fixture);
        fixture_reopen(&fixture);
    }
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// With a hash of a few bits every key meets those of dropped blocks in the window.
static void test_is_exact_when_hashes_collide(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 40;
    fixture.options.block_rows_min = 20;
    fixture.options.window_bits = 4;
    fixture_open(&fixture);
    fill_days(&fixture, 0, 4, 50);
    fixture_reopen(&fixture);
    // Asked for so often, the blocks of all days are taken into the window as places.
    for (uint32_t turn = 0; turn < 8; turn++) {
        fixture_begin(&fixture);
        for (uint32_t index = 0; index < fixture.events_count; index++)
            assert_int_equal(fixture_add(&fixture, fixture.events[index].text), TRAIL_DUPLICATE);
        fixture_commit(&fixture);
    }
    fixture_drop(&fixture, day_begin(2));
    fixture_keep_up(&fixture);
    fixture_begin(&fixture);
    for (uint32_t number = 1000; number < 1100; number++) {
        char *text =
            fixture_make_record(number, day_begin(2) - FIXTURE_BASE_S + number, 1 + number % 7);
        fixture_store(&fixture, text);
        free(text);
    }
    fixture_commit(&fixture);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_the_tail_goes_along(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fill_days(&fixture, 0, 5, 30);
    struct trail_day oldest;
    assert_true(trail_retention_oldest(fixture.trail, &oldest));
    assert_int_equal(oldest.from_s, day_begin(0));
    assert_int_equal(oldest.events, 30);
    assert_int_equal(oldest.blocks, 0);
    assert_int_equal(oldest.sequence_last, 30);
    fixture_drop(&fixture, day_begin(3));
    fixture_compare_all(&fixture);
    assert_int_equal(count_entries(&fixture, TRAIL_DATABASE_TAIL), 2);
    fixture_reopen(&fixture);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_retained_from_never_goes_back(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    assert_int_equal(trail_retained_from(fixture.trail), 0);
    // Also with nothing stored: what comes later and is older is expired.
    fixture_drop(&fixture, day_begin(2));
    fixture_drop(&fixture, day_begin(1));
    assert_int_equal(trail_retained_from(fixture.trail), day_begin(2));
    fixture_reopen(&fixture);
    assert_int_equal(trail_retained_from(fixture.trail), day_begin(2));
    fixture_begin(&fixture);
    char *text = fixture_make_record(1, day_begin(2) - FIXTURE_BASE_S - 1, 1);
    assert_int_equal(fixture_add(&fixture, text), TRAIL_EXPIRED);
    free(text);
    // An aborted commit drops nothing.
    trail_abort(fixture.trail);
    assert_true(trail_begin_reserved(fixture.trail, &fixture.fault));
    assert_true(trail_retain(fixture.trail, day_begin(9), &fixture.fault));
    trail_abort(fixture.trail);
    assert_int_equal(trail_retained_from(fixture.trail), day_begin(2));
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// Gives a day a block or two a commit.
static void fill_blocks(struct fixture *fixture, uint32_t day, uint32_t commits) {
    for (uint32_t commit = 0; commit < commits; commit++) {
        fixture_begin(fixture);
        for (uint32_t index = 0; index < 20; index++) {
            uint32_t number = commit * 20 + index;
            char *text = fixture_make_record(day * 100000 + number,
                                             day_begin(day) - FIXTURE_BASE_S + number, 1);
            fixture_store(fixture, text);
            free(text);
        }
        fixture_commit(fixture);
    }
}

static void test_several_days_go_within_an_hour(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    fill_blocks(&fixture, 0, 500);
    uint64_t first = count_entries(&fixture, TRAIL_DATABASE_BLOCK);
    assert_true(first > 60 * TRAIL_SWEEP_BLOCKS);
    fill_blocks(&fixture, 1, 50);
    fixture_drop(&fixture, day_begin(2));
    // What waits is known to the next process, too.
    fixture_reopen(&fixture);
    uint64_t last = count_entries(&fixture, TRAIL_DATABASE_BLOCK) - first;
    bool more = true;
    int64_t took_ms = 0;
    while (count_entries(&fixture, TRAIL_DATABASE_BLOCK) > last) {
        assert_true(trail_sweep(fixture.trail, &more, &fixture.fault));
        took_ms += trail_sweep_pause_ms(fixture.trail);
    }
    assert_in_range(took_ms, 30 * 60 * 1000, 60 * 60 * 1000);
    // The last day has time.
    assert_true(trail_sweep(fixture.trail, &more, &fixture.fault));
    assert_true(more);
    assert_int_equal(trail_sweep_pause_ms(fixture.trail), 60 * 1000);
    fixture_done(&fixture);
}

static void test_room_is_given_back_in_steps(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    // The day has more than two steps' worth.
    uint32_t commits = TRAIL_SWEEP_BLOCKS * 5 / 2;
    fill_blocks(&fixture, 0, commits);
    uint64_t blocks = count_entries(&fixture, TRAIL_DATABASE_BLOCK);
    assert_true(blocks >= commits);
    fixture_drop(&fixture, day_begin(1));
    bool more = true;
    assert_true(trail_sweep(fixture.trail, &more, &fixture.fault));
    assert_true(more);
    assert_int_equal(count_entries(&fixture, TRAIL_DATABASE_BLOCK), blocks - TRAIL_SWEEP_BLOCKS);
    // The next process goes on with it.
    fixture_reopen(&fixture);
    fixture_compare_all(&fixture);
    assert_true(fixture_keep_up(&fixture) >= 3);
    assert_int_equal(count_entries(&fixture, TRAIL_DATABASE_BLOCK), 0);
    assert_int_equal(count_entries(&fixture, TRAIL_DATABASE_GROUP), 0);
    fixture_done(&fixture);
}

// Drops days and gives room back until it is killed. Each drop begins with a byte through the pipe.
static _Noreturn void drop_for_ever(struct fixture *fixture, int pipe) {
    fixture->trail = NULL;
    struct fault fault;
    if (!trail_open(&fixture->options, &fixture->trail, &fault)) _exit(2);
    for (int64_t day = 1; day <= 40; day++) {
        if (write(pipe, &day, sizeof day) != sizeof day) _exit(3);
        struct trail_receipt receipt;
        if (!trail_begin_reserved(fixture->trail, &fault) ||
            !trail_retain(fixture->trail, day_begin(day), &fault) ||
            !trail_commit(fixture->trail, &receipt, &fault)) {
            _exit(4);
        }
        bool more = true;
        while (more) {
            if (!trail_sweep(fixture->trail, &more, &fault)) _exit(5);
        }
    }
    for (;;) pause();
}

static void test_survives_kills_in_the_middle(void **state) {
    (void)state;
    for (uint32_t turn = 0; turn < 6; turn++) {
        struct fixture fixture;
        open_small(&fixture);
        fill_days(&fixture, 0, 42, 60);
        trail_close(fixture.trail);
        fixture.trail = NULL;
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) drop_for_ever(&fixture, ends[1]);
        close(ends[1]);
        int64_t told = 0;
        for (uint32_t count = 0; count < 3 + turn * 4; count++)
            assert_int_equal(read(ends[0], &told, sizeof told), sizeof told);
        usleep(turn * 300);
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        while (read(ends[0], &told, sizeof told) == sizeof told) continue;
        close(ends[0]);

        fixture_open(&fixture);
        fixture.retained_from_s = trail_retained_from(fixture.trail);
        assert_true(fixture.retained_from_s == day_begin(told) ||
                    fixture.retained_from_s == day_begin(told - 1));
        fixture_compare_all(&fixture);
        fixture_keep_up(&fixture);
        fixture_compare_all(&fixture);
        fixture_done(&fixture);
    }
}

static void test_frees_room_in_a_full_store(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 40;
    fixture.options.block_rows_min = 20;
    fixture.options.size_max = 2 * 1024 * 1024;
    fixture_open(&fixture);
    uint32_t number = 0;
    for (uint32_t turn = 0; turn < 6; turn++) {
        // Until nothing more fits.
        for (bool is_full = false; !is_full;) {
            struct trail_receipt receipt;
            uint32_t before = fixture.events_count;
            fixture_begin(&fixture);
            for (uint32_t index = 0; index < 60; index++, number++) {
                char *text = fixture_make_record(
                    number, day_begin(turn) - FIXTURE_BASE_S + number % TRAIL_DAY_S, 1);
                fixture_store(&fixture, text);
                free(text);
            }
            is_full = !trail_commit(fixture.trail, &receipt, &fixture.fault);
            if (!is_full) continue;
            assert_int_equal(fixture.fault.kind, FAULT_FULL);
            while (fixture.events_count > before) free(fixture.events[--fixture.events_count].text);
        }
        assert_true(fixture_count(&fixture) > 0);
        fixture_drop(&fixture, day_begin(turn + 1));
        fixture_keep_up(&fixture);
        assert_int_equal(fixture_count(&fixture), 0);
        fixture_compare_all(&fixture);
    }
    fixture_done(&fixture);
}

static void test_refilling_reuses_the_room(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    fill_days(&fixture, 0, DAYS, DAY_ROWS);
    fixture_keep_up(&fixture);
    struct trail_reader *reader = NULL;
    struct trail_facts before;
    struct trail_facts after;
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    assert_true(trail_reader_facts(reader, &before, &fixture.fault));
    for (int64_t day = 1; day <= DAYS; day++) {
        fixture_drop(&fixture, day_begin(day));
        fixture_keep_up(&fixture);
        fixture_begin(&fixture);
        for (uint32_t index = 0; index < DAY_ROWS; index++) {
            uint32_t number = 1000000 + (uint32_t)day * DAY_ROWS + index;
            int64_t second = day_begin(DAYS - 1 + day) - FIXTURE_BASE_S + index;
            char *text = fixture_make_record(number, second, 1 + number % 7);
            fixture_store(&fixture, text);
            free(text);
        }
        fixture_commit(&fixture);
    }
    assert_true(trail_reader_facts(reader, &after, &fixture.fault));
    trail_reader_close(reader);
    assert_int_equal(after.events, before.events);
    // What went waits for two commits, a block needs its pages in one piece, and the dictionary of
    // the present epoch grows on: two days' room.
    assert_true(after.file_size <= before.file_size + before.file_size / 10);
    fixture_done(&fixture);
}

// A reader that was open before the drop, with a list and a cursor of then.
static void test_readers_live_with_it(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    fill_days(&fixture, 0, 12, 60);
    struct trail_reader *reader = NULL;
    struct trail_cursor *cursor = NULL;
    const struct trail_query query = {.time_min_s = INT64_MIN, .time_max_s = INT64_MAX};
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    assert_true(trail_cursor_open(reader, &query, &cursor, &fixture.fault));
    struct trail_row row;
    bool found = false;
    assert_true(trail_cursor_next(cursor, &found, &row, &fixture.fault));
    assert_true(found);
    assert_int_equal(row.sequence, 1);
    fixture_drop(&fixture, day_begin(6));
    fixture_keep_up(&fixture);
    // It gives what it has at hand of days that are gone, and all of those that are not.
    uint32_t retained = 0;
    int64_t last_s = 0;
    for (;;) {
        assert_true(trail_cursor_next(cursor, &found, &row, &fixture.fault));
        if (!found) break;
        assert_true(row.key.event_time_s >= last_s);
        last_s = row.key.event_time_s;
        retained += row.key.event_time_s >= day_begin(6);
    }
    assert_int_equal(retained, fixture_count(&fixture));
    trail_cursor_close(cursor);
    fixture_compare(&fixture, reader, &query);
    struct trail_facts facts;
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    assert_int_equal(facts.events, fixture_count(&fixture));
    assert_int_equal(facts.blocks, count_entries(&fixture, TRAIL_DATABASE_BLOCK));
    trail_reader_close(reader);
    fixture_done(&fixture);
}

struct days {
    struct trail_day_facts items[16];
    uint32_t count;
};

static bool on_day(void *user, const struct trail_day_facts *facts) {
    struct days *days = user;
    assert_true(days->count < 16);
    days->items[days->count++] = *facts;
    return true;
}

static void test_days_are_listed(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.block_rows_min = 50;
    fixture_open(&fixture);
    fill_days(&fixture, 0, 4, 60);
    fill_days(&fixture, 1000, 6, 10);  // into the tail, also of days without blocks
    struct trail_reader *reader = NULL;
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    for (uint32_t dropped = 0; dropped < 3; dropped += 2) {
        struct days days = {.count = 0};
        assert_true(trail_reader_days(reader, on_day, &days, &fixture.fault));
        assert_int_equal(days.count, 6 - dropped);
        for (uint32_t index = 0; index < days.count; index++) {
            uint32_t day = index + dropped;
            assert_int_equal(days.items[index].day, time_day(day_begin(day)));
            assert_int_equal(days.items[index].events, day < 4 ? 70 : 10);
            assert_true(day < 4 ? days.items[index].size > 0 : days.items[index].size == 0);
        }
        fixture_drop(&fixture, day_begin(2));
    }
    trail_reader_close(reader);
    fixture_done(&fixture);
}

static void move(struct fixture *fixture, const char *name, uint64_t from, uint64_t to) {
    struct trail_receipt receipt;
    if (!trail_begin_reserved(fixture->trail, &fixture->fault) ||
        !trail_follower_move(fixture->trail, name, from, to, &fixture->fault) ||
        !trail_commit(fixture->trail, &receipt, &fixture->fault)) {
        fail_msg("%s", fixture->fault.text);
    }
}

static void refuse_move(struct fixture *fixture, const char *name, uint64_t from, uint64_t to,
                        enum fault_kind kind) {
    assert_true(trail_begin(fixture->trail, &fixture->fault));
    assert_false(trail_follower_move(fixture->trail, name, from, to, &fixture->fault));
    assert_int_equal(fixture->fault.kind, kind);
    trail_abort(fixture->trail);
}

static bool on_follower(void *user, const struct trail_follower *follower) {
    struct trail_follower *list = user;
    while (list->name[0] != '\0') list++;
    *list = *follower;
    return true;
}

static void test_followers_are_kept(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    fill_days(&fixture, 0, 2, 50);
    move(&fixture, "deliver", 0, 10);
    fixture.now_ms += 5000;
    move(&fixture, "watch", 0, 0);
    move(&fixture, "deliver", 10, 25);
    refuse_move(&fixture, "deliver", 10, 30, FAULT_RETRY);
    refuse_move(&fixture, "deliver", 25, 24, FAULT_INPUT);
    refuse_move(&fixture, "deliver", 25, 101, FAULT_INPUT);
    refuse_move(&fixture, "", 0, 1, FAULT_INPUT);
    refuse_move(&fixture, "a b", 0, 1, FAULT_INPUT);
    // What a commit that was not made did is gone.
    assert_true(trail_begin(fixture.trail, &fixture.fault));
    assert_true(trail_follower_move(fixture.trail, "other", 0, 1, &fixture.fault));
    assert_true(trail_follower_drop(fixture.trail, "watch", &fixture.fault));
    trail_abort(fixture.trail);
    fixture_reopen(&fixture);
    uint32_t count = 0;
    const struct trail_follower *followers = trail_followers(fixture.trail, &count);
    assert_int_equal(count, 2);
    assert_string_equal(followers[0].name, "deliver");
    assert_int_equal(followers[0].sequence, 25);
    assert_int_equal(followers[0].moved_ms, fixture.now_ms);
    assert_string_equal(followers[1].name, "watch");

    struct trail_receipt receipt;
    assert_true(trail_begin(fixture.trail, &fixture.fault));
    assert_true(trail_follower_drop(fixture.trail, "watch", &fixture.fault));
    assert_false(trail_follower_drop(fixture.trail, "watch", &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_INPUT);
    assert_true(trail_commit(fixture.trail, &receipt, &fixture.fault));
    fixture_reopen(&fixture);
    struct trail_reader *reader = NULL;
    struct trail_follower list[4] = {0};
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    assert_true(trail_reader_followers(reader, on_follower, list, &fixture.fault));
    assert_string_equal(list[0].name, "deliver");
    assert_string_equal(list[1].name, "");
    trail_reader_close(reader);
    fixture_done(&fixture);
}

static void test_followers_are_few(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    assert_true(trail_begin(fixture.trail, &fixture.fault));
    char name[32];
    for (uint32_t index = 0; index <= TRAIL_FOLLOWERS_MAX; index++) {
        snprintf(name, sizeof name, "follower-%u", index);
        bool moved = trail_follower_move(fixture.trail, name, 0, 0, &fixture.fault);
        assert_int_equal(moved, index < TRAIL_FOLLOWERS_MAX);
    }
    assert_int_equal(fixture.fault.kind, FAULT_FULL);
    trail_abort(fixture.trail);
    fixture_done(&fixture);
}

static void test_a_day_waits_for_its_followers(void **state) {
    (void)state;
    struct fixture fixture;
    open_small(&fixture);
    fill_days(&fixture, 0, 3, 50);
    // A late event makes the first day's last sequence larger than those of the second day.
    fixture_begin(&fixture);
    char *text = fixture_make_record(900, day_begin(0) - FIXTURE_BASE_S + 5, 1);
    fixture_store(&fixture, text);
    free(text);
    fixture_commit(&fixture);
    move(&fixture, "fast", 0, 151);
    move(&fixture, "slow", 0, 150);
    struct trail_day oldest;
    assert_true(trail_retention_oldest(fixture.trail, &oldest));
    assert_int_equal(oldest.sequence_last, 151);
    assert_string_equal(trail_retention_holder(fixture.trail, &oldest)->name, "slow");
    assert_true(trail_begin_reserved(fixture.trail, &fixture.fault));
    assert_false(trail_retain(fixture.trail, day_begin(1), &fixture.fault));
    assert_int_equal(fixture.fault.kind, FAULT_RETRY);
    assert_non_null(strstr(fixture.fault.text, "slow"));
    trail_abort(fixture.trail);
    move(&fixture, "slow", 150, 151);
    assert_null(trail_retention_holder(fixture.trail, &oldest));
    fixture_drop(&fixture, day_begin(1));
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days_go_one_after_another),
        cmocka_unit_test(test_what_is_older_is_expired),
        cmocka_unit_test(test_is_exact_when_hashes_collide),
        cmocka_unit_test(test_the_tail_goes_along),
        cmocka_unit_test(test_retained_from_never_goes_back),
        cmocka_unit_test(test_room_is_given_back_in_steps),
        cmocka_unit_test(test_several_days_go_within_an_hour),
        cmocka_unit_test(test_survives_kills_in_the_middle),
        cmocka_unit_test(test_frees_room_in_a_full_store),
        cmocka_unit_test(test_refilling_reuses_the_room),
        cmocka_unit_test(test_readers_live_with_it),
        cmocka_unit_test(test_days_are_listed),
        cmocka_unit_test(test_followers_are_kept),
        cmocka_unit_test(test_followers_are_few),
        cmocka_unit_test(test_a_day_waits_for_its_followers),
    };
    return cases_run("trail_retention", tests, sizeof tests / sizeof tests[0]);
}
