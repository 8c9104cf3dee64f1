#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/kit/cases.h"

static const struct yyjson_val *read_text(struct json_reader *reader, const char *text) {
    struct fault fault = {0};
    const struct yyjson_val *root = NULL;
    if (!json_read(reader, span_text(text), &root, &fault)) fail_msg("%s: %s", text, fault.text);
    return root;
}

static void assert_refused(const char *text, const char *message) {
    struct json_reader *reader = json_reader_create();
    struct fault fault = {0};
    const struct yyjson_val *root = (const struct yyjson_val *)(uintptr_t)&fault;
    assert_false(json_read(reader, span_text(text), &root, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    if (strstr(fault.text, message) == NULL) fail_msg("\"%s\" lacks \"%s\"", fault.text, message);
    assert_ptr_equal(root, &fault);
    json_reader_destroy(reader);
}

static bool equal(const char *left, const char *right) {
    struct json_reader *one = json_reader_create(), *other = json_reader_create();
    bool same = json_equal(read_text(one, left), read_text(other, right));
    bool reverse = json_equal(read_text(one, right), read_text(other, left));
    assert_int_equal(same, reverse);
    json_reader_destroy(one);
    json_reader_destroy(other);
    return same;
}

static void test_members(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    const struct yyjson_val *root =
        read_text(reader, "{\"a\":\"x\\u00e9\\n\",\"b\":7,\"a\":\"second\",\"n\":null}");
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("a")), "x\xC3\xA9\n"));
    assert_null(json_member_string(root, SPAN_LITERAL("b")).bytes);
    assert_null(json_member_string(root, SPAN_LITERAL("c")).bytes);
    assert_non_null(json_member(root, SPAN_LITERAL("n")));
    assert_null(json_member(NULL, SPAN_LITERAL("a")));
    assert_null(json_string(NULL).bytes);
    json_reader_destroy(reader);
    json_reader_destroy(NULL);
}

static void test_bad_text_is_refused_with_offset(void **state) {
    (void)state;
    assert_refused("", "invalid JSON at byte 0: ");
    assert_refused("   ", "invalid JSON at byte ");
    assert_refused("{\"a\" 1}", "invalid JSON at byte 5: ");
    assert_refused("[1,2", "invalid JSON at byte 4: ");
    assert_refused("[1] x", "invalid JSON at byte 4: ");
    assert_refused("{\"a\":\"\xFF\"}", "invalid JSON at byte 6: invalid UTF-8");
    assert_refused("\"\\ud800\"", "invalid JSON at byte 7: ");
    assert_refused("\xEF\xBB\xBF{}", "invalid JSON at byte 0: ");
    assert_refused("[NaN]", "invalid JSON at byte 1: ");
    assert_refused("[1,]", "invalid JSON at byte 2: ");
    assert_refused("[01]", "invalid JSON at byte 1");
}

// Text in a buffer, ended by a zero. The caller frees it.
static char *take_text(struct buffer *buffer) {
    buffer_append_byte(buffer, 0);
    assert_false(buffer_overflowed(buffer));
    return (char *)buffer->bytes;
}

static char *make_nested(size_t depth, const char *open, const char *close) {
    struct buffer text;
    buffer_init(&text, SIZE_MAX / 2);
    for (size_t index = 0; index < depth; index++) buffer_append_text(&text, open);
    buffer_append_text(&text, "1");
    for (size_t index = 0; index < depth; index++) buffer_append_text(&text, close);
    return take_text(&text);
}

static void test_depth(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    char *text = make_nested(JSON_DEPTH_MAX, "[", "]");
    read_text(reader, text);
    assert_true(equal(text, text));
    free(text);
    text = make_nested(JSON_DEPTH_MAX, "{\"[\":", "}");
    read_text(reader, text);
    free(text);
    text = make_nested(JSON_DEPTH_MAX + 1, "[", "]");
    assert_refused(text, "at byte 64: more than 64 objects and arrays");
    free(text);
    text = make_nested(1000, "{\"\\\"{\":", "}");
    assert_refused(text, "at byte 448: more than 64");
    free(text);
    text = make_nested(1000000, "[", "]");
    assert_refused(text, "at byte 64: more than 64");
    free(text);
    // Many side by side are not deep.
    struct buffer wide;
    buffer_init(&wide, 8192);
    buffer_append_text(&wide, "[");
    for (int index = 0; index < 500; index++) buffer_append_text(&wide, "[[],{}],");
    buffer_append_text(&wide, "{}]");
    text = take_text(&wide);
    read_text(reader, text);
    free(text);
    json_reader_destroy(reader);
}

static void test_reader_grows_and_is_reused(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    for (size_t round = 0; round < 3; round++) {
        read_text(reader, "{\"a\":1}");
        size_t count = 300000 * (round + 1);
        struct buffer buffer;
        buffer_init(&buffer, SIZE_MAX / 2);
        buffer_append_text(&buffer, "[");
        for (size_t index = 1; index < count; index++) buffer_append_text(&buffer, "1,");
        buffer_append_text(&buffer, "1]");
        char *text = take_text(&buffer);
        const struct yyjson_val *root = read_text(reader, text);
        assert_int_equal(yyjson_arr_size((yyjson_val *)(uintptr_t)root), count);
        free(text);
    }
    json_reader_destroy(reader);
}

static bool find_duplicate(const char *text, char *found) {
    struct json_reader *reader = json_reader_create();
    struct span name;
    bool any = json_find_duplicate(read_text(reader, text), &name);
    if (any) snprintf(found, 64, "%.*s", SPAN_PRINT(name));
    json_reader_destroy(reader);
    return any;
}

static void test_duplicates(void **state) {
    (void)state;
    char found[64];
    assert_false(find_duplicate("{}", found));
    assert_false(find_duplicate("[1,\"a\",\"a\",{},[]]", found));
    assert_false(find_duplicate("{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}", found));
    assert_true(find_duplicate("{\"b\":1,\"a\":2,\"b\":3}", found));
    assert_string_equal(found, "b");
    assert_true(find_duplicate("{\"x\":[{\"a\":1},{\"c\":1,\"\\u0063\":2}]}", found));
    assert_string_equal(found, "c");
    assert_true(find_duplicate("{\"\":1,\"\":2}", found));
    assert_string_equal(found, "");
    assert_false(json_find_duplicate(NULL, &(struct span){0}));
}

// An object of many members; with `twist` the order is reversed. The caller frees it.
static char *make_object(size_t count, bool twist, const char *last) {
    struct buffer text;
    buffer_init(&text, SIZE_MAX / 2);
    buffer_append_text(&text, "{");
    for (size_t index = 0; index < count; index++) {
        size_t number = twist ? count - 1 - index : index;
        buffer_print(&text, "\"name-%zu\":%zu,", number, number);
    }
    buffer_print(&text, "\"%s\":0}", last);
    return take_text(&text);
}

static void test_large_objects_are_not_quadratic(void **state) {
    (void)state;
    char found[64];
    char *plain = make_object(100000, false, "z"), *twisted = make_object(100000, true, "z");
    char *repeated = make_object(100000, false, "name-5");
    clock_t began = clock();
    assert_false(find_duplicate(plain, found));
    assert_true(find_duplicate(repeated, found));
    assert_string_equal(found, "name-5");
    assert_true(equal(plain, twisted));
    assert_false(equal(plain, repeated));
    // Quadratic would be minutes; a sanitizer makes it a second.
    assert_true((double)(clock() - began) / CLOCKS_PER_SEC < 10);
    free(plain);
    free(twisted);
    free(repeated);
    // The border between searching and sorting.
    for (size_t count = 62; count < 67; count++) {
        plain = make_object(count, false, "z");
        twisted = make_object(count, true, "z");
        repeated = make_object(count, false, "name-61");
        assert_false(find_duplicate(plain, found));
        assert_true(find_duplicate(repeated, found));
        assert_true(equal(plain, twisted));
        free(plain);
        free(twisted);
        free(repeated);
    }
}

static void test_equal_values(void **state) {
    (void)state;
    assert_true(equal("{\"a\":1,\"b\":[true,null,{\"c\":\"\\u0041\"}]}",
                      "{ \"b\" : [ true , null , {\"c\":\"A\"} ], \"a\" : 1.0 }"));
    assert_false(equal("[1,2]", "[2,1]"));
    assert_false(equal("[1,2]", "[1,2,3]"));
    assert_false(equal("{\"a\":1}", "{\"b\":1}"));
    assert_false(equal("{\"a\":1}", "{\"a\":2}"));
    assert_false(equal("{\"a\":1}", "{\"a\":1,\"b\":1}"));
    assert_false(equal("true", "false"));
    assert_false(equal("null", "false"));
    assert_false(equal("\"1\"", "1"));
    assert_true(equal("{}", "{}"));
    assert_false(equal("{}", "[]"));
    assert_true(equal("\"\"", "\"\""));
    // Members of one name count in their order.
    assert_true(equal("{\"a\":1,\"b\":0,\"a\":2}", "{\"b\":0,\"a\":1,\"a\":2}"));
    assert_false(equal("{\"a\":1,\"a\":2}", "{\"a\":2,\"a\":1}"));
    assert_false(equal("{\"a\":1,\"a\":1}", "{\"a\":1,\"b\":1}"));
    assert_true(json_equal(NULL, NULL));
}

static void test_equal_numbers(void **state) {
    (void)state;
    assert_true(equal("1", "1.0"));
    assert_true(equal("1", "1e0"));
    assert_true(equal("500.0", "500"));
    assert_true(equal("0", "-0"));
    assert_true(equal("0", "-0.0"));
    assert_true(equal("-3", "-3.0"));
    assert_true(equal("0.5", "5e-1"));
    assert_false(equal("1", "-1"));
    assert_false(equal("1", "1.5"));
    assert_false(equal("-1", "18446744073709551615"));
    assert_false(equal("9007199254740992", "9007199254740993"));
    assert_false(equal("9007199254740993", "9007199254740992.0"));
    assert_true(equal("9007199254740992", "9007199254740992.0"));
    assert_false(equal("18446744073709551615", "18446744073709551616.0"));
    assert_false(equal("-9223372036854775808", "9223372036854775808"));
    assert_true(equal("-9223372036854775808", "-9223372036854775808.0"));
    assert_true(equal("18446744073709551616", "18446744073709551616.0"));
    assert_false(equal("18446744073709551617", "18446744073709551616"));
    assert_true(equal("123456789012345678901234567890", "123456789012345678901234567890"));
    assert_true(equal("1e400", "10e399"));
    assert_true(equal("1e400", "0.01e402"));
    assert_true(equal("1.50e400", "15e399"));
    assert_true(equal("100.0e400", "1e402"));
    assert_false(equal("1e400", "1e401"));
    assert_false(equal("1e400", "-1e400"));
    assert_false(equal("1.5e400", "1.51e400"));
    assert_false(equal("105e400", "15e401"));
    assert_true(equal("1e9999999999999999999", "1e9999999999999999999"));
    assert_false(equal("1e9999999999999999999", "1e99999999999999999999"));
}

static void assert_written(struct span text, const char *expected) {
    struct buffer output;
    buffer_init(&output, 1024);
    json_append_string(&output, text);
    buffer_append_byte(&output, 0);
    assert_string_equal((const char *)output.bytes, expected);
    buffer_done(&output);
}

static void test_append_string(void **state) {
    (void)state;
    assert_written(SPAN_LITERAL(""), "\"\"");
    assert_written((struct span){0}, "\"\"");
    assert_written(SPAN_LITERAL("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    assert_written(SPAN_LITERAL("\n\r\t\b\f\x01\x1f\x7f"), "\"\\n\\r\\t\\b\\f\\u0001\\u001f\x7f\"");
    assert_written(SPAN_LITERAL("\0"), "\"\\u0000\"");
    assert_written(SPAN_LITERAL("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"),
                   "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    assert_written(SPAN_LITERAL("a\xFFz"), "\"a\xEF\xBF\xBDz\"");
    assert_written(SPAN_LITERAL("\xC3"), "\"\xEF\xBF\xBD\"");
    assert_written(SPAN_LITERAL("\xC0\xAF"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
    assert_written(SPAN_LITERAL("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
    assert_written(SPAN_LITERAL("\xF4\x90\x80\x80x"),
                   "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx\"");
}

static void test_reads_into_an_arena(void **state) {
    (void)state;
    struct fault fault;
    struct arena *arena = arena_create(64 * 1024);
    const struct yyjson_val *first;
    const struct yyjson_val *second;
    assert_true(json_read_into(arena, SPAN_LITERAL("{\"a\":\"one\"}"), &first, &fault));
    assert_true(json_read_into(arena, SPAN_LITERAL("{\"a\":\"two\"}"), &second, &fault));
    assert_true(span_is(json_member_string(first, SPAN_LITERAL("a")), "one"));
    assert_true(span_is(json_member_string(second, SPAN_LITERAL("a")), "two"));
    assert_false(json_read_into(arena, SPAN_LITERAL("{"), &first, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    static uint8_t large[64 * 1024];
    memset(large, ' ', sizeof large);
    assert_false(json_read_into(arena, span_of(large, sizeof large), &first, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    arena_destroy(arena);
}

// Long strings, with a character of every size at every place of what is appended at a time.
static void test_append_long_strings(void **state) {
    (void)state;
    static const char *const characters[] = {"x",        "\"",           "\x01",
                                             "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    struct json_reader *reader = json_reader_create();
    struct fault fault = {0};
    struct buffer text, output;
    buffer_init(&text, 4096);
    buffer_init(&output, 16384);
    for (size_t which = 0; which < sizeof characters / sizeof characters[0]; which++) {
        for (size_t place = 490; place < 530; place++) {
            const struct yyjson_val *root;
            buffer_reset(&text);
            buffer_reset(&output);
            while (text.size < place) buffer_append_byte(&text, 'a');
            for (int count = 0; count < 200; count++) {
                buffer_append_text(&text, characters[which]);
            }
            json_append_string(&output, buffer_span(&text));
            assert_true(json_read(reader, buffer_span(&output), &root, &fault));
            assert_true(span_equal(json_string(root), buffer_span(&text)));
        }
    }
    buffer_done(&text);
    buffer_done(&output);
    json_reader_destroy(reader);
}

// Text that opens and never closes asks for more memory than any document of its size.
static void test_openings_alone_are_no_document(void **state) {
    (void)state;
    struct fault fault = {0};
    struct json_reader *reader = json_reader_create();
    const struct yyjson_val *root;
    static uint8_t text[1 << 20];
    memset(text, '[', sizeof text);
    for (size_t size = 1; size <= sizeof text; size *= 2) {
        assert_false(json_read(reader, span_of(text, size), &root, &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
    }
    json_reader_destroy(reader);
}

// What is written reads back, whatever the bytes.
static void test_append_string_reads_back(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    struct buffer output;
    buffer_init(&output, 4096);
    for (uint32_t first = 0; first < 256; first++) {
        for (uint32_t second = 0; second < 256; second++) {
            uint8_t bytes[] = {(uint8_t)first, (uint8_t)second, 0x80, 0x80};
            buffer_reset(&output);
            json_append_string(&output, span_of(bytes, sizeof bytes));
            struct fault fault = {0};
            const struct yyjson_val *root;
            if (!json_read(reader, buffer_span(&output), &root, &fault)) {
                fail_msg("%02x %02x: %s", first, second, fault.text);
            }
        }
    }
    buffer_done(&output);
    json_reader_destroy(reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_bad_text_is_refused_with_offset),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_reader_grows_and_is_reused),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_large_objects_are_not_quadratic),
        cmocka_unit_test(test_equal_values),
        cmocka_unit_test(test_equal_numbers),
        cmocka_unit_test(test_reads_into_an_arena),
        cmocka_unit_test(test_append_long_strings),
        cmocka_unit_test(test_openings_alone_are_no_document),
        cmocka_unit_test(test_append_string),
        cmocka_unit_test(test_append_string_reads_back),
    };
    return cases_run("json_test", tests, sizeof tests / sizeof tests[0]);
}
