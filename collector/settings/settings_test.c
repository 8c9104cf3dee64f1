#include "collector/settings/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/certificate.h"
#include "base/files.h"
#include "collector/settings/settings_sums.h"
#include "tests/kit/cases.h"

enum { NOW_S = 1700000000 };

#define HEAD                                                            \
    "organization: {id: o-abc, management_account: \"111111111111\"}\n" \
    "listen: 127.0.0.1:0\n"                                             \
    "store: {directory: store}\n"                                       \
    "certificates: {ca: ca.pem, certificate: c.pem, key: c.key}\n"

#define TARGETS "notify:\n  targets:\n    - "

static char directory[256];

static int make_directory(void **state) {
    (void)state;
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(directory, sizeof directory, "%s/settings_XXXXXX", base == NULL ? "/tmp" : base);
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state) {
    (void)state;
    char command[300];
    (void)snprintf(command, sizeof command, "rm -r '%s'", directory);
    return system(command);
}

static void write_file(const char *name, struct span bytes) {
    char path[300];
    struct fault fault = {0};
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    if (!files_write_whole(files_system(), path, bytes, 0600, &fault)) fail_msg("%s", fault.text);
}

static bool load(const char *text, struct settings **settings, struct fault *fault) {
    char path[300];
    write_file("collector.yaml", span_text(text));
    (void)snprintf(path, sizeof path, "%s/collector.yaml", directory);
    return settings_load(path, settings, fault);
}

static void test_defaults(void **state) {
    (void)state;
    struct settings *settings = NULL;
    struct fault fault = {0};
    if (!load(HEAD, &settings, &fault)) fail_msg("%s", fault.text);
    assert_string_equal(settings->organization, "o-abc");
    assert_string_equal(settings->home_region, "us-east-1");
    assert_null(settings->http_listen);
    assert_int_equal(settings->heartbeat_ms, 15000);
    assert_int_equal(settings->future_max_hours, 24);
    assert_int_equal(settings->quarantine_size_max, 256 << 20);
    assert_int_equal(settings->free_size_min, 0);
    assert_int_equal(settings->unknown, ROSTER_UNKNOWN_DEFAULT);
    assert_int_equal(settings->accounts_count, 0);
    char path[300];
    (void)snprintf(path, sizeof path, "%s/store", directory);
    assert_string_equal(settings->store_directory, path);
    settings_destroy(settings);
}

static void test_everything_set(void **state) {
    (void)state;
    struct settings *settings = NULL;
    struct fault fault = {0};
    const char *text =
        "organization: {id: o-abc, management_account: a1, home_region: eu-west-1}\n"
        "listen: \"[::1]:7443\"\n"
        "http: {listen: 0.0.0.0:9090}\n"
        "store: {directory: /srv/trail, min_free: 3GiB, size_max: 1TiB, quarantine_max: 4096}\n"
        "certificates: {ca: /a/ca.pem, certificate: c.pem, key: c.key}\n"
        "roster:\n"
        "  unknown: admit\n"
        "  accounts:\n"
        "    - {id: \"222222222222\", name: shop, unit: retail, regions: [eu-west-1, us-east-1]}\n"
        "    - {id: \"333333333333\"}\n"
        "heartbeat_ms: 1000\n"
        "future_max_hours: 48\n"
        "streams_max: 10\n" TARGETS
        "{name: pager, trail: org, secret: /s, webhook: \"https://a/b?c\"}\n"
        "    - {name: in, trail: t, account: a2, secret: /t, webhook: \"http://c\", ca: /ca,\n"
        "       allow_private: yes, form: s3_event}\n";
    if (!load(text, &settings, &fault)) fail_msg("%s", fault.text);
    assert_string_equal(settings->home_region, "eu-west-1");
    assert_string_equal(settings->http_listen, "0.0.0.0:9090");
    assert_string_equal(settings->store_directory, "/srv/trail");
    assert_string_equal(settings->ca_path, "/a/ca.pem");
    assert_int_equal(settings->free_size_min, UINT64_C(3) << 30);
    assert_int_equal(settings->store_size_max, UINT64_C(1) << 40);
    assert_int_equal(settings->quarantine_size_max, 4096);
    assert_int_equal(settings->unknown, ROSTER_UNKNOWN_ADMIT);
    assert_int_equal(settings->accounts_count, 2);
    assert_string_equal(settings->accounts[0].unit, "retail");
    assert_int_equal(settings->accounts[0].regions_count, 2);
    assert_string_equal(settings->accounts[0].regions[1], "us-east-1");
    assert_null(settings->accounts[1].name);
    assert_int_equal(settings->heartbeat_ms, 1000);
    assert_int_equal(settings->future_max_hours, 48);
    assert_int_equal(settings->streams_max, 10);
    assert_int_equal(settings->notify_targets_count, 2);
    const struct target *target = &settings->notify_targets[0];
    assert_int_equal(target->kind, TARGET_WEBHOOK);
    assert_string_equal(target->name, "pager");
    assert_string_equal(target->account, "a1");
    assert_string_equal(target->address, "https://a/b?c");
    assert_string_equal(target->secret, "/s");
    assert_int_equal(target->form, MESSAGE_CLOUDTRAIL);
    assert_false(target->allows_private);
    target = &settings->notify_targets[1];
    assert_string_equal(target->account, "a2");
    assert_string_equal(target->service.ca, "/ca");
    assert_int_equal(target->form, MESSAGE_S3_EVENT);
    assert_true(target->allows_private);
    settings_destroy(settings);
}

static void test_the_api_shares_the_certificate(void **state) {
    (void)state;
    struct settings *settings = NULL;
    struct fault fault = {0};
    if (!load(HEAD, &settings, &fault)) fail_msg("%s", fault.text);
    assert_null(settings->api_listen);
    settings_destroy(settings);
    if (!load(HEAD "api: {listen: \"127.0.0.1:8443\"}\n", &settings, &fault))
        fail_msg("%s", fault.text);
    assert_string_equal(settings->api_listen, "127.0.0.1:8443");
    assert_string_equal(settings->api_certificate_path, settings->certificate_path);
    assert_string_equal(settings->api_key_path, settings->key_path);
    assert_non_null(strstr(settings->secret_path, "/secret.key"));
    assert_int_equal(settings->api_readers, SETTINGS_API_READERS);
    assert_int_equal(settings->api_connections_max, SETTINGS_API_CONNECTIONS);
    assert_int_equal(settings->api_lookups_per_second, 0);
    settings_destroy(settings);
    if (!load(HEAD "api: {listen: \"[::]:443\", certificate: /p/c, key: /p/k, secret_key: /s,\n"
                   "  readers: 4, lookups_per_second: 2, connections_max: 9}\n",
              &settings, &fault)) {
        fail_msg("%s", fault.text);
    }
    assert_string_equal(settings->api_certificate_path, "/p/c");
    assert_string_equal(settings->api_key_path, "/p/k");
    assert_string_equal(settings->secret_path, "/s");
    assert_int_equal(settings->api_readers, 4);
    assert_int_equal(settings->api_lookups_per_second, 2);
    assert_int_equal(settings->api_connections_max, 9);
    settings_destroy(settings);
}

struct mistake {
    const char *text;
    const char *message;
};

static void expect_mistakes(const struct mistake *cases, size_t count) {
    for (size_t index = 0; index < count; index++) {
        struct settings *settings = NULL;
        struct fault fault = {0};
        if (load(cases[index].text, &settings, &fault)) {
            fail_msg("%s was accepted", cases[index].text);
        }
        assert_int_equal(fault.kind, FAULT_INPUT);
        if (strstr(fault.text, cases[index].message) == NULL) fail_msg("%s", fault.text);
        assert_null(settings);
    }
}

static void test_mistakes_say_where(void **state) {
    (void)state;
    static const struct mistake cases[] = {
        {HEAD "lisen: x\n", "collector.yaml: line 5: unknown key \"lisen\""},
        {HEAD "roster:\n  acounts: []\n", "line 6: unknown key \"acounts\""},
        {HEAD "heartbeat_ms: soon\n",
         "line 5: key \"heartbeat_ms\": expected a whole number from 100"},
        {HEAD "heartbeat_ms: 5\n",
         "collector.yaml: line 5: key \"heartbeat_ms\": expected a whole number from 100 to "
         "600000"},
        {HEAD "streams_max: 100000\n",
         "key \"streams_max\": expected a whole number from 1 to 16384"},
        {"organization: {id: o-abc, management_account: a1}\nlisten: 0.0.0.0:1\n"
         "store: {directory: s, retention_days: 0}\n"
         "certificates: {ca: a, certificate: b, key: c}\n",
         "line 3: key \"store.retention_days\": expected a whole number from 1 to 36500 (leave it "
         "out for the default), not \"0\""},
        {HEAD "roster: {unknown: maybe}\n", "line 5"},
        {HEAD "roster: {accounts: [{id: a1}, {id: a1}]}\n", "lists account a1 twice"},
        {HEAD "roster:\n  accounts:\n    - {id: a1}\n    - {id: \"1111\"}\n",
         "line 8: roster.accounts: account \"1111\": an AWS account has 12 digits, this has 4"},
        {HEAD "api: {listen: 8443}\n", "line 5: api.listen: \"8443\" is no address"},
        {HEAD "api: {listen: \"127.0.0.1:8443\", key: k}\n", "certificate and key come together"},
        {HEAD "api: {listen: \"127.0.0.1:8443\", readers: 17}\n", "from 1 to 16"},
        {HEAD "api: {readers: 1}\n", "listen"},
        {HEAD "delivery: {directory: d, s3: {region: eu-west-1}}\n", "directory or s3, not both"},
        {HEAD "delivery: {s3: {endpoint: \"https://a\"}}\n", "region"},
        {HEAD "delivery: {s3: {region: Frankfurt}}\n", "write it like eu-central-1"},
        {HEAD "delivery: {s3: {region: r, kms_key: k}}\n", "only with encryption: kms"},
        {HEAD "delivery: {s3: {region: r, profile: p}}\n", "of which credentials file"},
        {HEAD "delivery: {s3: {region: r, style: sideways}}\n", "line 5"},
        {HEAD TARGETS "{name: a_b, trail: t, secret: s, webhook: \"https://a\"}\n", "line 7"},
        {HEAD TARGETS "{name: sns, trail: t, secret: s, webhook: \"https://a\"}\n",
         "choose another name"},
        {HEAD TARGETS "{name: a, trail: t, webhook: \"https://a\"}\n", "needs a secret"},
        {HEAD TARGETS "{name: a, trail: t, secret: s, webhook: \"http://a\"}\n",
         "a webhook is https://"},
        {HEAD TARGETS "{name: a, trail: t, secret: s, webhook: \"https://u:p@a\"}\n",
         "without user"},
        {HEAD TARGETS
         "{name: a, trail: t, secret: s, webhook: \"https://a\", proxy: \"http://p:1\"}\n",
         "only with allow_private"},
        {HEAD TARGETS "{name: a, trail: t, secret: s, webhook: \"https://a\"}\n"
                      "    - {name: a, trail: u, secret: s, webhook: \"https://b\"}\n",
         "two targets have this name"},
        {HEAD TARGETS "{name: a, trail: t}\n", "one of webhook, queue and topic"},
        {HEAD TARGETS "{name: a, trail: t, queue: \"https://q/1/n\"}\n", "of which region"},
        {HEAD TARGETS "{name: a, trail: t, secret: s, queue: \"https://sqs.r.x/1/n\"}\n",
         "secret and allow_private are for webhooks"},
        {HEAD TARGETS "{name: a, trail: t, topic: \"arn:aws:sns:r:1:n\"}\n", "set it"},
        {HEAD "notify: {sns: {endpoint: \"https://a\"}}\n", "topics"},
        {HEAD "notify: {sns: {topics: [t], profile: p}}\n", "of which credentials file"},
        {HEAD "delivery: {directory: d, compression: 13}\n", "from 1 to 12"},
        {HEAD "http: {listen: 9090}\n", "line 5: http.listen: \"9090\" is no address"},
        {"organization: {id: o-abc}\n", "line 1"},
        {"organization: {id: o-abc, management_account: a1}\nlisten: here:7443\n"
         "store: {directory: s}\ncertificates: {ca: a, certificate: b, key: c}\n",
         "collector.yaml: line 2: listen: \"here:7443\" is no address"},
        {"organization: {id: o-abc, management_account: a1}\nlisten: 0.0.0.0:99999\n"
         "store: {directory: s}\ncertificates: {ca: a, certificate: b, key: c}\n",
         "listen: \"0.0.0.0:99999\" is no address"},
        {"organization: {id: o-abc, management_account: a1}\nlisten: 0.0.0.0:1\n"
         "store: {directory: s, min_free: 1GB}\ncertificates: {ca: a, certificate: b, key: c}\n",
         "line 3: store.min_free: \"1GB\" is no size"},
        {"organization: {id: o-abc, management_account: a1}\nlisten: 0.0.0.0:1\n"
         "store: {directory: s, size_max: 99999999999TiB}\n"
         "certificates: {ca: a, certificate: b, key: c}\n",
         "store.size_max"},
        {"organization: {id: o-abc, management_account: a1}\nlisten: 0.0.0.0:1\n"
         "store: {directory: s, size_max: 4096}\n"
         "certificates: {ca: a, certificate: b, key: c}\n",
         "collector.yaml: line 3: store.size_max: \"4096\" is less than 64MiB"},
        {"organization: {id: o-abc, management_account: a1}\nlisten: 0.0.0.0:1\n"
         "store: {directory: s, size_max: 67108863}\n"
         "certificates: {ca: a, certificate: b, key: c}\n",
         "store.size_max: \"67108863\" is less than 64MiB"},
        {"", "collector.yaml"},
    };
    expect_mistakes(cases, sizeof cases / sizeof cases[0]);
}

static void test_mistakes_of_log_groups_say_where(void **state) {
    (void)state;
    static const struct mistake cases[] = {
        {HEAD "delivery: {logs: {region: Frankfurt}}\n", "write it like eu-central-1"},
        {HEAD "delivery: {logs: {endpoint: \"https://a\"}}\n", "region"},
        {HEAD "delivery: {logs: {region: r, profile: p}}\n", "of which credentials file"},
        {HEAD "delivery: {logs: {region: r, event_size_max: 2MiB}}\n", "is not 1KiB to 1MiB"},
        {HEAD "delivery: {logs: {region: r, interval_s: 0}}\n", "from 1 to"},
        {HEAD "delivery: {logs: {region: r, groups: []}}\n", "groups"},
        {HEAD "delivery: {logs: {region: r, groups: [\"a*b\"]}}\n",
         "line 5: delivery.logs.groups: \"a*b\" is no name of a log group"},
        {HEAD "delivery:\n  logs:\n    region: r\n    groups:\n    - a\n    - a b\n",
         "line 10: delivery.logs.groups: \"a b\" is no name of a log group"},
        {HEAD "delivery: {logs: {region: r, groups: [\"arn:aws:logs:q:1:log-group:a:*\"]}}\n",
         "line 5: delivery.logs.groups: \"arn:aws:logs:q:1:log-group:a:*\" is an ARN"},
        {HEAD "delivery: {logs: {region: r, groups: [\"a:*\"]}}\n", "is no name of a log group"},
    };
    expect_mistakes(cases, sizeof cases / sizeof cases[0]);
}

// Makes ca.pem, c.pem and c.key; the certificate is valid for a day from `from_s`.
static void make_certificates(int64_t from_s) {
    struct buffer pems[4];
    struct fault fault = {0};
    for (int index = 0; index < 4; index++) buffer_init(&pems[index], 1 << 16);
    const struct certificate_request ca = {
        .use = CERTIFICATE_CA, .common_name = "ca", .valid_s = CERTIFICATE_VALID_S_MAX};
    const char *names[] = {"localhost"};
    const struct certificate_request server = {.use = CERTIFICATE_SERVER,
                                               .common_name = "collector",
                                               .dns_names = names,
                                               .dns_names_count = 1,
                                               .valid_s = CERTIFICATE_DAY_S};
    bool is_good = certificate_make_key(&pems[0], &fault) &&
                   certificate_make_ca(buffer_span(&pems[0]), &ca, from_s, &pems[1], &fault) &&
                   certificate_make_key(&pems[2], &fault) &&
                   certificate_issue(buffer_span(&pems[1]), buffer_span(&pems[0]),
                                     buffer_span(&pems[2]), &server, from_s, &pems[3], &fault);
    if (!is_good) fail_msg("%s", fault.text);
    write_file("ca.pem", buffer_span(&pems[1]));
    write_file("c.pem", buffer_span(&pems[3]));
    write_file("c.key", buffer_span(&pems[2]));
    for (int index = 0; index < 4; index++) buffer_done(&pems[index]);
}

static void test_every_setting_has_help(void **state) {
    (void)state;
    struct buffer text;
    struct fault fault = {0};
    buffer_init(&text, 1 << 16);
    if (!settings_print_reference(&text, &fault)) fail_msg("%s", fault.text);
    buffer_done(&text);
}

static void test_check_looks_at_files(void **state) {
    (void)state;
    struct settings *settings = NULL;
    struct fault fault = {0};
    assert_true(load(HEAD, &settings, &fault));
    assert_false(settings_check(settings, NOW_S, &fault));
    assert_non_null(strstr(fault.text, "ca.pem"));

    make_certificates(NOW_S);
    if (!settings_check(settings, NOW_S, &fault)) fail_msg("%s", fault.text);
    assert_false(settings_check(settings, NOW_S + 3 * 86400, &fault));
    assert_non_null(strstr(fault.text, "expired at 2023-11-"));
    assert_false(settings_check(settings, NOW_S - 86400, &fault));
    assert_non_null(strstr(fault.text, "not valid before"));

    write_file("store", SPAN_LITERAL("a file"));
    assert_false(settings_check(settings, NOW_S, &fault));
    assert_non_null(strstr(fault.text, "is no folder"));

    write_file("c.key", SPAN_LITERAL("no key"));
    assert_false(settings_check(settings, NOW_S, &fault));
    assert_non_null(strstr(fault.text, "c.pem"));
    settings_destroy(settings);
}

// What changes between two texts, by the sums of their settings.
static void expect_changes(const char *before, const char *after, const char *names) {
    struct settings *settings[2];
    struct buffer sums[2];
    struct buffer text;
    struct fault fault = {0};
    const char *const files[] = {before, after};
    buffer_init(&text, 4096);
    for (uint32_t index = 0; index < 2; index++) {
        if (!load(files[index], &settings[index], &fault)) fail_msg("%s", fault.text);
        buffer_init(&sums[index], 4096);
        settings_sums_print(settings[index], settings[index], &sums[index]);
    }
    settings_sums_compare(buffer_span(&sums[0]), buffer_span(&sums[1]), &text);
    buffer_append_byte(&text, 0);
    assert_string_equal((const char *)text.bytes, names);
    for (uint32_t index = 0; index < 2; index++) {
        buffer_done(&sums[index]);
        settings_destroy(settings[index]);
    }
    buffer_done(&text);
}

#define ROSTER(accounts) HEAD "roster: {accounts: [" accounts "]}\n"
#define ACCOUNT(digit, more) "{id: \"" digit "11111111111\"" more "}"

static void test_sums_say_what_changed(void **state) {
    (void)state;
    expect_changes(HEAD, HEAD, "");
    expect_changes(HEAD, HEAD "heartbeat_ms: 15000\n", "");
    expect_changes(HEAD, HEAD "heartbeat_ms: 15001\nstreams_max: 7\n", "heartbeat_ms streams_max");
    expect_changes(HEAD, HEAD "http: {listen: \"127.0.0.1:1\"}\n", "http.listen");
    expect_changes(HEAD, HEAD "roster: {unknown: admit}\n", "roster.unknown");
    expect_changes(ROSTER(ACCOUNT("1", "") ", " ACCOUNT("2", "")),
                   ROSTER(ACCOUNT("2", "") ", " ACCOUNT("1", "")), "");
    expect_changes(ROSTER(ACCOUNT("1", ", name: a")), ROSTER(ACCOUNT("1", ", unit: a")),
                   "roster.accounts");
    expect_changes(ROSTER(ACCOUNT("1", ", regions: [us-east-1]")),
                   ROSTER(ACCOUNT("1", ", regions: [us-east-1, us-east-2]")), "roster.accounts");
    // What one of the two does not know is not a change.
    struct buffer names;
    buffer_init(&names, 4096);
    settings_sums_compare(SPAN_LITERAL("a 1\nold 1\n"), SPAN_LITERAL("new 1\na 1"), &names);
    assert_int_equal(names.size, 0);
    settings_sums_compare(SPAN_LITERAL("a 1\nb 1"), SPAN_LITERAL("b 2\na 2"), &names);
    assert_true(span_is(buffer_span(&names), "b a"));
    buffer_done(&names);
}

// Each setting that docs/configuration.md lists has a sum.
static void test_every_setting_has_a_sum(void **state) {
    (void)state;
    struct settings *settings = NULL;
    struct buffer text, sums;
    struct fault fault = {0};
    uint32_t count = 0;
    if (!load(HEAD, &settings, &fault)) fail_msg("%s", fault.text);
    buffer_init(&text, 1 << 20);
    buffer_init(&sums, 4096);
    if (!settings_print_reference(&text, &fault)) fail_msg("%s", fault.text);
    settings_sums_print(settings, settings, &sums);
    buffer_append_byte(&text, 0);
    buffer_append_byte(&sums, 0);
    for (const char *line = (const char *)text.bytes; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        char name[64], wanted[80];
        if (sscanf(line, "| `%63[a-z0-9_.]", name) != 1) continue;
        if (name[strlen(name) - 1] == '.') name[strlen(name) - 1] = 0;
        snprintf(wanted, sizeof wanted, "%s ", name);
        if (strstr((const char *)sums.bytes, wanted) == NULL) fail_msg("%s has no sum", name);
        count++;
    }
    assert_true(count >= 20);
    buffer_done(&sums);
    buffer_done(&text);
    settings_destroy(settings);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_everything_set, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_the_api_shares_the_certificate, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_mistakes_say_where, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_mistakes_of_log_groups_say_where, make_directory,
                                        remove_directory),
        cmocka_unit_test(test_every_setting_has_help),
        cmocka_unit_test_setup_teardown(test_sums_say_what_changed, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_every_setting_has_a_sum, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_check_looks_at_files, make_directory,
                                        remove_directory),
    };
    return cases_run("collector/settings", tests, sizeof tests / sizeof tests[0]);
}
