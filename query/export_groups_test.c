#include "query/export_groups.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "tests/kit/cases.h"
#include "tests/kit/program.h"

enum { FILES_MAX = 4000, RECORD_SIZE = 1000 * 1000 };

// The files that came out.
static struct {
    uint32_t count;
    uint64_t events;
    uint64_t text_size;
    uint64_t largest;
    uint8_t digests[FILES_MAX][SHA256_SIZE];
    char last_account[80];
    uint64_t last_events;
    bool is_counting;  // more files than digests have room for
} out;

static char spill[4096];

static bool on_file(void *user, const struct file_place *place, int64_t newest_s, struct span text,
                    uint64_t events, struct fault *fault) {
    (void)user;
    (void)fault;
    assert_true(span_starts(text, SPAN_LITERAL("{\"Records\":[{")));
    assert_true(span_ends(text, SPAN_LITERAL("}]}")));
    assert_true(newest_s >= place->day * 86400);
    assert_true(out.is_counting || out.count < FILES_MAX);
    if (!out.is_counting) crypto_sha256(&text, 1, out.digests[out.count]);
    snprintf(out.last_account, sizeof out.last_account, "%.*s", SPAN_PRINT(place->account));
    out.last_events = events;
    if (text.size > out.largest) out.largest = text.size;
    out.count++;
    out.events += events;
    out.text_size += text.size;
    return true;
}

static void must(bool is_good, const struct fault *fault) {
    if (!is_good) fail_msg("%s", fault->text);
}

static struct export_groups *open_groups(uint64_t memory_size) {
    static const struct export_sink sink = {on_file, NULL};
    static struct export_plan plan;
    struct fault fault = {0};
    struct export_groups *groups = NULL;
    plan = (struct export_plan){.files = files_system(), .organization = "o-x"};
    snprintf(spill, sizeof spill, "%s/spill", program_folder());
    memset(&out, 0, sizeof out);
    must(export_groups_create(&plan, spill, memory_size, &sink, &groups, &fault), &fault);
    return groups;
}

static void add(struct export_groups *groups, uint32_t account, int64_t time_s, struct span text) {
    struct fault fault = {0};
    struct record record = {.region = SPAN_LITERAL("eu-west-1")};
    struct trail_row row = {.text = text, .key = {.event_time_s = time_s}};
    int size = snprintf(row.key.account, sizeof row.key.account, "%012u", account);
    row.key.account_size = (uint8_t)size;
    must(export_groups_add(groups, &record, &row, &fault), &fault);
}

static uint32_t add_many(uint64_t memory_size) {
    static char text[4096];
    struct fault fault = {0};
    struct export_groups *groups = open_groups(memory_size);
    for (uint32_t day = 0; day < 2; day++) {
        for (uint32_t index = 0; index < 3000; index++) {
            int size = snprintf(text, sizeof text, "{\"a\":%u,\"b\":\"%0*u\"}", index,
                                (int)(index * 7 % 3000), day);
            add(groups, index * index % 37, day * 86400 + index, span_of(text, (size_t)size));
        }
        must(export_groups_end_day(groups, &fault), &fault);
    }
    export_groups_destroy(groups);
    assert_int_equal(out.events, 6000);
    return out.count;
}

static void test_spilling_changes_nothing(void **state) {
    (void)state;
    static uint8_t expected[FILES_MAX][SHA256_SIZE];
    uint32_t count = add_many(1 << 30);
    memcpy(expected, out.digests, sizeof expected);
    static const uint64_t sizes[] = {1, 5000, 200000, 3000000};
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        assert_int_equal(add_many(sizes[index]), count);
        assert_memory_equal(out.digests, expected, sizeof expected);
    }
}

static void test_a_file_is_cut_at_the_limit(void **state) {
    (void)state;
    static char text[RECORD_SIZE];
    struct fault fault = {0};
    for (int spilled = 0; spilled < 2; spilled++) {
        struct export_groups *groups = open_groups(spilled == 1 ? 20 * 1000 * 1000 : 1 << 30);
        memset(text, 'x', sizeof text);
        text[0] = '{';
        text[RECORD_SIZE - 1] = '}';
        for (uint32_t index = 0; index < 120; index++) {
            add(groups, 1, index, span_of(text, sizeof text));
            add(groups, 2, index, SPAN_LITERAL("{}"));
        }
        must(export_groups_end_day(groups, &fault), &fault);
        export_groups_destroy(groups);
        // 49 records of 1 MB and what stands around them; the other account is not cut.
        assert_int_equal(out.count, 3 + 1);
        assert_int_equal(out.events, 240);
        assert_true(out.largest <= FILE_TEXT_SIZE_MAX);
        assert_true(out.largest > FILE_TEXT_SIZE_MAX - RECORD_SIZE);
    }
}

// Whoever chooses account names cannot take all memory: past the limit they share a file.
static void test_too_many_groups_share_one(void **state) {
    (void)state;
    struct fault fault = {0};
    struct export_groups *groups = open_groups(1 << 30);
    for (uint32_t index = 0; index < EXPORT_GROUPS_MAX + 50; index++) {
        add(groups, index, 0, SPAN_LITERAL("{}"));
    }
    // Not one of them is lost: each account has its file, the last fifty share one.
    out.is_counting = true;
    must(export_groups_end_day(groups, &fault), &fault);
    assert_int_equal(out.count, EXPORT_GROUPS_MAX + 1);
    assert_int_equal(out.events, EXPORT_GROUPS_MAX + 50);
    assert_int_equal(out.last_events, 50);
    assert_string_equal(out.last_account, "others");
    export_groups_destroy(groups);
}

static void test_a_damaged_spill_is_told(void **state) {
    (void)state;
    for (long offset = 0; offset < 120; offset += 4) {
        struct fault fault = {0};
        struct export_groups *groups = open_groups(1);
        for (uint32_t index = 0; index < 3; index++) {
            add(groups, 0, index, SPAN_LITERAL("{\"some\":\"text\"}"));
        }
        FILE *file = fopen(spill, "r+e");
        assert_non_null(file);
        assert_int_equal(fseek(file, offset, SEEK_SET), 0);
        fputc(0xff, file);
        fputc(0xff, file);
        fclose(file);
        if (!export_groups_end_day(groups, &fault)) {
            assert_int_equal(fault.kind, FAULT_CORRUPT);
            assert_non_null(strstr(fault.text, "spill"));
        }
        export_groups_destroy(groups);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spilling_changes_nothing),
        cmocka_unit_test(test_a_file_is_cut_at_the_limit),
        cmocka_unit_test(test_too_many_groups_share_one),
        cmocka_unit_test(test_a_damaged_spill_is_told),
    };
    return cases_run("export_groups_test", tests, sizeof tests / sizeof tests[0]);
}
