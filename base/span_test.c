#include "base/span.h"

#include "tests/kit/cases.h"

static const struct span none = {NULL, 0};

static void test_equality(void **state) {
    (void)state;
    assert_true(span_equal(none, SPAN_LITERAL("")));
    assert_true(span_is(none, ""));
    assert_true(span_is(SPAN_LITERAL("abc"), "abc"));
    assert_false(span_is(SPAN_LITERAL("abc"), "abcd"));
    assert_false(span_is(SPAN_LITERAL("abc"), "abd"));
    assert_int_equal(SPAN_LITERAL("a\0b").size, 3);
}

static void test_order_is_of_unsigned_bytes(void **state) {
    (void)state;
    assert_true(span_compare(SPAN_LITERAL("a"), SPAN_LITERAL("\xFF")) < 0);
    assert_true(span_compare(SPAN_LITERAL("b"), SPAN_LITERAL("ab")) > 0);
    assert_true(span_compare(SPAN_LITERAL("a"), SPAN_LITERAL("ab")) < 0);
    assert_true(span_compare(SPAN_LITERAL("ab"), SPAN_LITERAL("a")) > 0);
    assert_int_equal(span_compare(none, none), 0);
    assert_true(span_compare(none, SPAN_LITERAL("a")) < 0);
    assert_int_equal(span_compare(SPAN_LITERAL("ab"), SPAN_LITERAL("ab")), 0);
}

static void test_parts(void **state) {
    (void)state;
    struct span text = SPAN_LITERAL("key=value");
    assert_true(span_starts(text, SPAN_LITERAL("key")));
    assert_true(span_starts(text, none));
    assert_false(span_starts(SPAN_LITERAL("ke"), SPAN_LITERAL("key")));
    assert_true(span_ends(text, SPAN_LITERAL("value")));
    assert_true(span_ends(text, none));
    assert_false(span_ends(SPAN_LITERAL("e"), SPAN_LITERAL("ue")));
    assert_int_equal(span_find(text, '='), 3);
    assert_int_equal(span_find(text, '!'), 9);
    assert_int_equal(span_find(none, 'a'), 0);
    assert_true(span_is(span_from(text, 4), "value"));
    assert_int_equal(span_from(text, 9).size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equality),
        cmocka_unit_test(test_order_is_of_unsigned_bytes),
        cmocka_unit_test(test_parts),
    };
    return cases_run("span_test", tests, sizeof tests / sizeof tests[0]);
}
