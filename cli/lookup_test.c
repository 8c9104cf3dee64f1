// lookup, tail, status, store and quarantine, by running them on a store of sample events.

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "tests/kit/cases.h"
#include "tests/kit/program.h"
#include "tests/kit/sample.h"

static const char *orgtrail;
static char store[4096];
static struct program_result result;
static struct json_reader *json;

enum { EVENTS_COUNT = 2000 };

static uint32_t count_lines(const char *text) {
    uint32_t lines = 0;
    for (; *text != 0; text++) lines += *text == '\n';
    return lines;
}

static const struct yyjson_val *parse(struct span text) {
    const struct yyjson_val *root = NULL;
    struct fault fault = {0};
    if (!json_read(json, text, &root, &fault)) fail_msg("%s: %.*s", fault.text, SPAN_PRINT(text));
    return root;
}

static void test_the_store_comes_from_three_places(void **state) {
    (void)state;
    program_run(&result, orgtrail, "lookup", store, "--limit", "3", NULL);
    assert_string_equal(strstr(result.errors, "There is more") != NULL ? "" : result.errors, "");
    assert_int_equal(result.code, 0);
    assert_int_equal(count_lines(result.output), 4);
    char *first = strdup(result.output);
    program_run(&result, orgtrail, "lookup", "--store", store, "--limit", "3", NULL);
    assert_string_equal(result.output, first);
    setenv("ORGTRAIL_STORE", store, 1);
    program_run(&result, orgtrail, "lookup", "--limit", "3", NULL);
    assert_string_equal(result.output, first);
    unsetenv("ORGTRAIL_STORE");
    const char *folder = program_path("%s/org", program_folder());
    program_run(&result, orgtrail, "init", folder, "--organization=o-x", "--management-account=1x",
                NULL);
    const char *config = program_path("%s/collector/collector.yaml", folder);
    assert_int_equal(rmdir(program_path("%s/store", folder)), 0);
    assert_int_equal(symlink(store, program_path("%s/store", folder)), 0);
    program_run(&result, orgtrail, "lookup", "--config", config, "--limit", "3", NULL);
    assert_string_equal(result.output, first);
    free(first);
}

static void test_pages_join_to_the_whole(void **state) {
    (void)state;
    program_run(&result, orgtrail, "lookup", store, "--limit", "5000", "--output", "ndjson",
                "--event-name", "GetObject", "--write", "--since", "2023-07-10", NULL);
    assert_string_equal(result.errors, "");
    uint32_t all = count_lines(result.output);
    assert_true(all > 100);
    static char whole[PROGRAM_OUTPUT_SIZE];
    memcpy(whole, result.output, sizeof whole);
    static char joined[PROGRAM_OUTPUT_SIZE];
    joined[0] = 0;
    char token[256] = "";
    do {
        program_run(&result, orgtrail, "lookup", store, "--limit=37", "--output=ndjson",
                    "--event-name=GetObject", "--read-only=false", "--since=2023-07-10",
                    token[0] != 0 ? "--page" : NULL, token, NULL);
        assert_int_equal(result.code, 0);
        memcpy(joined + strlen(joined), result.output, strlen(result.output) + 1);
        const char *page = strstr(result.errors, "--page ");
        token[0] = 0;
        if (page != NULL)
            snprintf(token, sizeof token, "%.*s", (int)strcspn(page + 7, "\n"), page + 7);
    } while (token[0] != 0);
    assert_string_equal(joined, whole);
}

static void test_nothing_found_is_told(void **state) {
    (void)state;
    static const char *const forms[] = {"--output=table", "--output=ndjson", "--output=json"};
    for (size_t index = 0; index < 3; index++) {
        program_run(&result, orgtrail, "lookup", store, forms[index], "--event-name", "None",
                    "--since", "2023-07-10", NULL);
        assert_int_equal(result.code, 0);
        assert_int_equal(result.output[0] == 0, index < 2);
        assert_string_equal(result.errors,
                            "No event matches {\"EventName\":\"None\"} since 2023-07-10; searched "
                            "2000 events from 2023-07-10T00:00:01Z to 2023-07-12T00:06:39Z.\n"
                            "No event of the trail has EventName \"None\": capital letters "
                            "count.\n");
    }
    assert_int_equal(yyjson_arr_size((yyjson_val *)(uintptr_t)json_member(
                         parse(span_text(result.output)), SPAN_LITERAL("Events"))),
                     0);
}

static void test_dropped_days_are_told(void **state) {
    (void)state;
    static const char told[] = "Events before 2023-07-11 were dropped by retention";
    struct sample sample;
    const char *folder = program_path("%s", program_folder());
    sample_create(&sample, 5, 300);
    sample_append(&sample, folder, 0, 300, NULL, 100);
    sample_destroy(&sample);
    program_run(&result, orgtrail, "lookup", folder, "--until", "2023-07-11", NULL);
    assert_false(program_has(result.errors, "dropped"));
    sample_drop(folder, SAMPLE_TIME_S + 86400);
    program_run(&result, orgtrail, "lookup", folder, "--until", "2023-07-11", NULL);
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output, "");
    assert_true(program_has(result.errors, told));
    assert_true(program_has(result.errors, "No event matches"));
    program_run(&result, orgtrail, "lookup", folder, "--since", "2023-07-11", NULL);
    assert_false(program_has(result.errors, "dropped"));
    const char *out = program_path("%s/out", program_folder());
    program_run(&result, orgtrail, "export", out, folder, "--format", "ndjson", "--until",
                "2023-07-11", NULL);
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "0 events in 0 files"));
    assert_true(program_has(result.errors, told));
    assert_true(program_has(program_read(program_path("%s/manifest.json", out)),
                            "\"retained_from\":\"2023-07-11\""));
    program_run(&result, orgtrail, "export", out, folder, "--format", "ndjson", "--until",
                "2023-07-11", "--resume", NULL);
    assert_int_equal(result.code, 0);
}

static void test_json_is_lookup_events(void **state) {
    (void)state;
    program_run(&result, orgtrail, "lookup", store, "--oldest", "--limit", "10", "--output", "json",
                "--provenance", NULL);
    assert_int_equal(result.code, 0);
    assert_string_equal(result.errors, "");
    const struct yyjson_val *root = parse(span_text(result.output));
    yyjson_val *events = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("Events"));
    assert_int_equal(yyjson_arr_size(events), 10);
    assert_true(json_member_string(root, SPAN_LITERAL("NextToken")).size > 40);
    const struct yyjson_val *event = yyjson_arr_get(events, 0);
    static const char *const names[] = {"EventId",     "EventName", "ReadOnly",        "EventTime",
                                        "EventSource", "Username",  "CloudTrailEvent", "AccountId"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        assert_true(json_member_string(event, span_text(names[index])).size > 0);
    }
}

static void test_nothing_raw_reaches_the_table(void **state) {
    (void)state;
    program_run(&result, orgtrail, "lookup", store, "--limit", "2000", NULL);
    assert_int_equal(count_lines(result.output), EVENTS_COUNT + 1);
    assert_null(strchr(result.output, '\x1b'));
    assert_true(strstr(result.output, "evil\\u{1b}[31m") != NULL);
    assert_true(strstr(result.output, "J\xc3\xbcrgen") != NULL);
}

static void test_tail_gives_the_last_arrivals(void **state) {
    (void)state;
    program_run(&result, orgtrail, "tail", store, "-n", "4", "--output", "ndjson", "--provenance",
                NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(count_lines(result.output), 4);
    const char *line = result.output;
    for (int64_t sequence = EVENTS_COUNT - 3; sequence <= EVENTS_COUNT; sequence++) {
        size_t size = strcspn(line, "\n");
        const struct yyjson_val *root = parse(span_of(line, size));
        yyjson_val *number = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("sequence"));
        assert_int_equal(yyjson_get_sint(number), sequence);
        line += size + 1;
    }
}

// Reads from a pipe until a line is there or time is up. Returns milliseconds it took, or -1.
static int64_t wait_for_line(int pipe_end, int64_t limit_ms) {
    const struct clock *clock = clock_system();
    int64_t began_ms = clock->monotonic_ms(clock->context);
    for (;;) {
        char piece[8192];
        struct pollfd wait = {.fd = pipe_end, .events = POLLIN};
        int64_t passed_ms = clock->monotonic_ms(clock->context) - began_ms;
        if (passed_ms > limit_ms) return -1;
        if (poll(&wait, 1, 20) == 1) {
            ssize_t got = read(pipe_end, piece, sizeof piece);
            if (got <= 0) return -1;
            if (memchr(piece, '\n', (size_t)got) != NULL) return passed_ms;
        }
    }
}

static void test_tail_follows(void **state) {
    (void)state;
    struct sample sample;
    char folder[4096];
    int ends[2];
    sample_create(&sample, 5, 20);
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_append(&sample, folder, 0, 10, NULL, 10);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (dup2(ends[1], 1) < 0) _exit(126);
        close(ends[0]);
        execl(orgtrail, orgtrail, "tail", "-f", "-n", "1", "--output", "ndjson", folder,
              (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    assert_true(wait_for_line(ends[0], 20000) >= 0);
    for (uint32_t index = 10; index < 20; index++) {
        sample_append(&sample, folder, index, 1, NULL, 1);
        // 100 ms is the aim; a busy machine gets more before this is a failure.
        assert_true(wait_for_line(ends[0], 5000) >= 0);
    }
    assert_int_equal(kill(child, SIGINT), 0);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(ends[0]);
    sample_destroy(&sample);
}

static void test_followers(void **state) {
    (void)state;
    struct sample sample;
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_create(&sample, 5, 20);
    sample_append(&sample, folder, 0, 20, NULL, 20);
    sample_destroy(&sample);
    program_run(&result, orgtrail, "follower", "list", folder, NULL);
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output, "");
    assert_true(program_has(result.errors, "no follower has ever saved its place"));
    sample_follow(folder, "deliver");
    sample_follow(folder, "alerts");
    program_run(&result, orgtrail, "follower", "list", folder, NULL);
    assert_int_equal(count_lines(result.output), 3);
    assert_true(
        program_has(result.output, "deliver                             1           19  20"));
    program_run(&result, orgtrail, "follower", "list", folder, "--json", NULL);
    assert_true(program_has(result.output, "{\"name\":\"alerts\",\"sequence\":1,\"behind\":19,"));
    program_run(&result, orgtrail, "follower", "drop", "deliver", folder, NULL);
    assert_int_equal(result.code, 75);
    assert_true(program_has(result.errors, "is its program running?"));
    program_run(&result, orgtrail, "follower", "drop", NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "whom?"));
}

static void test_status(void **state) {
    (void)state;
    program_run(&result, orgtrail, "status", store, NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "events       2000, the last is #2000"));
    assert_true(program_has(result.output, "received 0 = stored 0"));
    program_run(&result, orgtrail, "status", "--json", store, NULL);
    const struct yyjson_val *root = parse(span_text(result.output));
    yyjson_val *events = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("events"));
    assert_int_equal(yyjson_get_sint(events), EVENTS_COUNT);
}

static void test_store_check(void **state) {
    (void)state;
    program_run(&result, orgtrail, "store", "check", store, NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(result.code, 0);
    assert_true(program_has(result.output, "2000 events"));
    assert_true(program_has(result.output, "all good"));
}

static void test_quarantine_of_a_clean_store(void **state) {
    (void)state;
    program_run(&result, orgtrail, "quarantine", "list", store, NULL);
    assert_int_equal(result.code, 0);
    assert_string_equal(result.output, "");
    assert_string_equal(result.errors, "Nothing in quarantine.\n");
    program_run(&result, orgtrail, "quarantine", "list", store, "--reason", "future", NULL);
    assert_string_equal(result.errors, "Nothing in quarantine.\n");
    program_run(&result, orgtrail, "quarantine", "show", "abcdef", store, NULL);
    assert_int_equal(result.code, 2);
    assert_true(program_has(result.errors, "there is no entry abcdef"));
}

static void test_quarantine_of_a_troubled_store(void **state) {
    (void)state;
    char folder[4096];
    char key[16];
    snprintf(folder, sizeof folder, "%s", program_folder());
    sample_make_troubled(folder, 1700000000);
    program_run(&result, orgtrail, "status", folder, NULL);
    assert_int_equal(result.code, 1);
    assert_true(program_has(result.output, "DOES NOT BALANCE"));
    assert_true(program_has(result.errors, "spiffe://o-x/account/2/agent/b: received 61, but 54"));
    program_run(&result, orgtrail, "quarantine", "list", folder, NULL);
    assert_string_equal(result.errors, "");
    assert_int_equal(count_lines(result.output), 3);
    assert_null(strchr(result.output, '\x1b'));
    // Newest first, by the time in the second column.
    const char *const second = strchr(result.output, '\n') + 1;
    const char *const third = strchr(second, '\n') + 1;
    assert_true(memcmp(result.output + 13, second + 13, sizeof "2023-11-14T22:13:20Z" - 1) > 0);
    assert_true(memcmp(second + 13, third + 13, sizeof "2023-11-14T22:13:20Z" - 1) > 0);
    char newest[64];
    snprintf(newest, sizeof newest, "%.40s", result.output);
    program_run(&result, orgtrail, "quarantine", "list", folder, "-n", "1", NULL);
    assert_int_equal(count_lines(result.output), 1);
    assert_memory_equal(result.output, newest, strlen(newest));
    assert_string_equal(result.errors, "2 more entries are older.\n");
    program_run(&result, orgtrail, "quarantine", "list", folder, "--reason", "future", "--account",
                "7", NULL);
    assert_int_equal(result.code, 0);
    assert_string_equal(result.errors,
                        "No entry matches reason \"future\", account \"7\"; 3 in quarantine.\n");
    program_run(&result, orgtrail, "quarantine", "list", folder, "--reason", "no_event_time",
                "--json", NULL);
    assert_int_equal(count_lines(result.output), 1);
    const struct yyjson_val *root = parse(span_text(result.output));
    assert_true(
        span_is(json_member_string(root, SPAN_LITERAL("agent")), "spiffe://o-x/account/2/agent/b"));
    snprintf(key, sizeof key, "%.12s",
             (const char *)json_member_string(root, SPAN_LITERAL("key")).bytes);
    program_run(&result, orgtrail, "quarantine", "show", key, folder, NULL);
    assert_string_equal(result.errors, "");
    assert_true(program_has(result.output, "reason  no_event_time\n"));
    program_run(&result, orgtrail, "quarantine", "show", "--raw", key, folder, NULL);
    assert_string_equal(result.output, "{}");
}

// Each line is refused with exit code 2 and says this.
static void test_wrong_arguments(void **state) {
    (void)state;
    static const char *const cases[][6] = {
        {"which store?", "lookup"},
        {"which store?", "status"},
        {"there is no such folder", "lookup", "/nonexistent/store"},
        {"no store in /dev/null: it is no folder", "lookup", "/dev/null"},
        {"one store only", "lookup", "STORE", "other"},
        {"--limit 0", "lookup", "STORE", "--limit", "0"},
        {"--limit x", "lookup", "STORE", "--limit", "x"},
        {"must be table, json or ndjson", "lookup", "STORE", "--output", "xml"},
        {"time \"tomorrow\"", "lookup", "STORE", "--since", "tomorrow"},
        {"since: time \"2026-13-45\": there is no month 13: write it like", "lookup", "STORE",
         "--since=2026-13-45"},
        {"time range is empty", "lookup", "STORE", "--since=2023-07-11", "--until=2023-07-10"},
        {"must be true or false", "lookup", "STORE", "--read-only=maybe"},
        {"given twice", "lookup", "STORE", "--read", "--write"},
        {"must be management", "lookup", "STORE", "--category", "x"},
        {"damaged or none", "lookup", "STORE", "--page", "x"},
        {"another query", "lookup", "STORE", "--errors", "--page", "TOKEN"},
        {"unrecognized option", "lookup", "STORE", "--frob"},
        {"use ndjson", "tail", "STORE", "-f", "--output=json"},
        {"--lines -1", "tail", "STORE", "-n", "-1"},
        {"there is no such reason; there are invalid_json, not_an_object", "quarantine", "list",
         "STORE", "--reason=nonsense"},
        {"show knows no --limit", "quarantine", "show", "abcdef", "STORE", "-n1"},
        {"there are \"store check\" and", "store"},
        {"store mend", "store", "mend"},
        {"there are list, show, retry and discard", "quarantine"},
        {"give a KEY", "quarantine", "show"},
        {"OUT is missing", "export"},
        {"which organization?", "export", "OUT", "STORE"},
        {"must be cloudtrail or ndjson", "export", "OUT", "STORE", "--format=csv"},
        {"needs --format ndjson", "export", "-", "STORE"},
        {"must be \"o-\"", "export", "OUT", "STORE", "--organization=x"},
        {"no export to resume", "export", "OUT", "STORE", "--organization=o-x", "--resume"},
    };
    program_run(&result, orgtrail, "lookup", store, "--limit", "3", NULL);
    char token[256] = "";
    const char *page = strstr(result.errors, "--page ");
    assert_non_null(page);
    snprintf(token, sizeof token, "%.*s", (int)strcspn(page + 7, "\n"), page + 7);
    const char *out = program_path("%s/out", program_folder());
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const char *arguments[5] = {0};
        for (size_t column = 0; column < 5; column++) {
            const char *argument = cases[index][column + 1];
            if (argument != NULL && strcmp(argument, "STORE") == 0) argument = store;
            if (argument != NULL && strcmp(argument, "TOKEN") == 0) argument = token;
            if (argument != NULL && strcmp(argument, "OUT") == 0) argument = out;
            arguments[column] = argument;
        }
        program_run(&result, orgtrail, arguments[0], arguments[1], arguments[2], arguments[3],
                    arguments[4], NULL);
        if (strstr(result.errors, cases[index][0]) == NULL || result.code != 2) {
            fail_msg("%zu: %s: exit %d, %s", index, cases[index][0], result.code, result.errors);
        }
        assert_string_equal(result.output, "");
    }
}

static void test_a_full_disk_is_no_success(void **state) {
    (void)state;
    program_run(&result, "sh", "-c", "exec \"$0\" lookup \"$1\" --limit 1000 > /dev/full", orgtrail,
                store, NULL);
    assert_int_equal(result.code, 1);
    assert_true(program_has(result.errors, "write the answer: No space left on device"));
    program_run(&result, "sh", "-c", "\"$0\" lookup \"$1\" --limit 2000 | head -n 1", orgtrail,
                store, NULL);
    assert_int_equal(count_lines(result.output), 1);
    assert_null(strstr(result.errors, "write"));
    // Who watches ends too, also if it is the writing and not the flush that fails. stdbuf is a
    // library that comes before the sanitizer's.
    program_run(&result, "sh", "-c",
                "export ASAN_OPTIONS=\"$ASAN_OPTIONS:verify_asan_link_order=0\";"
                "timeout 20 stdbuf -o0 \"$0\" status \"$1\" --watch=1 > /dev/full",
                orgtrail, store, NULL);
    assert_int_equal(result.code, 1);
}

int main(int argc, char **argv) {
    struct sample sample;
    if (argc != 2) return 2;
    orgtrail = argv[1];
    json = json_reader_create();
    sample_create(&sample, 9, EVENTS_COUNT);
    snprintf(store, sizeof store, "%s", program_folder());
    sample_append(&sample, store, 0, EVENTS_COUNT, NULL, 450);
    sample_destroy(&sample);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_store_comes_from_three_places),
        cmocka_unit_test(test_pages_join_to_the_whole),
        cmocka_unit_test(test_nothing_found_is_told),
        cmocka_unit_test(test_dropped_days_are_told),
        cmocka_unit_test(test_json_is_lookup_events),
        cmocka_unit_test(test_nothing_raw_reaches_the_table),
        cmocka_unit_test(test_tail_gives_the_last_arrivals),
        cmocka_unit_test(test_tail_follows),
        cmocka_unit_test(test_followers),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_store_check),
        cmocka_unit_test(test_quarantine_of_a_clean_store),
        cmocka_unit_test(test_quarantine_of_a_troubled_store),
        cmocka_unit_test(test_wrong_arguments),
        cmocka_unit_test(test_a_full_disk_is_no_success),
    };
    int code = cases_run("lookup_test", tests, sizeof tests / sizeof tests[0]);
    json_reader_destroy(json);
    return code;
}
