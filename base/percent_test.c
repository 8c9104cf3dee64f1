#include "base/percent.h"

#include <string.h>

#include "base/crypto.h"
#include "tests/kit/cases.h"

// Decodes, and says how many '%' were none of an escape.
static uint32_t decode(const char *text, char *plain) {
    struct span given = span_text(text);
    uint32_t bad = 0;
    size_t size = 0;
    for (size_t at = 0; at < given.size;) {
        uint8_t byte;
        if (!percent_next(given, &at, &byte)) bad++;
        plain[size++] = (char)byte;
    }
    plain[size] = 0;
    return bad;
}

static void expect_encoded(const char *text, bool keeps_slash, const char *encoded) {
    struct buffer output;
    buffer_init(&output, 64);
    percent_append(&output, span_text(text), keeps_slash);
    assert_true(span_is(buffer_span(&output), encoded));
    buffer_done(&output);
}

static void test_encodes(void **state) {
    (void)state;
    expect_encoded("aZ09-._~", false, "aZ09-._~");
    expect_encoded("a b/c+%", false, "a%20b%2Fc%2B%25");
    expect_encoded("a b/c", true, "a%20b/c");
    expect_encoded("\xc3\xbc", false, "%C3%BC");
}

static void test_decodes(void **state) {
    (void)state;
    char plain[32];
    assert_int_equal(decode("a%20b%2fc%2F+", plain), 0);
    assert_string_equal(plain, "a b/c/+");
    // What is no escape stands as it is, also at the end.
    assert_int_equal(decode("%zz%4", plain), 2);
    assert_string_equal(plain, "%zz%4");
    assert_int_equal(decode("%%41", plain), 1);
    assert_string_equal(plain, "%A");
    assert_int_equal(decode("%", plain), 1);
    assert_string_equal(plain, "%");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encodes),
        cmocka_unit_test(test_decodes),
    };
    return cases_run("percent_test", tests, sizeof tests / sizeof tests[0]);
}
