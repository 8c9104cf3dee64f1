#include "base/fault.h"

#include <errno.h>
#include <string.h>

#include "tests/kit/cases.h"

static void test_text_grows_outward(void **state) {
    (void)state;
    struct fault fault = {0};
    assert_false(fault_set_errno(&fault, FAULT_INPUT, ENOENT, "open %s", "0001.seg"));
    assert_false(fault_add(&fault, "spool in %s", "/x"));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_string_equal(fault.text, "spool in /x: open 0001.seg: No such file or directory");
    // Its own old text may be an argument.
    assert_false(fault_set(&fault, FAULT_IO, "again (%s)", fault.text));
    assert_int_equal(fault.kind, FAULT_IO);
    assert_memory_equal(fault.text, "again (spool in /x: ", 20);
}

static void test_long_text_is_cut_at_its_end(void **state) {
    (void)state;
    struct fault fault = {0};
    char text[2000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_false(fault_set(&fault, FAULT_FULL, "%s", text));
    assert_int_equal(strlen(fault.text), FAULT_TEXT_SIZE - 1);
    assert_false(fault_add(&fault, "outer"));
    assert_int_equal(strlen(fault.text), FAULT_TEXT_SIZE - 1);
    assert_memory_equal(fault.text, "outer: aaa", 10);
    // Every size of what is put before, around the place where nothing else fits.
    for (int size = FAULT_TEXT_SIZE - 8; size < FAULT_TEXT_SIZE + 8; size++) {
        fault_set(&fault, FAULT_FULL, "inner");
        fault_add(&fault, "%.*s", size, text);
        assert_true(strlen(fault.text) < FAULT_TEXT_SIZE);
        assert_int_equal(fault.text[0], 'a');
    }
}

static void test_names_and_exit_codes(void **state) {
    (void)state;
    static const struct {
        enum fault_kind kind;
        const char *name;
        int code;
    } kinds[] = {{FAULT_NONE, "none", 0},      {FAULT_INPUT, "input", 2},
                 {FAULT_DENIED, "denied", 3},  {FAULT_FULL, "full", 1},
                 {FAULT_RETRY, "retry", 75},   {FAULT_IO, "io", 1},
                 {FAULT_CORRUPT, "corrupt", 1}};
    for (size_t index = 0; index < sizeof kinds / sizeof kinds[0]; index++) {
        assert_string_equal(fault_kind_name(kinds[index].kind), kinds[index].name);
        assert_int_equal(fault_exit_code(kinds[index].kind), kinds[index].code);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_grows_outward),
        cmocka_unit_test(test_long_text_is_cut_at_its_end),
        cmocka_unit_test(test_names_and_exit_codes),
    };
    return cases_run("fault_test", tests, sizeof tests / sizeof tests[0]);
}
