#include "event/record_skim.h"

#include "tests/kit/cases.h"

static struct record skim(const char *text) {
    struct record record;
    if (!record_skim(span_text(text), &record)) fail_msg("%s", text);
    assert_true(span_is(record.text, text));
    return record;
}

static void test_top_alone(void **state) {
    (void)state;
    struct record record = skim(
        "{\"eventVersion\":\"1.08\",\"userIdentity\":{\"awsRegion\":\"nested\",\"a\":[1,{\"x\":\"}"
        "\"}"
        ",\"\\\"]\"],\"b\":\"\\\\\"},\"n\":-1.5e3,\"eventSource\":\"s3.amazonaws.com\",\"t\":null,"
        "\"requestParameters\":\"\\\",\\\"awsRegion\\\":\\\"quoted\\\"\",\"awsRegion\":\"eu-west-"
        "1\""
        ",\"eventName\":\"PutObject\",\"broken\":");
    assert_true(span_is(record.event_source, "s3.amazonaws.com"));
    assert_true(span_is(record.event_name, "PutObject"));
    assert_true(span_is(record.region, "eu-west-1"));
}

static void test_blanks(void **state) {
    (void)state;
    struct record record =
        skim(" {\n\t\"awsRegion\" : \"a b\" ,\r\n \"n\" : 1 , \"eventName\":\"N\" } ");
    assert_true(span_is(record.region, "a b"));
    assert_true(span_is(record.event_name, "N"));
}

static void test_absent(void **state) {
    (void)state;
    struct record record = skim("{\"eventSource\":\"\",\"a\":{\"awsRegion\":\"x\"}}");
    assert_null(record.region.bytes);
    assert_null(record.event_name.bytes);
    assert_non_null(record.event_source.bytes);
}

static void test_left_to_reading(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{",
        "{\"awsRegion\"",
        "{\"awsRegion\":\"a",
        "{\"awsRegion\":\"a\"",
        "{\"awsRegion\":\"a\\\"",
        "{\"awsRegion\":\"\\u0061\"}",
        "{\"aws\\u0052egion\":\"a\"}",
        "{\"awsRegion\":null}",
        "{\"awsRegion\":1}",
        "{\"a\":[{]",
        "{\"a\":{\"b\":\"",
    };
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        struct record record;
        if (record_skim(span_text(texts[index]), &record)) fail_msg("%s", texts[index]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_top_alone),
        cmocka_unit_test(test_blanks),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_left_to_reading),
    };
    return cases_run("record_skim", tests, sizeof tests / sizeof tests[0]);
}
