// No room: on the disk, in the map, in the address space, in the dedupe window.

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/trail/trail_fixture.h"
#include "tests/kit/cases.h"

static int sync_error;  // 0: syncs are what they are

// Stands before the C library's for LMDB too.
int fdatasync(int file) {
    if (sync_error == 0) return (int)syscall(SYS_fdatasync, file);
    errno = sync_error;
    return -1;
}

// A thin volume says ENOSPC when it is synced: what the disk has then nobody knows.
static void test_does_not_repeat_a_failed_sync(void **state) {
    (void)state;
    static const int errors[] = {ENOSPC, EDQUOT, EIO};
    for (size_t index = 0; index < sizeof errors / sizeof errors[0]; index++) {
        struct fixture fixture;
        fixture_init(&fixture);
        fixture.options.no_sync = false;
        fixture_open(&fixture);
        fixture_fill(&fixture, 0, 100, 100);
        fixture_begin(&fixture);
        char *text = fixture_make_record(1000, 0, 1);
        fixture_store(&fixture, text);
        free(text);
        sync_error = errors[index];
        struct trail_receipt receipt;
        assert_false(trail_commit(fixture.trail, &receipt, &fixture.fault));
        sync_error = 0;
        assert_int_equal(fixture.fault.kind, FAULT_IO);
        fixture_done(&fixture);
    }
}

// What the file has on the disk beyond the pages that are in use.
static int64_t room_ahead(const struct fixture *fixture) {
    char path[128];
    struct stat file;
    snprintf(path, sizeof path, "%s/data.mdb", fixture->directory);
    assert_int_equal(stat(path, &file), 0);
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    struct fault fault;
    assert_true(trail_reader_open(fixture->directory, &reader, &fault));
    assert_true(trail_reader_facts(reader, &facts, &fault));
    trail_reader_close(reader);
    assert_true((uint64_t)file.st_size >= facts.file_size);
    return (int64_t)file.st_blocks * 512 - (int64_t)facts.file_size;
}

// The room of a commit is taken before it, and what is left of it is given back at the end.
static void test_takes_room_ahead(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.no_sync = false;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 2000, 1000);
    assert_true(room_ahead(&fixture) >= 512 * 1024);
    fixture_reopen(&fixture);
    assert_true(room_ahead(&fixture) < 512 * 1024);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

// Commits with 1 MiB each until the map cannot grow; then a few more.
static int fill_map(struct fixture *fixture) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld", &pages) != 1) return 1;
    fclose(file);
    const struct rlimit limit = {(rlim_t)pages * 4096 + (16 << 20), RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &limit) != 0) return 2;
    static char bytes[1 << 20];
    uint32_t full = 0;
    for (int turn = 0; turn < 60 && full < 3; turn++) {
        if (!trail_begin(fixture->trail, &fixture->fault)) return 3;
        snprintf(bytes, sizeof bytes, "%d", turn);
        const struct trail_refused refused = {
            .bytes = span_of(bytes, sizeof bytes),
            .reason = "test",
            .agent = TRAIL_AGENT_OWN,
        };
        bool is_new = false;
        struct trail_receipt receipt;
        if (!trail_quarantine(fixture->trail, &refused, &is_new, &fixture->fault)) {
            trail_abort(fixture->trail);
            if (fixture->fault.kind != FAULT_FULL) return 4;
            full++;
        } else if (!trail_commit(fixture->trail, &receipt, &fixture->fault)) {
            if (fixture->fault.kind != FAULT_FULL) return 5;
            full++;
        }
    }
    return full == 3 ? 0 : 6;
}

static void test_survives_a_map_that_cannot_grow(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip();  // its own maps are far above any limit
#endif
    struct fixture fixture;
    fixture_init(&fixture);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        fixture.options.map_size = 24 * 1024 * 1024;
        fixture_open(&fixture);
        fixture_fill(&fixture, 0, 10, 10);
        _exit(fill_map(&fixture));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fixture_open(&fixture);
    fixture_done(&fixture);
}

// No limit is so small that it is none.
static void test_keeps_to_the_smallest_limit(void **state) {
    (void)state;
    static const uint64_t limits[] = {1, 4095, 4096, 5000};
    for (size_t index = 0; index < sizeof limits / sizeof limits[0]; index++) {
        struct fixture fixture;
        fixture_init(&fixture);
        fixture.options.size_max = limits[index];
        bool is_full = !trail_open(&fixture.options, &fixture.trail, &fixture.fault);
        for (uint32_t commit = 0; commit < 5000 && !is_full; commit++) {
            fixture_begin(&fixture);
            char *text = fixture_make_record(commit * 5, commit, 1);
            fixture_store(&fixture, text);
            free(text);
            struct trail_receipt receipt;
            is_full = !trail_commit(fixture.trail, &receipt, &fixture.fault);
        }
        assert_true(is_full);
        assert_int_equal(fixture.fault.kind, FAULT_FULL);
        fixture_done(&fixture);
    }
}

// Options of a later run may allow much less of a tail than there is.
static void test_opens_with_a_long_tail(void **state) {
    (void)state;
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = 60000;
    fixture.options.block_rows_min = 60000;
    fixture.options.window_ids = 16;
    fixture_open(&fixture);
    fixture_fill(&fixture, 0, 33500, 4000);
    fixture.options.tail_rows_max = 1;
    fixture_reopen(&fixture);
    fixture_fill(&fixture, 33500, 10, 10);
    fixture_compare_all(&fixture);
    fixture_done(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_does_not_repeat_a_failed_sync),
        cmocka_unit_test(test_takes_room_ahead),
        cmocka_unit_test(test_survives_a_map_that_cannot_grow),
        cmocka_unit_test(test_keeps_to_the_smallest_limit),
        cmocka_unit_test(test_opens_with_a_long_tail),
    };
    return cases_run("trail_full", tests, sizeof tests / sizeof tests[0]);
}
