#include "agent/source/directory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/gzip.h"
#include "base/random.h"
#include "tests/kit/cases.h"

enum { ITEMS_MAX = 4096 };

// 2026-03-10T12:00:00Z, so that the tests do not depend on the day they run.
static const int64_t noon_ms = INT64_C(1773144000000);

// What a source gave, with the number it got.
struct given {
    char *text;  // of a record, or the notice's reason
    char *object;
    char *place;
    bool is_notice;
    uint64_t size;  // of what a notice tells
    size_t head_size;
    uint8_t sha256[32];
    uint8_t position[1024];
    size_t position_size;
};

struct bench {
    char folder[256];
    char root[300];
    char state[300];
    int64_t now_ms;
    struct clock clock;
    struct source source;
    bool is_open;
    bool once;
    uint64_t file_size_max;
    uint8_t spool_id[16];
    struct given items[ITEMS_MAX];
    uint32_t count;
    uint64_t numbers;  // the last number given
    struct files_operations operations;
    struct files files;
    const char *denied;   // files whose path contains this cannot be opened
    const char *swapped;  // just before it is opened a file becomes a link to this one
};

static int64_t now_of(void *context) {
    const struct bench *bench = context;
    return bench->now_ms;
}

static struct bench *opening;

static bool open_or_deny(void *context, const char *path, enum files_mode mode, int *handle,
                         struct fault *fault) {
    if (opening->denied != NULL && strstr(path, opening->denied) != NULL) {
        return fault_set(fault, FAULT_DENIED, "open %s: Permission denied", path);
    }
    if (opening->swapped != NULL && mode == FILES_READ && strstr(path, "swapped") != NULL) {
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink(opening->swapped, path), 0);
    }
    return files_system()->operations->open(context, path, mode, handle, fault);
}

static void open_source(struct bench *bench) {
    opening = bench;
    struct directory_options options = {
        .files = &bench->files,
        .clock = &bench->clock,
        .root = bench->root,
        .state_directory = bench->state,
        .spool_id = bench->spool_id,
        .file_size_max = bench->file_size_max,
        .once = bench->once,
    };
    struct fault fault;
    if (!directory_open(&options, &bench->source, &fault)) fail_msg("%s", fault.text);
    bench->is_open = true;
}

static struct bench *begin(void) {
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    const char *parent = getenv("TEST_TMPDIR");
    snprintf(bench->folder, sizeof bench->folder, "%s/directoryXXXXXX",
             parent == NULL ? "/tmp" : parent);
    assert_non_null(mkdtemp(bench->folder));
    snprintf(bench->root, sizeof bench->root, "%s/root", bench->folder);
    snprintf(bench->state, sizeof bench->state, "%s/state", bench->folder);
    assert_int_equal(mkdir(bench->root, 0750), 0);
    bench->now_ms = noon_ms;
    bench->clock = (struct clock){now_of, now_of, bench};
    bench->operations = *files_system()->operations;
    bench->operations.open = open_or_deny;
    bench->files = (struct files){&bench->operations, files_system()->context};
    return bench;
}

static void close_source(struct bench *bench) {
    if (bench->is_open) bench->source.operations->close(bench->source.context);
    bench->is_open = false;
}

static void forget_items(struct bench *bench) {
    for (uint32_t index = 0; index < bench->count; index++) {
        free(bench->items[index].text);
        free(bench->items[index].object);
        free(bench->items[index].place);
    }
    bench->count = 0;
}

static void end(struct bench *bench) {
    close_source(bench);
    forget_items(bench);
    char command[400];
    snprintf(command, sizeof command, "rm -rf '%s'", bench->folder);
    assert_int_equal(system(command), 0);
    free(bench);
}

static void keep(struct bench *bench, enum source_result result, const struct source_item *item) {
    assert_true(bench->count < ITEMS_MAX);
    struct given *given = &bench->items[bench->count++];
    *given = (struct given){.is_notice = result == SOURCE_NOTICE};
    given->text = given->is_notice ? strdup(item->notice.reason)
                                   : strndup((const char *)item->record.bytes, item->record.size);
    given->object = strndup((const char *)item->object.bytes, item->object.size);
    given->place = strdup(given->is_notice ? item->notice.place : "");
    if (given->is_notice) {
        given->size = item->notice.size;
        given->head_size = item->notice.head.size;
        memcpy(given->sha256, item->notice.sha256, 32);
    }
    assert_true(item->position.size <= sizeof given->position);
    memcpy(given->position, item->position.bytes, item->position.size);
    given->position_size = item->position.size;
}

// Steps until the source is idle or ends, or has given `most` items. Returns the last result.
static enum source_result run(struct bench *bench, uint32_t most) {
    const struct source_operations *operations = bench->source.operations;
    uint32_t wanted = bench->count + most;
    for (uint32_t steps = 0; steps < 1000000; steps++) {
        if (bench->count == wanted) return SOURCE_MORE;
        struct source_item item;
        enum source_result result = operations->step(bench->source.context, &item);
        if (result == SOURCE_IDLE || result == SOURCE_END) return result;
        if (result == SOURCE_MORE) continue;
        keep(bench, result, &item);
        operations->appended(bench->source.context, ++bench->numbers);
    }
    fail_msg("the source never rests");
    return SOURCE_MORE;
}

static void run_all(struct bench *bench) {
    (void)run(bench, ITEMS_MAX);
}

static void acknowledge(struct bench *bench, uint64_t number) {
    struct fault fault;
    bench->source.operations->acknowledged(bench->source.context, number);
    if (!bench->source.operations->save(bench->source.context, &fault)) fail_msg("%s", fault.text);
}

// Closes and opens again; the spool still has the items from number `first` on.
static void reopen(struct bench *bench, uint64_t first) {
    close_source(bench);
    open_source(bench);
    struct fault fault;
    const struct source_operations *operations = bench->source.operations;
    for (uint64_t number = first; number <= bench->numbers; number++) {
        const struct given *given = &bench->items[bench->count - (bench->numbers - number) - 1];
        assert_true(operations->restore(bench->source.context, number,
                                        span_of(given->position, given->position_size), &fault));
    }
    forget_items(bench);
}

static void write_bytes(struct bench *bench, const char *name, struct span bytes) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", bench->root, name);
    for (char *slash = path + strlen(bench->root) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = 0;
        mkdir(path, 0750);
        *slash = '/';
    }
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.bytes, 1, bytes.size, file), bytes.size);
    assert_int_equal(fclose(file), 0);
}

// Sets when a file or folder was changed, in seconds before the bench's now.
static void set_age(struct bench *bench, const char *name, int64_t age_s) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", bench->root, name);
    struct timespec times[2] = {{.tv_sec = bench->now_ms / 1000 - age_s}};
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

// Writes a file with records NAME-1 to NAME-count in CloudTrail's envelope.
static void make_envelope(const char *prefix, uint32_t count, struct buffer *text) {
    buffer_init(text, 64 << 20);
    buffer_append_text(text, "{\"Records\":[");
    for (uint32_t index = 1; index <= count; index++) {
        buffer_print(text, "%s{\"eventID\":\"%s-%u\"}", index == 1 ? "" : ",", prefix, index);
    }
    buffer_append_text(text, "]}");
}

static void write_gzip(struct bench *bench, const char *name, struct span text) {
    struct buffer gzip;
    buffer_init(&gzip, 64 << 20);
    struct fault fault;
    assert_true(gzip_write(text, 6, &gzip, &fault));
    write_bytes(bench, name, buffer_span(&gzip));
    set_age(bench, name, 3600);
    buffer_done(&gzip);
}

static void write_records(struct bench *bench, const char *name, const char *prefix,
                          uint32_t count) {
    struct buffer text;
    make_envelope(prefix, count, &text);
    write_gzip(bench, name, buffer_span(&text));
    buffer_done(&text);
}

static void expect_record(const struct bench *bench, uint32_t index, const char *id) {
    assert_true(index < bench->count);
    char expected[128];
    snprintf(expected, sizeof expected, "{\"eventID\":\"%s\"}", id);
    assert_string_equal(bench->items[index].text, expected);
    assert_false(bench->items[index].is_notice);
}

static struct source_status status_of(const struct bench *bench) {
    struct source_status status;
    bench->source.operations->describe(bench->source.context, &status);
    return status;
}

static void test_layouts_and_what_is_left_out(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "flat.json.gz", "flat", 2);
    write_records(bench, "AWSLogs/o-1/111/CloudTrail/eu-west-1/2026/03/10/b.json.gz", "b", 1);
    write_records(bench, "AWSLogs/o-1/111/CloudTrail/eu-west-1/2026/03/10/a.json.gz", "a", 1);
    write_records(bench, "AWSLogs/o-1/111/CloudTrail/eu-west-1/2020/01/02/old.json.gz", "old", 1);
    write_records(bench, "AWSLogs/o-1/111/CloudTrail-Digest/eu-west-1/2026/03/10/d.json.gz", "d",
                  1);
    write_records(bench, ".hidden.json.gz", "hidden", 1);
    write_records(bench, "down.json.gz.AbC123", "temporary", 1);
    write_records(bench, "note.txt", "text", 1);
    write_bytes(bench, "empty.json", SPAN_LITERAL(""));
    write_bytes(bench, "plain.json",
                SPAN_LITERAL(" {\"Records\": [ {\"eventID\":\"plain-1\"} ] }\n"));
    write_bytes(bench, "lines.ndjson",
                SPAN_LITERAL("{\"eventID\":\"l-1\"}\n\n{\"eventID\":\"l-2\"}"));
    write_bytes(bench, "named.json.gz", SPAN_LITERAL("{\"eventID\":\"single\"}"));
    bench->once = true;
    open_source(bench);
    assert_int_equal(run(bench, ITEMS_MAX), SOURCE_END);
    assert_int_equal(bench->count, 9);
    expect_record(bench, 0, "flat-1");
    expect_record(bench, 1, "flat-2");
    expect_record(bench, 2, "l-1");
    expect_record(bench, 3, "l-2");
    expect_record(bench, 4, "single");
    expect_record(bench, 5, "plain-1");
    expect_record(bench, 6, "old-1");
    expect_record(bench, 7, "a-1");
    expect_record(bench, 8, "b-1");
    assert_string_equal(bench->items[8].object,
                        "AWSLogs/o-1/111/CloudTrail/eu-west-1/2026/03/10/b.json.gz");
    end(bench);
}

// An organization grant needs the account's folder in the object's name.
static void test_objects_below_a_part_of_the_bucket(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "AWSLogs/o-1/111/CloudTrail/eu-west-1/2026/03/10/a.json.gz", "a", 1);
    snprintf(bench->root, sizeof bench->root, "%.*s/root/AWSLogs/o-1/111/", 200, bench->folder);
    bench->once = true;
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 1);
    assert_string_equal(bench->items[0].object,
                        "AWSLogs/o-1/111/CloudTrail/eu-west-1/2026/03/10/a.json.gz");
    end(bench);
}

static void test_late_files_with_old_names(void **state) {
    (void)state;
    struct bench *bench = begin();
    static const char day[] = "111/CloudTrail/eu-west-1/2026/03/10";
    char name[200];
    snprintf(name, sizeof name, "%s/111_20260310T1200Z_m.json.gz", day);
    write_records(bench, name, "m", 2);
    open_source(bench);
    assert_int_equal(run(bench, ITEMS_MAX), SOURCE_IDLE);
    assert_int_equal(bench->count, 2);
    // Of the same stamp, with an older one, and of yesterday: minutes later.
    snprintf(name, sizeof name, "%s/111_20260310T1200Z_a.json.gz", day);
    write_records(bench, name, "a", 1);
    snprintf(name, sizeof name, "%s/111_20260310T1155Z_z.json.gz", day);
    write_records(bench, name, "z", 1);
    write_records(bench, "111/CloudTrail/eu-west-1/2026/03/09/late.json.gz", "y", 1);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 5);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 5);
    end(bench);
}

static void test_older_days_are_listed_hourly_when_changed(void **state) {
    (void)state;
    struct bench *bench = begin();
    static const char day[] = "111/CloudTrail/eu-west-1/2026/02/01";
    char name[200];
    snprintf(name, sizeof name, "%s/a.json.gz", day);
    write_records(bench, name, "a", 1);
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 1);
    acknowledge(bench, 1);
    set_age(bench, day, 7200);
    snprintf(name, sizeof name, "%s/b.json.gz", day);
    write_records(bench, name, "b", 1);
    set_age(bench, day, 7200);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 1);
    bench->now_ms += DIRECTORY_FULL_TURN_MS;
    run_all(bench);
    assert_int_equal(bench->count, 2);
    acknowledge(bench, 2);
    // This turn finds all taken and notes it; the next one does not look any more.
    bench->now_ms += DIRECTORY_FULL_TURN_MS;
    run_all(bench);
    snprintf(name, sizeof name, "%s/c.json.gz", day);
    write_records(bench, name, "c", 1);
    struct timespec times[2] = {{.tv_sec = noon_ms / 1000 - 7200},
                                {.tv_sec = noon_ms / 1000 - 7200}};
    char path[600];
    snprintf(path, sizeof path, "%s/%s", bench->root, day);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    bench->now_ms += DIRECTORY_FULL_TURN_MS;
    run_all(bench);
    assert_int_equal(bench->count, 2);
    // A changed folder is looked at again.
    set_age(bench, day, 60);
    bench->now_ms += DIRECTORY_FULL_TURN_MS;
    run_all(bench);
    assert_int_equal(bench->count, 3);
    end(bench);
}

static void test_taken_files_survive_a_restart_once_acknowledged(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "a.json.gz", "a", 3);
    write_records(bench, "b.json.gz", "b", 3);
    write_records(bench, "c.json.gz", "c", 3);
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 9);
    acknowledge(bench, 5);
    // The spool was lost: only what was acknowledged whole is not read again.
    close_source(bench);
    forget_items(bench);
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 6);
    expect_record(bench, 0, "b-1");
    expect_record(bench, 3, "c-1");
    acknowledge(bench, bench->numbers);
    // Under another spool nothing is taken.
    close_source(bench);
    forget_items(bench);
    bench->spool_id[3] = 1;
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 9);
    end(bench);
}

static void test_restart_in_the_middle_of_a_file(void **state) {
    (void)state;
    for (uint32_t before = 1; before <= 9; before++) {
        struct bench *bench = begin();
        write_records(bench, "a.json.gz", "a", 3);
        write_records(bench, "b.json.gz", "b", 3);
        write_records(bench, "c.json.gz", "c", 3);
        open_source(bench);
        (void)run(bench, before);
        assert_int_equal(bench->count, before);
        // The spool still has all of them.
        reopen(bench, 1);
        run_all(bench);
        assert_int_equal(bench->count, 9 - before);
        char id[8];
        if (before < 9) {
            snprintf(id, sizeof id, "%c-%u", "abc"[before / 3], before % 3 + 1);
            expect_record(bench, 0, id);
        }
        // Files of before the restart are taken when they are acknowledged.
        acknowledge(bench, bench->numbers);
        close_source(bench);
        forget_items(bench);
        open_source(bench);
        run_all(bench);
        assert_int_equal(bench->count, 0);
        end(bench);
    }
}

// The spool gave up what was acknowledged; its header still has the position of before.
static void test_restart_with_a_part_of_the_frames(void **state) {
    (void)state;
    for (uint64_t first = 1; first <= 9; first++) {
        struct bench *bench = begin();
        write_records(bench, "a.json.gz", "a", 3);
        write_records(bench, "b.json.gz", "b", 3);
        write_records(bench, "c.json.gz", "c", 4);
        open_source(bench);
        (void)run(bench, 9);
        acknowledge(bench, first);
        reopen(bench, first);
        run_all(bench);
        assert_int_equal(bench->count, 1);
        expect_record(bench, 0, "c-4");
        end(bench);
    }
}

static void test_file_removed_while_half_read(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "a.json.gz", "a", 3);
    open_source(bench);
    (void)run(bench, 2);
    char path[600];
    snprintf(path, sizeof path, "%s/a.json.gz", bench->root);
    assert_int_equal(unlink(path), 0);
    reopen(bench, 1);
    run_all(bench);
    assert_int_equal(bench->count, 1);
    assert_string_equal(bench->items[0].text, "file_gone");
    assert_non_null(strstr(bench->items[0].place, "a.json.gz"));
    reopen(bench, 3);
    run_all(bench);
    assert_int_equal(bench->count, 0);
    end(bench);
}

static void test_corrupt_gzip_keeps_what_came_before(void **state) {
    (void)state;
    struct bench *bench = begin();
    // Text that hardly compresses, so that damage in the middle leaves a first half.
    struct buffer text, gzip;
    buffer_init(&text, 1 << 20);
    buffer_init(&gzip, 1 << 20);
    buffer_append_text(&text, "{\"Records\":[");
    uint64_t random = 1;
    for (uint32_t index = 1; index <= 400; index++) {
        buffer_print(&text, "%s{\"eventID\":\"%016" PRIx64 "%016" PRIx64 "\"}",
                     index == 1 ? "" : ",", random_splitmix64(&random),
                     index * UINT64_C(0x9E3779B97F4A7C15));
    }
    buffer_append_text(&text, "]}");
    struct fault fault;
    assert_true(gzip_write(buffer_span(&text), 6, &gzip, &fault));
    gzip.bytes[gzip.size / 2] ^= 0xFF;
    gzip.bytes[gzip.size / 2 + 1] ^= 0xFF;
    memset(gzip.bytes + gzip.size / 2 + 2, 0xFF, 40);
    write_bytes(bench, "a.json.gz", buffer_span(&gzip));
    set_age(bench, "a.json.gz", 60);
    write_records(bench, "b.json.gz", "b", 1);
    open_source(bench);
    run_all(bench);
    assert_true(bench->count > 100);
    assert_true(bench->count < 402);
    const struct given *notice = &bench->items[bench->count - 2];
    assert_true(notice->is_notice);
    assert_string_equal(notice->text, "corrupt_file");
    assert_int_equal(notice->size, gzip.size);
    uint8_t sha256[32];
    struct span whole = buffer_span(&gzip);
    crypto_sha256(&whole, 1, sha256);
    assert_memory_equal(notice->sha256, sha256, 32);
    expect_record(bench, bench->count - 1, "b-1");
    assert_int_equal(status_of(bench).errors, 1);
    // Once.
    uint32_t count = bench->count;
    bench->now_ms += DIRECTORY_FULL_TURN_MS;
    run_all(bench);
    assert_int_equal(bench->count, count);
    acknowledge(bench, bench->numbers);
    close_source(bench);
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, count);
    buffer_done(&text);
    buffer_done(&gzip);
    end(bench);
}

static void test_truncated_file_waits_before_it_is_refused(void **state) {
    (void)state;
    struct bench *bench = begin();
    struct buffer text, gzip;
    make_envelope("a", 5, &text);
    buffer_init(&gzip, 1 << 20);
    struct fault fault;
    assert_true(gzip_write(buffer_span(&text), 6, &gzip, &fault));
    write_bytes(bench, "a.json.gz", span_of(gzip.bytes, gzip.size - 9));
    set_age(bench, "a.json.gz", 0);
    open_source(bench);
    run_all(bench);
    // Still being written: what is whole is taken, nothing is said.
    uint32_t whole = bench->count;
    for (uint32_t index = 0; index < whole; index++) assert_false(bench->items[index].is_notice);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, whole);
    write_bytes(bench, "a.json.gz", buffer_span(&gzip));
    set_age(bench, "a.json.gz", 0);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, whole + 5);
    // One that stays so is refused.
    write_bytes(bench, "b.json.gz", span_of(gzip.bytes, gzip.size - 9));
    set_age(bench, "b.json.gz", 0);
    bench->now_ms += DIRECTORY_SETTLE_MS;
    run_all(bench);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    const struct given *last = &bench->items[bench->count - 1];
    assert_string_equal(last->text, "truncated_file");
    assert_int_equal(last->size, gzip.size - 9);
    buffer_done(&text);
    buffer_done(&gzip);
    end(bench);
}

static void test_bomb_and_large_files(void **state) {
    (void)state;
    struct bench *bench = begin();
    bench->file_size_max = 1 << 20;
    struct buffer text;
    buffer_init(&text, 64 << 20);
    buffer_append_text(&text, "{\"Records\":[{\"eventID\":\"a-1\"}");
    memset(buffer_reserve(&text, 20 << 20), ' ', 20 << 20);
    text.size += 20 << 20;
    write_gzip(bench, "a.json.gz", buffer_span(&text));
    buffer_done(&text);
    write_records(bench, "b.json.gz", "b", 1);
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 3);
    expect_record(bench, 0, "a-1");
    assert_string_equal(bench->items[1].text, "file_too_large");
    expect_record(bench, 2, "b-1");
    end(bench);
}

static void test_oversize_record(void **state) {
    (void)state;
    struct bench *bench = begin();
    struct buffer text, large;
    buffer_init(&text, 64 << 20);
    buffer_init(&large, 64 << 20);
    buffer_append_text(&large, "{\"eventID\":\"");
    uint64_t random = 1;
    while (large.size < 2 << 20) buffer_print(&large, "%" PRIx64, random_splitmix64(&random));
    buffer_append_text(&large, "\"}");
    buffer_append_text(&text, "{\"Records\":[{\"eventID\":\"a-1\"},");
    buffer_append(&text, buffer_span(&large));
    buffer_append_text(&text, ",{\"eventID\":\"a-2\"}]}");
    write_gzip(bench, "a.json.gz", buffer_span(&text));
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 3);
    expect_record(bench, 0, "a-1");
    expect_record(bench, 2, "a-2");
    const struct given *notice = &bench->items[1];
    assert_string_equal(notice->text, "record_too_large");
    assert_int_equal(notice->size, large.size);
    assert_true(notice->head_size <= SOURCE_NOTICE_HEAD_SIZE_MAX);
    assert_true(notice->head_size > 1000);
    uint8_t sha256[32];
    struct span whole = buffer_span(&large);
    crypto_sha256(&whole, 1, sha256);
    assert_memory_equal(notice->sha256, sha256, 32);
    // After a restart behind the notice reading goes on behind it.
    reopen(bench, 3);
    run_all(bench);
    assert_int_equal(bench->count, 0);
    buffer_done(&text);
    buffer_done(&large);
    end(bench);
}

static void test_files_that_are_no_json(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_bytes(bench, "a.json", SPAN_LITERAL("{\"eventID\":\"a-1\"} not json at all"));
    set_age(bench, "a.json", 60);
    write_bytes(bench, "b.json", SPAN_LITERAL("<html>"));
    set_age(bench, "b.json", 60);
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 3);
    expect_record(bench, 0, "a-1");
    assert_string_equal(bench->items[1].text, "corrupt_file");
    assert_int_equal(bench->items[1].size, strlen("not json at all"));
    assert_string_equal(bench->items[2].text, "corrupt_file");
    assert_int_equal(bench->items[2].size, strlen("<html>"));
    end(bench);
}

static void test_unreadable_file_degrades_and_is_retried(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "a.json.gz", "a", 1);
    write_records(bench, "b.json.gz", "b", 1);
    bench->denied = "a.json.gz";
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 1);
    expect_record(bench, 0, "b-1");
    assert_int_equal(status_of(bench).state, SOURCE_STATE_DEGRADED);
    assert_non_null(strstr(status_of(bench).last_error, "Permission denied"));
    bench->denied = NULL;
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 2);
    expect_record(bench, 1, "a-1");
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(status_of(bench).state, SOURCE_STATE_OK);
    end(bench);
}

static void test_missing_root(void **state) {
    (void)state;
    struct bench *bench = begin();
    assert_int_equal(rmdir(bench->root), 0);
    open_source(bench);
    assert_int_equal(run(bench, ITEMS_MAX), SOURCE_IDLE);
    assert_int_equal(status_of(bench).state, SOURCE_STATE_FAILED);
    assert_non_null(strstr(status_of(bench).last_error, bench->root));
    assert_int_equal(mkdir(bench->root, 0750), 0);
    write_records(bench, "a.json.gz", "a", 1);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 1);
    assert_int_equal(status_of(bench).state, SOURCE_STATE_OK);
    end(bench);
}

static void test_links_out_of_the_root_are_not_followed(void **state) {
    (void)state;
    struct bench *bench = begin();
    char outside[600], link[600];
    write_records(bench, "../outside.json.gz", "outside", 1);
    write_records(bench, "inside.json.gz", "inside", 1);
    snprintf(outside, sizeof outside, "%s/outside.json.gz", bench->folder);
    snprintf(link, sizeof link, "%s/link.json.gz", bench->root);
    assert_int_equal(symlink(outside, link), 0);
    snprintf(link, sizeof link, "%s/folder", bench->root);
    assert_int_equal(symlink(bench->folder, link), 0);
    bench->once = true;
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 1);
    expect_record(bench, 0, "inside-1");
    end(bench);
}

static void test_a_file_that_becomes_a_link_while_it_is_opened(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "../outside.json.gz", "outside", 1);
    write_records(bench, "swapped.json.gz", "inside", 1);
    char outside[600];
    snprintf(outside, sizeof outside, "%s/outside.json.gz", bench->folder);
    bench->swapped = outside;
    bench->once = true;
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 0);
    end(bench);
}

static void test_pipes_are_not_opened(void **state) {
    (void)state;
    struct bench *bench = begin();
    char path[600];
    snprintf(path, sizeof path, "%s/pipe.json", bench->root);
    assert_int_equal(mkfifo(path, 0640), 0);
    snprintf(path, sizeof path, "%s/linked.json", bench->root);
    assert_int_equal(symlink("pipe.json", path), 0);
    write_records(bench, "real.json.gz", "real", 1);
    snprintf(path, sizeof path, "%s/inside.json.gz", bench->root);
    assert_int_equal(symlink("real.json.gz", path), 0);
    open_source(bench);
    run_all(bench);
    // The link inside of the root is a name of its own; its records are duplicates.
    assert_int_equal(bench->count, 2);
    end(bench);
}

// Too large to be inflated whole, so it goes through the stream.
static void test_large_files_are_streamed(void **state) {
    (void)state;
    struct bench *bench = begin();
    struct buffer text;
    buffer_init(&text, 64 << 20);
    buffer_append_text(&text, "{\"Records\":[");
    uint64_t random = 1;
    for (uint32_t index = 1; index <= 600; index++) {
        buffer_print(&text, "%s{\"eventID\":\"", index == 1 ? "" : ",");
        for (uint32_t word = 0; word < 1200; word++) {
            buffer_print(&text, "%016" PRIx64, random_splitmix64(&random));
        }
        buffer_append_text(&text, "\"}");
    }
    buffer_append_text(&text, "]}");
    assert_true(text.size > 10 << 20);
    write_gzip(bench, "a.json.gz", buffer_span(&text));
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 600);
    size_t size = strlen("{\"Records\":[]}") + 599;
    for (uint32_t index = 0; index < 600; index++) size += strlen(bench->items[index].text);
    assert_int_equal(size, text.size);
    buffer_done(&text);
    end(bench);
}

static void test_a_changed_file_is_another_file(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "a.json.gz", "a", 2);
    open_source(bench);
    run_all(bench);
    acknowledge(bench, 2);
    write_records(bench, "a.json.gz", "a", 3);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 5);
    end(bench);
}

static void test_rewind_reads_everything_since_again(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "a.json.gz", "a", 2);
    write_records(bench, "b.json.gz", "b", 2);
    open_source(bench);
    run_all(bench);
    acknowledge(bench, 2);
    struct fault fault;
    // The sets carry the real clock's time: nothing was written after the far future.
    assert_true(bench->source.operations->rewind(bench->source.context, INT64_MAX / 2, &fault));
    forget_items(bench);
    run_all(bench);
    assert_int_equal(bench->count, 2);
    expect_record(bench, 0, "b-1");
    acknowledge(bench, bench->numbers);
    forget_items(bench);
    assert_true(bench->source.operations->rewind(bench->source.context, 0, &fault));
    run_all(bench);
    assert_int_equal(bench->count, 4);
    end(bench);
}

static void test_files_without_records(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "a.json.gz", "a", 0);
    write_records(bench, "b.json.gz", "b", 2);
    write_records(bench, "c.json.gz", "c", 0);
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 2);
    acknowledge(bench, 2);
    close_source(bench);
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 2);
    end(bench);
}

// Such a file is as good as acknowledged: nothing will come that says so.
static void test_files_without_records_after_the_last_acknowledgement(void **state) {
    (void)state;
    struct bench *bench = begin();
    write_records(bench, "a.json.gz", "a", 2);
    open_source(bench);
    run_all(bench);
    acknowledge(bench, 2);
    write_records(bench, "b.json.gz", "b", 0);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 2);
    struct fault fault;
    assert_true(bench->source.operations->save(bench->source.context, &fault));
    close_source(bench);
    open_source(bench);
    // It is not opened again.
    bench->denied = "b.json.gz";
    run_all(bench);
    assert_int_equal(bench->count, 2);
    assert_int_equal(status_of(bench).errors, 0);
    end(bench);
}

static void test_many_files_in_one_folder(void **state) {
    (void)state;
    struct bench *bench = begin();
    char name[64], prefix[32];
    for (uint32_t index = 0; index < 900; index++) {
        snprintf(name, sizeof name, "%05u.json.gz", index);
        snprintf(prefix, sizeof prefix, "%u", index);
        write_records(bench, name, prefix, 1);
    }
    open_source(bench);
    run_all(bench);
    assert_int_equal(bench->count, 900);
    for (uint64_t number = 100; number <= 900; number += 100) acknowledge(bench, number);
    for (uint32_t index = 0; index < 450; index++) {
        char path[600];
        snprintf(path, sizeof path, "%s/%05u.json.gz", bench->root, index * 2);
        assert_int_equal(unlink(path), 0);
    }
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 900);
    // What is gone left the set: the same file again is a new one.
    write_records(bench, "00000.json.gz", "0", 1);
    bench->now_ms += DIRECTORY_POLL_MS;
    run_all(bench);
    assert_int_equal(bench->count, 901);
    end(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts_and_what_is_left_out),
        cmocka_unit_test(test_objects_below_a_part_of_the_bucket),
        cmocka_unit_test(test_late_files_with_old_names),
        cmocka_unit_test(test_older_days_are_listed_hourly_when_changed),
        cmocka_unit_test(test_taken_files_survive_a_restart_once_acknowledged),
        cmocka_unit_test(test_restart_in_the_middle_of_a_file),
        cmocka_unit_test(test_restart_with_a_part_of_the_frames),
        cmocka_unit_test(test_file_removed_while_half_read),
        cmocka_unit_test(test_corrupt_gzip_keeps_what_came_before),
        cmocka_unit_test(test_truncated_file_waits_before_it_is_refused),
        cmocka_unit_test(test_bomb_and_large_files),
        cmocka_unit_test(test_oversize_record),
        cmocka_unit_test(test_files_that_are_no_json),
        cmocka_unit_test(test_unreadable_file_degrades_and_is_retried),
        cmocka_unit_test(test_missing_root),
        cmocka_unit_test(test_links_out_of_the_root_are_not_followed),
        cmocka_unit_test(test_a_file_that_becomes_a_link_while_it_is_opened),
        cmocka_unit_test(test_pipes_are_not_opened),
        cmocka_unit_test(test_large_files_are_streamed),
        cmocka_unit_test(test_a_changed_file_is_another_file),
        cmocka_unit_test(test_rewind_reads_everything_since_again),
        cmocka_unit_test(test_files_without_records),
        cmocka_unit_test(test_files_without_records_after_the_last_acknowledgement),
        cmocka_unit_test(test_many_files_in_one_folder),
    };
    return cases_run("directory_test", tests, sizeof tests / sizeof tests[0]);
}
