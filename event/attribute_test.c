#include "event/attribute.h"

#include "tests/kit/cases.h"

static struct record read_record(struct json_reader *reader, struct arena *arena,
                                 const char *text) {
    struct record record;
    enum record_refusal refusal;
    struct fault fault;
    if (!record_read(reader, arena, span_text(text), &record, &refusal, &fault)) {
        fail_msg("%s", fault.text);
    }
    return record;
}

static bool has(const struct attribute *list, uint32_t count, enum attribute_kind kind,
                const char *value) {
    for (uint32_t index = 0; index < count; index++) {
        if (list[index].kind == kind && span_is(list[index].value, value)) return true;
    }
    return false;
}

static const char text[] =
    "{\"eventTime\":\"2023-07-10T11:45:01Z\",\"eventSource\":\"iam.amazonaws.com\",\"eventName\":"
    "\"CreateUser\",\"awsRegion\":\"us-east-1\",\"errorCode\":\"AccessDenied\",\"readOnly\":false,"
    "\"userIdentity\":{\"type\":\"AssumedRole\",\"arn\":\"arn:aws:sts::1:assumed-role/Admin/jane\","
    "\"accessKeyId\":\"\",\"sessionContext\":{\"sessionIssuer\":{\"userName\":\"Admin\"}}},"
    "\"resources\":[{\"ARN\":\"arn:aws:iam::1:user/bob\",\"type\":\"AWS::IAM::User\"},"
    "{\"ARN\":\"arn:aws:iam::1:user/bob\",\"type\":\"AWS::IAM::User\"}]}";

// What is extracted and what matches are two views of one thing.
static void test_extract_and_match_agree(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    struct arena *arena = arena_create(1024 * 1024);
    struct record record = read_record(reader, arena, text);
    struct span account = SPAN_LITERAL("111111111111");
    uint32_t count;
    struct attribute *list = attribute_extract(&record, account, arena, &count);
    assert_non_null(list);

    assert_true(has(list, count, ATTRIBUTE_USER_NAME, "jane"));
    assert_true(has(list, count, ATTRIBUTE_USER_NAME, "Admin"));
    assert_true(has(list, count, ATTRIBUTE_READ_ONLY, "false"));
    assert_true(has(list, count, ATTRIBUTE_ACCOUNT, "111111111111"));
    assert_true(has(list, count, ATTRIBUTE_GLOBAL, "true"));
    assert_true(has(list, count, ATTRIBUTE_ERROR, "true"));
    assert_true(has(list, count, ATTRIBUTE_RESOURCE_NAME, "bob"));
    assert_true(has(list, count, ATTRIBUTE_RESOURCE_NAME, "arn:aws:iam::1:user/bob"));
    assert_true(has(list, count, ATTRIBUTE_RESOURCE_TYPE, "AWS::IAM::User"));
    assert_false(has(list, count, ATTRIBUTE_ACCESS_KEY, ""));

    for (uint32_t index = 0; index < count; index++) {
        assert_true(attribute_matches(&record, account, &list[index]));
        assert_true(index == 0 || list[index].kind >= list[index - 1].kind);
        for (uint32_t other = 0; other < index; other++) {
            assert_false(list[index].kind == list[other].kind &&
                         span_equal(list[index].value, list[other].value));
        }
        struct attribute wrong = {list[index].kind, SPAN_LITERAL("something else")};
        assert_false(attribute_matches(&record, account, &wrong));
    }
    arena_destroy(arena);
    json_reader_destroy(reader);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_extract_and_match_agree),
    };
    return cases_run("attribute", tests, sizeof tests / sizeof tests[0]);
}
