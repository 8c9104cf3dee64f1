#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "tests/kit/cases.h"

static FILE *captured;
static int saved;

static int capture(void **state) {
    (void)state;
    captured = tmpfile();
    saved = dup(STDERR_FILENO);
    return captured == NULL || dup2(fileno(captured), STDERR_FILENO) < 0;
}

// Ends the capture and returns all that came, ended by a zero. The caller frees it.
static char *take_captured(void) {
    dup2(saved, STDERR_FILENO);
    close(saved);
    size_t size = 256 * 1024;
    char *text = calloc(1, size);
    rewind(captured);
    assert_true(fread(text, 1, size - 1, captured) < size - 1);
    fclose(captured);
    return text;
}

static const struct yyjson_val *read_line(struct json_reader *reader, const char *text) {
    struct fault fault = {0};
    const struct yyjson_val *root = NULL;
    if (!json_read(reader, span_text(text), &root, &fault)) fail_msg("%s: %s", text, fault.text);
    return root;
}

static void test_lines(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    struct fault fault = {0};
    fault_set(&fault, FAULT_INPUT, "bad \"thing\"\n");
    log_init("orgtrail-test", LOG_INFO);
    log_write(LOG_DEBUG, "not shown", NULL, 0);
    LOG(LOG_WARNING, "refused", log_fault(&fault), log_kind(&fault), log_number("batch", -17));
    LOG(LOG_ERROR, "bare");
    char *text = take_captured();
    char *second = strchr(text, '\n');
    assert_non_null(second);
    *second++ = 0;
    const struct yyjson_val *root = read_line(reader, text);
    assert_int_equal(json_member_string(root, SPAN_LITERAL("time")).size, 24);
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("level")), "warning"));
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("program")), "orgtrail-test"));
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("message")), "refused"));
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("error")), "bad \"thing\"\n"));
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("kind")), "input"));
    assert_non_null(strstr(text, "\"batch\":-17}"));
    root = read_line(reader, second);
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("level")), "error"));
    assert_string_equal(strstr(second, "\"message\""), "\"message\":\"bare\"}\n");
    free(text);
    json_reader_destroy(reader);
}

static void test_long_lines_stay_json(void **state) {
    (void)state;
    struct json_reader *reader = json_reader_create();
    char *hostile = malloc(100000);
    memset(hostile, 1, 100000);
    memcpy(hostile + 4095, "\xC3\xA9", 2);
    struct log_field fields[40];
    for (int index = 0; index < 40; index++) {
        fields[index] = (struct log_field){"text", span_of(hostile, 100000), 0};
    }
    log_write(LOG_ERROR, "long", fields, 1);
    log_write(LOG_ERROR, "long", fields, 40);
    char *text = take_captured();
    char *second = strchr(text, '\n');
    assert_non_null(second);
    *second++ = 0;
    const struct yyjson_val *root = read_line(reader, text);
    assert_int_equal(json_member_string(root, SPAN_LITERAL("text")).size, 4095);
    assert_null(json_member(root, SPAN_LITERAL("cut")));
    root = read_line(reader, second);
    assert_non_null(json_member(root, SPAN_LITERAL("cut")));
    assert_true(strlen(second) <= 65536);
    free(text);
    free(hostile);
    json_reader_destroy(reader);
}

static void test_lost_standard_error_is_no_matter(void **state) {
    (void)state;
    close(STDERR_FILENO);
    LOG(LOG_ERROR, "nobody hears");
    char *text = take_captured();
    assert_string_equal(text, "");
    free(text);
}

static void test_levels_have_names(void **state) {
    (void)state;
    enum log_level level = LOG_DEBUG;
    assert_true(log_parse_level("warning", &level));
    assert_int_equal(level, LOG_WARNING);
    assert_true(log_parse_level("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_false(log_parse_level("WARNING", &level));
    assert_false(log_parse_level("", &level));
    assert_int_equal(level, LOG_DEBUG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines, capture),
        cmocka_unit_test_setup(test_long_lines_stay_json, capture),
        cmocka_unit_test(test_levels_have_names),
        cmocka_unit_test_setup(test_lost_standard_error_is_no_matter, capture),
    };
    return cases_run("log_test", tests, sizeof tests / sizeof tests[0]);
}
