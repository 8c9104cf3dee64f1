// export, by running it: killed again and again, into places that take no files, on a terminal.

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/kit/cases.h"
#include "tests/kit/program.h"
#include "tests/kit/sample.h"

static const char *orgtrail;
static char store[4096];
static struct program_result result;

enum { EVENTS_COUNT = 4000 };

static void expect_same_trees(const char *left, const char *right) {
    program_run(&result, "diff", "-r", left, right, NULL);
    if (result.code != 0) fail_msg("%s%s", result.output, result.errors);
}

// Starts an export and kills it after so many microseconds. Returns whether it had finished.
static bool run_and_kill(const char *out, const char *format, bool is_resumed, unsigned after_us) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
            _exit(126);
        execl(orgtrail, orgtrail, "export", out, store, "--organization", "o-x", "--format", format,
              is_resumed ? "--resume" : (char *)NULL, (char *)NULL);
        _exit(127);
    }
    usleep(after_us);
    kill(child, SIGKILL);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Whether there is an export in the folder that could be resumed.
static bool is_begun(const char *out) {
    struct stat status;
    return stat(program_path("%s/.orgtrail-export/plan.json", out), &status) == 0 ||
           stat(program_path("%s/manifest.json", out), &status) == 0;
}

static void test_killed_again_and_again(void **state) {
    (void)state;
    static const char *const formats[] = {"cloudtrail", "ndjson"};
    for (int form = 0; form < 2; form++) {
        char expected[4096];
        char out[4096];
        snprintf(expected, sizeof expected, "%s/out", program_folder());
        snprintf(out, sizeof out, "%s/out", program_folder());
        program_run(&result, orgtrail, "export", expected, store, "--organization", "o-x",
                    "--format", formats[form], NULL);
        assert_string_equal(result.errors, "");
        assert_int_equal(result.code, 0);
        bool is_done = false;
        for (unsigned kills = 0; !is_done && kills < 25; kills++) {
            is_done = run_and_kill(out, formats[form], is_begun(out), 1000 + kills * 4000);
        }
        if (!is_done) {
            // On a busy machine all of them may have been killed before they began.
            program_run(&result, orgtrail, "export", out, store, "--organization", "o-x",
                        "--format", formats[form], is_begun(out) ? "--resume" : (char *)NULL,
                        (char *)NULL);
            assert_string_equal(result.errors, "");
            assert_int_equal(result.code, 0);
        }
        // Also the manifests are alike: same snapshot, same files in the same order.
        expect_same_trees(expected, out);
    }
}

static void test_places_that_take_no_files(void **state) {
    (void)state;
    const char *file = program_path("%s/file", program_folder());
    FILE *made = fopen(file, "we");
    assert_non_null(made);
    fclose(made);
    program_run(&result, orgtrail, "export", program_path("%s/out", file), store, "--format",
                "ndjson", NULL);
    assert_true(result.code != 0);
    assert_true(program_has(result.errors, "orgtrail export: "));
    assert_true(program_has(result.errors, "Not a directory"));
    program_run(&result, orgtrail, "export", "/proc/orgtrail", store, "--format", "ndjson", NULL);
    assert_true(result.code != 0);
    assert_true(program_has(result.errors, "/proc/orgtrail"));
    program_run(&result, orgtrail, "export", "/nonexistent/a/b", store, "--format", "ndjson", NULL);
    assert_true(result.code != 0);
    assert_true(program_has(result.errors, "/nonexistent/a/b"));
}

static void test_no_room_and_then_room(void **state) {
    (void)state;
    char expected[4096];
    char out[4096];
    snprintf(expected, sizeof expected, "%s/out", program_folder());
    snprintf(out, sizeof out, "%s/out", program_folder());
    program_run(&result, orgtrail, "export", expected, store, "--format", "ndjson", NULL);
    assert_int_equal(result.code, 0);
    // A limit on the size of files stands for a full disk.
    program_run(&result, "sh", "-c",
                "trap '' XFSZ; ulimit -f 900; exec \"$0\" export \"$1\" \"$2\" --format ndjson",
                orgtrail, out, store, NULL);
    assert_int_equal(result.code, 1);
    assert_true(program_has(result.errors, "the same command with --resume goes on"));
    program_run(&result, orgtrail, "export", out, store, "--format", "ndjson", "--resume", NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    expect_same_trees(expected, out);
}

static void test_standard_output(void **state) {
    (void)state;
    program_run(&result, "sh", "-c",
                "\"$0\" export - \"$1\" --format ndjson --event-name PutObject | wc -l", orgtrail,
                store, NULL);
    unsigned long piped = strtoul(result.output, NULL, 10);
    program_run(
        &result, "sh", "-c",
        "\"$0\" lookup \"$1\" --output ndjson --limit 100000 --event-name PutObject | wc -l",
        orgtrail, store, NULL);
    assert_int_equal(strtoul(result.output, NULL, 10), piped);
    assert_true(piped > 100);
    program_run(&result, "sh", "-c", "\"$0\" export - \"$1\" --format ndjson | head -n 1", orgtrail,
                store, NULL);
    assert_string_equal(result.errors, "");
}

// Runs on a terminal of so many columns and keeps what it showed.
static int run_on_terminal(unsigned short columns, char *text, size_t size,
                           char *const *arguments) {
    struct winsize window = {.ws_row = 40, .ws_col = columns};
    int terminal;
    pid_t child = forkpty(&terminal, NULL, NULL, &window);
    assert_true(child >= 0);
    if (child == 0) {
        execv(orgtrail, arguments);
        _exit(127);
    }
    size_t used = 0;
    for (;;) {
        ssize_t got = read(terminal, text + used, size - 1 - used);
        if (got <= 0) break;
        used += (size_t)got;
    }
    text[used] = 0;
    close(terminal);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Removes our colours, and checks that no other escape is there and that lines fit.
static void check_shown(char *text, size_t columns) {
    static const char *const colours[] = {"\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[33m"};
    size_t line = 0;
    while (*text != 0) {
        if (*text == '\x1b') {
            size_t size = 0;
            for (size_t index = 0; index < 4; index++) {
                if (strncmp(text, colours[index], strlen(colours[index])) == 0)
                    size = strlen(colours[index]);
            }
            if (size == 0) fail_msg("a foreign escape: %.20s", text + 1);
            text += size;
            continue;
        }
        if (*text == '\n') {
            line = 0;
        } else if (*text != '\r') {
            line += ((uint8_t)*text & 0xc0) != 0x80;
        }
        assert_true(line <= columns);
        text++;
    }
}

static void test_a_terminal_gets_colours_and_its_width(void **state) {
    (void)state;
    static char text[1 << 20];
    char lookup[] = "lookup";
    char limit[] = "--limit=300";
    char *arguments[] = {(char *)(uintptr_t)orgtrail, lookup, store, limit, NULL};
    static const unsigned short widths[] = {80, 100, 173};
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(run_on_terminal(widths[index], text, sizeof text, arguments), 0);
        assert_non_null(strstr(text, "\x1b[31m"));
        char *hint = strstr(text, "There is more");
        assert_non_null(hint);
        *hint = 0;
        check_shown(text, widths[index]);
    }
    setenv("NO_COLOR", "1", 1);
    assert_int_equal(run_on_terminal(80, text, sizeof text, arguments), 0);
    assert_null(strchr(text, '\x1b'));
    unsetenv("NO_COLOR");
}

int main(int argc, char **argv) {
    struct sample sample;
    if (argc != 2) return 2;
    orgtrail = argv[1];
    sample_create(&sample, 33, EVENTS_COUNT);
    snprintf(store, sizeof store, "%s", program_folder());
    sample_append(&sample, store, 0, EVENTS_COUNT, NULL, 900);
    sample_destroy(&sample);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_again_and_again),
        cmocka_unit_test(test_places_that_take_no_files),
        cmocka_unit_test(test_no_room_and_then_room),
        cmocka_unit_test(test_standard_output),
        cmocka_unit_test(test_a_terminal_gets_colours_and_its_width),
    };
    return cases_run("export_test", tests, sizeof tests / sizeof tests[0]);
}
