#include "base/aws/logs.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tests/kit/cases.h"

static void test_limits_of_a_batch(void **state) {
    (void)state;
    struct logs_batch batch;
    static uint8_t bytes[LOGS_EVENT_SIZE_MAX];
    memset(bytes, 'x', sizeof bytes);
    logs_batch_init(&batch);
    // One that is as large as can be, alone.
    logs_batch_begin(&batch, 1);
    assert_true(logs_batch_add(&batch, span_of(bytes, LOGS_EVENT_SIZE_MAX)));
    assert_int_equal(batch.size, LOGS_BATCH_SIZE_MAX);
    assert_false(logs_batch_add(&batch, span_of(bytes, 1)));
    // Two that fill it to the byte, and a byte more.
    logs_batch_begin(&batch, 2);
    assert_true(logs_batch_add(&batch, span_of(bytes, LOGS_EVENT_SIZE_MAX - 126)));
    assert_false(logs_batch_add(&batch, span_of(bytes, 101)));
    assert_true(logs_batch_add(&batch, span_of(bytes, 100)));
    assert_int_equal(batch.size, LOGS_BATCH_SIZE_MAX);
    assert_int_equal(batch.count, 2);
    // Many small ones.
    logs_batch_begin(&batch, 3);
    uint32_t count = 0;
    while (logs_batch_add(&batch, span_of(bytes, 10))) count++;
    assert_int_equal(count, LOGS_BATCH_EVENTS_MAX);
    assert_int_equal(batch.count, LOGS_BATCH_EVENTS_MAX);
    logs_batch_done(&batch);
}

static void test_messages_come_back(void **state) {
    (void)state;
    struct logs_batch batch;
    struct fault fault;
    const struct yyjson_val *root;
    const char *const messages[] = {"{\"a\":\"\\u0001 \\\"q\\\" \xc3\xa9\"}", "{\"b\": 500.0 }"};
    struct json_reader *json = json_reader_create();
    logs_batch_init(&batch);
    logs_batch_begin(&batch, INT64_C(1700000000123));
    assert_true(logs_batch_add(&batch, span_text(messages[0])));
    assert_true(logs_batch_add(&batch, span_text(messages[1])));
    json_write_end(&batch.writer);
    assert_true(json_read(json, buffer_span(&batch.events), &root, &fault));
    for (size_t index = 0; index < 2; index++) {
        const struct yyjson_val *event = yyjson_arr_get((yyjson_val *)(uintptr_t)root, index);
        assert_true(span_is(json_member_string(event, SPAN_LITERAL("message")), messages[index]));
        const struct yyjson_val *time = json_member(event, SPAN_LITERAL("timestamp"));
        assert_int_equal(yyjson_get_sint((yyjson_val *)(uintptr_t)time), INT64_C(1700000000123));
    }
    logs_batch_done(&batch);
    json_reader_destroy(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_of_a_batch),
        cmocka_unit_test(test_messages_come_back),
    };
    return cases_run("logs_test", tests, sizeof tests / sizeof tests[0]);
}
