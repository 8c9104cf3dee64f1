#include "agent/choice.h"

#include <stdio.h>
#include <string.h>

#include "tests/kit/cases.h"
#include "tests/kit/program.h"

static const char *write_file(const char *text) {
    const char *path = program_path("%s/selectors.json", program_folder());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

static void test_what_is_kept(void **state) {
    (void)state;
    const char *path = write_file(
        "[{\"Name\":\"writes\",\"FieldSelectors\":["
        "{\"Field\":\"eventCategory\",\"Equals\":[\"Management\"]},"
        "{\"Field\":\"readOnly\",\"Equals\":[\"false\"]}]},"
        "{\"FieldSelectors\":[{\"Field\":\"eventCategory\",\"Equals\":[\"Insight\"]}]}]\n");
    struct choice *choice;
    struct fault fault;
    if (!choice_load(path, &choice, &fault)) fail_msg("%s", fault.text);
#define RECORD(rest)                                                                \
    "{\"eventTime\":\"2026-01-01T00:00:00Z\",\"eventSource\":\"s3.amazonaws.com\"," \
    "\"eventName\":\"PutObject\"," rest "}"
    static const struct {
        const char *record;
        bool is_kept;
    } cases[] = {
        {RECORD("\"eventCategory\":\"Management\",\"readOnly\":false"), true},
        {RECORD("\"eventCategory\":\"Management\",\"readOnly\":true"), false},
        {RECORD("\"eventCategory\":\"Data\",\"readOnly\":false"), false},
        {RECORD("\"eventCategory\":\"Insight\""), true},
        {RECORD("\"eventCategory\":\"Aggregated\""), false},
        // A category that AWS may add, and what is the collector's to refuse.
        {RECORD("\"eventCategory\":\"New\""), true},
        {RECORD("\"eventCategory\":7"), true},
        {"{\"no\":\"event\"}", true},
        {"no JSON", true},
        {"", true},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        if (choice_keeps(choice, span_text(cases[index].record)) != cases[index].is_kept) {
            fail_msg("%s", cases[index].record);
        }
    }
    choice_destroy(choice);
}

static void test_what_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"", "invalid JSON"},
        {"[", "invalid JSON at byte 1"},
        {"{\"AdvancedEventSelectors\":[]}", "must be a list of 1 to 500"},
        {"[{\"FieldSelectors\":[{\"Field\":\"eventCategory\",\"Equals\":[\"data\"]}]}]",
         "AdvancedEventSelectors[0]: Value data for eventCategory is invalid"},
    };
    struct choice *choice = NULL;
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct fault fault = {0};
        const char *path = write_file(cases[index].text);
        assert_false(choice_load(path, &choice, &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
        assert_true(program_has(fault.text, "event_selectors: "));
        assert_true(program_has(fault.text, path));
        if (!program_has(fault.text, cases[index].expected)) fail_msg("%s", fault.text);
    }
    struct fault fault;
    assert_false(choice_load("/nowhere/selectors.json", &choice, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_null(choice);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_what_is_refused),
    };
    return cases_run("choice", tests, sizeof tests / sizeof tests[0]);
}
