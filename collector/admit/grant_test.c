#include "collector/admit/grant.h"

#include "tests/kit/cases.h"

static void test_accepts_each_form(void **state) {
    (void)state;
    static const struct {
        const char *uri;
        struct grant grant;
    } cases[] = {
        {"spiffe://o-abc/account/111111111111", {false, "111111111111", "", ""}},
        {"spiffe://o-abc/account/111111111111/region/eu-west-1",
         {false, "111111111111", "eu-west-1", ""}},
        {"spiffe://o-abc/account/111111111111/agent/a_1.x", {false, "111111111111", "", "a_1.x"}},
        {"spiffe://o-abc/account/p/region/r/agent/n", {false, "p", "r", "n"}},
        {"spiffe://o-abc/account/agent", {false, "agent", "", ""}},
        {"spiffe://o-abc/organization", {true, "", "", ""}},
        {"spiffe://o-abc/organization/agent/importer", {true, "", "", "importer"}},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct grant grant;
        struct fault fault = {0};
        if (!grant_parse(span_text(cases[index].uri), "o-abc", &grant, &fault)) {
            fail_msg("%s: %s", cases[index].uri, fault.text);
        }
        assert_int_equal(grant.is_organization, cases[index].grant.is_organization);
        assert_string_equal(grant.account, cases[index].grant.account);
        assert_string_equal(grant.region, cases[index].grant.region);
        assert_string_equal(grant.name, cases[index].grant.name);
    }
}

static void test_refuses_everything_else(void **state) {
    (void)state;
    static const struct {
        const char *uri;
        const char *text;
    } cases[] = {
        {"", "has no URI"},
        {"https://o-abc/account/1", "does not begin with spiffe://"},
        {"SPIFFE://o-abc/account/1", "does not begin with spiffe://"},
        {"spiffe://o-abcd/account/1", "its organization is not o-abc"},
        {"spiffe://o-ab/account/1", "its organization is not o-abc"},
        {"spiffe:///account/1", "its organization is not o-abc"},
        {"spiffe://o-abc", "neither /account nor /organization"},
        {"spiffe://o-abc/", "neither /account nor /organization"},
        {"spiffe://o-abc//account/1", "neither /account nor /organization"},
        {"spiffe://o-abc/accounts/1", "neither /account nor /organization"},
        {"spiffe://o-abc/account", "its account is empty"},
        {"spiffe://o-abc/account/", "its account is empty"},
        {"spiffe://o-abc/account//region/r", "its account is empty"},
        {"spiffe://o-abc/account/1/region/", "its region is empty"},
        {"spiffe://o-abc/account/1/region", "its region is empty"},
        {"spiffe://o-abc/account/1/", "goes on with \"/\""},
        {"spiffe://o-abc/account/1/agent/n/region/r", "goes on with \"/region/r\""},
        {"spiffe://o-abc/account/1/region/a/region/b", "goes on with \"/region/b\""},
        {"spiffe://o-abc/account/1/account/2", "goes on with \"/account/2\""},
        {"spiffe://o-abc/organization/region/r", "goes on with \"/region/r\""},
        {"spiffe://o-abc/account/1?x", "a byte other than"},
        {"spiffe://o-abc/account/1%32", "a byte other than"},
        {"spiffe://o-abc/account/1 ", "a byte other than"},
        {"spiffe://o-abc/account/"
         "0123456789012345678901234567890123456789012345678901234567890123456789",
         "longer than 64 bytes"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct grant grant = {.name = "untouched"};
        struct fault fault = {0};
        if (grant_parse(span_text(cases[index].uri), "o-abc", &grant, &fault)) {
            fail_msg("%s was accepted", cases[index].uri);
        }
        assert_int_equal(fault.kind, FAULT_DENIED);
        if (strstr(fault.text, cases[index].text) == NULL) {
            fail_msg("%s: %s", cases[index].uri, fault.text);
        }
        assert_string_equal(grant.name, "untouched");
    }
}

static void test_refuses_a_zero_byte(void **state) {
    (void)state;
    struct grant grant;
    struct fault fault = {0};
    assert_false(
        grant_parse(SPAN_LITERAL("spiffe://o-abc/account/1\0002"), "o-abc", &grant, &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts_each_form),
        cmocka_unit_test(test_refuses_everything_else),
        cmocka_unit_test(test_refuses_a_zero_byte),
    };
    return cases_run("collector/grant", tests, sizeof tests / sizeof tests[0]);
}
