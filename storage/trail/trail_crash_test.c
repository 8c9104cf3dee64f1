// The trail among processes: killed writers, readers beside a writer, a file that may not grow.

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storage/trail/trail_environment.h"
#include "storage/trail/trail_fixture.h"
#include "tests/kit/cases.h"

enum {
    KILLS = 10,
    COMMIT_ROWS = 120,
};

static bool dies_after_commit;
static bool fails_at_commit;  // the meta page stands in the system's memory, not on the disk
static uint32_t renewals;     // of both meta pages
static bool is_renewal_synced;

// Stands before the C library's for LMDB too: the commit's last write, of its meta page.
ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
    ssize_t written = syscall(SYS_pwrite64, file, bytes, size, offset);
    if (dies_after_commit && offset < 2 * 4096) kill(getpid(), SIGKILL);
    renewals += offset == 0 && size == 2 * 4096;
    is_renewal_synced = false;
    if (!fails_at_commit || offset >= 2 * 4096) return written;
    errno = EIO;
    return -1;
}

int fdatasync(int file) {
    is_renewal_synced = true;
    return (int)syscall(SYS_fdatasync, file);
}

// Appends for ever, and tells the number of events after each commit. Ends only by a signal.
static void append_for_ever(struct fixture *fixture, uint32_t number, int acks) {
    fixture_open(fixture);
    for (;;) {
        fixture_fill(fixture, number, COMMIT_ROWS, COMMIT_ROWS);
        number += COMMIT_ROWS;
        if (write(acks, &number, sizeof number) != sizeof number) _exit(1);
    }
}

static void sleep_ms(long ms) {
    const struct timespec time = {0, ms * 1000000};
    nanosleep(&time, NULL);
}

// Runs a writer, kills it in the midst of its work, and returns how many events it acknowledged.
static uint32_t run_and_kill(struct fixture *fixture, uint32_t number, long ms) {
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pipes[0]);
        append_for_ever(fixture, number, pipes[1]);
    }
    close(pipes[1]);
    // The time counts from the first acknowledgement: a slow machine gets its turn too.
    uint32_t acked = number;
    assert_int_equal(read(pipes[0], &acked, sizeof acked), sizeof acked);
    sleep_ms(ms);
    kill(child, SIGKILL);
    uint32_t next = 0;
    while (read(pipes[0], &next, sizeof next) == sizeof next) acked = next;
    close(pipes[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return acked;
}

struct survivors {
    uint64_t next;
    bool *seen;
    uint32_t seen_max;
};

// Every event carries its number in its id.
static bool on_survivor(void *user, const struct trail_row *row) {
    struct survivors *survivors = user;
    assert_int_equal(row->sequence, survivors->next);
    survivors->next++;
    const uint8_t *id = row->key.id;
    uint32_t number =
        (uint32_t)id[12] << 24 | (uint32_t)id[13] << 16 | (uint32_t)id[14] << 8 | id[15];
    assert_true(number < survivors->seen_max);
    assert_false(survivors->seen[number]);
    survivors->seen[number] = true;
    return true;
}

static void on_fault(void *user, const struct fault *found) {
    (void)user;
    fail_msg("check: %s", found->text);
}

static void on_progress(void *user, uint64_t done, uint64_t all) {
    (void)user;
    (void)done;
    (void)all;
}

// All acknowledged events are there, once; those of a commit that was not acknowledged all or none.
// Returns how many there are.
static uint32_t check_survivors(struct fixture *fixture, uint32_t acked) {
    struct trail_reader *reader = NULL;
    assert_true(trail_reader_open(fixture->directory, &reader, &fixture->fault));
    uint32_t seen_max = acked + 10 * COMMIT_ROWS;
    struct survivors survivors = {1, calloc(seen_max, sizeof(bool)), seen_max};
    uint64_t last = 0;
    if (!trail_reader_follow(reader, 0, on_survivor, &survivors, &last, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    for (uint32_t number = 0; number < acked; number++) assert_true(survivors.seen[number]);
    assert_int_equal(last % COMMIT_ROWS, 0);
    assert_true(last >= acked);
    struct trail_check check = {0};
    if (!trail_reader_check(reader, on_fault, on_progress, NULL, &check, &fixture->fault))
        fail_msg("%s", fixture->fault.text);
    assert_int_equal(check.events, last);
    free(survivors.seen);
    trail_reader_close(reader);
    return (uint32_t)last;
}

static void test_survives_kills(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.no_sync = false;
    fixture.options.map_size = 1024 * 1024;
    fixture.options.tail_rows_max = 500;
    uint32_t number = 0;
    for (uint32_t turn = 0; turn < KILLS; turn++) {
        uint32_t acked = run_and_kill(&fixture, number, 3 + (long)turn * 7);
        number = check_survivors(&fixture, acked);
    }
    assert_true(number >= KILLS * COMMIT_ROWS);
    fixture_done(&fixture);
}

// LMDB counts the pages at the end of the file that a commit took and freed again, and does not
// write them: a writer that dies right after its commit leaves a whole store all the same.
static void test_is_whole_after_a_kill_at_the_commit(void **state) {
    (void)state;
    enum { VALUE_SIZE = 4 * 1024 * 1024 };
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.no_sync = false;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 1000, 500);
    trail_close(fixture.trail);
    fixture.trail = NULL;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct trail_environment_options options = {.directory = fixture.directory};
        struct trail_environment *environment = NULL;
        if (!trail_environment_open(&options, &environment, &fixture.fault)) _exit(1);
        struct trail_change changes[2] = {
            {.database = TRAIL_DATABASE_DOCUMENT, .key_size = 1, .key = "k"}};
        changes[1] = changes[0];
        changes[0].value_size = VALUE_SIZE;
        changes[1].is_delete = true;
        const struct span values = span_of(calloc(1, VALUE_SIZE), VALUE_SIZE);
        dies_after_commit = true;
        (void)!trail_environment_commit(environment, changes, 2, values, false, &fixture.fault);
        _exit(2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    fixture_open(&fixture);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// A process that reads while another one writes; says how many events it saw at last.
static void read_until(struct fixture *fixture, uint64_t events, int ready) {
    struct trail_reader *reader = NULL;
    if (!trail_reader_open(fixture->directory, &reader, &fixture->fault)) _exit(2);
    if (write(ready, "r", 1) != 1) _exit(3);
    const struct trail_query query = {
        .time_min_s = INT64_MIN, .time_max_s = INT64_MAX, .newest_first = true};
    uint64_t seen = 0;
    for (uint32_t turn = 0; turn < 100000 && seen < events; turn++) {
        struct trail_cursor *cursor = NULL;
        if (!trail_cursor_open(reader, &query, &cursor, &fixture->fault)) _exit(4);
        uint64_t sequence_max = trail_cursor_sequence_max(cursor);
        if (sequence_max < seen) _exit(5);
        seen = sequence_max;
        bool found = true;
        for (uint32_t rows = 0; found && rows < 20; rows++) {
            struct trail_row row;
            if (!trail_cursor_next(cursor, &found, &row, &fixture->fault)) {
                fprintf(stderr, "reader: %s\n", fixture->fault.text);
                _exit(6);
            }
            if (found && row.sequence > sequence_max) _exit(7);
        }
        trail_cursor_close(cursor);
    }
    trail_reader_close(reader);
    _exit(seen >= events ? 0 : 8);
}

static void test_readers_beside_a_writer(void **state) {
    (void)state;
    enum { READERS = 2, EVENTS = 9000 };
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.map_size = 512 * 1024;
    fixture.options.tail_rows_max = 400;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 10, 10);
    pid_t children[READERS];
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    for (uint32_t index = 0; index < READERS; index++) {
        children[index] = fork();
        assert_true(children[index] >= 0);
        if (children[index] == 0) read_until(&fixture, EVENTS, pipes[1]);
    }
    char byte;
    for (uint32_t index = 0; index < READERS; index++)
        assert_int_equal(read(pipes[0], &byte, 1), 1);
    // The map grows several times under the readers.
    for (uint32_t number = 10; number < EVENTS; number += 310)
        fixture_fill(&fixture, number, number + 310 > EVENTS ? EVENTS - number : 310, 155);
    for (uint32_t index = 0; index < READERS; index++) {
        int status = 0;
        assert_int_equal(waitpid(children[index], &status, 0), children[index]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    close(pipes[0]);
    close(pipes[1]);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

static void test_second_process_is_refused(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture_open(&fixture);
    char expected[64];
    snprintf(expected, sizeof expected, "process %ld writes it", (long)getpid());
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct trail *second = NULL;
        struct fault fault;
        bool opened = trail_open(&fixture.options, &second, &fault);
        _exit(!opened && fault.kind == FAULT_RETRY && strstr(fault.text, expected) != NULL ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), 0);
    fixture_fill(&fixture, 0, 50, 25);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// A file that may not grow: the write of the commit is cut short. The trail is as before, and goes
// on when there is room.
static void test_goes_on_after_a_short_write(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.no_sync = false;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 3000, 1500);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    assert_true(trail_reader_facts(reader, &facts, &fixture.fault));
    const struct rlimit small = {facts.file_size + 65536, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);

    struct trail_receipt receipt;
    uint32_t before = fixture.events_count;
    for (uint32_t turn = 0; turn < 3; turn++) {
        fixture_begin(&fixture);
        for (uint32_t number = before; number < before + 3000; number++) {
            char *text = fixture_make_record(number, number / 10, 1);
            fixture_store(&fixture, text);
            free(text);
        }
        bool committed = trail_commit(fixture.trail, &receipt, &fixture.fault);
        while (!committed && fixture.events_count > before)
            free(fixture.events[--fixture.events_count].text);
        if (turn == 2) {
            assert_true(committed);
        } else {
            assert_false(committed);
            assert_int_equal(fixture.fault.kind, FAULT_FULL);
        }
        if (turn == 1) assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    }
    trail_reader_close(reader);
    fixture_compare_all(&fixture);
    fixture_reopen(&fixture);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// The same on a disk of 3 MB, where this machine lets us mount one.
static void test_goes_on_after_a_full_disk(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    if (mount("trail", fixture.directory, "tmpfs", 0, "size=3m") != 0) {
        fixture_done(&fixture);
        skip();
    }
    fixture.options.no_sync = false;
    fixture_open(&fixture);
    struct trail_receipt receipt;
    bool full = false;
    uint32_t turns = 0;
    while (!full) {
        uint32_t before = fixture.events_count;
        fixture_begin(&fixture);
        for (uint32_t number = before; number < before + 2000; number++) {
            char *text = fixture_make_record(number, number / 10, 1);
            fixture_store(&fixture, text);
            free(text);
        }
        full = !trail_commit(fixture.trail, &receipt, &fixture.fault);
        while (full && fixture.events_count > before)
            free(fixture.events[--fixture.events_count].text);
        assert_true(turns++ < 100);
    }
    assert_int_equal(fixture.fault.kind, FAULT_FULL);
    fixture_compare_all(&fixture);
    assert_int_equal(mount("trail", fixture.directory, "tmpfs", MS_REMOUNT, "size=30m"), 0);
    fixture_fill(&fixture, fixture.events_count, 4000, 2000);
    fixture_compare_all(&fixture);
    trail_close(fixture.trail);
    fixture.trail = NULL;
    assert_int_equal(umount(fixture.directory), 0);
    fixture_done(&fixture);
}

// What the meta page says after its sync failed is on the disk before anybody is told of it.
static void test_makes_good_a_failed_commit_when_it_opens(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.no_sync = false;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 100, 50);
    char *text = fixture_make_record(100, 0, 0);
    struct trail_receipt receipt;
    fixture_begin(&fixture);
    fixture_store(&fixture, text);
    fails_at_commit = true;
    assert_false(trail_commit(fixture.trail, &receipt, &fixture.fault));
    fails_at_commit = false;
    assert_int_equal(fixture.fault.kind, FAULT_IO);
    trail_close(fixture.trail);
    renewals = 0;
    fixture_open(&fixture);
    assert_int_equal(renewals, 1);
    assert_true(is_renewal_synced);
    // Readers leave them alone.
    struct trail_reader *reader = NULL;
    trail_close(fixture.trail);
    renewals = 0;
    assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
    trail_reader_close(reader);
    assert_int_equal(renewals, 0);
    fixture_open(&fixture);
    free(text);
    fixture_done(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_makes_good_a_failed_commit_when_it_opens),
        cmocka_unit_test(test_survives_kills),
        cmocka_unit_test(test_is_whole_after_a_kill_at_the_commit),
        cmocka_unit_test(test_readers_beside_a_writer),
        cmocka_unit_test(test_second_process_is_refused),
        cmocka_unit_test(test_goes_on_after_a_short_write),
        cmocka_unit_test(test_goes_on_after_a_full_disk),
    };
    return cases_run("trail_crash", tests, sizeof tests / sizeof tests[0]);
}
