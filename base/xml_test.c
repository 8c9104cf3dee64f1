#include "base/xml.h"

#include <stdio.h>

#include "base/buffer.h"
#include "tests/kit/cases.h"

static bool print_end(void *user, const char *path, struct span text) {
    buffer_print(user, "%s=%.*s;", path, SPAN_PRINT(text));
    return true;
}

static bool print_first(void *user, const char *path, struct span text) {
    print_end(user, path, text);
    return false;
}

static void expect(const char *document, const char *expected) {
    struct buffer told;
    struct fault fault;
    buffer_init(&told, 65536);
    if (!xml_read(span_text(document), print_end, &told, &fault)) {
        fail_msg("%s: %s", document, fault.text);
    }
    if (!span_is(buffer_span(&told), expected)) {
        fail_msg("%s: %.*s", document, SPAN_PRINT(buffer_span(&told)));
    }
    buffer_done(&told);
}

static void test_documents(void **state) {
    (void)state;
    expect("<a/>", "a=;");
    expect("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a><b>1</b><b>2</b></a>",
           "a/b=1;a/b=2;a=;");
    expect("<a>x<b>y</b>z</a>", "a/b=y;a=xz;");
    expect("<s:a xmlns:s=\"urn:x\" at=\"1\"><s:b>&lt;&amp;&#252;&quot;<![CDATA[<c>]]></s:b></s:a>",
           "a/b=<&\xc3\xbc\"<c>;a=;");
    expect("<a><!-- no --><b><c>1</c><d/></b></a>", "a/b/c=1;a/b/d=;a/b=;a=;");
}

static void expect_refusal(const char *document, const char *words) {
    struct buffer told;
    struct fault fault;
    buffer_init(&told, 1 << 20);
    assert_false(xml_read(span_text(document), print_end, &told, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    if (strstr(fault.text, words) == NULL) fail_msg("%s: %s", document, fault.text);
    buffer_done(&told);
}

static void test_refusals(void **state) {
    (void)state;
    expect_refusal("", "empty");
    expect_refusal("no", "not XML");
    expect_refusal("<a>", "not XML");
    expect_refusal("<a></b>", "not XML");
    expect_refusal("<a/><b/>", "not XML");
    expect_refusal("<a>&bomb;</a>", "not XML");
    expect_refusal("<!DOCTYPE a [<!ENTITY b \"bb\">]><a>&b;</a>", "document type");
    char deep[200] = "";
    for (int depth = 0; depth <= XML_DEPTH_MAX; depth++) {
        snprintf(deep + 3 * depth, sizeof deep - 3 * (size_t)depth, "<a>");
    }
    expect_refusal(deep, "too many elements");
    static char large[XML_TEXT_SIZE_MAX + 64];
    memset(large, 'x', sizeof large - 1);
    memcpy(large, "<a>", 3);
    expect_refusal(large, "text is too long");
    memset(large, 'x', XML_PATH_SIZE + 8);
    large[0] = '<';
    large[XML_PATH_SIZE + 8] = '/';
    large[XML_PATH_SIZE + 9] = '>';
    large[XML_PATH_SIZE + 10] = 0;
    expect_refusal(large, "names are too long");
}

static void test_reader_stops(void **state) {
    (void)state;
    struct buffer told;
    struct fault fault;
    buffer_init(&told, 65536);
    assert_true(xml_read(SPAN_LITERAL("<a><b>1</b><b>2</b>"), print_first, &told, &fault));
    assert_true(span_is(buffer_span(&told), "a/b=1;"));
    buffer_done(&told);
}

static void test_text_of_ours(void **state) {
    (void)state;
    struct buffer output, told;
    struct fault fault;
    buffer_init(&output, 1024);
    buffer_init(&told, 1024);
    buffer_append_text(&output, "<a b=\"");
    xml_append(&output, SPAN_LITERAL("\"x\""));
    buffer_append_text(&output, "\">");
    xml_append(&output, SPAN_LITERAL("1 < 2 & \x01\"3\" > 2\t\xc3\xbc"));
    buffer_append_text(&output, "</a>");
    assert_true(xml_read(buffer_span(&output), print_end, &told, &fault));
    assert_true(span_is(buffer_span(&told), "a=1 < 2 & \"3\" > 2\t\xc3\xbc;"));
    buffer_done(&output);
    buffer_done(&told);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_reader_stops),
        cmocka_unit_test(test_text_of_ours),
    };
    return cases_run("xml_test", tests, sizeof tests / sizeof tests[0]);
}
