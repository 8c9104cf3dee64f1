#include "query/format.h"

#include <locale.h>
#include <string.h>

#include "base/json.h"
#include "tests/kit/cases.h"
#include "tests/kit/sample.h"

static struct buffer output;

static const char *finish(void) {
    buffer_append_byte(&output, 0);
    assert_false(buffer_overflowed(&output));
    return (const char *)output.bytes;
}

static const char *cell(struct span text, uint32_t width, bool is_filled) {
    buffer_reset(&output);
    format_cell(text, width, is_filled, &output);
    return finish();
}

static void test_cells(void **state) {
    (void)state;
    assert_string_equal(cell(SPAN_LITERAL("abc"), 5, true), "abc  ");
    assert_string_equal(cell(SPAN_LITERAL("abc"), 3, true), "abc");
    assert_string_equal(cell(SPAN_LITERAL("abcd"), 3, true), "ab~");
    assert_string_equal(cell(SPAN_LITERAL("abc"), 5, false), "abc");
    assert_string_equal(cell(SPAN_LITERAL(""), 2, true), "  ");
    assert_string_equal(cell(SPAN_LITERAL("J\xc3\xbcrgen"), 6, true), "J\xc3\xbcrgen");
    // Wide characters take two columns and are never halved.
    assert_string_equal(cell(SPAN_LITERAL("\xe6\x97\xa5\xe6\x9c\xac"), 4, true),
                        "\xe6\x97\xa5\xe6\x9c\xac");
    assert_string_equal(cell(SPAN_LITERAL("\xe6\x97\xa5\xe6\x9c\xac"), 3, true), "\xe6\x97\xa5~");
    assert_string_equal(cell(SPAN_LITERAL("\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5"), 4, true),
                        "\xe6\x97\xa5~ ");
}

static void test_nothing_steers_the_terminal(void **state) {
    (void)state;
    assert_string_equal(cell(SPAN_LITERAL("\x1b[31mred"), 40, false), "\\u{1b}[31mred");
    assert_string_equal(cell(SPAN_LITERAL("a\nb\rc\td"), 40, false), "a\\nb\\rc\\td");
    assert_string_equal(cell(SPAN_LITERAL("\x7f"), 40, false), "\\u{7f}");
    assert_string_equal(cell(SPAN_LITERAL("\xc2\x9b"), 40, false), "\\u{9b}");
    // Right-to-left override, zero width joiner, line separator, tag.
    assert_string_equal(cell(SPAN_LITERAL("\xe2\x80\xae"), 40, false), "\\u{202e}");
    assert_string_equal(cell(SPAN_LITERAL("\xe2\x80\x8d"), 40, false), "\\u{200d}");
    assert_string_equal(cell(SPAN_LITERAL("\xe2\x80\xa8"), 40, false), "\\u{2028}");
    assert_string_equal(cell(SPAN_LITERAL("\xf3\xa0\x81\x81"), 40, false), "\\u{e0041}");
    // Not UTF-8: a lone byte, an overlong slash, a surrogate, a cut character.
    assert_string_equal(cell(SPAN_LITERAL("\xff"), 40, false), "\\xff");
    assert_string_equal(cell(SPAN_LITERAL("\xc0\xaf"), 40, false), "\\xc0\\xaf");
    assert_string_equal(cell(SPAN_LITERAL("\xed\xa0\x80"), 40, false), "\\xed\\xa0\\x80");
    assert_string_equal(cell(SPAN_LITERAL("\xe2\x82"), 40, false), "\\xe2\\x82");
    assert_string_equal(cell(SPAN_LITERAL("a\0b"), 40, false), "a\\u{0}b");
}

static struct sample sample;

static struct trail_row row_of(uint32_t index, struct record *record) {
    sample_read(&sample, index, record);
    return (struct trail_row){
        .sequence = index + 1,
        .key = sample.events[index].key,
        .received_ms = SAMPLE_TIME_S * 1000 + 1,
        .text = span_text(sample.events[index].text),
    };
}

// Columns of a line: the sample's wide texts are none, so characters are columns.
static uint32_t measure(const char *line, size_t size) {
    uint32_t columns = 0;
    for (size_t index = 0; index < size; index++) columns += ((uint8_t)line[index] & 0xc0) != 0x80;
    return columns;
}

static void test_table_fits_every_terminal(void **state) {
    (void)state;
    for (uint32_t width = 1; width <= 450; width += 7) {
        struct format_table table = {.width = width};
        uint32_t limit = width < FORMAT_WIDTH_MIN ? FORMAT_WIDTH_MIN : width;
        buffer_reset(&output);
        format_table_head(&table, &output);
        for (uint32_t index = 0; index < 40; index++) {
            struct record record;
            const struct format_provenance none = {0};
            struct trail_row row = row_of(index, &record);
            format_table_row(&table, &record, &row, &none, &output);
        }
        const char *line = finish();
        while (*line != 0) {
            size_t size = strcspn(line, "\n");
            if (measure(line, size) > limit) fail_msg("%u: %.*s", width, (int)size, line);
            for (size_t index = 0; index < size; index++) assert_true((uint8_t)line[index] >= 0x20);
            line += size + 1;
        }
    }
}

static void test_json_holds_the_record(void **state) {
    (void)state;
    struct json_reader *json = json_reader_create();
    const struct yyjson_val *root;
    struct fault fault = {0};
    const struct format_provenance provenance = {true, SPAN_LITERAL("spiffe://o-x/account/1")};
    buffer_reset(&output);
    format_json_begin(&output);
    for (uint32_t index = 0; index < 20; index++) {
        struct record record;
        struct trail_row row = row_of(index, &record);
        format_json_event(&record, &row, &provenance, index == 0, &output);
    }
    format_json_end("token", &output);
    if (!json_read(json, buffer_span(&output), &root, &fault)) fail_msg("%s", fault.text);
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("NextToken")), "token"));
    yyjson_val *events = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("Events"));
    assert_int_equal(yyjson_arr_size(events), 20);
    for (uint32_t index = 0; index < 20; index++) {
        const struct yyjson_val *event = yyjson_arr_get(events, index);
        assert_true(span_is(json_member_string(event, SPAN_LITERAL("CloudTrailEvent")),
                            sample.events[index].text));
        const struct yyjson_val *brought = json_member(event, SPAN_LITERAL("Provenance"));
        assert_true(span_is(json_member_string(brought, SPAN_LITERAL("received")),
                            "2023-07-10T00:00:00.001Z"));
    }
    json_reader_destroy(json);
}

static void test_lines_are_records(void **state) {
    (void)state;
    const struct format_provenance none = {0};
    const struct format_provenance provenance = {true, SPAN_LITERAL("a\"b")};
    struct trail_row row = {.sequence = 7, .received_ms = 0};
    row.text = SPAN_LITERAL("{\"a\":\r\n 500.0,\"b\":\"x\\ny\"}");
    buffer_reset(&output);
    format_line(&row, &none, &output);
    format_line(&row, &provenance, &output);
    assert_string_equal(
        finish(),
        "{\"a\":   500.0,\"b\":\"x\\ny\"}\n"
        "{\"sequence\":7,\"agent\":\"a\\\"b\",\"received\":"
        "\"1970-01-01T00:00:00.000Z\",\"record\":{\"a\":   500.0,\"b\":\"x\\ny\"}}\n");
}

int main(void) {
    setlocale(LC_CTYPE, "C.UTF-8");
    buffer_init(&output, 1 << 22);
    sample_create(&sample, 3, 40);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_nothing_steers_the_terminal),
        cmocka_unit_test(test_table_fits_every_terminal),
        cmocka_unit_test(test_json_holds_the_record),
        cmocka_unit_test(test_lines_are_records),
    };
    int code = cases_run("format_test", tests, sizeof tests / sizeof tests[0]);
    sample_destroy(&sample);
    buffer_done(&output);
    return code;
}
