#include "base/buffer.h"

#include "tests/kit/cases.h"

static void test_appending(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 100000);
    assert_int_equal(buffer_span(&buffer).size, 0);
    buffer_append(&buffer, SPAN_LITERAL("ab"));
    buffer_append(&buffer, (struct span){NULL, 0});
    buffer_append_byte(&buffer, 'c');
    buffer_append_text(&buffer, "de");
    buffer_print(&buffer, "-%05d-", 42);
    assert_true(span_is(buffer_span(&buffer), "abcde-00042-"));
    for (int index = 0; index < 1000; index++) buffer_append_text(&buffer, "0123456789");
    assert_int_equal(buffer.size, 10012);
    assert_memory_equal(buffer.bytes + 10002, "0123456789", 10);
    assert_false(buffer_overflowed(&buffer));
    buffer_reset(&buffer);
    assert_int_equal(buffer.size, 0);
    assert_true(buffer.capacity >= 10012);
    buffer_done(&buffer);
    buffer_append_text(&buffer, "again");
    assert_true(span_is(buffer_span(&buffer), "again"));
    buffer_done(&buffer);
}

// The limit holds to the byte, also below the size of the first allocation.
static void test_overflow_keeps_what_was(void **state) {
    (void)state;
    static const size_t limits[] = {5, 256, 257, 1000};
    for (size_t index = 0; index < 4; index++) {
        struct buffer buffer;
        buffer_init(&buffer, limits[index]);
        for (size_t size = 0; size < limits[index]; size++) buffer_append_byte(&buffer, 'x');
        assert_false(buffer_overflowed(&buffer));
        assert_int_equal(buffer.size, limits[index]);
        buffer_append_byte(&buffer, 'y');
        assert_true(buffer_overflowed(&buffer));
        assert_int_equal(buffer.size, limits[index]);
        assert_null(buffer_reserve(&buffer, 0));
        buffer_reset(&buffer);
        assert_false(buffer_overflowed(&buffer));
        buffer_append_text(&buffer, "ok");
        // What does not fit is left out whole, and so is all that follows.
        buffer_append(&buffer, span_of("", SIZE_MAX));
        buffer_append_text(&buffer, "!");
        assert_true(span_is(buffer_span(&buffer), "ok"));
        assert_true(buffer_overflowed(&buffer));
        buffer_done(&buffer);
    }
}

static void test_reserve(void **state) {
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    uint8_t *to = buffer_reserve(&buffer, 700);
    assert_non_null(to);
    memset(to, 'x', 700);
    assert_int_equal(buffer.size, 0);
    buffer.size += 3;
    assert_true(span_is(buffer_span(&buffer), "xxx"));
    assert_null(buffer_reserve(&buffer, 998));
    assert_true(buffer_overflowed(&buffer));
    buffer_done(&buffer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appending),
        cmocka_unit_test(test_overflow_keeps_what_was),
        cmocka_unit_test(test_reserve),
    };
    return cases_run("buffer_test", tests, sizeof tests / sizeof tests[0]);
}
