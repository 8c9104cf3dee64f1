#include "base/clock.h"

#include <string.h>

#include "tests/kit/cases.h"

static void assert_time(const char *text, int64_t expected) {
    struct fault fault = {0};
    int64_t seconds = -7;
    if (!time_parse(span_text(text), &seconds, &fault)) fail_msg("%s", fault.text);
    assert_int_equal(seconds, expected);
}

static void test_parse(void **state) {
    (void)state;
    assert_time("1970-01-01T00:00:00Z", 0);
    assert_time("2026-01-31T23:59:59Z", 1769903999);
    assert_time("2026-01-31T23:59:59.987654Z", 1769903999);
    assert_time("2026-02-01T01:29:59+01:30", 1769903999);
    assert_time("2026-01-31T18:59:59.5-05:00", 1769903999);
    assert_time("2024-02-29T00:00:00Z", 1709164800);
    assert_time("2000-02-29T12:00:00Z", 951825600);
    assert_time("2016-12-31T23:59:60Z", 1483228800);
    assert_time("9999-12-31T23:59:59Z", 253402300799);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-01-31",
        "2026-01-31T23:59:59",
        "2026-01-31 23:59:59Z",
        "2026-01-31T23:59:59z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T23:60:00Z",
        "2026-01-31T23:59:61Z",
        "1969-12-31T23:59:59Z",
        "2026-01-31T23:59:59.Z",
        "2026-01-31T23:59:59+0100",
        "2026-01-31T23:59:59+15:00",
        "2026-01-31T23:59:59+01:60",
        "2026-01-31T23:59:59ZZ",
        "2026-01-31T23:59:-9Z",
        " 2026-01-31T23:59:59Z",
        "2026-01-31T23:59:59.000000000000000000000000000Z",
    };
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        struct fault fault = {0};
        int64_t seconds = -7;
        if (time_parse(span_text(bad[index]), &seconds, &fault)) fail_msg("%s", bad[index]);
        assert_int_equal(seconds, -7);
        assert_int_equal(fault.kind, FAULT_INPUT);
        assert_memory_equal(fault.text, "not a time like ", 16);
    }
}

// Every day of four centuries goes out and comes back.
static void test_print_and_parse_agree(void **state) {
    (void)state;
    char text[TIME_TEXT_SIZE];
    for (int64_t day = 0; day < 146097; day++) {
        int64_t seconds = day * 86400 + day % 86400;
        time_print(seconds, text);
        assert_time(text, seconds);
        assert_int_equal(time_day(seconds), day);
    }
}

static void test_print(void **state) {
    (void)state;
    char text[TIME_TEXT_SIZE];
    time_print(253402300799, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
    time_print_ms(1769903999007, text);
    assert_string_equal(text, "2026-01-31T23:59:59.007Z");
    time_print_ms(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
}

static void test_days(void **state) {
    (void)state;
    assert_int_equal(time_day(0), 0);
    assert_int_equal(time_day(86399), 0);
    assert_int_equal(time_day(86400), 1);
    assert_int_equal(time_day(-1), -1);
    assert_int_equal(time_day(-86400), -1);
    assert_int_equal(time_day(-86401), -2);
}

static void test_system_clock(void **state) {
    (void)state;
    const struct clock *clock = clock_system();
    int64_t began = clock->monotonic_ms(clock->context);
    assert_true(clock->now_ms(clock->context) > INT64_C(1700000000000));
    assert_true(clock->monotonic_ms(clock->context) >= began);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_print_and_parse_agree),
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_system_clock),
    };
    return cases_run("clock_test", tests, sizeof tests / sizeof tests[0]);
}
