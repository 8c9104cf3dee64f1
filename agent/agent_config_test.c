#include "agent/agent_config.h"

#include <stdio.h>
#include <string.h>

#include "tests/kit/cases.h"

static const char *const head =
    "organization: o-abc\n"
    "collector: {address: collector.example:7443}\n"
    "certificates: {ca: ca.pem, certificate: /etc/agent.pem, key: agent.key}\n"
    "spool: {directory: spool, size_max: 2GiB}\n";

static bool parse(const char *text, struct agent_config **config, struct fault *fault) {
    *config = NULL;
    return agent_config_parse(span_text(text), "/etc/orgtrail/agent.yaml", config, fault);
}

static void test_everything(void **state) {
    (void)state;
    char text[4096];
    snprintf(text, sizeof text,
             "%ssources:\n"
             "  - name: trail\n    kind: directory\n    path: logs\n    poll_ms: 500\n"
             "    file_size_max: 64MiB\n"
             "  - {name: log.1, kind: tail, paths: [/var/a.log, 'b-*.log'], from: end}\n"
             "  - {name: in, kind: tail, path: '-'}\n"
             "http: {listen: '127.0.0.1:9464'}\n",
             head);
    struct agent_config *config;
    struct fault fault;
    if (!parse(text, &config, &fault)) fail_msg("%s", fault.text);
    assert_string_equal(config->organization, "o-abc");
    assert_string_equal(config->collector_address, "collector.example:7443");
    assert_null(config->collector_name);
    assert_string_equal(config->ca_path, "/etc/orgtrail/ca.pem");
    assert_string_equal(config->certificate_path, "/etc/agent.pem");
    assert_string_equal(config->spool_directory, "/etc/orgtrail/spool");
    assert_true(config->spool_size_max == UINT64_C(2) << 30);
    assert_string_equal(config->http_listen, "127.0.0.1:9464");
    assert_int_equal(config->sources_count, 3);
    assert_false(config->sources[0].is_tail);
    assert_string_equal(config->sources[0].paths[0], "/etc/orgtrail/logs");
    assert_int_equal(config->sources[0].poll_ms, 500);
    assert_true(config->sources[0].file_size_max == 64 << 20);
    assert_true(config->sources[1].is_tail);
    assert_true(config->sources[1].from_end);
    assert_int_equal(config->sources[1].paths_count, 2);
    assert_string_equal(config->sources[1].paths[1], "/etc/orgtrail/b-*.log");
    assert_true(config->sources[2].is_standard_input);
    agent_config_destroy(config);
}

// Each text behind the head is refused with a message that has both parts.
static void test_what_is_wrong_and_where(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *where;
        const char *what;
    } cases[] = {
        {"sources:\n  - {name: a, kind: tail, path: x, colour: red}\n", "line 6", "colour"},
        {"sources:\n  - {name: a, kind: pipe, path: x}\n", "line 6", "kind"},
        {"sources: []\n", "line 5", "sources"},
        {"", "agent.yaml", "sources"},
        {"sources:\n  - {name: 'a/b', kind: tail, path: x}\n", "line 6", "a/b"},
        {"sources:\n  - {name: '..', kind: tail, path: x}\n", "line 6", "begin with"},
        {"sources:\n  - {name: a, kind: tail}\n", "line 6", "either path or paths"},
        {"sources:\n  - {name: a, kind: tail, path: x, paths: [y]}\n", "line 6", "either"},
        {"sources:\n  - {name: a, kind: directory, paths: [x, y]}\n", "line 6", "one path"},
        {"sources:\n  - {name: a, kind: tail, path: x, poll_ms: 500}\n", "line 6", "directory"},
        {"sources:\n  - {name: a, kind: directory, path: x, poll_ms: 5}\n", "line 6", "100"},
        {"sources:\n  - {name: a, kind: directory, path: x, file_size_max: 5MB}\n", "line 6",
         "\"5MB\" is no size"},
        {"sources:\n  - {name: a, kind: tail, path: x}\n  - {name: a, kind: tail, path: y}\n",
         "line 6", "two sources have the name"},
        {"sources:\n  - {name: a, kind: tail, paths: ['-', y]}\n", "line 6", "only path"},
        {"sources:\n  - {name: a, kind: tail, path: '-'}\n  - {name: b, kind: tail, path: '-'}\n",
         "line 6", "standard input"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        char text[4096];
        snprintf(text, sizeof text, "%s%s", head, cases[index].text);
        struct agent_config *config;
        struct fault fault;
        if (parse(text, &config, &fault)) fail_msg("taken: %s", cases[index].text);
        assert_int_equal(fault.kind, FAULT_INPUT);
        if (strstr(fault.text, cases[index].where) == NULL ||
            strstr(fault.text, cases[index].what) == NULL ||
            strstr(fault.text, "/etc/orgtrail/agent.yaml") == NULL) {
            fail_msg("for %s: %s", cases[index].text, fault.text);
        }
    }
}

static void test_the_head_is_checked_too(void **state) {
    (void)state;
    struct agent_config *config;
    struct fault fault;
    assert_false(
        parse("collector: {address: nowhere}\n"
              "certificates: {ca: a, certificate: b, key: c}\n"
              "spool: {directory: s}\n"
              "sources:\n  - {name: a, kind: tail, path: x}\n",
              &config, &fault));
    assert_non_null(strstr(fault.text, "line 1"));
    assert_non_null(strstr(fault.text, "HOST:PORT"));
    assert_false(
        parse("collector: {address: 'a:1'}\n"
              "certificates: {ca: a, certificate: b, key: c}\n"
              "spool: {directory: s, size_max: 1MiB}\n"
              "sources:\n  - {name: a, kind: tail, path: x}\n",
              &config, &fault));
    assert_non_null(strstr(fault.text, "line 3"));
    assert_non_null(strstr(fault.text, "64MiB"));
}

static void test_every_setting_has_help(void **state) {
    (void)state;
    struct buffer text;
    struct fault fault = {0};
    buffer_init(&text, 1 << 16);
    if (!agent_config_print_reference(&text, &fault)) fail_msg("%s", fault.text);
    buffer_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_setting_has_help),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_what_is_wrong_and_where),
        cmocka_unit_test(test_the_head_is_checked_too),
    };
    return cases_run("agent_config_test", tests, sizeof tests / sizeof tests[0]);
}
