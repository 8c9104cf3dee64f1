#include "base/files.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/cases.h"

static char folder[512];

// A path in the test's folder; the result lives until the next call but one.
static const char *in_folder(const char *name) {
    static char paths[2][1024];
    static int turn;
    turn = 1 - turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static int make_folder(void **state) {
    (void)state;
    const char *parent = getenv("TEST_TMPDIR");
    snprintf(folder, sizeof folder, "%s/files_test.XXXXXX", parent == NULL ? "/tmp" : parent);
    return mkdtemp(folder) == NULL;
}

static bool remove_entry(void *user, const struct files_entry *entry) {
    (void)user;
    struct fault fault = {0};
    assert_true(files_remove(files_system(), in_folder(entry->name), &fault));
    return true;
}

static int remove_folder(void **state) {
    (void)state;
    struct fault fault = {0};
    assert_true(files_list(files_system(), folder, remove_entry, NULL, &fault));
    return rmdir(folder);
}

static void test_append_read_truncate(void **state) {
    (void)state;
    const struct files *files = files_system();
    struct fault fault = {0};
    int handle;
    char bytes[16];
    size_t got;
    assert_true(files_open(files, in_folder("log"), FILES_APPEND, &handle, &fault));
    assert_true(files_append(files, handle, SPAN_LITERAL("hello "), &fault));
    assert_true(files_append(files, handle, SPAN_LITERAL("world"), &fault));
    assert_true(files_sync(files, handle, &fault));
    for (int turn = 0; turn < 3; turn++) {
        files_sync_begin(files, handle);
        assert_true(files_append(files, handle, SPAN_LITERAL(""), &fault));
        assert_true(files_sync_end(files, handle, &fault));
    }
    assert_true(files_read_at(files, handle, 6, bytes, sizeof bytes, &got, &fault));
    assert_int_equal(got, 5);
    assert_memory_equal(bytes, "world", 5);
    assert_true(files_read_at(files, handle, 100, bytes, sizeof bytes, &got, &fault));
    assert_int_equal(got, 0);
    assert_true(files_truncate(files, handle, 3, &fault));
    assert_true(files_append(files, handle, SPAN_LITERAL("p"), &fault));
    assert_true(files_read_at(files, handle, 0, bytes, sizeof bytes, &got, &fault));
    assert_int_equal(got, 4);
    assert_memory_equal(bytes, "help", 4);
    assert_true(fcntl(handle, F_GETFD) & FD_CLOEXEC);

    struct files_entry entry, found;
    bool exists;
    assert_true(files_describe(files, handle, &entry, &fault));
    assert_true(files_find(files, in_folder("log"), &exists, &found, &fault));
    assert_true(exists);
    assert_int_equal(entry.size, 4);
    assert_false(entry.is_directory);
    assert_int_equal(entry.inode, found.inode);
    assert_int_equal(entry.modified_ns, found.modified_ns);
    assert_true(entry.modified_ns > 1600000000 * INT64_C(1000000000));
    assert_true(files_remove(files, in_folder("log"), &fault));
    assert_true(files_describe(files, handle, &entry, &fault));
    assert_int_equal(entry.inode, found.inode);
    files_close(files, handle);
    // Opened again for appending, it is a new and empty file.
    assert_true(files_open(files, in_folder("log"), FILES_APPEND, &handle, &fault));
    assert_true(files_read_at(files, handle, 0, bytes, sizeof bytes, &got, &fault));
    assert_int_equal(got, 0);
    files_close(files, handle);
}

static void test_faults_say_kind_operation_and_path(void **state) {
    (void)state;
    const struct files *files = files_system();
    struct fault fault = {0};
    int handle = 77;
    assert_false(files_open(files, in_folder("missing"), FILES_READ, &handle, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_int_equal(handle, 77);
    assert_non_null(strstr(fault.text, "open "));
    assert_non_null(strstr(fault.text, "/missing: No such file or directory"));
    assert_true(files_open(files, in_folder("one"), FILES_CREATE, &handle, &fault));
    files_close(files, handle);
    assert_false(files_open(files, in_folder("one"), FILES_CREATE, &handle, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_false(files_rename(files, in_folder("missing"), in_folder("two"), &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "rename "));
    assert_false(files_list(files, in_folder("missing"), remove_entry, NULL, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    bool exists = true;
    struct files_entry entry;
    assert_true(files_find(files, in_folder("one/below"), &exists, &entry, &fault));
    assert_false(exists);
    assert_true(files_remove(files, in_folder("missing"), &fault));
    assert_true(files_open(files, in_folder("one"), FILES_READ, &handle, &fault));
    // Written to although opened for reading: our own mistake, but it names the file.
    assert_false(files_append(files, handle, SPAN_LITERAL("x"), &fault));
    assert_int_equal(fault.kind, FAULT_IO);
    assert_non_null(strstr(fault.text, "append to "));
    assert_non_null(strstr(fault.text, "/one: Bad file descriptor"));
    files_close(files, handle);
}

static void test_only_regular_files_are_read(void **state) {
    (void)state;
    struct fault fault = {0};
    int handle;
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    // Without somebody who writes to it: it would wait for ever.
    alarm(10);
    assert_false(files_open(files_system(), in_folder("pipe"), FILES_READ, &handle, &fault));
    alarm(0);
    assert_int_equal(fault.kind, FAULT_DENIED);
    assert_non_null(strstr(fault.text, "pipe: it is no regular file"));
    assert_false(files_open(files_system(), "/dev/null", FILES_READ, &handle, &fault));
    assert_int_equal(fault.kind, FAULT_DENIED);
    assert_false(files_open(files_system(), folder, FILES_READ, &handle, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
}

static void test_an_open_file_knows_its_path(void **state) {
    (void)state;
    struct fault fault = {0};
    int handle;
    assert_true(files_open(files_system(), in_folder("file"), FILES_APPEND, &handle, &fault));
    files_close(files_system(), handle);
    assert_int_equal(symlink("file", in_folder("link")), 0);
    assert_true(files_open(files_system(), in_folder("link"), FILES_READ, &handle, &fault));
    char path[4096], real[4096];
    assert_true(files_find_path(files_system(), handle, path, sizeof path));
    assert_non_null(realpath(in_folder("file"), real));
    assert_string_equal(path, real);
    files_close(files_system(), handle);
    assert_int_equal(unlink(in_folder("link")), 0);
}

static void test_renewing_changes_nothing(void **state) {
    (void)state;
    enum { SIZE = 100000 };
    static uint8_t bytes[SIZE + 3], found[SIZE + 4];
    const struct files *files = files_system();
    struct fault fault = {0};
    int handle;
    size_t got;
    for (uint32_t index = 0; index < SIZE; index++)
        bytes[index] = (uint8_t)(index * 7 + index / 251);
    assert_true(files_open(files, in_folder("renewed"), FILES_APPEND, &handle, &fault));
    assert_true(files_append(files, handle, span_of(bytes, SIZE), &fault));
    assert_true(files_renew(files, handle, 0, &fault));
    assert_true(files_renew(files, handle, 5000, &fault));
    assert_true(files_renew(files, handle, SIZE, &fault));
    assert_true(files_sync(files, handle, &fault));
    // It still appends.
    memcpy(bytes + SIZE, "end", 3);
    assert_true(files_append(files, handle, span_of(bytes + SIZE, 3), &fault));
    assert_true(files_read_at(files, handle, 0, found, sizeof found, &got, &fault));
    assert_int_equal(got, sizeof bytes);
    assert_memory_equal(found, bytes, sizeof bytes);
    files_close(files, handle);
    assert_true(files_open(files, "/dev/full", FILES_APPEND, &handle, &fault));
    assert_false(files_renew(files, handle, 0, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    files_close(files, handle);
}

static void test_full_disk(void **state) {
    (void)state;
    struct fault fault = {0};
    int handle;
    assert_true(files_open(files_system(), "/dev/full", FILES_APPEND, &handle, &fault));
    assert_false(files_append(files_system(), handle, SPAN_LITERAL("x"), &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_non_null(strstr(fault.text, "append to /dev/full: No space left on device"));
    files_close(files_system(), handle);
}

static void test_folders(void **state) {
    (void)state;
    const struct files *files = files_system();
    struct fault fault = {0};
    assert_true(files_make_directory(files, in_folder("sub"), &fault));
    assert_true(files_make_directory(files, in_folder("sub"), &fault));
    struct stat status;
    assert_int_equal(stat(in_folder("sub"), &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(status.st_mode & 0007, 0);
    assert_true(files_write_whole(files, in_folder("file"), SPAN_LITERAL("x"), 0640, &fault));
    assert_false(files_make_directory(files, in_folder("file"), &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_true(files_sync_directory(files, in_folder("sub"), &fault));
    assert_true(files_remove(files, in_folder("sub"), &fault));
}

struct collected {
    char names[16][16];
    int count;
    int count_max;
};

static bool collect(void *user, const struct files_entry *entry) {
    struct collected *collected = user;
    assert_true(collected->count < 16);
    snprintf(collected->names[collected->count++], 16, "%s", entry->name);
    assert_int_equal(entry->is_directory, entry->name[0] == 'd');
    if (entry->name[0] == 'a') assert_int_equal(entry->size, 3);
    return collected->count < collected->count_max;
}

static void test_list_is_sorted_by_bytes(void **state) {
    (void)state;
    const struct files *files = files_system();
    struct fault fault = {0};
    static const char *const names[] = {"b", "a", "Z", "\xC3\xA9", "a-", "a0", "dir"};
    for (int index = 0; index < 6; index++) {
        assert_true(
            files_write_whole(files, in_folder(names[index]), SPAN_LITERAL("123"), 0600, &fault));
    }
    assert_true(files_make_directory(files, in_folder("dir"), &fault));
    assert_int_equal(symlink("/nowhere/at/all", in_folder("dangling")), 0);
    struct collected collected = {.count_max = 16};
    assert_true(files_list(files, folder, collect, &collected, &fault));
    assert_int_equal(collected.count, 7);
    static const char *const sorted[] = {"Z", "a", "a-", "a0", "b", "dir", "\xC3\xA9"};
    for (int index = 0; index < 7; index++) {
        assert_string_equal(collected.names[index], sorted[index]);
    }
    collected = (struct collected){.count_max = 2};
    assert_true(files_list(files, folder, collect, &collected, &fault));
    assert_int_equal(collected.count, 2);
    assert_int_equal(unlink(in_folder("dangling")), 0);
}

static void test_write_whole(void **state) {
    (void)state;
    const struct files *files = files_system();
    struct fault fault = {0};
    struct buffer buffer;
    buffer_init(&buffer, 1 << 20);
    // What a crash left behind does not matter.
    int handle;
    assert_true(files_open(files, in_folder("key.new"), FILES_CREATE, &handle, &fault));
    assert_true(files_append(files, handle, SPAN_LITERAL("half"), &fault));
    files_close(files, handle);
    assert_true(files_write_whole(files, in_folder("key"), SPAN_LITERAL("first"), 0640, &fault));
    assert_true(files_write_whole(files, in_folder("key"), SPAN_LITERAL("second"), 0600, &fault));
    struct stat status;
    assert_int_equal(stat(in_folder("key"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    buffer_append_text(&buffer, "> ");
    assert_true(files_read_whole(files, in_folder("key"), 6, &buffer, &fault));
    assert_true(span_is(buffer_span(&buffer), "> second"));
    assert_false(files_read_whole(files, in_folder("key"), 5, &buffer, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "key: larger than the 5 bytes allowed"));
    assert_true(span_is(buffer_span(&buffer), "> second"));
    bool exists;
    struct files_entry entry;
    assert_true(files_find(files, in_folder("key.new"), &exists, &entry, &fault));
    assert_false(exists);
    // Into a folder that does not exist.
    assert_false(files_write_whole(files, in_folder("no/key"), SPAN_LITERAL("x"), 0600, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_false(files_read_whole(files, folder, 100, &buffer, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    // Over a folder: the rename fails, and nothing is left beside it.
    assert_true(files_make_directory(files, in_folder("dir"), &fault));
    assert_false(files_write_whole(files, in_folder("dir"), SPAN_LITERAL("x"), 0600, &fault));
    assert_true(files_find(files, in_folder("dir.new"), &exists, &entry, &fault));
    assert_false(exists);
    buffer_done(&buffer);
}

static void test_large_files_in_whole(void **state) {
    (void)state;
    struct fault fault = {0};
    size_t size = 3 * 65536;
    uint8_t *bytes = malloc(size);
    for (size_t index = 0; index < size; index++) bytes[index] = (uint8_t)(index * 31 >> 5);
    struct buffer buffer;
    buffer_init(&buffer, 1 << 20);
    for (size_t part = size - 1; part <= size; part++) {
        buffer_reset(&buffer);
        assert_true(files_write_whole(files_system(), in_folder("large"), span_of(bytes, part),
                                      0640, &fault));
        assert_true(files_read_whole(files_system(), in_folder("large"), size, &buffer, &fault));
        assert_true(span_equal(buffer_span(&buffer), span_of(bytes, part)));
    }
    buffer_done(&buffer);
    // A buffer that ends where the file ends, and one that ends before.
    buffer_init(&buffer, size);
    assert_true(files_read_whole(files_system(), in_folder("large"), size, &buffer, &fault));
    assert_int_equal(buffer.size, size);
    buffer_done(&buffer);
    buffer_init(&buffer, size - 1);
    assert_false(files_read_whole(files_system(), in_folder("large"), size, &buffer, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_int_equal(buffer.size, 0);
    buffer_done(&buffer);
    free(bytes);
}

static void test_measure_free(void **state) {
    (void)state;
    struct fault fault = {0};
    uint64_t free_size = 0, total_size = 0;
    assert_true(files_measure_free(files_system(), folder, &free_size, &total_size, &fault));
    assert_true(total_size > 0);
    assert_true(free_size <= total_size);
    assert_false(
        files_measure_free(files_system(), in_folder("x/y"), &free_size, &total_size, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
}

static void test_lock_keeps_others_out(void **state) {
    (void)state;
    const struct files *files = files_system();
    struct fault fault = {0};
    int handle, other;
    assert_true(files_lock(files, in_folder("lock"), &handle, &fault));
    assert_false(files_lock(files, in_folder("lock"), &other, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    assert_non_null(strstr(fault.text, "another process holds it"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        // The lock is not the child's after it closes what it inherited.
        close(handle);
        _exit(files_lock(files, in_folder("lock"), &other, &fault) ? 0 : (int)fault.kind);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), FAULT_RETRY);
    files_close(files, handle);
    assert_true(files_lock(files, in_folder("lock"), &handle, &fault));
    files_close(files, handle);
}

// A limit on the file's size stops an append half-way, as a full disk does.
static void test_partial_append_is_reported(void **state) {
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct fault fault = {0};
        int handle;
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){4, 4});
        if (!files_open(files_system(), in_folder("cut"), FILES_APPEND, &handle, &fault)) _exit(90);
        if (files_append(files_system(), handle, SPAN_LITERAL("123456"), &fault)) _exit(91);
        _exit((int)fault.kind);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(WEXITSTATUS(status), FAULT_IO);
    struct files_entry entry;
    bool exists;
    struct fault fault = {0};
    assert_true(files_find(files_system(), in_folder("cut"), &exists, &entry, &fault));
    assert_int_equal(entry.size, 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_append_read_truncate, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_faults_say_kind_operation_and_path, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_only_regular_files_are_read, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_an_open_file_knows_its_path, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(test_renewing_changes_nothing, make_folder, remove_folder),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test_setup_teardown(test_folders, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_list_is_sorted_by_bytes, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_write_whole, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_large_files_in_whole, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_measure_free, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_lock_keeps_others_out, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_partial_append_is_reported, make_folder,
                                        remove_folder),
    };
    return cases_run("files_test", tests, sizeof tests / sizeof tests[0]);
}
