#include "base/aws/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit/cases.h"

static const char FILE_TEXT[] =
    "# keys\r\n"
    "[default]\r\n"
    "aws_access_key_id = AKIAONE\r\n"
    "aws_secret_access_key=one/+=\r\n"
    "\n"
    "[ profile  other ]\n"
    "region = eu-west-1\n"
    "  aws_access_key_id=AKIATWO\n"
    "aws_secret_access_key=\ttwo\n"
    "aws_session_token=to/ken==\n"
    "[half]\n"
    "aws_access_key_id=AKIATHREE\n"
    "[odd]\n"
    "aws_access_key_id=AKIA FOUR\n"
    "aws_secret_access_key=four\n";

static void test_profiles(void **state) {
    (void)state;
    struct fault fault;
    struct credentials found;
    assert_true(credentials_parse(span_text(FILE_TEXT), NULL, &found, &fault));
    assert_string_equal(found.key_id, "AKIAONE");
    assert_string_equal(found.secret, "one/+=");
    assert_string_equal(found.token, "");
    assert_true(credentials_parse(span_text(FILE_TEXT), "other", &found, &fault));
    assert_string_equal(found.key_id, "AKIATWO");
    assert_string_equal(found.secret, "two");
    assert_string_equal(found.token, "to/ken==");
    static const char *const wrong[][2] = {
        {"none", "no profile [none]"}, {"half", "needs aws_access_key_id"}, {"odd", "line 14"}};
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        assert_false(credentials_parse(span_text(FILE_TEXT), wrong[index][0], &found, &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
        assert_non_null(strstr(fault.text, wrong[index][1]));
        // What was found before stays, and no secret is told.
        assert_string_equal(found.key_id, "AKIATWO");
        assert_null(strstr(fault.text, "four"));
    }
    char large[CREDENTIALS_SECRET_SIZE + 64];
    snprintf(large, sizeof large, "[default]\naws_access_key_id=A\naws_secret_access_key=%0*d\n",
             CREDENTIALS_SECRET_SIZE, 1);
    assert_false(credentials_parse(span_text(large), NULL, &found, &fault));
}

static void test_file(void **state) {
    (void)state;
    struct fault fault;
    struct credentials found;
    char path[] = "/tmp/credentials_test_XXXXXX";
    int descriptor = mkstemp(path);
    assert_int_equal(write(descriptor, FILE_TEXT, sizeof FILE_TEXT - 1), sizeof FILE_TEXT - 1);
    close(descriptor);
    assert_true(credentials_from_file(files_system(), path, NULL, &found, &fault));
    assert_int_equal(chmod(path, 0644), 0);
    assert_false(credentials_from_file(files_system(), path, NULL, &found, &fault));
    assert_int_equal(fault.kind, FAULT_DENIED);
    assert_non_null(strstr(fault.text, "chmod 600"));
    assert_int_equal(unlink(path), 0);
    assert_false(credentials_from_file(files_system(), path, NULL, &found, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, path));
}

static void test_environment(void **state) {
    (void)state;
    struct fault fault;
    struct credentials found;
    unsetenv("AWS_ACCESS_KEY_ID");
    assert_false(credentials_from_environment(&found, &fault));
    setenv("AWS_ACCESS_KEY_ID", "AKIAFIVE", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "five", 1);
    unsetenv("AWS_SESSION_TOKEN");
    assert_true(credentials_from_environment(&found, &fault));
    assert_string_equal(found.key_id, "AKIAFIVE");
    assert_string_equal(found.token, "");
    setenv("AWS_SESSION_TOKEN", "six", 1);
    assert_true(credentials_from_environment(&found, &fault));
    assert_string_equal(found.token, "six");
    setenv("AWS_SECRET_ACCESS_KEY", "with\nbreak", 1);
    assert_false(credentials_from_environment(&found, &fault));
    assert_null(strstr(fault.text, "break"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_environment),
    };
    return cases_run("credentials_test", tests, sizeof tests / sizeof tests[0]);
}
