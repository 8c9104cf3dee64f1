#include "collector/server/deny.h"

#include <stdio.h>
#include <string.h>

#include "tests/kit/cases.h"

static const char list[] =
    "# who may not\n"
    "4F:3A:0c  stolen\n"
    "\n"
    "  spiffe://o-abc/account/1/agent/web\tuntil July\n"
    "spiffe://o-abc/account/22/*";

static struct deny *parse(const char *text) {
    struct deny *deny;
    struct fault fault;
    if (!deny_parse(span_text(text), &deny, &fault)) fail_msg("%s", fault.text);
    return deny;
}

static void test_who_is_denied(void **state) {
    (void)state;
    struct deny *deny = parse(list);
    assert_string_equal(deny_find(deny, "spiffe://o-abc/account/9", "4f3a0c"), "4f3a0c");
    assert_string_equal(deny_find(deny, "spiffe://o-abc/account/9", "004f3a0c"), "4f3a0c");
    assert_null(deny_find(deny, "spiffe://o-abc/account/9", "4f3a0c00"));
    assert_non_null(deny_find(deny, "spiffe://o-abc/account/1/agent/web", "1"));
    // A name is that name alone.
    assert_null(deny_find(deny, "spiffe://o-abc/account/1/agent/web2", "1"));
    assert_null(deny_find(deny, "spiffe://o-abc/account/1", "1"));
    // A star is the name and what is below it, not what only begins alike.
    assert_non_null(deny_find(deny, "spiffe://o-abc/account/22", "1"));
    assert_non_null(deny_find(deny, "spiffe://o-abc/account/22/region/eu-west-1", "1"));
    assert_null(deny_find(deny, "spiffe://o-abc/account/222", "1"));
    assert_string_equal(deny_entry(deny, 2), "spiffe://o-abc/account/22/*");
    assert_null(deny_entry(deny, 3));
    deny_destroy(deny);
    deny = parse("");
    assert_null(deny_find(deny, "spiffe://o-abc/account/1", "1"));
    assert_null(deny_find(deny, "", ""));
    deny_destroy(deny);
}

static void test_mistakes_say_where(void **state) {
    (void)state;
    static const char *const bad[] = {"hello",
                                      "0",
                                      ":",
                                      "spiffe://o-abc/*/agent/x",
                                      "spiffe://a*",
                                      "12345678901234567890123456789012345678901",
                                      "*"};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        char text[200];
        struct deny *deny = NULL;
        struct fault fault;
        snprintf(text, sizeof text, "# a\n4f\n%s  note\n", bad[index]);
        assert_false(deny_parse(span_text(text), &deny, &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
        if (strncmp(fault.text, "line 3: \"", 9) != 0) fail_msg("%s: %s", bad[index], fault.text);
        assert_null(deny);
    }
}

static void assert_text(const struct buffer *text, const char *expected) {
    assert_int_equal(text->size, strlen(expected));
    assert_memory_equal(text->bytes, expected, text->size);
}

static void test_adding_and_removing_keep_the_rest(void **state) {
    (void)state;
    struct deny *deny = parse(list);
    struct buffer text;
    struct fault fault;
    buffer_init(&text, DENY_SIZE_MAX);
    assert_true(deny_print_added(deny, "00:AB", "left on a train", &text, &fault));
    char expected[sizeof list + 64];
    snprintf(expected, sizeof expected, "%s\nab  left on a train\n", list);
    assert_text(&text, expected);

    buffer_reset(&text);
    assert_true(deny_print_removed(deny, "4f3a0C", &text, &fault));
    assert_text(&text,
                "# who may not\n\n  spiffe://o-abc/account/1/agent/web\tuntil July\n"
                "spiffe://o-abc/account/22/*");

    buffer_reset(&text);
    assert_false(deny_print_added(deny, "4f3a0c", "", &text, &fault));
    assert_non_null(strstr(fault.text, "denied already"));
    assert_false(deny_print_added(deny, "ab", "two\nlines", &text, &fault));
    assert_non_null(strstr(fault.text, "one line"));
    assert_false(deny_print_added(deny, "nobody", "", &text, &fault));
    assert_false(deny_print_removed(deny, "ab", &text, &fault));
    assert_non_null(strstr(fault.text, "does not stand in the list"));
    assert_int_equal(text.size, 0);
    buffer_done(&text);
    deny_destroy(deny);
}

// What could never match is no entry to add.
static void test_entries_that_can_match(void **state) {
    (void)state;
    static const char *const good[] = {
        "4f3a0c7d91e2b8a64f3a0c7d91e2b8a6",
        "4F:3A:0C:7D:91:E2:B8:A6:4F:3A:0C:7D:91:E2:B8:A6",
        "spiffe://o-abc/account/222222222222",
        "spiffe://o-abc/account/222222222222/region/eu-west-1/agent/web",
        "spiffe://o-abc/account/lab/agent/web",
        "spiffe://o-abc/organization",
        "spiffe://o-abc/organization/*",
        "spiffe://o-abc/account/222222222222/*",
        "spiffe://o-abc/account/222222222222/region/*",
        "spiffe://o-abc/account/*",
        "spiffe://o-abc/*",
    };
    static const char *const bad[][2] = {
        {"222222222222", "spiffe://o-abc/account/222222222222/*"},
        {"4f3a0c7d91e2b8a6", "too short"},
        {"spiffe://o-other/account/222222222222", "its organization is not o-abc"},
        {"spiffe://o-abcd/*", "its organization is not o-abc"},
        {"spiffe://o-abc/account/222222222222/", "its path goes on with"},
        {"spiffe://o-abc/account/22222222222", "12 digits"},
        {"spiffe://o-abc/account/22222222222/*", "12 digits"},
        {"spiffe://o-abc/accounts/222222222222", "neither /account nor"},
        {"spiffe://o-abc/accounts/*", "neither /account nor"},
        {"spiffe://o-abc/account/222222222222//*", "its path goes on with"},
        {"spiffe://o-abc/account/222222222222/web", "its path goes on with"},
        {"nobody", "neither a serial number"},
    };
    struct fault fault;
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        if (!deny_check_entry(good[index], "o-abc", &fault)) fail_msg("%s", fault.text);
    }
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        assert_false(deny_check_entry(bad[index][0], "o-abc", &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
        if (strstr(fault.text, bad[index][1]) == NULL) fail_msg("%s", fault.text);
    }
}

static void test_limits(void **state) {
    (void)state;
    struct buffer text;
    struct deny *deny;
    struct fault fault;
    buffer_init(&text, DENY_SIZE_MAX);
    for (int index = 1; index <= DENY_ENTRIES_MAX; index++) buffer_print(&text, "%x\n", index);
    if (!deny_parse(buffer_span(&text), &deny, &fault)) fail_msg("%s", fault.text);
    assert_string_equal(deny_find(deny, "", "1000"), "1000");
    struct buffer more;
    buffer_init(&more, DENY_SIZE_MAX);
    assert_false(deny_print_added(deny, "abcdef", "", &more, &fault));
    assert_non_null(strstr(fault.text, "4096 entries"));
    deny_destroy(deny);
    buffer_print(&text, "abcdef\n");
    assert_false(deny_parse(buffer_span(&text), &deny, &fault));
    assert_non_null(strstr(fault.text, "line 4097: more than 4096 entries"));
    buffer_done(&more);
    buffer_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_denied),
        cmocka_unit_test(test_mistakes_say_where),
        cmocka_unit_test(test_adding_and_removing_keep_the_rest),
        cmocka_unit_test(test_entries_that_can_match),
        cmocka_unit_test(test_limits),
    };
    return cases_run("collector/deny", tests, sizeof tests / sizeof tests[0]);
}
