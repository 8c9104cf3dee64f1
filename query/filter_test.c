#include "query/filter.h"

#include <string.h>

#include "base/clock.h"
#include "tests/kit/cases.h"
#include "tests/kit/sample.h"

enum { NOW_S = 1700000000 };  // 2023-11-14T22:13:20Z

static void test_times(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *expected;  // NULL: refused
    } cases[] = {
        {"2026-11-21", "2026-11-21T00:00:00Z"},
        {"2026-11-21T10:30", "2026-11-21T10:30:00Z"},
        {"2026-11-21 10:30", "2026-11-21T10:30:00Z"},
        {"2026-11-21T10:30Z", "2026-11-21T10:30:00Z"},
        {"2026-11-21T10:30:15", "2026-11-21T10:30:15Z"},
        {"2026-11-21T10:30:15Z", "2026-11-21T10:30:15Z"},
        {"2026-11-21T10:30:15.999Z", "2026-11-21T10:30:15Z"},
        {"2026-11-21T10:30+02:00", "2026-11-21T08:30:00Z"},
        {"2026-11-21T10:30:15-01:00", "2026-11-21T11:30:15Z"},
        {"now", "2023-11-14T22:13:20Z"},
        {"20s", "2023-11-14T22:13:00Z"},
        {"13m", "2023-11-14T22:00:20Z"},
        {"2h", "2023-11-14T20:13:20Z"},
        {"7d", "2023-11-07T22:13:20Z"},
        {"1w", "2023-11-07T22:13:20Z"},
        {"99999w", "1970-01-01T00:00:00Z"},
        {"", NULL},
        {"h", NULL},
        {"2", NULL},
        {"2y", NULL},
        {"2hh", NULL},
        {"-2h", NULL},
        {"yesterday", NULL},
        {"2026-02-30", NULL},
        {"2026-13-01", NULL},
        {"2026-11-21T25:00", NULL},
        {"2026-11-21X10:30", NULL},
        {"2026-11-21T10", NULL},
        {"2026-11-21T10:30:15Zjunk", NULL},
        {"999999999999999999999h", NULL},
        {"2026-11-21T10:30:15.000000000000000000000000000000000000000000000000Z", NULL},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct fault fault = {0};
        int64_t seconds;
        bool is_read = filter_parse_time(cases[index].text, NOW_S, &seconds, &fault);
        if (is_read != (cases[index].expected != NULL)) fail_msg("\"%s\"", cases[index].text);
        if (!is_read) {
            assert_int_equal(fault.kind, FAULT_INPUT);
            continue;
        }
        char text[TIME_TEXT_SIZE];
        time_print(seconds, text);
        assert_string_equal(text, cases[index].expected);
    }
}

static void test_wrong_times_say_what(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"2026-13-45", "time \"2026-13-45\": there is no month 13: write it like 2026-11-21, "},
        {"2026-11-45", "there is no day 45"},
        {"2026-00-01", "there is no month 0"},
        {"2026-02-30", "that month has no day 30"},
        {"2026-11-21T25:00", "there is no hour 25"},
        {"2026-11-21 10:60", "there is no minute 60"},
        {"1969-11-21", "times begin in 1970"},
        {"yesterday", "time \"yesterday\": write it like"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct fault fault = {0};
        int64_t seconds;
        assert_false(filter_parse_time(cases[index][0], NOW_S, &seconds, &fault));
        if (strstr(fault.text, cases[index][1]) == NULL) fail_msg("%s", fault.text);
    }
}

static void test_conditions_that_are_refused(void **state) {
    (void)state;
    static const char *const cases[][3] = {
        {"color", "red", "no condition"},
        {"read-only", "yes", "true or false"},
        {"category", "nonsense", "must be management"},
        {"user", "", "is empty"},
        {"global", "false", "only \"true\""},
        {"event-id", "", "1 to 256"},
    };
    struct fault fault = {0};
    struct filter filter;
    assert_true(filter_init(&filter, &fault));
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        assert_false(filter_add(&filter, cases[index][0], cases[index][1], &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
        if (strstr(fault.text, cases[index][2]) == NULL) fail_msg("%s", fault.text);
    }
    assert_true(filter_is_empty(&filter));
    assert_true(filter_add(&filter, "event-name", "A", &fault));
    assert_false(filter_add(&filter, "event-name", "B", &fault));
    assert_non_null(strstr(fault.text, "given twice"));
    // An event can have several of these.
    assert_true(filter_add(&filter, "resource-name", "a", &fault));
    assert_true(filter_add(&filter, "resource-name", "b", &fault));
    assert_true(filter_set_since(&filter, "2h", NOW_S, &fault));
    assert_true(filter_set_until(&filter, "3h", NOW_S, &fault));
    assert_false(filter_check_range(&filter, &fault));
    assert_non_null(strstr(fault.text, "time range is empty"));
    assert_false(filter_set_since(&filter, "soon", NOW_S, &fault));
    filter_done(&filter);
}

static void test_limits(void **state) {
    (void)state;
    struct fault fault = {0};
    struct filter filter;
    assert_true(filter_init(&filter, &fault));
    for (int index = 0; index < FILTER_ATTRIBUTES_MAX; index++) {
        assert_true(filter_add(&filter, "resource-name", "x", &fault));
    }
    assert_false(filter_add(&filter, "resource-name", "x", &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    filter_done(&filter);
}

static void assert_printed(const struct filter *filter, const char *expected) {
    struct buffer text;
    buffer_init(&text, 4096);
    filter_print(filter, &text);
    buffer_append_byte(&text, 0);
    assert_string_equal((const char *)text.bytes, expected);
    buffer_done(&text);
}

static void test_printing_ignores_order(void **state) {
    (void)state;
    struct fault fault = {0};
    struct filter left;
    struct filter right;
    assert_true(filter_init(&left, &fault));
    assert_true(filter_init(&right, &fault));
    assert_true(filter_add(&left, "event-source", "IAM", &fault));
    assert_true(filter_add(&left, "category", "network-activity", &fault));
    assert_true(filter_add(&right, "category", "NetworkActivity", &fault));
    assert_true(filter_add(&right, "event-source", "iam.amazonaws.com", &fault));
    const char *expected =
        "{\"EventSource\":\"iam.amazonaws.com\",\"Category\":\"NetworkActivity\"}";
    assert_printed(&left, expected);
    assert_printed(&right, expected);
    assert_true(filter_add(&left, "event-id", "1", &fault));
    assert_printed(&left,
                   "{\"EventSource\":\"iam.amazonaws.com\",\"Category\":\"NetworkActivity\","
                   "\"EventId\":\"1\"}");
    filter_done(&left);
    filter_done(&right);
}

static void test_matching(void **state) {
    (void)state;
    struct sample sample;
    struct fault fault = {0};
    sample_create(&sample, 1, 500);
    static const char *const cases[][2] = {
        {"event-name", "GetObject"}, {"user", "Jürgen"},
        {"read-only", "false"},      {"errors", "true"},
        {"account", "222222222222"}, {"category", "data"},
        {"region", "eu-west-1"},     {"source-ip", "192.0.2.3"},
        {"global", "true"},          {"resource-type", "AWS::S3::Bucket"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct filter filter;
        assert_true(filter_init(&filter, &fault));
        assert_true(filter_add(&filter, cases[index][0], cases[index][1], &fault));
        uint32_t found = 0;
        for (uint32_t event = 0; event < sample.count; event++) {
            struct record record;
            sample_read(&sample, event, &record);
            struct trail_row row = {.key = sample.events[event].key};
            found += filter_matches(&filter, &record, &row);
        }
        if (found == 0 || found == sample.count) fail_msg("%s: %u", cases[index][0], found);
        filter_done(&filter);
    }
    sample_destroy(&sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_wrong_times_say_what),
        cmocka_unit_test(test_conditions_that_are_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_printing_ignores_order),
        cmocka_unit_test(test_matching),
    };
    return cases_run("filter_test", tests, sizeof tests / sizeof tests[0]);
}
