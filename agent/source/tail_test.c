#include "agent/source/tail.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "tests/kit/cases.h"

enum { ITEMS_MAX = 512 };

struct given {
    char *text;  // of a record, or the notice's reason
    char place[4200];
    char detail[SOURCE_TEXT_SIZE];
    bool is_notice;
    uint64_t size;
    uint8_t sha256[32];
    uint8_t position[1024];
    size_t position_size;
};

struct bench {
    char folder[256];
    int64_t now_ms;
    struct clock clock;
    struct source source;
    bool is_open;
    char *paths[4];
    uint32_t paths_count;
    bool once;
    bool from_end;
    struct given items[ITEMS_MAX];
    uint32_t count;
    struct given last;  // of before the restart
    bool has_last;
};

static int64_t now_of(void *context) {
    const struct bench *bench = context;
    return bench->now_ms;
}

static void add_path(struct bench *bench, const char *name) {
    assert_true(asprintf(&bench->paths[bench->paths_count++], "%s/%s", bench->folder, name) > 0);
}

static void open_source(struct bench *bench) {
    struct tail_options options = {
        .files = files_system(),
        .clock = &bench->clock,
        .paths = (const char *const *)bench->paths,
        .paths_count = bench->paths_count,
        .from_end = bench->from_end,
        .once = bench->once,
    };
    struct fault fault;
    if (!tail_open(&options, &bench->source, &fault)) fail_msg("%s", fault.text);
    bench->is_open = true;
}

static struct bench *begin(const char *name) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    const char *parent = getenv("TEST_TMPDIR");
    snprintf(bench->folder, sizeof bench->folder, "%s/tailXXXXXX",
             parent == NULL ? "/tmp" : parent);
    assert_non_null(mkdtemp(bench->folder));
    bench->now_ms = 1000000;
    bench->clock = (struct clock){now_of, now_of, bench};
    add_path(bench, name);
    return bench;
}

static void forget_items(struct bench *bench) {
    for (uint32_t index = 0; index < bench->count; index++) free(bench->items[index].text);
    bench->count = 0;
}

static void end(struct bench *bench) {
    if (bench->is_open) bench->source.operations->close(bench->source.context);
    forget_items(bench);
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", bench->folder);
    assert_int_equal(system(command), 0);
    for (uint32_t index = 0; index < bench->paths_count; index++) free(bench->paths[index]);
    free(bench);
}

static void keep(struct bench *bench, enum source_result result, const struct source_item *item) {
    assert_true(bench->count < ITEMS_MAX);
    struct given *given = &bench->items[bench->count++];
    *given = (struct given){.is_notice = result == SOURCE_NOTICE};
    given->text = given->is_notice ? strdup(item->notice.reason)
                                   : strndup((const char *)item->record.bytes, item->record.size);
    if (given->is_notice) {
        snprintf(given->place, sizeof given->place, "%s", item->notice.place);
        snprintf(given->detail, sizeof given->detail, "%s", item->notice.detail);
        given->size = item->notice.size;
        memcpy(given->sha256, item->notice.sha256, 32);
    }
    assert_true(item->position.size <= sizeof given->position);
    if (item->position.size > 0) {
        memcpy(given->position, item->position.bytes, item->position.size);
    }
    given->position_size = item->position.size;
    bench->last = *given;
    bench->has_last = true;
}

// Steps until the source rests, at most `most` items. Returns the last result.
static enum source_result run(struct bench *bench, uint32_t most) {
    uint32_t wanted = bench->count + most;
    for (uint32_t steps = 0; steps < 1000000; steps++) {
        if (bench->count == wanted) return SOURCE_MORE;
        struct source_item item = {0};
        enum source_result result = bench->source.operations->step(bench->source.context, &item);
        if (result == SOURCE_IDLE) assert_true(item.wait_ms <= TAIL_POLL_MS);
        if (result == SOURCE_IDLE || result == SOURCE_END) return result;
        if (result != SOURCE_MORE) keep(bench, result, &item);
    }
    fail_msg("the source never rests");
    return SOURCE_MORE;
}

static void run_all(struct bench *bench) {
    bench->now_ms += TAIL_GLOB_MS;
    (void)run(bench, ITEMS_MAX);
}

static void reopen(struct bench *bench) {
    bench->source.operations->close(bench->source.context);
    forget_items(bench);
    open_source(bench);
    struct fault fault;
    if (!bench->has_last) return;
    assert_true(bench->source.operations->restore(
        bench->source.context, 1, span_of(bench->last.position, bench->last.position_size),
        &fault));
}

static void append_bytes(struct bench *bench, const char *name, struct span bytes) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", bench->folder, name);
    FILE *file = fopen(path, "ae");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.bytes, 1, bytes.size, file), bytes.size);
    assert_int_equal(fclose(file), 0);
}

static void append(struct bench *bench, const char *name, const char *text) {
    append_bytes(bench, name, span_text(text));
}

static void rename_file(struct bench *bench, const char *from, const char *to) {
    char one[600], other[600];
    snprintf(one, sizeof one, "%s/%s", bench->folder, from);
    snprintf(other, sizeof other, "%s/%s", bench->folder, to);
    assert_int_equal(rename(one, other), 0);
}

static void copy_and_truncate(struct bench *bench, const char *from, const char *to) {
    char command[1300], path[600];
    if (to != NULL) {
        snprintf(command, sizeof command, "cp '%s/%s' '%s/%s'", bench->folder, from, bench->folder,
                 to);
        assert_int_equal(system(command), 0);
    }
    snprintf(path, sizeof path, "%s/%s", bench->folder, from);
    assert_int_equal(truncate(path, 0), 0);
}

static void expect(const struct bench *bench, const char *const *texts) {
    uint32_t count = 0;
    for (; texts[count] != NULL; count++) {
        if (count >= bench->count) fail_msg("\"%s\" was not given", texts[count]);
        assert_string_equal(bench->items[count].text, texts[count]);
    }
    if (bench->count > count) fail_msg("\"%s\" too much", bench->items[count].text);
}

#define EXPECT(bench, ...) expect(bench, (const char *const[]){__VA_ARGS__, NULL})

static void expect_nothing(const struct bench *bench) {
    if (bench->count > 0) fail_msg("\"%s\" too much", bench->items[0].text);
}

static struct source_status status_of(const struct bench *bench) {
    struct source_status status;
    bench->source.operations->describe(bench->source.context, &status);
    return status;
}

static void test_lines_as_they_come(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    open_source(bench);
    run_all(bench);
    expect_nothing(bench);
    append(bench, "a.log", "{\"a\":1}\n{\"a\":2}\r\n\n  \n{\"a\":");
    run_all(bench);
    EXPECT(bench, "{\"a\":1}", "{\"a\":2}");
    // The last line waits for its end, however long it takes.
    run_all(bench);
    assert_int_equal(status_of(bench).bytes_behind, 5);
    append(bench, "a.log", "3}");
    run_all(bench);
    EXPECT(bench, "{\"a\":1}", "{\"a\":2}");
    append(bench, "a.log", "\nnot json\n");
    run_all(bench);
    EXPECT(bench, "{\"a\":1}", "{\"a\":2}", "{\"a\":3}", "not json");
    assert_int_equal(status_of(bench).bytes_behind, 0);
    assert_int_equal(status_of(bench).state, SOURCE_STATE_OK);
    end(bench);
}

static void test_restart_goes_on_behind_the_last_line(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n2\n3\n4");
    open_source(bench);
    (void)run(bench, 2);
    reopen(bench);
    run_all(bench);
    EXPECT(bench, "3");
    append(bench, "a.log", "4\n");
    reopen(bench);
    run_all(bench);
    EXPECT(bench, "44");
    reopen(bench);
    run_all(bench);
    expect_nothing(bench);
    end(bench);
}

static void test_rotation_by_rename(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n2\n");
    open_source(bench);
    run_all(bench);
    append(bench, "a.log", "3\n");
    rename_file(bench, "a.log", "a.log.1");
    append(bench, "a.log", "5\n");
    run_all(bench);
    // The writer may have the old one still open.
    append(bench, "a.log.1", "4\n");
    run_all(bench);
    EXPECT(bench, "1", "2", "3", "5", "4");
    bench->now_ms += TAIL_ROTATED_MS;
    run_all(bench);
    append(bench, "a.log", "6\n");
    run_all(bench);
    EXPECT(bench, "1", "2", "3", "5", "4", "6");
    end(bench);
}

static void test_last_line_of_a_rotated_file_needs_no_end(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n2");
    open_source(bench);
    run_all(bench);
    rename_file(bench, "a.log", "a.log.1");
    run_all(bench);
    EXPECT(bench, "1");
    bench->now_ms += 5000;
    run_all(bench);
    EXPECT(bench, "1", "2");
    end(bench);
}

// A writer that logs seldom may have the old file open for long.
static void test_a_quiet_writer_of_a_rotated_file(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n");
    open_source(bench);
    run_all(bench);
    rename_file(bench, "a.log", "a.log.1");
    append(bench, "a.log", "2\n");
    run_all(bench);
    bench->now_ms += TAIL_HELD_MS / 2;
    run_all(bench);
    append(bench, "a.log.1", "3\n");
    append(bench, "a.log", "4\n");
    run_all(bench);
    EXPECT(bench, "1", "2", "3", "4");
    // Also after a restart.
    reopen(bench);
    run_all(bench);
    expect_nothing(bench);
    append(bench, "a.log.1", "5\n");
    run_all(bench);
    EXPECT(bench, "5");
    bench->now_ms += TAIL_HELD_MS;
    run_all(bench);
    append(bench, "a.log.1", "6\n");
    run_all(bench);
    EXPECT(bench, "5");
    end(bench);
}

// It was read to its end before it went: nothing is missed.
static void test_a_rotated_file_that_goes_later(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n");
    open_source(bench);
    run_all(bench);
    rename_file(bench, "a.log", "a.log.1");
    append(bench, "a.log", "2\n");
    run_all(bench);
    bench->now_ms += 5000;
    run_all(bench);
    append(bench, "a.log", "3\n");
    run_all(bench);
    EXPECT(bench, "1", "2", "3");
    char path[600];
    snprintf(path, sizeof path, "%s/a.log.1", bench->folder);
    assert_int_equal(unlink(path), 0);
    reopen(bench);
    run_all(bench);
    expect_nothing(bench);
    end(bench);
}

// Its place is given to a file that is new.
static void test_rotated_files_make_room(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    open_source(bench);
    for (uint32_t index = 0; index < 40; index++) {
        append(bench, "a.log", "1\n");
        run_all(bench);
        char name[32];
        snprintf(name, sizeof name, "old-%02u", index);
        rename_file(bench, "a.log", name);
        run_all(bench);
    }
    assert_int_equal(bench->count, 40);
    assert_int_equal(status_of(bench).errors, 0);
    end(bench);
}

static void test_rotation_while_nobody_reads(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n2\n3\n");
    open_source(bench);
    (void)run(bench, 1);
    rename_file(bench, "a.log", "a.log.1");
    append(bench, "a.log", "4\n");
    reopen(bench);
    run_all(bench);
    assert_int_equal(bench->count, 3);
    // Both are read to their ends; which one first is no matter.
    bool seen[5] = {false};
    for (uint32_t index = 0; index < 3; index++) seen[bench->items[index].text[0] - '0'] = true;
    assert_true(seen[2] && seen[3] && seen[4]);
    end(bench);
}

// The times of change tell the order of rotated files.
static void set_age(struct bench *bench, const char *name, int64_t age_s) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", bench->folder, name);
    struct timespec times[2] = {{.tv_sec = 1773144000 - age_s}, {.tv_sec = 1773144000 - age_s}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_two_rotations_while_nobody_reads(void **state) {
    (void)state;
    for (uint32_t stopped = 0; stopped < 2; stopped++) {
        struct bench *bench = begin("a.log");
        append(bench, "a.log.7", "ancient\n");
        set_age(bench, "a.log.7", 5000);
        append(bench, "a.log", "1\n2\n3\n");
        open_source(bench);
        (void)run(bench, 1);
        rename_file(bench, "a.log", "a.log.2");
        set_age(bench, "a.log.2", 200);
        append(bench, "a.log.1", "4\n");
        set_age(bench, "a.log.1", 100);
        append(bench, "a.log.1.gz", "packed\n");
        append(bench, "a.log.lock", "no rotated file\n");
        append(bench, "a.log", "5\n");
        if (stopped == 1) {
            reopen(bench);
        } else {
            forget_items(bench);
        }
        run_all(bench);
        run_all(bench);
        assert_int_equal(bench->count, 4);
        bool seen[6] = {false};
        for (uint32_t index = 0; index < 4; index++) seen[bench->items[index].text[0] - '0'] = true;
        assert_true(seen[2] && seen[3] && seen[4] && seen[5]);
        for (uint32_t turn = 0; turn < 8; turn++) run_all(bench);
        assert_int_equal(bench->count, 4);
        end(bench);
    }
}

static void test_rotated_away_is_told(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n2\n3\n");
    open_source(bench);
    (void)run(bench, 1);
    char path[600];
    snprintf(path, sizeof path, "%s/a.log", bench->folder);
    // Another file keeps the inode from being used again at once.
    rename_file(bench, "a.log", "kept");
    append(bench, "a.log", "4\n");
    snprintf(path, sizeof path, "%s/kept", bench->folder);
    char moved[600];
    snprintf(moved, sizeof moved, "%s/sub", bench->folder);
    assert_int_equal(mkdir(moved, 0750), 0);
    snprintf(moved, sizeof moved, "%s/sub/kept", bench->folder);
    assert_int_equal(rename(path, moved), 0);
    reopen(bench);
    run_all(bench);
    assert_int_equal(bench->count, 2);
    assert_string_equal(bench->items[0].text, "rotated_away");
    assert_non_null(strstr(bench->items[0].place, "byte 2 of"));
    assert_non_null(strstr(bench->items[0].place, "a.log"));
    assert_string_equal(bench->items[1].text, "4");
    // Once.
    reopen(bench);
    run_all(bench);
    expect_nothing(bench);
    end(bench);
}

// A crash between two notices does not make the second one forgotten.
static void test_what_is_lost_is_told_after_a_crash_too(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    add_path(bench, "b.log");
    append(bench, "a.log", "1\n");
    append(bench, "b.log", "2\n");
    open_source(bench);
    run_all(bench);
    copy_and_truncate(bench, "a.log", NULL);
    copy_and_truncate(bench, "b.log", NULL);
    append(bench, "a.log", "a new beginning\n");
    append(bench, "b.log", "another one\n");
    reopen(bench);
    (void)run(bench, 1);
    EXPECT(bench, "rotated_away");
    bool was_a = strstr(bench->items[0].place, "a.log") != NULL;
    reopen(bench);
    run_all(bench);
    assert_int_equal(bench->count, 3);
    assert_string_equal(bench->items[0].text, "rotated_away");
    assert_non_null(strstr(bench->items[0].place, was_a ? "b.log" : "a.log"));
    end(bench);
}

static void test_copytruncate(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n2\n");
    open_source(bench);
    run_all(bench);
    // Read to its end before: nothing is lost and nothing is told.
    copy_and_truncate(bench, "a.log", "a.log.1");
    run_all(bench);
    append(bench, "a.log", "3\n");
    run_all(bench);
    EXPECT(bench, "1", "2", "3");
    // Not read to its end: the rest comes from the copy.
    append(bench, "a.log", "4\n5\n");
    copy_and_truncate(bench, "a.log", "a.log.2");
    append(bench, "a.log", "6\n");
    run_all(bench);
    run_all(bench);
    assert_int_equal(bench->count, 6);
    for (uint32_t index = 0; index < bench->count; index++) {
        assert_false(bench->items[index].is_notice);
    }
    end(bench);
}

static void test_copytruncate_while_nobody_reads(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n2\n3\n");
    open_source(bench);
    (void)run(bench, 1);
    copy_and_truncate(bench, "a.log", "a.log.1");
    append(bench, "a.log", "a much longer line than all of the old ones\n");
    reopen(bench);
    run_all(bench);
    assert_int_equal(bench->count, 3);
    end(bench);
}

static void test_truncation_without_a_copy_is_told(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n2\n3\n");
    open_source(bench);
    (void)run(bench, 2);
    copy_and_truncate(bench, "a.log", NULL);
    append(bench, "a.log", "4\n");
    reopen(bench);
    run_all(bench);
    EXPECT(bench, "rotated_away", "4");
    assert_non_null(strstr(bench->items[0].place, "byte 4 of"));
    end(bench);
}

static void test_deletion(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    append(bench, "a.log", "1\n");
    open_source(bench);
    run_all(bench);
    append(bench, "a.log", "2\n");
    char path[600];
    snprintf(path, sizeof path, "%s/a.log", bench->folder);
    assert_int_equal(unlink(path), 0);
    // It is still open: what was written is not lost.
    run_all(bench);
    EXPECT(bench, "1", "2");
    bench->now_ms += TAIL_ROTATED_MS;
    run_all(bench);
    append(bench, "a.log", "3\n");
    run_all(bench);
    EXPECT(bench, "1", "2", "3");
    end(bench);
}

static void test_several_files_and_patterns(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    add_path(bench, "more-*.ndjson");
    append(bench, "a.log", "a1\n");
    append(bench, "more-1.ndjson", "m1\n");
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 2);
    append(bench, "more-2.ndjson", "n1\n");
    run_all(bench);
    append(bench, "more-2.ndjson", "n2\n");
    append(bench, "a.log", "a2\n");
    run_all(bench);
    assert_int_equal(bench->count, 5);
    reopen(bench);
    run_all(bench);
    expect_nothing(bench);
    append(bench, "a.log", "a3\n");
    append(bench, "more-1.ndjson", "m2\n");
    run_all(bench);
    assert_int_equal(bench->count, 2);
    end(bench);
}

static void test_a_pattern_that_matches_rotated_names(void **state) {
    (void)state;
    struct bench *bench = begin("a.log*");
    append(bench, "a.log", "1\n");
    open_source(bench);
    run_all(bench);
    rename_file(bench, "a.log", "a.log.1");
    append(bench, "a.log", "2\n");
    for (uint32_t turn = 0; turn < 10; turn++) run_all(bench);
    EXPECT(bench, "1", "2");
    end(bench);
}

static void test_too_many_files(void **state) {
    (void)state;
    struct bench *bench = begin("*.log");
    for (uint32_t index = 0; index < 40; index++) {
        char name[32];
        snprintf(name, sizeof name, "%02u.log", index);
        append(bench, name, "1\n");
    }
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 20);
    assert_true(bench->items[19].position_size <= SOURCE_POSITION_SIZE_MAX);
    assert_int_equal(status_of(bench).state, SOURCE_STATE_DEGRADED);
    assert_non_null(strstr(status_of(bench).last_error, "split the source"));
    end(bench);
}

static void test_pipes_and_folders_are_not_opened(void **state) {
    (void)state;
    struct bench *bench = begin("a*");
    char path[600];
    snprintf(path, sizeof path, "%s/a.pipe", bench->folder);
    assert_int_equal(mkfifo(path, 0640), 0);
    snprintf(path, sizeof path, "%s/a.folder", bench->folder);
    assert_int_equal(mkdir(path, 0750), 0);
    append(bench, "a.log", "1\n");
    open_source(bench);
    run_all(bench);
    EXPECT(bench, "1");
    assert_int_equal(status_of(bench).state, SOURCE_STATE_DEGRADED);
    assert_non_null(strstr(status_of(bench).last_error, "a.pipe: it is no regular file"));
    end(bench);
}

static void test_oversize_line(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    struct buffer large;
    buffer_init(&large, 8 << 20);
    memset(buffer_reserve(&large, 3 << 20), 'x', 3 << 20);
    large.size = 3 << 20;
    append(bench, "a.log", "1\n");
    append_bytes(bench, "a.log", buffer_span(&large));
    append(bench, "a.log", "\n2\n");
    open_source(bench);
    run_all(bench);
    EXPECT(bench, "1", "record_too_large", "2");
    assert_int_equal(bench->items[1].size, 3 << 20);
    uint8_t sha256[32];
    struct span whole = buffer_span(&large);
    crypto_sha256(&whole, 1, sha256);
    assert_memory_equal(bench->items[1].sha256, sha256, 32);
    assert_non_null(strstr(bench->items[1].place, "byte 2 of"));
    // One without an end is told as far as it goes, and its rest is passed over, also after a
    // restart.
    append_bytes(bench, "a.log", buffer_span(&large));
    run_all(bench);
    assert_int_equal(bench->count, 4);
    assert_string_equal(bench->items[3].text, "record_too_large");
    assert_non_null(strstr(bench->items[3].detail, "at least"));
    reopen(bench);
    append(bench, "a.log", "rest");
    run_all(bench);
    append(bench, "a.log", " of it\n3\n");
    run_all(bench);
    EXPECT(bench, "3");
    append(bench, "a.log", "4\n");
    run_all(bench);
    EXPECT(bench, "3", "4");
    buffer_done(&large);
    end(bench);
}

static void test_from_the_end(void **state) {
    (void)state;
    struct bench *bench = begin("*.log");
    bench->from_end = true;
    append(bench, "a.log", "1\n2\n");
    append(bench, "b.log", "1\npart");
    open_source(bench);
    run_all(bench);
    expect_nothing(bench);
    append(bench, "a.log", "3\n");
    append(bench, "b.log", "ial\n4\n");
    append(bench, "c.log", "5\n");
    run_all(bench);
    EXPECT(bench, "3", "4", "5");
    end(bench);
}

static void test_once(void **state) {
    (void)state;
    struct bench *bench = begin("a.log");
    bench->once = true;
    append(bench, "a.log", "1\n2");
    open_source(bench);
    assert_int_equal(run(bench, ITEMS_MAX), SOURCE_END);
    EXPECT(bench, "1", "2");
    end(bench);
}

// Reading once tells what is not there. A pattern that nothing matches is no fault, without its
// folder it is.
static void test_once_without_the_file(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *error;
    } cases[] = {
        {"a.log", "/a.log: No such file or directory"},
        {"none/*.log", "/none: No such file or directory"},
        {"folder", "/folder: it is a folder"},
        {"*.log", NULL},
        {"folder/*/b.log", NULL},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct bench *bench = begin(cases[index].name);
        char path[600];
        snprintf(path, sizeof path, "%s/folder", bench->folder);
        assert_int_equal(mkdir(path, 0750), 0);
        bench->once = true;
        open_source(bench);
        assert_int_equal(run(bench, ITEMS_MAX), SOURCE_END);
        struct source_status status = status_of(bench);
        if (cases[index].error == NULL) assert_string_equal(status.last_error, "");
        if (cases[index].error != NULL)
            assert_non_null(strstr(status.last_error, cases[index].error));
        end(bench);
    }
}

static void test_many_lines_in_several_files(void **state) {
    (void)state;
    struct bench *bench = begin("*.log");
    struct buffer text;
    buffer_init(&text, 64 << 20);
    for (uint32_t index = 0; index < 60; index++) {
        memset(buffer_reserve(&text, 100000), 'a' + (int)(index % 26), 100000);
        text.size += 100000;
        buffer_append_byte(&text, '\n');
    }
    append_bytes(bench, "a.log", buffer_span(&text));
    append_bytes(bench, "b.log", buffer_span(&text));
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 120);
    uint64_t sum = 0;
    for (uint32_t index = 0; index < 120; index++) sum += strlen(bench->items[index].text);
    assert_int_equal(sum, 12000000);
    // Neither file waited for the whole of the other.
    uint32_t changes = 0;
    for (uint32_t index = 1; index < 120; index++) {
        uint8_t before = (uint8_t)bench->items[index - 1].text[0];
        uint8_t after = (uint8_t)bench->items[index].text[0];
        changes += after != (before == 'z' ? 'a' : before + 1);
    }
    assert_true(changes > 4);
    buffer_done(&text);
    end(bench);
}

static void test_standard_input(void **state) {
    (void)state;
    struct bench *bench = begin("unused");
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct fault fault;
    assert_true(tail_open_stream(ends[0], &bench->clock, &bench->source, &fault));
    bench->is_open = true;
    assert_int_equal(run(bench, ITEMS_MAX), SOURCE_IDLE);
    assert_int_equal(write(ends[1], "1\n2", 3), 3);
    assert_int_equal(run(bench, ITEMS_MAX), SOURCE_IDLE);
    EXPECT(bench, "1");
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(run(bench, ITEMS_MAX), SOURCE_END);
    EXPECT(bench, "1", "2");
    close(ends[0]);
    end(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_as_they_come),
        cmocka_unit_test(test_restart_goes_on_behind_the_last_line),
        cmocka_unit_test(test_rotation_by_rename),
        cmocka_unit_test(test_last_line_of_a_rotated_file_needs_no_end),
        cmocka_unit_test(test_a_quiet_writer_of_a_rotated_file),
        cmocka_unit_test(test_a_rotated_file_that_goes_later),
        cmocka_unit_test(test_rotated_files_make_room),
        cmocka_unit_test(test_rotation_while_nobody_reads),
        cmocka_unit_test(test_two_rotations_while_nobody_reads),
        cmocka_unit_test(test_rotated_away_is_told),
        cmocka_unit_test(test_what_is_lost_is_told_after_a_crash_too),
        cmocka_unit_test(test_copytruncate),
        cmocka_unit_test(test_copytruncate_while_nobody_reads),
        cmocka_unit_test(test_truncation_without_a_copy_is_told),
        cmocka_unit_test(test_deletion),
        cmocka_unit_test(test_several_files_and_patterns),
        cmocka_unit_test(test_a_pattern_that_matches_rotated_names),
        cmocka_unit_test(test_too_many_files),
        cmocka_unit_test(test_pipes_and_folders_are_not_opened),
        cmocka_unit_test(test_oversize_line),
        cmocka_unit_test(test_from_the_end),
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_once_without_the_file),
        cmocka_unit_test(test_many_lines_in_several_files),
        cmocka_unit_test(test_standard_input),
    };
    return cases_run("tail_test", tests, sizeof tests / sizeof tests[0]);
}
