// Exports compared with what was stored, with each other, and with themselves after every crash.

#include "query/export.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/gzip.h"
#include "event/split.h"
#include "tests/kit/cases.h"
#include "tests/kit/program.h"
#include "tests/kit/sample.h"

enum { EVENTS_COUNT = 600, TEXT_SIZE_MAX = 8 * 1024 * 1024 };

static struct sample sample;
static char store[4096];
static struct trail_reader *reader;

static void must(bool is_good, const struct fault *fault) {
    if (!is_good) fail_msg("%s", fault->text);
}

// --- files that fail or die at the n-th change

enum failure { FAIL_NEVER, FAIL_DIE, FAIL_FULL };

// Changes count; at number `at` the machine dies (nothing works any more) or the disk is full (for
// this once). Syncs are left out: they take most of the time and change nothing here.
static struct {
    enum failure how;
    uint32_t at;
    uint32_t changes;
    bool is_dead;
} failing;

static struct files_operations operations;
static struct files failing_files;

static bool change(struct fault *fault) {
    if (failing.is_dead) return fault_set(fault, FAULT_IO, "the machine is dead");
    if (failing.how == FAIL_NEVER || failing.changes++ != failing.at) return true;
    if (failing.how == FAIL_FULL) return fault_set(fault, FAULT_FULL, "no space left");
    failing.is_dead = true;
    return fault_set(fault, FAULT_IO, "the machine died");
}

static bool do_open(void *context, const char *path, enum files_mode mode, int *handle,
                    struct fault *fault) {
    if (mode != FILES_READ && !change(fault)) return false;
    return files_system()->operations->open(context, path, mode, handle, fault);
}

static bool do_append(void *context, int handle, struct span bytes, struct fault *fault) {
    // A dying machine may have written half of it.
    if (!change(fault)) {
        struct fault ignored = {0};
        struct span half = span_of(bytes.bytes, bytes.size / 2);
        if (failing.changes == failing.at + 1 &&
            !files_system()->operations->append(context, handle, half, &ignored)) {
            return false;
        }
        failing.changes++;
        return false;
    }
    return files_system()->operations->append(context, handle, bytes, fault);
}

static bool do_sync(void *context, int handle, struct fault *fault) {
    (void)context;
    (void)handle;
    return change(fault);
}

static bool do_truncate(void *context, int handle, uint64_t size, struct fault *fault) {
    return change(fault) && files_system()->operations->truncate(context, handle, size, fault);
}

static bool do_remove(void *context, const char *path, struct fault *fault) {
    return change(fault) && files_system()->operations->remove(context, path, fault);
}

static bool do_rename(void *context, const char *from, const char *to, struct fault *fault) {
    return change(fault) && files_system()->operations->rename(context, from, to, fault);
}

static bool do_make_directory(void *context, const char *path, struct fault *fault) {
    return change(fault) && files_system()->operations->make_directory(context, path, fault);
}

static bool do_sync_directory(void *context, const char *path, struct fault *fault) {
    (void)context;
    (void)path;
    return change(fault);
}

static void arm(enum failure how, uint32_t at) {
    operations = *files_system()->operations;
    operations.open = do_open;
    operations.append = do_append;
    operations.sync = do_sync;
    operations.truncate = do_truncate;
    operations.remove = do_remove;
    operations.rename = do_rename;
    operations.make_directory = do_make_directory;
    operations.sync_directory = do_sync_directory;
    failing_files = (struct files){&operations, files_system()->context};
    failing.how = how;
    failing.at = at;
    failing.changes = 0;
    failing.is_dead = false;
}

// --- running an export

struct wish {
    enum export_form form;
    bool is_resumed;
    const char *conditions[3][2];
};

static int64_t clock_s;  // what relative times count from

static bool try_export(struct trail_reader *from, const char *out, const struct wish *wish,
                       struct export_summary *summary, struct fault *fault) {
    struct filter filter;
    must(filter_init(&filter, fault), fault);
    for (size_t index = 0; index < 3 && wish->conditions[index][0] != NULL; index++) {
        const char *name = wish->conditions[index][0];
        const char *value = wish->conditions[index][1];
        bool is_good = strcmp(name, "since") == 0 ? filter_set_since(&filter, value, clock_s, fault)
                       : strcmp(name, "until") == 0
                           ? filter_set_until(&filter, value, clock_s, fault)
                           : filter_add(&filter, name, value, fault);
        must(is_good, fault);
    }
    struct export_plan plan = {
        .files = &failing_files,
        .out = out,
        .organization = "o-sample",
        .filter = &filter,
        .form = wish->form,
        .is_resumed = wish->is_resumed,
    };
    bool is_good = export_write(from, &plan, NULL, summary, fault);
    filter_done(&filter);
    return is_good;
}

static const char *export_all(struct trail_reader *from, const struct wish *wish,
                              struct export_summary *summary) {
    struct fault fault = {0};
    const char *out = program_path("%s/out", program_folder());
    arm(FAIL_NEVER, 0);
    must(try_export(from, out, wish, summary, &fault), &fault);
    return out;
}

// Comparing and removing trees in this process: a diff and an rm for every crash take half a
// minute.
static struct {
    char left[4096];
    char right[4096];
    uint32_t files;
} comparing;

static int compare_file(const char *path, const struct stat *status, int kind, struct FTW *place) {
    static char text[PROGRAM_OUTPUT_SIZE];
    if (kind != FTW_F || strcmp(path + place->base, "manifest.json") == 0) return 0;
    const char *other = program_path("%s%s", comparing.right, path + strlen(comparing.left));
    struct stat other_status;
    if (stat(other, &other_status) != 0) fail_msg("%s is missing", other);
    assert_int_equal(status->st_size, other_status.st_size);
    assert_true(status->st_size < PROGRAM_OUTPUT_SIZE);
    memcpy(text, program_read(path), sizeof text);
    assert_memory_equal(text, program_read(other), (size_t)status->st_size);
    comparing.files++;
    return 0;
}

static uint32_t compare_one_way(const char *left, const char *right) {
    snprintf(comparing.left, sizeof comparing.left, "%s", left);
    snprintf(comparing.right, sizeof comparing.right, "%s", right);
    comparing.files = 0;
    assert_int_equal(nftw(comparing.left, compare_file, 16, FTW_PHYS), 0);
    return comparing.files;
}

static void expect_same_trees(const char *left, const char *right) {
    char first[4096];
    char second[4096];
    snprintf(first, sizeof first, "%s", left);
    snprintf(second, sizeof second, "%s", right);
    uint32_t files = compare_one_way(first, second);
    assert_int_equal(compare_one_way(second, first), files);
    assert_true(files > 0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_tree(const char *path) {
    assert_int_equal(nftw(path, remove_one, 16, FTW_PHYS | FTW_DEPTH), 0);
}

// --- reading an export back

static struct {
    uint32_t *times;  // each event of the sample was found
    uint32_t files;
    bool is_ordered;
} found;

static void find_record(struct span record, struct key *last) {
    for (uint32_t index = 0; index < sample.count; index++) {
        if (!span_is(record, sample.events[index].text)) continue;
        found.times[index]++;
        if (last->account_size > 0 && sample_compare_keys(last, &sample.events[index].key) >= 0)
            found.is_ordered = false;
        *last = sample.events[index].key;
        return;
    }
    fail_msg("no such record: %.*s", SPAN_PRINT(record));
}

static void read_object(const char *path) {
    static uint8_t text[TEXT_SIZE_MAX];
    struct fault fault = {0};
    struct buffer bytes;
    struct gzip_reader *gzip = gzip_reader_create(sizeof text);
    struct split *split = split_create(RECORD_SIZE_MAX, false);
    buffer_init(&bytes, TEXT_SIZE_MAX);
    must(files_read_whole(files_system(), path, TEXT_SIZE_MAX, &bytes, &fault), &fault);
    struct span input = buffer_span(&bytes);
    size_t size = 0;
    must(gzip_reader_step(gzip, &input, text, sizeof text, &size, &fault), &fault);
    must(gzip_reader_finish(gzip, &fault), &fault);
    assert_int_equal(input.size, 0);
    struct span rest = span_of(text, size);
    struct span record;
    struct key last = {0};
    uint64_t offset;
    while (split_step(split, &rest, &record, &offset, &fault) == SPLIT_RECORD) {
        find_record(record, &last);
    }
    must(split_finish(split, &fault), &fault);
    split_destroy(split);
    gzip_reader_destroy(gzip);
    buffer_done(&bytes);
}

static int visit(const char *path, const struct stat *status, int kind, struct FTW *place) {
    (void)status;
    (void)place;
    size_t size = strlen(path);
    if (kind != FTW_F || size < 8 || strcmp(path + size - 8, ".json.gz") != 0) return 0;
    found.files++;
    read_object(path);
    return 0;
}

static void read_back(const char *out) {
    found.times = calloc(sample.count, sizeof *found.times);
    found.files = 0;
    found.is_ordered = true;
    assert_int_equal(nftw(out, visit, 16, FTW_PHYS), 0);
}

static void test_every_record_comes_out_byte_for_byte(void **state) {
    (void)state;
    struct export_summary summary;
    const struct wish wish = {.form = EXPORT_CLOUDTRAIL};
    const char *out = export_all(reader, &wish, &summary);
    read_back(out);
    for (uint32_t index = 0; index < sample.count; index++) {
        assert_int_equal(found.times[index], 1);
    }
    assert_true(found.is_ordered);
    assert_int_equal(found.files, summary.files);
    assert_int_equal(summary.events, EVENTS_COUNT);
    assert_int_equal(summary.sequence_max, EVENTS_COUNT);
    free(found.times);
    struct stat status;
    assert_int_equal(stat(program_path("%s/AWSLogs/o-sample/111111111111/CloudTrail-Insight/"
                                       "eu-west-1/2023/07/11",
                                       out),
                          &status),
                     0);
    assert_int_equal(
        stat(program_path("%s/AWSLogs/o-sample/111111111111/CloudTrail/none/2023/07", out),
             &status),
        0);
    assert_int_equal(stat(program_path("%s/.orgtrail-export", out), &status), -1);
    assert_true(program_has(program_read(program_path("%s/manifest.json", out)),
                            "\"sequence\":600,\"format\":\"cloudtrail\""));
}

static void test_filters_and_ranges(void **state) {
    (void)state;
    struct export_summary summary;
    const struct wish wish = {
        .form = EXPORT_CLOUDTRAIL,
        .conditions = {{"since", "2023-07-11"}, {"until", "2023-07-12"}, {"event-source", "s3"}},
    };
    const char *out = export_all(reader, &wish, &summary);
    read_back(out);
    uint32_t expected = 0;
    for (uint32_t index = 0; index < sample.count; index++) {
        struct record record;
        sample_read(&sample, index, &record);
        int64_t day = (record.event_time_s - SAMPLE_TIME_S) / 86400;
        bool is_wanted = day == 1 && span_is(record.event_source, "s3.amazonaws.com");
        assert_int_equal(found.times[index], is_wanted);
        expected += is_wanted;
    }
    free(found.times);
    assert_int_equal(summary.events, expected);
    assert_true(expected > 10);
}

static void test_ranges_join_without_overlap(void **state) {
    (void)state;
    static const char *const bounds[] = {"2023-07-10", "2023-07-10T00:01:07", "2023-07-11T00:03:00",
                                         "2023-07-13"};
    uint64_t events = 0;
    for (size_t index = 0; index + 1 < sizeof bounds / sizeof bounds[0]; index++) {
        struct export_summary summary;
        const struct wish wish = {
            .form = EXPORT_NDJSON,
            .conditions = {{"since", bounds[index]}, {"until", bounds[index + 1]}},
        };
        export_all(reader, &wish, &summary);
        events += summary.events;
    }
    assert_int_equal(events, EVENTS_COUNT);
}

// The same events in other orders, commits and epochs give the same files.
static void test_arrival_order_changes_nothing(void **state) {
    (void)state;
    struct export_summary summary;
    struct fault fault = {0};
    for (int form = EXPORT_CLOUDTRAIL; form <= EXPORT_NDJSON; form++) {
        const struct wish wish = {.form = (enum export_form)form};
        char first[4096];
        snprintf(first, sizeof first, "%s", export_all(reader, &wish, &summary));
        for (uint64_t seed = 1; seed <= 3; seed++) {
            struct trail_reader *other = NULL;
            char folder[4096];
            snprintf(folder, sizeof folder, "%s", program_folder());
            uint32_t *order = sample_shuffle(seed, sample.count);
            sample_append(&sample, folder, 0, sample.count, order, (uint32_t)(1 + seed * 53));
            // And some of them twice.
            sample_append(&sample, folder, 0, 100, NULL, 100);
            free(order);
            must(trail_reader_open(folder, &other, &fault), &fault);
            expect_same_trees(first, export_all(other, &wish, &summary));
            trail_reader_close(other);
        }
    }
}

static void test_ndjson_is_in_order_and_complete(void **state) {
    (void)state;
    struct export_summary summary;
    const struct wish wish = {.form = EXPORT_NDJSON};
    const char *out = export_all(reader, &wish, &summary);
    assert_int_equal(summary.files, 3);
    found.times = calloc(sample.count, sizeof *found.times);
    found.is_ordered = true;
    struct key last = {0};
    uint32_t lines = 0;
    for (int day = 10; day <= 12; day++) {
        const char *text = program_read(program_path("%s/2023-07-%02d_0001.ndjson", out, day));
        for (; *text != 0; text += strcspn(text, "\n") + 1) {
            // Line breaks became blanks: compare by the number that each sample carries.
            const char *number = strstr(text, "\"index\":");
            assert_non_null(number);
            uint32_t index = (uint32_t)strtoul(number + 8, NULL, 10);
            found.times[index]++;
            if (lines > 0) assert_true(sample_compare_keys(&last, &sample.events[index].key) < 0);
            last = sample.events[index].key;
            lines++;
        }
    }
    assert_int_equal(lines, EVENTS_COUNT);
    free(found.times);
}

// --- stopping and going on

// Runs with the failure at every change there is, resumes, and compares with `expected`.
static void break_everywhere(const struct wish *wish, enum failure how, const char *expected) {
    struct wish resumed = *wish;
    resumed.is_resumed = true;
    uint32_t at = 0;
    for (;; at++) {
        struct export_summary summary;
        struct fault fault = {0};
        char out[4096];
        snprintf(out, sizeof out, "%s/out", program_folder());
        arm(how, at);
        if (try_export(reader, out, wish, &summary, &fault)) break;
        if (how == FAIL_FULL) assert_int_equal(fault.kind, FAULT_FULL);
        arm(FAIL_NEVER, 0);
        // Stopped before there was a plan: there is nothing to resume, and nothing in the way.
        bool is_begun = try_export(reader, out, &resumed, &summary, &fault);
        if (!is_begun) {
            assert_non_null(strstr(fault.text, "no export to resume"));
            must(try_export(reader, out, wish, &summary, &fault), &fault);
        }
        struct stat status;
        assert_int_equal(stat(program_path("%s/.orgtrail-export", out), &status), -1);
        expect_same_trees(expected, out);
        remove_tree(out);
    }
    // Every file takes several changes.
    assert_true(at > 30);
}

static void test_a_crash_anywhere_is_resumed(void **state) {
    (void)state;
    for (int form = EXPORT_CLOUDTRAIL; form <= EXPORT_NDJSON; form++) {
        struct export_summary summary;
        const struct wish wish = {
            .form = (enum export_form)form,
            .conditions = {{"event-name", "ConsoleLogin"},
                           {"region", "eu-west-1"},
                           {"account", "111111111111"}},
        };
        char expected[4096];
        snprintf(expected, sizeof expected, "%s", export_all(reader, &wish, &summary));
        assert_true(summary.files >= 3);
        break_everywhere(&wish, FAIL_DIE, expected);
        break_everywhere(&wish, FAIL_FULL, expected);
    }
}

// Changes that are made when the last day begins.
static void stop_at_last_day(const char *out, const struct wish *wish) {
    struct export_summary summary;
    struct fault fault = {0};
    arm(FAIL_DIE, UINT32_MAX);
    must(try_export(reader, program_path("%s.count", out), wish, &summary, &fault), &fault);
    uint32_t changes = failing.changes;
    arm(FAIL_DIE, changes - 25);
    assert_false(try_export(reader, out, wish, &summary, &fault));
    arm(FAIL_NEVER, 0);
}

static void test_resuming_keeps_finished_days(void **state) {
    (void)state;
    struct wish wish = {.form = EXPORT_NDJSON};
    struct export_summary summary;
    struct fault fault = {0};
    char expected[4096];
    char out[4096];
    snprintf(expected, sizeof expected, "%s", export_all(reader, &wish, &summary));
    snprintf(out, sizeof out, "%s/out", program_folder());
    stop_at_last_day(out, &wish);
    // A second run without --resume touches nothing.
    assert_false(try_export(reader, out, &wish, &summary, &fault));
    assert_non_null(strstr(fault.text, "--resume"));
    wish.is_resumed = true;
    must(try_export(reader, out, &wish, &summary, &fault), &fault);
    assert_true(summary.files_kept >= 1);
    assert_int_equal(summary.events, EVENTS_COUNT);
    expect_same_trees(expected, out);
    // Once more: it is complete and says so.
    must(try_export(reader, out, &wish, &summary, &fault), &fault);
    assert_int_equal(summary.files_kept, summary.files);
    assert_int_equal(summary.events, EVENTS_COUNT);
    wish.is_resumed = false;
    assert_false(try_export(reader, out, &wish, &summary, &fault));
    assert_non_null(strstr(fault.text, "finished export"));
    // A finished export that somebody changed is told.
    wish.is_resumed = true;
    FILE *file = fopen(program_path("%s/2023-07-10_0001.ndjson", out), "r+e");
    assert_non_null(file);
    fputc('x', file);
    fclose(file);
    assert_false(try_export(reader, out, &wish, &summary, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    assert_non_null(strstr(fault.text, "2023-07-10_0001.ndjson"));
}

static void test_resuming_mends_what_was_changed(void **state) {
    (void)state;
    struct wish wish = {.form = EXPORT_NDJSON};
    struct export_summary summary;
    struct fault fault = {0};
    char expected[4096];
    snprintf(expected, sizeof expected, "%s", export_all(reader, &wish, &summary));
    for (int how = 0; how < 2; how++) {
        char out[4096];
        snprintf(out, sizeof out, "%s/out", program_folder());
        wish.is_resumed = false;
        stop_at_last_day(out, &wish);
        const char *path = program_path("%s/2023-07-10_0001.ndjson", out);
        if (how == 0) {
            assert_int_equal(unlink(path), 0);
        } else {
            FILE *file = fopen(path, "r+e");
            assert_non_null(file);
            fputc('x', file);
            fclose(file);
        }
        wish.is_resumed = true;
        must(try_export(reader, out, &wish, &summary, &fault), &fault);
        assert_int_equal(summary.files_kept, 0);
        assert_int_equal(summary.events, EVENTS_COUNT);
        expect_same_trees(expected, out);
    }
}

static void test_resuming_is_bound_to_arguments_and_snapshot(void **state) {
    (void)state;
    struct wish wish = {.form = EXPORT_NDJSON};
    struct export_summary summary;
    struct fault fault = {0};
    struct trail_reader *kept = reader;
    char folder[4096];
    char expected[4096];
    char out[4096];
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 300, NULL, 50);
    must(trail_reader_open(folder, &reader, &fault), &fault);
    snprintf(expected, sizeof expected, "%s", export_all(reader, &wish, &summary));
    snprintf(out, sizeof out, "%s/out", program_folder());
    stop_at_last_day(out, &wish);
    sample_append(&sample, folder, 300, 300, NULL, 50);

    struct wish other = {.form = EXPORT_CLOUDTRAIL, .is_resumed = true};
    assert_false(try_export(reader, out, &other, &summary, &fault));
    assert_non_null(strstr(fault.text, "other arguments"));
    other = (struct wish){
        .form = EXPORT_NDJSON, .is_resumed = true, .conditions = {{"errors", "true"}}};
    assert_false(try_export(reader, out, &other, &summary, &fault));
    assert_non_null(strstr(fault.text, "other arguments"));
    wish.is_resumed = true;
    assert_false(try_export(kept, out, &wish, &summary, &fault));
    assert_non_null(strstr(fault.text, "another store"));

    must(try_export(reader, out, &wish, &summary, &fault), &fault);
    assert_int_equal(summary.events, 300);
    expect_same_trees(expected, out);

    // Finished, it is no answer to another question either.
    const struct wish others[] = {
        {.form = EXPORT_CLOUDTRAIL},
        {.form = EXPORT_NDJSON, .conditions = {{"errors", "true"}}},
        {.form = EXPORT_NDJSON, .conditions = {{"event-name", "Foo"}}},
        {.form = EXPORT_NDJSON, .conditions = {{"account", "111122223333"}}},
        {.form = EXPORT_NDJSON, .conditions = {{"since", "2023-07-10"}}},
    };
    for (size_t index = 0; index < sizeof others / sizeof others[0]; index++) {
        other = others[index];
        other.is_resumed = true;
        assert_false(try_export(reader, out, &other, &summary, &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
        assert_non_null(strstr(fault.text, "other arguments"));
        assert_non_null(strstr(fault.text, "manifest.json"));
    }
    assert_false(try_export(kept, out, &wish, &summary, &fault));
    assert_non_null(strstr(fault.text, "another store"));
    must(try_export(reader, out, &wish, &summary, &fault), &fault);
    assert_int_equal(summary.files_kept, summary.files);
    trail_reader_close(reader);
    reader = kept;
}

// "1h" is the same argument later on: the range is the one of the beginning.
static void test_a_finished_export_keeps_its_relative_times(void **state) {
    (void)state;
    struct wish wish = {.form = EXPORT_NDJSON, .conditions = {{"since", "1h"}}};
    struct export_summary summary;
    struct fault fault = {0};
    clock_s = 1689000000;
    char out[4096];
    snprintf(out, sizeof out, "%s", export_all(reader, &wish, &summary));
    uint64_t sequence_max = summary.sequence_max;
    wish.is_resumed = true;
    clock_s += 7200;
    must(try_export(reader, out, &wish, &summary, &fault), &fault);
    assert_int_equal(summary.sequence_max, sequence_max);
    wish.conditions[0][1] = "2h";
    assert_false(try_export(reader, out, &wish, &summary, &fault));
    assert_non_null(strstr(fault.text, "other arguments"));
    clock_s = 0;
}

static void test_an_empty_trail_exports_nothing(void **state) {
    (void)state;
    struct trail_reader *empty = NULL;
    struct fault fault = {0};
    struct export_summary summary;
    char folder[4096];
    const struct wish wish = {.form = EXPORT_CLOUDTRAIL};
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 0, NULL, 1);
    must(trail_reader_open(folder, &empty, &fault), &fault);
    const char *out = export_all(empty, &wish, &summary);
    assert_int_equal(summary.events, 0);
    assert_int_equal(summary.files, 0);
    assert_true(
        program_has(program_read(program_path("%s/manifest.json", out)), "\"files_count\":0"));
    trail_reader_close(empty);
}

// Drops the sample's first day in the middle of an export.
static bool drop(void *user, struct span bytes) {
    (void)bytes;
    sample_drop(user, SAMPLE_TIME_S + 86400);
    return true;
}

static void test_days_that_go_meanwhile_are_told(void **state) {
    (void)state;
    struct trail_reader *going = NULL;
    struct fault fault = {0};
    struct export_summary summary;
    struct filter all;
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 300, NULL, 50);
    must(filter_init(&all, &fault), &fault);
    must(trail_reader_open(folder, &going, &fault), &fault);
    assert_false(export_stream(going, &all, drop, folder, &summary, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    assert_true(program_has(fault.text, "days before 2023-07-11 were dropped"));
    // When nothing more goes it is whole.
    must(export_stream(going, &all, drop, folder, &summary, &fault), &fault);
    assert_true(summary.events > 0 && summary.events < 300);
    // What is exported then says from when on it can be whole.
    const struct wish wish = {.form = EXPORT_CLOUDTRAIL};
    const char *out = export_all(going, &wish, &summary);
    assert_true(program_has(program_read(program_path("%s/manifest.json", out)),
                            ",\"retained_from\":\"2023-07-11\"}"));
    filter_done(&all);
    trail_reader_close(going);
}

int main(void) {
    struct fault fault = {0};
    sample_create(&sample, 21, EVENTS_COUNT);
    snprintf(store, sizeof store, "%s", program_folder());
    sample_append(&sample, store, 0, EVENTS_COUNT, NULL, 100);
    if (!trail_reader_open(store, &reader, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_record_comes_out_byte_for_byte),
        cmocka_unit_test(test_filters_and_ranges),
        cmocka_unit_test(test_ranges_join_without_overlap),
        cmocka_unit_test(test_arrival_order_changes_nothing),
        cmocka_unit_test(test_ndjson_is_in_order_and_complete),
        cmocka_unit_test(test_a_crash_anywhere_is_resumed),
        cmocka_unit_test(test_a_finished_export_keeps_its_relative_times),
        cmocka_unit_test(test_resuming_keeps_finished_days),
        cmocka_unit_test(test_resuming_mends_what_was_changed),
        cmocka_unit_test(test_resuming_is_bound_to_arguments_and_snapshot),
        cmocka_unit_test(test_an_empty_trail_exports_nothing),
        cmocka_unit_test(test_days_that_go_meanwhile_are_told),
    };
    int code = cases_run("export_test", tests, sizeof tests / sizeof tests[0]);
    trail_reader_close(reader);
    sample_destroy(&sample);
    return code;
}
