#include "tests/kit/cases.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct outcome {
    bool failed;
    bool skipped;
    double seconds;
};

// cmocka does not tell its caller that a case was skipped.
static bool was_skipped;

void cases_skip(const char *file, int line) {
    was_skipped = true;
    _skip(file, line);
}

static double read_seconds(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0;
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Case names are C identifiers; a group's name may be anything.
static void print_escaped(FILE *file, const char *text) {
    for (; *text != 0; text++) {
        switch (*text) {
            case '&':
                fputs("&amp;", file);
                break;
            case '<':
                fputs("&lt;", file);
                break;
            case '"':
                fputs("&quot;", file);
                break;
            default:
                fputc(*text, file);
        }
    }
}

static bool write_xml(const char *path, const char *name, const struct CMUnitTest *tests,
                      const struct outcome *outcomes, size_t count) {
    FILE *file = fopen(path, "we");
    if (file == NULL) return false;
    size_t failed = 0;
    double seconds = 0;
    for (size_t index = 0; index < count; index++) {
        failed += outcomes[index].failed;
        seconds += outcomes[index].seconds;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"", file);
    print_escaped(file, name);
    fprintf(file, "\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" time=\"%.3f\">\n", count, failed,
            seconds);
    for (size_t index = 0; index < count; index++) {
        fputs("    <testcase classname=\"", file);
        print_escaped(file, name);
        fputs("\" name=\"", file);
        print_escaped(file, tests[index].name);
        fprintf(file, "\" time=\"%.3f\">", outcomes[index].seconds);
        if (outcomes[index].failed)
            fputs("<failure message=\"failed: see the test's log\"/>", file);
        if (outcomes[index].skipped) fputs("<skipped/>", file);
        fputs("</testcase>\n", file);
    }
    fputs("  </testsuite>\n</testsuites>\n", file);
    bool written = ferror(file) == 0;
    return fclose(file) == 0 && written;
}

int cases_run(const char *name, const struct CMUnitTest *tests, size_t tests_count) {
    assert(tests_count > 0);
    const char *path = getenv("XML_OUTPUT_FILE");
    if (path == NULL) {
        return _cmocka_run_group_tests(name, tests, tests_count, NULL, NULL) == 0 ? 0 : 1;
    }
    // cmocka's own XML goes in place of its text, and it tells nobody which case failed. So each
    // case is a group of its own here: the text stays in the log and the result is the return.
    struct outcome *outcomes = calloc(tests_count, sizeof *outcomes);
    if (outcomes == NULL) return 1;
    size_t failed = 0, skipped = 0;
    for (size_t index = 0; index < tests_count; index++) {
        double began = read_seconds();
        was_skipped = false;
        outcomes[index].failed = _cmocka_run_group_tests(name, &tests[index], 1, NULL, NULL) != 0;
        outcomes[index].seconds = read_seconds() - began;
        outcomes[index].skipped = was_skipped && !outcomes[index].failed;
        failed += outcomes[index].failed;
        skipped += outcomes[index].skipped;
    }
    printf("%s: %zu of %zu cases passed, %zu skipped\n", name, tests_count - failed - skipped,
           tests_count, skipped);
    bool written = write_xml(path, name, tests, outcomes, tests_count);
    if (!written) fprintf(stderr, "%s: cannot write %s\n", name, path);
    free(outcomes);
    return failed == 0 && written ? 0 : 1;
}
