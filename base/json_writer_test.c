#include "base/json_writer.h"

#include "tests/kit/cases.h"

static void assert_written(const struct buffer *output, const char *expected) {
    assert_false(buffer_overflowed(output));
    if (!span_is(buffer_span(output), expected)) {
        fail_msg("%.*s", SPAN_PRINT(buffer_span(output)));
    }
}

static void test_nests(void **state) {
    (void)state;
    struct buffer output;
    buffer_init(&output, 1024);
    struct json_writer writer = json_writer_begin(&output);
    json_write_object(&writer, NULL);
    json_write_list(&writer, "empty");
    json_write_end(&writer);
    json_write_list(&writer, "trails");
    json_write_object(&writer, NULL);
    json_write_string(&writer, "Name", SPAN_LITERAL("a\"b\xff"));
    json_write_bool(&writer, "IsLogging", true);
    json_write_end(&writer);
    json_write_object(&writer, NULL);
    json_write_end(&writer);
    json_write_integer(&writer, NULL, -7);
    json_write_end(&writer);
    json_write_raw(&writer, "raw", SPAN_LITERAL("[1]"));
    json_write_end(&writer);
    assert_written(&output,
                   "{\"empty\":[],\"trails\":[{\"Name\":\"a\\\"b\xEF\xBF\xBD\",\"IsLogging\":true},"
                   "{},-7],\"raw\":[1]}");
    assert_int_equal(writer.depth, 0);
    buffer_done(&output);
}

static void test_times_are_numbers_of_seconds(void **state) {
    (void)state;
    struct buffer output;
    buffer_init(&output, 1024);
    struct json_writer writer = json_writer_begin(&output);
    json_write_list(&writer, NULL);
    json_write_time_ms(&writer, NULL, 1700000000000);
    json_write_time_ms(&writer, NULL, 1700000000250);
    json_write_time_ms(&writer, NULL, 0);
    json_write_time_ms(&writer, NULL, -1500);
    json_write_end(&writer);
    assert_written(&output, "[1700000000,1700000000.250,0,-2]");
    buffer_done(&output);
}

static void test_values_that_were_read(void **state) {
    (void)state;
    struct fault fault;
    struct buffer output;
    buffer_init(&output, 1024);
    struct json_reader *reader = json_reader_create();
    const struct yyjson_val *root;
    struct span text = SPAN_LITERAL("{\"a\": [1, 500.0, 18446744073709551616, \"\\u00e9\"]}");
    assert_true(json_read(reader, text, &root, &fault));
    struct json_writer writer = json_writer_begin(&output);
    json_write_list(&writer, NULL);
    json_write_value(&writer, NULL, root);
    json_write_value(&writer, NULL, NULL);
    json_write_end(&writer);
    assert_written(&output, "[{\"a\":[1,500.0,18446744073709551616,\"\xC3\xA9\"]},null]");
    json_reader_destroy(reader);
    buffer_done(&output);
}

static void test_members_that_are_json_already(void **state) {
    (void)state;
    struct buffer output;
    buffer_init(&output, 1024);
    struct json_writer writer = json_writer_begin(&output);
    json_write_object(&writer, NULL);
    json_write_members(&writer, SPAN_LITERAL("\"a\":1,\"b\":[2]"));
    json_write_members(&writer, SPAN_LITERAL("\"c\":3"));
    json_write_bool(&writer, "d", true);
    json_write_end(&writer);
    assert_written(&output, "{\"a\":1,\"b\":[2],\"c\":3,\"d\":true}");
    buffer_done(&output);
}

static void test_no_room_marks_the_buffer(void **state) {
    (void)state;
    struct buffer output;
    buffer_init(&output, 8);
    struct json_writer writer = json_writer_begin(&output);
    json_write_object(&writer, NULL);
    json_write_string(&writer, "Name", SPAN_LITERAL("far too long"));
    json_write_end(&writer);
    assert_true(buffer_overflowed(&output));
    buffer_done(&output);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nests),
        cmocka_unit_test(test_times_are_numbers_of_seconds),
        cmocka_unit_test(test_values_that_were_read),
        cmocka_unit_test(test_members_that_are_json_already),
        cmocka_unit_test(test_no_room_marks_the_buffer),
    };
    return cases_run("json_writer", tests, sizeof tests / sizeof tests[0]);
}
