#include "collector/cloudwatch/logs_trail.h"

#include "tests/kit/cases.h"

#define ARN(name) "arn:aws:logs:r:111111111111:log-group:" name ":*"

static void test_allows(void **state) {
    (void)state;
    static const struct {
        const char *arn;
        const char *groups[2];
        bool is_allowed;
    } cases[] = {
        {ARN("a"), {NULL}, true},
        {ARN("a"), {"a"}, true},
        {ARN("a"), {"b", "a"}, true},
        {ARN("a"), {"b", "c"}, false},
        {ARN("a"), {"A"}, false},
        {ARN("A"), {"a*"}, false},
        {ARN("ab"), {"a"}, false},
        {ARN("a"), {"ab"}, false},
        {ARN("ab"), {"a*"}, true},
        {ARN("a"), {"a*"}, true},
        {ARN("ba"), {"a*"}, false},
        {ARN("a/b"), {"*"}, true},
        {ARN("a"), {""}, false},
        // The account is not looked at, and what is no name stands for nothing.
        {"arn:aws:logs:r:222222222222:log-group:a:*", {"a"}, true},
        {ARN("a"), {ARN("a")}, false},
        {ARN("a"), {"arn:*"}, false},
        // No ARNs of log groups.
        {"", {"*"}, false},
        {"a", {"a"}, false},
        {ARN(""), {"*"}, false},
        {"arn:aws:logs:r:111111111111:log-group:a", {"a"}, false},
        {"arn:aws:x:logs:r:111111111111:log-group:a:*", {"*"}, false},
        {"arn:aws:logs:r:111111111111:group:a:*", {"a"}, false},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const char *const *groups = cases[index].groups;
        uint32_t count = groups[0] == NULL ? 0 : groups[1] == NULL ? 1 : 2;
        const struct logs_trail_options options = {.groups = groups, .groups_count = count};
        if (logs_trail_allows(&options, span_text(cases[index].arn)) != cases[index].is_allowed) {
            fail_msg("case %zu: %s", index, cases[index].arn);
        }
    }
}

static void test_split(void **state) {
    (void)state;
    struct span region, name;
    assert_true(logs_trail_split(SPAN_LITERAL(ARN("a/b")), &region, &name));
    assert_true(span_is(region, "r"));
    assert_true(span_is(name, "a/b"));
    assert_false(logs_trail_split(SPAN_LITERAL("arn:aws:logs:r:1:log-group:a:b"), &region, &name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allows),
        cmocka_unit_test(test_split),
    };
    return cases_run("logs_trail_test", tests, sizeof tests / sizeof tests[0]);
}
