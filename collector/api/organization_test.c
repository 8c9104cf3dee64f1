#include "collector/api/organization.h"

#include <stdio.h>

#include "collector/api/api_fixture.h"
#include "tests/kit/cases.h"

static struct api_fixture fixture;

static int make_room(void **state) {
    (void)state;
    api_fixture_init(&fixture);
    return 0;
}

static int end_room(void **state) {
    (void)state;
    api_fixture_done(&fixture);
    return 0;
}

static const char *call(const char *service, const char *operation, const char *input) {
    const char *body = api_fixture_call_of(&fixture, service, operation, input);
    if (fixture.answer.code != NULL) fail_msg("%s %s: %s", operation, input, body);
    return body;
}

static void refused(const char *service, const char *code, const char *operation,
                    const char *input) {
    const char *body = api_fixture_call_of(&fixture, service, operation, input);
    if (fixture.answer.code == NULL) fail_msg("%s %s: %s", operation, input, body);
    assert_string_equal(fixture.answer.code, code);
}

#define MEMBER(id) "{\"MemberAccountId\":\"" id "\"}"
#define DELEGATE(id) "{\"DelegatedAdminAccountId\":\"" id "\"}"

static void add_accounts(uint32_t count) {
    static struct roster_account accounts[200];
    static char ids[200][16];
    struct fault fault;
    for (uint32_t index = 0; index < count; index++) {
        snprintf(ids[index], sizeof ids[index], "%012u", 500 + index);
        accounts[index] = (struct roster_account){.id = ids[index], .name = "x"};
    }
    struct roster *roster;
    assert_true(roster_create(accounts, count, ROSTER_UNKNOWN_DEFAULT, &roster, &fault));
    (void)roster_live_replace(&fixture.roster, roster);
    roster_destroy(fixture.accounts);
    fixture.accounts = roster;
}

static void test_delegated_administrators(void **state) {
    (void)state;
    static const char put[] = "RegisterOrganizationDelegatedAdmin";
    static const char drop[] = "DeregisterOrganizationDelegatedAdmin";
    assert_string_equal(call("cloudtrail", put, MEMBER("222222222222")), "{}");
    assert_string_equal(api_fixture_get(&fixture, API_DELEGATES), "[\"222222222222\"]");
    refused("cloudtrail", "AccountRegisteredException", put, MEMBER("222222222222"));
    refused("cloudtrail", "CannotDelegateManagementAccountException", put, MEMBER("111111111111"));
    refused("cloudtrail", "AccountNotFoundException", put, MEMBER("999999999999"));
    refused("cloudtrail", "InvalidParameterException", put, MEMBER("22222222222x"));
    refused("cloudtrail", "InvalidParameterException", put, "{}");
    refused("cloudtrail", "AccountNotRegisteredException", drop, DELEGATE("333333333333"));
    refused("cloudtrail", "AccountNotFoundException", drop, DELEGATE("999999999999"));
    // A delegate may much, but not this.
    fixture.caller.account = SPAN_LITERAL("222222222222");
    refused("cloudtrail", "NotOrganizationManagementAccountException", put, MEMBER("333333333333"));
    refused("cloudtrail", "NotOrganizationManagementAccountException", drop,
            DELEGATE("222222222222"));
    fixture.caller.account = SPAN_LITERAL("111111111111");
    call("cloudtrail", put, MEMBER("333333333333"));
    call("cloudtrail", drop, DELEGATE("222222222222"));
    assert_string_equal(api_fixture_get(&fixture, API_DELEGATES), "[\"333333333333\"]");
    add_accounts(3);
    call("cloudtrail", put, MEMBER("000000000500"));
    call("cloudtrail", put, MEMBER("000000000501"));
    refused("cloudtrail", "DelegatedAdminAccountLimitExceededException", put,
            MEMBER("000000000502"));
    // It has left the organization.
    call("cloudtrail", drop, DELEGATE("333333333333"));
    call("cloudtrail", drop, DELEGATE("000000000500"));
    call("cloudtrail", drop, DELEGATE("000000000501"));
    assert_null(api_fixture_get(&fixture, API_DELEGATES));
    fixture.caller.role = API_READ;
    refused("cloudtrail", "AccessDeniedException", put, MEMBER("222222222222"));
}

static void test_organization(void **state) {
    (void)state;
    // Any account may ask.
    fixture.caller.account = SPAN_LITERAL("222222222222");
    fixture.caller.role = API_READ;
    assert_string_equal(
        call("organizations", "DescribeOrganization", "{}"),
        "{\"Organization\":{\"Id\":\"o-example\",\"Arn\":\"arn:aws:organizations::111111111111:"
        "organization/o-example\",\"FeatureSet\":\"ALL\",\"MasterAccountId\":\"111111111111\","
        "\"MasterAccountArn\":\"arn:aws:organizations::111111111111:account/o-example/"
        "111111111111\",\"AvailablePolicyTypes\":[]}}");
    assert_string_equal(call("sts", "GetCallerIdentity", "{}"),
                        "{\"UserId\":\"AKIAORGTRAILTESTKEY1\",\"Account\":\"222222222222\","
                        "\"Arn\":\"arn:aws:iam::222222222222:user/tester\"}");
    // But not for the others.
    refused("organizations", "AccessDeniedException", "ListAccounts", "{}");
    refused("organizations", "AccessDeniedException", "DescribeAccount",
            "{\"AccountId\":\"222222222222\"}");
    api_fixture_put(&fixture, API_DELEGATES, "[\"222222222222\"]");
    assert_string_equal(
        call("organizations", "DescribeAccount", "{\"AccountId\":\"333333333333\"}"),
        "{\"Account\":{\"Id\":\"333333333333\",\"Arn\":\"arn:aws:organizations::111111111111:"
        "account/o-example/333333333333\",\"Name\":\"lab\",\"Status\":\"ACTIVE\",\"State\":"
        "\"ACTIVE\"}}");
    refused("organizations", "AccountNotFoundException", "DescribeAccount",
            "{\"AccountId\":\"999999999999\"}");
}

static uint32_t count(const char *text, const char *part) {
    uint32_t found = 0;
    for (; (text = strstr(text, part)) != NULL; text++) found++;
    return found;
}

static void test_pages_of_accounts(void **state) {
    (void)state;
    assert_int_equal(count(call("organizations", "ListAccounts", "{}"), "\"Id\":"), 3);
    add_accounts(45);
    // The management account is not listed there, and comes first.
    const char *body = call("organizations", "ListAccounts", "{}");
    assert_int_equal(count(body, "\"Id\":"), 20);
    assert_true(strncmp(body, "{\"Accounts\":[{\"Id\":\"111111111111\"", 33) == 0);
    assert_non_null(strstr(body, "\"NextToken\":\"000000000519\""));
    body = call("organizations", "ListAccounts", "{\"NextToken\":\"000000000519\"}");
    assert_int_equal(count(body, "\"Id\":"), 20);
    body =
        call("organizations", "ListAccounts", "{\"NextToken\":\"000000000539\",\"MaxResults\":20}");
    assert_int_equal(count(body, "\"Id\":"), 6);
    assert_null(strstr(body, "NextToken"));
    assert_int_equal(count(call("organizations", "ListAccounts", "{\"MaxResults\":1}"), "\"Id\":"),
                     1);
    refused("organizations", "InvalidInputException", "ListAccounts", "{\"NextToken\":\"x\"}");
    refused("organizations", "InvalidInputException", "ListAccounts", "{\"MaxResults\":0}");
    refused("organizations", "InvalidInputException", "ListAccounts", "{\"MaxResults\":21}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_delegated_administrators, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_organization, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_pages_of_accounts, make_room, end_room),
    };
    return cases_run("organization", tests, sizeof tests / sizeof tests[0]);
}
