// Backups made while the trail is written, restores, and both cut short at any place.

#include "storage/trail/trail_backup.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/trail/trail_fixture.h"
#include "storage/trail/trail_restore.h"
#include "tests/kit/cases.h"

static char target[160];
static bool is_disk_praised;  // every disk says that it has room, so that it is full later on

// Stands before the C library's.
int statvfs(const char *path, struct statvfs *facts) {
    struct statfs found;
    if (statfs(path, &found) != 0) return -1;
    *facts = (struct statvfs){.f_frsize = 4096, .f_blocks = (fsblkcnt_t)1 << 40};
    facts->f_bavail = is_disk_praised ? facts->f_blocks : found.f_bavail;
    return 0;
}

static void remove_all(const char *path) {
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s' '%s.part'", path, path);
    assert_int_equal(system(command), 0);
}

static void begin(struct fixture *fixture) {
    fixture_init(fixture);
    fixture->options.tail_rows_max = 200;
    fixture->options.block_rows_min = 100;
    fixture_open(fixture);
    snprintf(target, sizeof target, "%s.backup", fixture->directory);
    remove_all(target);
}

static void end(struct fixture *fixture) {
    remove_all(target);
    trail_close(fixture->trail);
    fixture->trail = NULL;
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'/before-restore-* '%s'/restoring",
             fixture->directory, fixture->directory);
    assert_int_equal(system(command), 0);
    fixture_done(fixture);
}

static bool back_up(struct fixture *fixture, struct trail_backup_facts *facts) {
    const struct trail_backup_options options = {
        .store = fixture->directory,
        .target = target,
        .clock = &fixture->clock,
    };
    return trail_backup(&options, facts, &fixture->fault);
}

static bool restore(struct fixture *fixture, struct trail_restore_result *result) {
    const struct trail_restore_options options = {
        .backup = target,
        .store = fixture->directory,
        .clock = &fixture->clock,
        .random = &fixture->random,
    };
    return trail_restore(&options, result, &fixture->fault);
}

static bool is_there(const char *folder, const char *name) {
    char path[TRAIL_RESTORE_PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void forget_after(struct fixture *fixture, uint32_t count) {
    while (fixture->events_count > count) free(fixture->events[--fixture->events_count].text);
}

static void test_comes_back_as_it_was(void **state) {
    (void)state;
    struct fixture fixture;
    struct trail_backup_facts facts;
    struct trail_backup_facts read;
    struct trail_restore_result result;
    begin(&fixture);
    fixture_fill(&fixture, 0, 3000, 70);
    uint8_t epoch[TRAIL_EPOCH_SIZE];
    trail_epoch(fixture.trail, epoch);
    fixture.now_ms += 12345;
    assert_true(back_up(&fixture, &facts));
    assert_int_equal(facts.events, 3000);
    assert_int_equal(facts.started_ms, fixture.now_ms);
    assert_memory_equal(facts.epoch, epoch, sizeof epoch);
    assert_true(trail_backup_read(target, &read, &fixture.fault));
    assert_memory_equal(&read, &facts, sizeof facts);
    assert_false(is_there(target, "lock.mdb"));

    fixture_fill(&fixture, 3000, 1000, 70);
    trail_close(fixture.trail);
    fixture.trail = NULL;
    fixture.now_ms += 5000;
    assert_true(restore(&fixture, &result));
    assert_memory_not_equal(result.epoch, epoch, sizeof epoch);
    assert_true(is_there(result.aside, "data.mdb"));
    forget_after(&fixture, 3000);
    fixture_open(&fixture);
    fixture_compare_all(&fixture);
    trail_epoch(fixture.trail, epoch);
    assert_memory_equal(result.epoch, epoch, sizeof epoch);
    const struct trail_origin *origin = trail_get_origin(fixture.trail);
    assert_int_equal(origin->backup_ms, facts.started_ms);
    assert_int_equal(origin->restored_ms, fixture.now_ms);
    assert_false(origin->is_told);
    // It goes on, and remembers that it has told.
    struct trail_receipt receipt;
    fixture_begin(&fixture);
    assert_true(trail_tell_origin(fixture.trail, &fixture.fault));
    assert_true(trail_commit(fixture.trail, &receipt, &fixture.fault));
    fixture_fill(&fixture, 5000, 500, 70);
    fixture_reopen(&fixture);
    assert_true(trail_get_origin(fixture.trail)->is_told);
    fixture_compare_all(&fixture);
    end(&fixture);
}

static void test_of_a_store_that_is_gone(void **state) {
    (void)state;
    struct fixture fixture;
    struct trail_backup_facts facts;
    struct trail_restore_result result;
    begin(&fixture);
    fixture_fill(&fixture, 0, 500, 70);
    assert_true(back_up(&fixture, &facts));
    trail_close(fixture.trail);
    fixture.trail = NULL;
    remove_all(fixture.directory);
    assert_true(restore(&fixture, &result));
    assert_string_equal(result.aside, "");
    fixture_open(&fixture);
    fixture_compare_all(&fixture);
    end(&fixture);
}

static void test_is_whole_while_events_come(void **state) {
    (void)state;
    struct fixture fixture;
    struct trail_backup_facts facts;
    struct trail_restore_result result;
    begin(&fixture);
    fixture_fill(&fixture, 0, 2000, 100);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct trail_backup_facts made;
        _exit(back_up(&fixture, &made) ? 0 : 1);
    }
    uint32_t number = 2000;
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        fixture_fill(&fixture, number, 100, 50);
        number += 100;
    }
    assert_int_equal(status, 0);
    assert_true(number > 2000);
    assert_true(trail_backup_read(target, &facts, &fixture.fault));
    assert_true(facts.events >= 2000 && facts.events <= number);
    trail_close(fixture.trail);
    fixture.trail = NULL;
    assert_true(restore(&fixture, &result));
    forget_after(&fixture, (uint32_t)facts.events);
    fixture_open(&fixture);
    fixture_compare_all(&fixture);
    end(&fixture);
}

static void test_replaces_nothing(void **state) {
    (void)state;
    struct fixture fixture;
    struct trail_backup_facts facts;
    begin(&fixture);
    fixture_fill(&fixture, 0, 100, 70);
    assert_true(back_up(&fixture, &facts));
    assert_false(back_up(&fixture, &facts));
    assert_int_equal(fixture.fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fixture.fault.text, "not empty"));
    remove_all(target);
    // An empty folder is as good as none.
    assert_int_equal(mkdir(target, 0700), 0);
    assert_true(back_up(&fixture, &facts));
    end(&fixture);
}

static void turn_bit(const char *folder, const char *name) {
    char path[TRAIL_RESTORE_PATH_SIZE + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 20000, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 20000, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void test_refuses_clearly(void **state) {
    (void)state;
    struct fixture fixture;
    struct trail_backup_facts facts;
    struct trail_restore_result result;
    begin(&fixture);
    fixture_fill(&fixture, 0, 1000, 70);
    assert_false(restore(&fixture, &result));
    assert_int_equal(fixture.fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fixture.fault.text, "no backup.json"));
    assert_true(back_up(&fixture, &facts));
    // While it is written, as by a collector.
    assert_false(restore(&fixture, &result));
    assert_int_equal(fixture.fault.kind, FAULT_RETRY);
    trail_close(fixture.trail);
    fixture.trail = NULL;
    turn_bit(target, "data.mdb");
    assert_false(restore(&fixture, &result));
    assert_int_equal(fixture.fault.kind, FAULT_CORRUPT);
    assert_non_null(strstr(fixture.fault.text, "SHA-256"));
    // The store is untouched by all of it.
    fixture_open(&fixture);
    fixture_compare_all(&fixture);
    end(&fixture);
}

static void test_survives_kills(void **state) {
    (void)state;
    for (uint32_t turn = 0; turn < 24; turn++) {
        struct fixture fixture;
        struct trail_backup_facts facts;
        struct trail_restore_result result;
        begin(&fixture);
        fixture_fill(&fixture, 0, 1500, 70);
        bool is_backup = turn % 2 == 0;
        if (!is_backup) assert_true(back_up(&fixture, &facts));
        uint32_t before = fixture.events_count;
        if (!is_backup) {
            fixture_fill(&fixture, 1500, 300, 70);
            trail_close(fixture.trail);
            fixture.trail = NULL;
        }
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) _exit(is_backup ? !back_up(&fixture, &facts) : !restore(&fixture, &result));
        usleep(turn * 2500);
        kill(child, SIGKILL);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (is_backup) {
            // A whole backup or none; the next one succeeds.
            if (trail_backup_read(target, &facts, &fixture.fault)) {
                assert_true(trail_backup_verify(target, &facts, &fixture.fault));
                remove_all(target);
            }
            assert_true(back_up(&fixture, &facts));
        } else {
            // The old store, the new one, or a refusal: never an empty one. Again it succeeds.
            bool opened = trail_open(&fixture.options, &fixture.trail, &fixture.fault);
            if (opened) {
                struct trail_reader *reader = NULL;
                struct trail_facts found;
                assert_true(trail_reader_open(fixture.directory, &reader, &fixture.fault));
                assert_true(trail_reader_facts(reader, &found, &fixture.fault));
                trail_reader_close(reader);
                assert_true(found.events == before || found.events == fixture.events_count);
                trail_close(fixture.trail);
                fixture.trail = NULL;
            } else {
                assert_non_null(strstr(fixture.fault.text, "restore"));
            }
            fixture.now_ms += 1000;
            assert_true(restore(&fixture, &result));
            forget_after(&fixture, before);
            fixture_open(&fixture);
        }
        fixture_compare_all(&fixture);
        end(&fixture);
    }
}

// With a limit on the size of files in place of a full disk: what files.h calls FAULT_IO then.
static void test_a_full_disk_leaves_all_as_it_was(void **state) {
    (void)state;
    struct fixture fixture;
    struct trail_backup_facts facts;
    struct trail_restore_result result;
    begin(&fixture);
    fixture_fill(&fixture, 0, 2000, 70);
    for (uint32_t turn = 0; turn < 2; turn++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            const struct rlimit limit = {40 * 1024, 40 * 1024};
            signal(SIGXFSZ, SIG_IGN);
            if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
            bool is_done = turn == 0 ? back_up(&fixture, &facts) : restore(&fixture, &result);
            enum fault_kind kind = turn == 0 ? FAULT_FULL : FAULT_IO;
            _exit(!is_done && fixture.fault.kind == kind ? 0 : 1);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        if (turn > 0) break;
        assert_int_equal(access(target, F_OK), -1);
        char part[176];
        snprintf(part, sizeof part, "%s.part", target);
        assert_int_equal(access(part, F_OK), -1);
        assert_true(back_up(&fixture, &facts));
        trail_close(fixture.trail);
        fixture.trail = NULL;
    }
    fixture_open(&fixture);
    fixture_compare_all(&fixture);
    end(&fixture);
}

// Puts a disk of so many KiB there, or gives the one there another size. False: not on this
// machine.
static bool mount_disk(const char *folder, uint32_t size_kib, bool is_there) {
    char options[32];
    snprintf(options, sizeof options, "size=%uk", size_kib);
    return mount("disk", folder, "tmpfs", is_there ? MS_REMOUNT : 0, options) == 0;
}

static uint32_t used_kib(const char *folder) {
    struct statfs facts;
    assert_int_equal(statfs(folder, &facts), 0);
    return (uint32_t)((facts.f_blocks - facts.f_bfree) * (uint64_t)facts.f_bsize / 1024);
}

static void expect_full(const struct fixture *fixture, const char *folder) {
    if (fixture->fault.kind != FAULT_FULL || strstr(fixture->fault.text, folder) == NULL)
        fail_msg("%s", fixture->fault.text);
}

// The disk of the backup is full, earlier or later: nothing is left that looks like one.
static void test_backs_up_to_a_disk_that_fills_up(void **state) {
    (void)state;
    struct fixture fixture;
    struct trail_backup_facts facts;
    char disk[140];
    begin(&fixture);
    snprintf(disk, sizeof disk, "%s.disk", fixture.directory);
    assert_int_equal(mkdir(disk, 0700), 0);
    if (!mount_disk(disk, 64, false)) {
        assert_int_equal(rmdir(disk), 0);
        end(&fixture);
        skip();
    }
    fixture_fill(&fixture, 0, 2000, 70);
    snprintf(target, sizeof target, "%s/backup", disk);
    is_disk_praised = true;
    uint32_t refusals = 0;
    uint32_t size_kib = 64;
    for (; !back_up(&fixture, &facts); size_kib += 8) {
        expect_full(&fixture, disk);
        assert_false(is_there(disk, "backup"));
        assert_false(is_there(disk, "backup.part"));
        refusals++;
        assert_true(size_kib < 64 * 1024);
        assert_true(mount_disk(disk, size_kib + 8, true));
    }
    is_disk_praised = false;
    assert_true(refusals > 10);
    assert_true(trail_backup_verify(target, &facts, &fixture.fault));
    assert_int_equal(facts.events, 2000);
    fixture_compare_all(&fixture);
    assert_int_equal(umount2(disk, MNT_DETACH), 0);
    assert_int_equal(rmdir(disk), 0);
    end(&fixture);
}

// The disk of the store fills up while a backup is put back: the old store is there as it was, and
// nothing beside it takes its room.
static void test_restores_to_a_disk_that_fills_up(void **state) {
    (void)state;
    struct fixture fixture;
    struct trail_backup_facts facts;
    struct trail_restore_result result;
    fixture_init(&fixture);
    if (!mount_disk(fixture.directory, 64 * 1024, false)) {
        fixture_done(&fixture);
        skip();
    }
    fixture_open(&fixture);
    snprintf(target, sizeof target, "%s.backup", fixture.directory);
    fixture_fill(&fixture, 0, 2000, 70);
    assert_true(back_up(&fixture, &facts));
    fixture_fill(&fixture, 2000, 50, 50);
    trail_close(fixture.trail);
    fixture.trail = NULL;
    // Honest disks refuse at once.
    assert_true(mount_disk(fixture.directory, used_kib(fixture.directory) + 64, true));
    assert_false(restore(&fixture, &result));
    expect_full(&fixture, fixture.directory);

    is_disk_praised = true;
    uint32_t refusals = 0;
    while (!restore(&fixture, &result)) {
        expect_full(&fixture, fixture.directory);
        assert_false(is_there(fixture.directory, "restoring"));
        uint32_t used = used_kib(fixture.directory);
        fixture_open(&fixture);
        assert_int_equal(fixture_count(&fixture), 2050);
        if (refusals % 20 == 0) fixture_compare_all(&fixture);
        trail_close(fixture.trail);
        fixture.trail = NULL;
        refusals++;
        assert_true(used < 64 * 1024);
        assert_true(mount_disk(fixture.directory, used + 64 + refusals * 20, true));
    }
    is_disk_praised = false;
    assert_true(refusals > 10);
    assert_true(is_there(result.aside, "data.mdb"));
    assert_true(mount_disk(fixture.directory, 64 * 1024, true));
    forget_after(&fixture, 2000);
    fixture_open(&fixture);
    fixture_compare_all(&fixture);
    trail_close(fixture.trail);
    fixture.trail = NULL;
    assert_int_equal(umount2(fixture.directory, MNT_DETACH), 0);
    remove_all(target);
    fixture_done(&fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_back_as_it_was),
        cmocka_unit_test(test_of_a_store_that_is_gone),
        cmocka_unit_test(test_is_whole_while_events_come),
        cmocka_unit_test(test_replaces_nothing),
        cmocka_unit_test(test_refuses_clearly),
        cmocka_unit_test(test_survives_kills),
        cmocka_unit_test(test_a_full_disk_leaves_all_as_it_was),
        cmocka_unit_test(test_backs_up_to_a_disk_that_fills_up),
        cmocka_unit_test(test_restores_to_a_disk_that_fills_up),
    };
    return cases_run("trail_backup", tests, sizeof tests / sizeof tests[0]);
}
