#include "tests/kit/cases.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void good(void **state) {
    (void)state;
    assert_int_equal(1, 1);
}

static void bad(void **state) {
    (void)state;
    assert_string_equal("left", "right");
}

static void absent(void **state) {
    (void)state;
    skip();
}

// Runs the first inner cases in a child, with or without the XML. Returns its exit code.
static int run_inner(const char *xml, const char *log, size_t count) {
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int output = open(log, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0640);
        if (output < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(99);
        if (xml != NULL) {
            setenv("XML_OUTPUT_FILE", xml, 1);
        } else {
            unsetenv("XML_OUTPUT_FILE");
        }
        const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad),
                                           cmocka_unit_test(absent)};
        int code = cases_run("inner & \"co\"", tests, count);
        fflush(stdout);
        _exit(code);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void read_file(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    size_t got = fread(text, 1, size - 1, file);
    text[got] = 0;
    fclose(file);
}

static void paths(char *xml, char *log, size_t size) {
    const char *folder = getenv("TEST_TMPDIR");
    snprintf(xml, size, "%s/inner.xml", folder == NULL ? "/tmp" : folder);
    snprintf(log, size, "%s/inner.log", folder == NULL ? "/tmp" : folder);
}

static void test_failure_is_in_xml_log_and_exit_code(void **state) {
    (void)state;
    char xml[512], log[512], text[8192];
    paths(xml, log, sizeof xml);
    assert_int_equal(run_inner(xml, log, 2), 1);
    read_file(xml, text, sizeof text);
    assert_non_null(strstr(text,
                           "<testsuite name=\"inner &amp; &quot;co&quot;\" tests=\"2\""
                           " failures=\"1\""));
    assert_non_null(strstr(text, "name=\"good\""));
    assert_non_null(strstr(strstr(text, "name=\"bad\""), "<failure"));
    read_file(log, text, sizeof text);
    assert_non_null(strstr(text, "\"left\" != \"right\""));
    assert_non_null(strstr(text, "1 of 2 cases passed"));
}

// A case that cannot run here is no success: the counts leave it out.
static void test_a_skipped_case_counts_as_none(void **state) {
    (void)state;
    char xml[512], log[512], text[8192];
    paths(xml, log, sizeof xml);
    assert_int_equal(run_inner(xml, log, 3), 1);
    read_file(xml, text, sizeof text);
    assert_non_null(strstr(strstr(text, "name=\"absent\""), "<skipped/>"));
    assert_null(strstr(strstr(text, "<skipped/>") + 1, "<skipped/>"));
    read_file(log, text, sizeof text);
    assert_non_null(strstr(text, "1 of 3 cases passed, 1 skipped"));
}

static void test_success_without_bazel(void **state) {
    (void)state;
    char xml[512], log[512], text[8192];
    paths(xml, log, sizeof xml);
    assert_int_equal(run_inner(NULL, log, 1), 0);
    assert_int_equal(run_inner(NULL, log, 2), 1);
    read_file(log, text, sizeof text);
    assert_non_null(strstr(text, "\"left\" != \"right\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure_is_in_xml_log_and_exit_code),
        cmocka_unit_test(test_a_skipped_case_counts_as_none),
        cmocka_unit_test(test_success_without_bazel),
    };
    return cases_run("cases_test", tests, sizeof tests / sizeof tests[0]);
}
