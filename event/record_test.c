#include "event/record.h"

#include <stdio.h>

#include "event/key.h"
#include "event/service.h"
#include "tests/kit/cases.h"

struct fixture {
    struct json_reader *reader;
    struct arena *arena;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture.reader = json_reader_create();
    fixture.arena = arena_create(16 * 1024 * 1024);
    *state = &fixture;
    return fixture.reader == NULL || fixture.arena == NULL;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    json_reader_destroy(fixture->reader);
    arena_destroy(fixture->arena);
    return 0;
}

static enum record_refusal try_read(void **state, const char *text, struct record *record,
                                    struct fault *fault) {
    struct fixture *fixture = *state;
    enum record_refusal refusal;
    bool good =
        record_read(fixture->reader, fixture->arena, span_text(text), record, &refusal, fault);
    assert_int_equal(good, refusal == RECORD_GOOD);
    return refusal;
}

static struct record read_good(void **state, const char *text) {
    struct record record;
    struct fault fault = {0};
    enum record_refusal refusal = try_read(state, text, &record, &fault);
    if (refusal != RECORD_GOOD) fail_msg("%s: %s", text, fault.text);
    return record;
}

#define BASE                                                                       \
    "\"eventTime\":\"2023-07-10T11:45:01Z\",\"eventSource\":\"s3.amazonaws.com\"," \
    "\"eventName\":\"PutObject\""

static void test_fields(void **state) {
    struct record record = read_good(
        state,
        "{\"eventVersion\":\"1.08\",\"userIdentity\":{\"type\":\"AssumedRole\",\"arn\":"
        "\"arn:aws:sts::1:assumed-role/Admin/jane\",\"accountId\":\"1\",\"accessKeyId\":\"ASIA1\","
        "\"sessionContext\":{\"sessionIssuer\":{\"userName\":\"Admin\"}}}," BASE
        ",\"awsRegion\":\"eu-west-1\",\"sourceIPAddress\":\"AWS Internal\",\"errorCode\":\"E\","
        "\"eventID\":\"0A1b2c3d-0000-4000-8000-00000000000f\",\"readOnly\":false,\"resources\":"
        "[{\"ARN\":\"arn:aws:s3:::b/"
        "k\",\"type\":\"AWS::S3::Object\"},{\"ARNPrefix\":\"arn:p\"},{}],"
        "\"recipientAccountId\":\"123\",\"sharedEventID\":\"s\",\"eventCategory\":\"Data\"}");
    assert_int_equal(record.event_time_s, 1688989501);
    assert_true(span_is(record.recipient_account, "123"));
    assert_true(span_is(record.session_name, "jane"));
    assert_true(span_is(record.issuer_name, "Admin"));
    assert_true(span_is(record_display_user(&record), "jane"));
    assert_true(record.id_is_uuid);
    assert_int_equal(record.id[0], 0x0a);
    assert_int_equal(record.id[15], 0x0f);
    assert_int_equal(record.resources_count, 2);
    assert_true(span_is(record.resources[1].name, "arn:p"));
    assert_int_equal(record.category, RECORD_DATA);
    assert_false(record.is_read_only);
    assert_true(record.is_error);
    assert_false(record.is_global);
}

// The fields lie in the arena: reading another record does not touch them.
static void test_fields_outlive_the_reader(void **state) {
    struct record first = read_good(state, "{" BASE ",\"awsRegion\":\"eu-west-1\"}");
    (void)read_good(state, "{" BASE ",\"awsRegion\":\"xx-xxxx-9\",\"errorCode\":\"yyyyyyyy\"}");
    assert_true(span_is(first.region, "eu-west-1"));
    assert_true(span_is(first.event_name, "PutObject"));
}

static void test_refusals(void **state) {
    static const struct {
        const char *text;
        enum record_refusal refusal;
        const char *says;
    } cases[] = {
        {"{", RECORD_INVALID_JSON, "byte"},
        {"{\"a\":\"\xff\"}", RECORD_INVALID_JSON, "byte"},
        {"[]", RECORD_NOT_AN_OBJECT, "object"},
        {"{" BASE ",\"a\":1,\"a\":2}", RECORD_DUPLICATE_MEMBER, "\"a\""},
        {"{" BASE ",\"n\":{\"b\":1,\"b\":2}}", RECORD_DUPLICATE_MEMBER, "\"b\""},
        {"{\"eventSource\":\"s\",\"eventName\":\"n\"}", RECORD_NO_EVENT_TIME, "missing"},
        {"{\"eventTime\":7,\"eventSource\":\"s\",\"eventName\":\"n\"}", RECORD_NO_EVENT_TIME,
         "no string"},
        {"{\"eventTime\":\"eventTime\",\"eventSource\":\"s\",\"eventName\":\"n\"}",
         RECORD_NO_EVENT_TIME, "\"eventTime\""},
        {"{\"eventTime\":\"2022-11-10 16:24:11.000\",\"eventSource\":\"s\",\"eventName\":\"n\"}",
         RECORD_NO_EVENT_TIME, "not a time"},
        {"{\"eventTime\":\"2023-02-29T00:00:00Z\",\"eventSource\":\"s\",\"eventName\":\"n\"}",
         RECORD_NO_EVENT_TIME, "not a time"},
        {"{\"eventTime\":\"2023-07-10T11:45:01Z\",\"eventName\":\"n\"}", RECORD_NO_EVENT_SOURCE,
         "eventSource"},
        {"{\"eventTime\":\"2023-07-10T11:45:01Z\",\"eventSource\":\"s\",\"eventName\":\"\"}",
         RECORD_NO_EVENT_NAME, "eventName"},
        {"{" BASE ",\"eventID\":\"\"}", RECORD_BAD_EVENT_ID, "eventID"},
        {"{" BASE ",\"eventID\":5}", RECORD_BAD_EVENT_ID, "eventID"},
        {"{" BASE ",\"recipientAccountId\":5}", RECORD_WRONG_TYPE, "recipientAccountId"},
        {"{" BASE ",\"awsRegion\":{}}", RECORD_WRONG_TYPE, "awsRegion"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct record record;
        struct fault fault = {0};
        enum record_refusal refusal = try_read(state, cases[index].text, &record, &fault);
        if (refusal != cases[index].refusal || strstr(fault.text, cases[index].says) == NULL) {
            fail_msg("%s: %s: %s", cases[index].text, record_refusal_name(refusal), fault.text);
        }
    }
}

static void test_too_large(void **state) {
    struct fixture *fixture = *state;
    struct record record;
    enum record_refusal refusal;
    struct fault fault;
    static uint8_t bytes[RECORD_SIZE_MAX + 1];
    assert_false(record_read(fixture->reader, fixture->arena, span_of(bytes, sizeof bytes), &record,
                             &refusal, &fault));
    assert_int_equal(refusal, RECORD_TOO_LARGE);
}

static void test_ids(void **state) {
    struct record uuid =
        read_good(state, "{" BASE ",\"eventID\":\"0a1b2c3d-0000-4000-8000-00000000000f\"}");
    char text[RECORD_UUID_TEXT_SIZE];
    record_print_uuid(uuid.id, text);
    assert_string_equal(text, "0a1b2c3d-0000-4000-8000-00000000000f");

    struct record other = read_good(state, "{" BASE ",\"eventID\":\"1\"}");
    assert_false(other.id_is_uuid);
    // SHA-256 of "1" begins 6b86b273.
    assert_int_equal(other.id[0], 0x6b);
    assert_int_equal(other.id[3], 0x73);

    struct record none = read_good(state, "{" BASE "}");
    struct record same = read_good(state, "{" BASE "}");
    struct record differs = read_good(state, "{" BASE " }");
    assert_memory_equal(none.id, same.id, RECORD_ID_SIZE);
    assert_memory_not_equal(none.id, differs.id, RECORD_ID_SIZE);

    struct record aggregated = read_good(
        state,
        "{\"eventSource\":\"s3.amazonaws.com\",\"eventCategory\":\"Aggregated\",\"eventId\":"
        "\"0a1b2c3d-0000-4000-8000-00000000000f\",\"accountId\":\"9\",\"timeWindow\":"
        "{\"windowStart\":\"2025-11-20 10:05:00\"}}");
    assert_true(aggregated.id_is_uuid);
    assert_true(span_is(aggregated.recipient_account, "9"));
    assert_int_equal(aggregated.event_time_s % 300, 0);
    assert_int_equal(aggregated.category, RECORD_AGGREGATED);
}

static void test_categories_and_reading(void **state) {
    static const struct {
        const char *more;
        enum record_category category;
        bool read_only;
    } cases[] = {
        {"", RECORD_MANAGEMENT, false},
        {",\"readOnly\":true", RECORD_MANAGEMENT, true},
        {",\"readOnly\":\"true\"", RECORD_MANAGEMENT, true},
        {",\"managementEvent\":false", RECORD_DATA, false},
        {",\"eventType\":\"AwsVpceEvent\"", RECORD_NETWORK_ACTIVITY, false},
        {",\"eventCategory\":\"NetworkActivity\"", RECORD_NETWORK_ACTIVITY, false},
        {",\"eventCategory\":\"Insight\"", RECORD_INSIGHT, false},
        {",\"eventCategory\":\"New\"", RECORD_OTHER, false},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        char text[512];
        snprintf(text, sizeof text, "{" BASE "%s}", cases[index].more);
        struct record record = read_good(state, text);
        assert_int_equal(record.category, cases[index].category);
        assert_int_equal(record.is_read_only, cases[index].read_only);
    }
    struct record old = read_good(state,
                                  "{\"eventTime\":\"2014-07-10T11:45:01Z\",\"eventSource\":"
                                  "\"s\",\"eventName\":\"DescribeInstances\"}");
    assert_true(old.is_read_only);
    struct record insight = read_good(
        state,
        "{\"eventTime\":\"2023-07-10T11:45:00Z\",\"eventType\":\"AwsCloudTrailInsight\","
        "\"insightDetails\":{\"eventSource\":\"ssm.amazonaws.com\",\"eventName\":\"Up\"}}");
    assert_int_equal(insight.category, RECORD_INSIGHT);
    assert_true(span_is(insight.event_source, "ssm.amazonaws.com"));
}

static void test_global(void **state) {
    (void)state;
    static const struct {
        const char *source, *region, *endpoint, *host;
        bool is_global;
    } cases[] = {
        {"iam.amazonaws.com", "us-east-1", "", "", true},
        {"iam.amazonaws.com", "eu-west-1", "", "", false},
        {"iam.amazonaws.com", "cn-north-1", "", "", true},
        {"iam.amazonaws.com", "us-gov-west-1", "", "", true},
        {"iam.amazonaws.com", "us-gov-east-1", "", "", false},
        {"iam.amazonaws.com", "xx-invented-7", "", "", true},
        {"ec2.amazonaws.com", "us-east-1", "", "", false},
        {"signin.amazonaws.com", "us-east-1", "", "", true},
        {"signin.amazonaws.com", "eu-north-1", "", "", false},
        {"sts.amazonaws.com", "us-east-1", "", "", true},
        {"sts.amazonaws.com", "us-east-1", "regional", "", false},
        {"sts.amazonaws.com", "us-east-1", "global", "sts.us-east-1.amazonaws.com", true},
        {"sts.amazonaws.com", "us-east-1", "", "sts.us-east-1.amazonaws.com", false},
        {"sts.amazonaws.com", "us-east-1", "", "sts.amazonaws.com", true},
        {"sts.amazonaws.com", "eu-west-1", "", "", false},
        {"cloudfront.amazonaws.com", "", "", "", false},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct service_facts facts = {
            span_text(cases[index].source), span_text(cases[index].region),
            span_text(cases[index].endpoint), span_text(cases[index].host)};
        if (service_is_global(&facts) != cases[index].is_global) {
            fail_msg("%s in %s", cases[index].source, cases[index].region);
        }
    }
}

static void test_keys(void **state) {
    struct record record = read_good(state, "{" BASE ",\"eventID\":\"1\"}");
    struct key one = key_of(&record, SPAN_LITERAL("111111111111"));
    struct key two = key_of(&record, SPAN_LITERAL("222222222222"));
    assert_true(key_equal(&one, &one));
    assert_false(key_equal(&one, &two));
    assert_true(key_compare(&one, &two) < 0);
    two = one;
    two.event_time_s++;
    assert_false(key_equal(&one, &two));
    assert_true(key_compare(&two, &one) > 0);
}

static void test_accounts(void **state) {
    (void)state;
    static const char *const good[] = {"111111111111", "000000000001", "payments", "team-7", "7x"};
    static const char *const bad[] = {"", "1111", "1111111111111"};
    struct fault fault = {0};
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        assert_true(key_check_account(good[index], &fault));
    }
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        assert_false(key_check_account(bad[index], &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
    }
    assert_string_equal(fault.text,
                        "account \"1111111111111\": an AWS account has 12 digits, this has 13");
    char longest[KEY_ACCOUNT_SIZE_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[KEY_ACCOUNT_SIZE_MAX + 1] = 0;
    assert_false(key_check_account(longest, &fault));
    longest[KEY_ACCOUNT_SIZE_MAX] = 0;
    assert_true(key_check_account(longest, &fault));
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields_outlive_the_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_categories_and_reading, set_up, tear_down),
        cmocka_unit_test(test_global),
        cmocka_unit_test_setup_teardown(test_keys, set_up, tear_down),
        cmocka_unit_test(test_accounts),
    };
    return cases_run("record", tests, sizeof tests / sizeof tests[0]);
}
