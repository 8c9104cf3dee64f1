#include "collector/notify/message.h"

#include "collector/notify/answer.h"
#include "collector/notify/place.h"
#include "tests/kit/cases.h"

#define ID "7419833b58b0bf61b8482fae8ca1f924"

static struct message_file file_of(const char *key) {
    return (struct message_file){.bucket = SPAN_LITERAL("trail-logs"),
                                 .key = span_text(key),
                                 .region = SPAN_LITERAL("eu-west-1"),
                                 .time_s = 1700000000};
}

static void expect_message(enum message_form form, const char *key, const char *expected) {
    char id[MESSAGE_ID_SIZE];
    struct buffer text;
    const struct message_file file = file_of(key);
    buffer_init(&text, MESSAGE_SIZE_MAX);
    message_print_id(&file, id);
    message_print(form, &file, id, &text);
    buffer_append_byte(&text, 0);
    assert_false(buffer_overflowed(&text));
    assert_string_equal((const char *)text.bytes, expected);
    buffer_done(&text);
}

static void test_an_id_is_of_bucket_and_key(void **state) {
    (void)state;
    char id[MESSAGE_ID_SIZE];
    const struct message_file file = file_of("AWSLogs/1/x y.json.gz");
    message_print_id(&file, id);
    assert_string_equal(id, ID);
}

static void test_both_forms(void **state) {
    (void)state;
    expect_message(MESSAGE_CLOUDTRAIL, "AWSLogs/1/x y.json.gz",
                   "{\"s3Bucket\":\"trail-logs\",\"s3ObjectKey\":[\"AWSLogs/1/x y.json.gz\"]}");
    expect_message(MESSAGE_S3_EVENT, "AWSLogs/1/x y.json.gz",
                   "{\"Records\":[{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\","
                   "\"awsRegion\":\"eu-west-1\",\"eventTime\":\"2023-11-14T22:13:20.000Z\","
                   "\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"s3SchemaVersion\":\"1.0\","
                   "\"configurationId\":\"orgtrail\",\"bucket\":{\"name\":\"trail-logs\","
                   "\"arn\":\"arn:aws:s3:::trail-logs\"},\"object\":{\"key\":"
                   "\"AWSLogs/1/x%20y.json.gz\",\"sequencer\":\"" ID "\"}}}]}");
}

static void test_the_longest_key(void **state) {
    (void)state;
    static char key[1025];
    memset(key, '"', sizeof key - 1);
    for (int form = MESSAGE_CLOUDTRAIL; form <= MESSAGE_S3_EVENT; form++) {
        char id[MESSAGE_ID_SIZE];
        struct buffer text;
        const struct message_file file = file_of(key);
        buffer_init(&text, MESSAGE_SIZE_MAX);
        message_print_id(&file, id);
        message_print((enum message_form)form, &file, id, &text);
        assert_false(buffer_overflowed(&text));
        buffer_done(&text);
    }
}

// The example of the specification of Standard Webhooks.
static void test_a_signature(void **state) {
    (void)state;
    struct message_secrets secrets;
    struct fault fault;
    struct buffer value;
    const struct message message = {.id = "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                    .text = SPAN_LITERAL("{\"test\": 2432232314}")};
    assert_true(message_read_secrets(SPAN_LITERAL("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n\n"),
                                     &secrets, &fault));
    buffer_init(&value, 1024);
    message_sign(&secrets, &message, 1614265330, &value);
    buffer_append_byte(&value, 0);
    assert_string_equal((const char *)value.bytes,
                        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    buffer_done(&value);
}

static void test_secrets(void **state) {
    (void)state;
#define GOOD "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    static const struct {
        const char *text;
        uint32_t count;  // 0: refused
    } cases[] = {
        {GOOD, 1},
        {GOOD "\r\n" GOOD "\n", 2},
        {GOOD "\n" GOOD "\n" GOOD "\n", 0},
        {"", 0},
        {"\n", 0},
        {"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0},
        {"whsec_", 0},
        {"whsec_c2hvcnQ=", 0},
        {"whsec_not base64 at all, is it??", 0},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct message_secrets secrets = {0};
        struct fault fault;
        bool is_good = message_read_secrets(span_text(cases[index].text), &secrets, &fault);
        assert_int_equal(is_good, cases[index].count > 0);
        if (is_good) assert_int_equal(secrets.count, cases[index].count);
        if (!is_good) assert_int_equal(fault.kind, FAULT_INPUT);
    }
}

static void test_a_place_is_read_back(void **state) {
    (void)state;
    const struct place place = {.name = "pager",
                                .to = 70,
                                .in = 80,
                                .index = 3,
                                .attempted_ms = 5,
                                .told_ms = 4,
                                .error = "HTTP 503: \"no\""};
    struct place read;
    struct fault fault;
    struct buffer text;
    const struct yyjson_val *root;
    struct json_reader *json = json_reader_create();
    buffer_init(&text, PLACE_SIZE_MAX);
    place_print(&place, &text);
    assert_true(json_read(json, buffer_span(&text), &root, &fault));
    assert_true(place_read(root, &read, &fault));
    assert_string_equal(read.name, place.name);
    assert_string_equal(read.error, place.error);
    assert_int_equal(read.to, 70);
    assert_int_equal(read.in, 80);
    assert_int_equal(read.index, 3);
    assert_int_equal(read.attempted_ms, 5);
    assert_int_equal(read.told_ms, 4);
    static const char *const bad[] = {"{}", "[]", "{\"name\":\"\"}",
                                      "{\"name\":\"a\",\"index\":-1}",
                                      "{\"name\":\"a name of more than 16\"}"};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        assert_true(json_read(json, span_text(bad[index]), &root, &fault));
        assert_false(place_read(root, &read, &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
    }
    buffer_done(&text);
    json_reader_destroy(json);
}

static void test_names_of_lists(void **state) {
    (void)state;
    struct span id;
    uint64_t to;
    int64_t time_s;
    struct span name =
        SPAN_LITERAL("deliver/queue/0123456789abcdef/00000000000000ff/0000000065920080");
    assert_true(place_parse_queue(name, &id, &to, &time_s));
    assert_true(span_is(id, "0123456789abcdef"));
    assert_int_equal(to, 255);
    assert_int_equal(time_s, 0x65920080);
    assert_false(place_parse_queue(span_of(name.bytes, name.size - 1), &id, &to, &time_s));
    assert_false(place_parse_queue(SPAN_LITERAL("deliver/queue/"), &id, &to, &time_s));
}

static void test_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t status;
        const char *body;
        bool is_taken;
        const char *code;
        const char *message;
    } cases[] = {
        {200,
         "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>"
         "<MessageId>5</MessageId></PublishResult></PublishResponse>",
         true, "HTTP 200", ""},
        {200, "{\"MessageId\":\"5\",\"MD5OfMessageBody\":\"x\"}", true, "HTTP 200", ""},
        {200, "", false, "HTTP 200", ""},
        {200, "{}", false, "HTTP 200", ""},
        {200, "<html><MessageId>5</MessageId></html>", false, "HTTP 200", ""},
        {200, "<PublishResponse><PublishResult><MessageId>5</MessageId>", false, "HTTP 200", ""},
        {503, "{\"MessageId\":\"5\"}", false, "HTTP 503", ""},
        {400, "{\"__type\":\"com.amazonaws.sqs#QueueDoesNotExist\",\"message\":\"no \\u00e4\"}",
         false, "QueueDoesNotExist", "no   "},
        {400, "{\"__type\":\"Bad Code\",\"Message\":\"m\"}", false, "HTTP 400", "m"},
        {404,
         "<ErrorResponse><Error><Code>NotFound</Code><Message>Topic does not exist</Message>"
         "</Error></ErrorResponse>",
         false, "NotFound", "Topic does not exist"},
        {403,
         "<ErrorResponse><Errors><Error><Code>SignatureDoesNotMatch</Code></Error></Errors>"
         "</ErrorResponse>",
         false, "SignatureDoesNotMatch", ""},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct answer answer;
        answer_read(cases[index].status, span_text(cases[index].body), &answer);
        assert_int_equal(answer.is_taken, cases[index].is_taken);
        assert_string_equal(answer.code, cases[index].code);
        assert_string_equal(answer.message, cases[index].message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_id_is_of_bucket_and_key),
        cmocka_unit_test(test_both_forms),
        cmocka_unit_test(test_the_longest_key),
        cmocka_unit_test(test_a_signature),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_a_place_is_read_back),
        cmocka_unit_test(test_names_of_lists),
        cmocka_unit_test(test_answers),
    };
    return cases_run("collector/notify/message", tests, sizeof tests / sizeof tests[0]);
}
