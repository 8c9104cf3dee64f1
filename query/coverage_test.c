#include "query/coverage.h"

#include <string.h>

#include "tests/kit/cases.h"

static bool copy_row(void *user, const struct coverage_row *row) {
    struct coverage_row **at = user;
    *(*at)++ = *row;
    return true;
}

static void test_rows_come_back(void **state) {
    (void)state;
    const struct coverage_row rows[2] = {
        {"222222222222", "eu-west-1", 1700000000, 1700000000123, 5, 0, 1, 2, 3, UINT64_MAX},
        {"222222222222", "global", -1, 0, 0, 77, 0, 0, 0, 0},
    };
    struct coverage_row read[2];
    struct coverage_row *at = read;
    struct buffer text;
    struct fault fault;
    buffer_init(&text, 4096);
    for (int index = 0; index < 2; index++) coverage_print_row(&rows[index], &text);
    struct span name = SPAN_LITERAL(COVERAGE_PREFIX "222222222222");
    assert_true(coverage_read(name, buffer_span(&text), copy_row, &at, &fault));
    assert_ptr_equal(at, read + 2);
    assert_memory_equal(read, rows, sizeof rows);
    // More behind a row is of a later version; less is no row.
    at = read;
    assert_true(
        coverage_read(name, SPAN_LITERAL("x 1 2 3 4 5 6 7 8 9 10\n"), copy_row, &at, &fault));
    assert_int_equal(read[0].gap_numbers, 8);
    assert_false(coverage_read(name, SPAN_LITERAL("x 1 2 3 4 5 6 7\n"), copy_row, &at, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    assert_false(
        coverage_read(SPAN_LITERAL("coverage/"), buffer_span(&text), copy_row, &at, &fault));
    buffer_done(&text);
}

static void expect_region(const char *region, bool is_global, const char *expected) {
    char name[COVERAGE_REGION_SIZE];
    coverage_name_region(span_text(region), is_global, name);
    assert_string_equal(name, expected);
}

static void test_regions_have_plain_names(void **state) {
    (void)state;
    expect_region("eu-west-1", false, "eu-west-1");
    expect_region("us-east-1", true, "global");
    expect_region("", false, "none");
    expect_region("a b\n1 2 3", false, "a_b_1_2_3");
    expect_region("a-region-with-a-name-that-nobody-would-give", false,
                  "a-region-with-a-name-that-nobody");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back),
        cmocka_unit_test(test_regions_have_plain_names),
    };
    return cases_run("coverage", tests, sizeof tests / sizeof tests[0]);
}
