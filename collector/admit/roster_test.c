#include "collector/admit/roster.h"

#include <stdio.h>

#include "tests/kit/cases.h"

static void test_finds_listed_accounts(void **state) {
    (void)state;
    static char ids[1000][16];
    static struct roster_account accounts[1000];
    for (uint32_t index = 0; index < 1000; index++) {
        (void)snprintf(ids[index], sizeof ids[index], "%012u", index * 7);
        accounts[index].id = ids[index];
    }
    struct roster *roster = NULL;
    struct fault fault = {0};
    assert_true(roster_create(accounts, 1000, ROSTER_UNKNOWN_DEFAULT, &roster, &fault));
    for (uint32_t index = 0; index < 1000; index++) {
        assert_ptr_equal(roster_find(roster, span_text(ids[index])), &accounts[index]);
    }
    assert_null(roster_find(roster, SPAN_LITERAL("000000000001")));
    assert_null(roster_find(roster, SPAN_LITERAL("")));
    assert_null(roster_find(roster, SPAN_LITERAL("00000000000")));
    roster_destroy(roster);
}

static void test_unknown_accounts(void **state) {
    (void)state;
    static const struct {
        enum roster_unknown unknown;
        bool from_account;
        bool from_organization;
    } cases[] = {
        {ROSTER_UNKNOWN_DEFAULT, false, true},
        {ROSTER_UNKNOWN_QUARANTINE, false, false},
        {ROSTER_UNKNOWN_ADMIT, true, true},
    };
    for (size_t index = 0; index < 3; index++) {
        struct roster *roster = NULL;
        struct fault fault = {0};
        assert_true(roster_create(NULL, 0, cases[index].unknown, &roster, &fault));
        assert_int_equal(roster_admits_unknown(roster, false), cases[index].from_account);
        assert_int_equal(roster_admits_unknown(roster, true), cases[index].from_organization);
        roster_destroy(roster);
    }
}

static void test_refuses_bad_ids(void **state) {
    (void)state;
    static const struct roster_account twice[] = {{.id = "1"}, {.id = "2"}, {.id = "1"}};
    static const struct roster_account empty[] = {{.id = "1"}, {.id = ""}};
    static const struct roster_account lengthy[] = {
        {.id = "01234567890123456789012345678901234567890123456789012345678901234"}};
    struct roster *roster = NULL;
    struct fault fault = {0};
    assert_false(roster_create(twice, 3, ROSTER_UNKNOWN_DEFAULT, &roster, &fault));
    assert_string_equal(fault.text, "the roster lists account 1 twice");
    assert_false(roster_create(empty, 2, ROSTER_UNKNOWN_DEFAULT, &roster, &fault));
    assert_string_equal(fault.text, "account 2 of the roster has an empty id");
    assert_false(roster_create(lengthy, 1, ROSTER_UNKNOWN_DEFAULT, &roster, &fault));
    assert_string_equal(fault.text, "account 1 of the roster has an id longer than 64 bytes");
    assert_null(roster);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_listed_accounts),
        cmocka_unit_test(test_unknown_accounts),
        cmocka_unit_test(test_refuses_bad_ids),
    };
    return cases_run("collector/roster", tests, sizeof tests / sizeof tests[0]);
}
