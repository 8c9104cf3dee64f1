#include "verify/delivered_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit/cases.h"

struct stage {
    char root[256];
    struct delivered_directory directory;
    struct delivered delivered;
    struct buffer seen;
    uint32_t stop_after;
};

static void put(const struct stage *stage, const char *path, const char *text) {
    char whole[512];
    snprintf(whole, sizeof whole, "%s/%s", stage->root, path);
    for (char *at = strchr(whole + strlen(stage->root) + 1, '/'); at != NULL;
         at = strchr(at + 1, '/')) {
        *at = 0;
        (void)mkdir(whole, 0755);
        *at = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state) {
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    const char *folder = getenv("TEST_TMPDIR");
    snprintf(stage->root, sizeof stage->root, "%s/delivered.XXXXXX",
             folder == NULL ? "/tmp" : folder);
    assert_non_null(mkdtemp(stage->root));
    stage->directory = (struct delivered_directory){files_system(), stage->root, NULL};
    stage->delivered = delivered_in_directory(&stage->directory);
    buffer_init(&stage->seen, 64 * 1024);
    put(stage, "one/a/2026/01/x", "x");
    put(stage, "one/a/2026/01/.x.metadata",
        "{\"signature\":\"ab\",\"signature-algorithm\":\"SHA256withRSA\"}");
    put(stage, "one/a/2026/01/y", "y");
    put(stage, "one/a/2026/01/.y.metadata", "no json");
    put(stage, "one/a/2026/02/z", "z");
    put(stage, "one/b/x", "x");
    put(stage, "two/x", "x");
    put(stage, ".hidden/x", "x");
    put(stage, "secret", "secret");
    *state = stage;
    return 0;
}

static int tear_down(void **state) {
    struct stage *stage = *state;
    char command[300];
    buffer_done(&stage->seen);
    snprintf(command, sizeof command, "rm -rf '%s'", stage->root);
    assert_int_equal(system(command), 0);
    free(stage);
    return 0;
}

static bool on_name(void *user, struct span name) {
    struct stage *stage = user;
    buffer_append(&stage->seen, name);
    buffer_append_byte(&stage->seen, ' ');
    return stage->stop_after == 0 || --stage->stop_after > 0;
}

static void expect_seen(struct stage *stage, const char *expected) {
    buffer_append_byte(&stage->seen, 0);
    assert_string_equal((const char *)stage->seen.bytes, expected);
    buffer_reset(&stage->seen);
}

static void list(struct stage *stage, const char *bucket, const char *prefix, const char *after) {
    struct fault fault;
    assert_true(delivered_list(&stage->delivered, span_text(bucket), span_text(prefix),
                               span_text(after), on_name, stage, &fault));
}

static void test_buckets_and_folders(void **state) {
    struct stage *stage = *state;
    struct fault fault;
    assert_true(delivered_buckets(&stage->delivered, on_name, stage, &fault));
    expect_seen(stage, "one two ");
    assert_true(delivered_folders(&stage->delivered, SPAN_LITERAL("one"), SPAN_LITERAL("a/2026/"),
                                  on_name, stage, &fault));
    expect_seen(stage, "01 02 ");
    assert_true(delivered_folders(&stage->delivered, SPAN_LITERAL("one"), SPAN_LITERAL("none/"),
                                  on_name, stage, &fault));
    expect_seen(stage, "");
}

static void test_list(void **state) {
    struct stage *stage = *state;
    list(stage, "one", "a/", "");
    expect_seen(stage, "a/2026/01/x a/2026/01/y a/2026/02/z ");
    list(stage, "one", "a/", "a/2026/01/x");
    expect_seen(stage, "a/2026/01/y a/2026/02/z ");
    list(stage, "one", "a/", "a/2026/02");
    expect_seen(stage, "a/2026/02/z ");
    list(stage, "one", "a/", "a/2027");
    list(stage, "one", "none/", "");
    list(stage, "none", "a/", "");
    expect_seen(stage, "");
    stage->stop_after = 1;
    list(stage, "one", "a/", "");
    expect_seen(stage, "a/2026/01/x ");
}

static enum delivered_presence get(struct stage *stage, const char *bucket, const char *key,
                                   struct delivered_metadata *metadata) {
    enum delivered_presence presence;
    struct fault fault;
    buffer_reset(&stage->seen);
    assert_true(delivered_get(&stage->delivered, span_text(bucket), span_text(key), &stage->seen,
                              metadata, &presence, &fault));
    return presence;
}

static void test_get(void **state) {
    struct stage *stage = *state;
    struct delivered_metadata metadata;
    assert_int_equal(get(stage, "one", "a/2026/01/x", &metadata), DELIVERED_FOUND);
    assert_string_equal(metadata.signature, "ab");
    assert_string_equal(metadata.algorithm, "SHA256withRSA");
    assert_string_equal(metadata.backfill_time, "");
    expect_seen(stage, "x");
    // Metadata that are no JSON prove as much as none.
    assert_int_equal(get(stage, "one", "a/2026/01/y", &metadata), DELIVERED_FOUND);
    assert_string_equal(metadata.signature, "");
    assert_int_equal(get(stage, "one", "a/2026/01/none", NULL), DELIVERED_MISSING);
    assert_int_equal(get(stage, "one", "a/2026/01", NULL), DELIVERED_MISSING);
    assert_int_equal(get(stage, "three", "x", NULL), DELIVERED_NO_BUCKET);
}

static void test_names_that_lead_elsewhere(void **state) {
    struct stage *stage = *state;
    static const char *const keys[] = {
        "../secret", "a/../../secret", "/etc/passwd",   "a//x", "./b/x", "b/./x",
        ".x",        "a/.hidden",      "a/2026/01/x\n", ""};
    for (size_t index = 0; index < sizeof keys / sizeof keys[0]; index++)
        assert_int_equal(get(stage, "one", keys[index], NULL), DELIVERED_MISSING);
    static const char *const buckets[] = {"..", ".", "", "one/a", ".hidden", "secret"};
    for (size_t index = 0; index < sizeof buckets / sizeof buckets[0]; index++)
        assert_int_equal(get(stage, buckets[index], "secret", NULL), DELIVERED_NO_BUCKET);
}

static void test_folder_of_one_bucket(void **state) {
    struct stage *stage = *state;
    struct fault fault;
    char root[300];
    snprintf(root, sizeof root, "%s/one", stage->root);
    stage->directory.root = root;
    stage->directory.bucket = "other-name";
    assert_true(delivered_buckets(&stage->delivered, on_name, stage, &fault));
    expect_seen(stage, "other-name ");
    assert_int_equal(get(stage, "other-name", "b/x", NULL), DELIVERED_FOUND);
    assert_int_equal(get(stage, "one", "b/x", NULL), DELIVERED_NO_BUCKET);
    buffer_reset(&stage->seen);
    list(stage, "other-name", "b/", "");
    expect_seen(stage, "b/x ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_buckets_and_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_get, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_that_lead_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folder_of_one_bucket, set_up, tear_down),
    };
    return cases_run("delivered_directory", tests, sizeof tests / sizeof tests[0]);
}
