#include "collector/server/chatter.h"

#include "tests/kit/cases.h"

static void test_a_minute_has_so_many_lines(void **state) {
    (void)state;
    struct chatter chatter = {0};
    uint32_t left_out;
    int64_t now_ms = 1000000;
    for (uint32_t line = 0; line < CHATTER_LINES_MAX; line++) {
        assert_true(chatter_may_print(&chatter, now_ms, &left_out));
        assert_int_equal(left_out, 0);
    }
    for (uint32_t line = 0; line < 7; line++) {
        assert_false(chatter_may_print(&chatter, now_ms + CHATTER_WINDOW_MS - 1, &left_out));
    }
    assert_true(chatter_may_print(&chatter, now_ms + CHATTER_WINDOW_MS, &left_out));
    assert_int_equal(left_out, 7);
    assert_true(chatter_may_print(&chatter, now_ms + CHATTER_WINDOW_MS, &left_out));
    assert_int_equal(left_out, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_minute_has_so_many_lines),
    };
    return cases_run("collector/chatter", tests, sizeof tests / sizeof tests[0]);
}
