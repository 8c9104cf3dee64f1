#include "base/config.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "tests/kit/cases.h"

struct account {
    char *id;
    char *name;
    char **regions;
    uint32_t regions_count;
};

struct tls {
    char *certificate;
    uint16_t port;
};

enum unknown { UNKNOWN_REFUSE, UNKNOWN_ADMIT };

struct settings {
    char *listen;
    int8_t level;
    bool verbose;
    struct tls tls;
    struct account *accounts;
    uint32_t accounts_count;
    enum unknown unknown;
};

static const cyaml_strval_t unknown_names[] = {{"refuse", UNKNOWN_REFUSE},
                                               {"admit", UNKNOWN_ADMIT}};

static const cyaml_schema_value_t region_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 20)};

static const cyaml_schema_field_t account_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_POINTER, struct account, id, 12, 12),
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER_NULL | CYAML_FLAG_OPTIONAL, struct account,
                           name, 0, 100),
    CYAML_FIELD_SEQUENCE("regions", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct account,
                         regions, &region_schema, 1, 3),
    CYAML_FIELD_END};

static const cyaml_schema_value_t account_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct account, account_fields)};

static const cyaml_schema_field_t tls_fields[] = {
    CYAML_FIELD_STRING_PTR("certificate", CYAML_FLAG_POINTER, struct tls, certificate, 1, 100),
    CYAML_FIELD_UINT("port", CYAML_FLAG_OPTIONAL, struct tls, port), CYAML_FIELD_END};

static const cyaml_schema_field_t settings_fields[] = {
    CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct settings, listen, 1, 20),
    CYAML_FIELD_INT("level", CYAML_FLAG_OPTIONAL, struct settings, level),
    CYAML_FIELD_BOOL("verbose", CYAML_FLAG_OPTIONAL, struct settings, verbose),
    CYAML_FIELD_MAPPING("tls", CYAML_FLAG_OPTIONAL, struct settings, tls, tls_fields),
    CYAML_FIELD_SEQUENCE("accounts", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct settings,
                         accounts, &account_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_ENUM("unknown", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct settings, unknown,
                     unknown_names, 2),
    CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings, settings_fields)};

static void test_good_settings(void **state) {
    (void)state;
    static const char text[] =
        "# all of it\n"
        "listen: \"0.0.0.0:1\"\n"
        "level: -128\n"
        "verbose: Yes\n"
        "tls: {certificate: /etc/x.pem, port: 0xFFFF}\n"
        "accounts:\n"
        "  - id: 111122223333\n"
        "    regions: [eu-west-1, us-east-1]\n"
        "  - id: '000000000001'\n"
        "    name:\n"
        "unknown: admit\n";
    struct fault fault = {0};
    void *loaded = NULL;
    if (!config_load(span_text(text), "x.yaml", &schema, &loaded, &fault))
        fail_msg("%s", fault.text);
    const struct settings *settings = loaded;
    assert_string_equal(settings->listen, "0.0.0.0:1");
    assert_int_equal(settings->level, -128);
    assert_true(settings->verbose);
    assert_int_equal(settings->tls.port, 65535);
    assert_int_equal(settings->accounts_count, 2);
    assert_string_equal(settings->accounts[0].id, "111122223333");
    assert_int_equal(settings->accounts[0].regions_count, 2);
    assert_string_equal(settings->accounts[1].id, "000000000001");
    assert_null(settings->accounts[1].name);
    assert_int_equal(settings->unknown, UNKNOWN_ADMIT);
    config_free(&schema, loaded);
    config_free(&schema, NULL);
    assert_true(config_load(SPAN_LITERAL("listen: a"), "x.yaml", &schema, &loaded, &fault));
    assert_int_equal(((const struct settings *)loaded)->accounts_count, 0);
    config_free(&schema, loaded);
}

static void assert_refused(struct span text, const char *message) {
    struct fault fault = {0};
    void *loaded = &fault;
    assert_false(config_load(text, "x.yaml", &schema, &loaded, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    if (strcmp(fault.text, message) != 0) fail_msg("\n got: %s\nwant: %s", fault.text, message);
    assert_ptr_equal(loaded, &fault);
}

static const struct {
    const char *text;
    const char *message;
} bad[] = {
    {"listen: a\n\nlisen: b\n",
     "x.yaml: line 3: unknown key \"lisen\"; known are: listen, level, verbose, tls, accounts, "
     "unknown"},
    {"listen: a\ntls:\n  certificate: x\n  prot: 3\n",
     "x.yaml: line 4: unknown key \"prot\" in \"tls\"; known are: certificate, port"},
    {"level: 1\n", "x.yaml: line 1: key \"listen\" is missing"},
    {"listen: a\ntls:\n  port: 3\nlevel: 1\n",
     "x.yaml: line 3: key \"certificate\" is missing in \"tls\""},
    {"listen: a\nlisten: b\n", "x.yaml: line 2: key \"listen\" is given twice"},
    {"listen: a\nlevel: 128\n",
     "x.yaml: line 2: key \"level\": expected a whole number from -128 to 127, not \"128\""},
    {"listen: a\nlevel: ten\n",
     "x.yaml: line 2: key \"level\": expected a whole number from -128 to 127, not \"ten\""},
    {"listen: a\nlevel: 010\n",
     "x.yaml: line 2: key \"level\": expected a whole number from -128 to 127, not \"010\""},
    {"listen: a\nlevel:\n",
     "x.yaml: line 2: key \"level\": expected a whole number from -128 to 127, not \"\""},
    {"listen: a\ntls: {certificate: x, port: -1}\n",
     "x.yaml: line 2: key \"tls.port\": expected a whole number from 0 to 65535, not \"-1\""},
    {"listen: a\ntls: {certificate: x, port: 99999999999999999999}\n",
     "x.yaml: line 2: key \"tls.port\": expected a whole number from 0 to 65535, not "
     "\"99999999999999999999\""},
    {"listen: a\nverbose: flase\n",
     "x.yaml: line 2: key \"verbose\": expected true or false, not \"flase\""},
    {"listen: a\nunknown: maybe\n",
     "x.yaml: line 2: key \"unknown\": expected one of refuse, admit, not \"maybe\""},
    {"listen: [a]\n", "x.yaml: line 1: key \"listen\": expected a text, not a list"},
    {"listen:\n", "x.yaml: line 1: key \"listen\": expected a text of 1 to 20 bytes, not nothing"},
    {"listen: a\ntls: 5\n",
     "x.yaml: line 2: key \"tls\": expected keys with values (a mapping), not \"5\""},
    {"listen: a\naccounts: {id: 1}\n",
     "x.yaml: line 2: key \"accounts\": expected a list, not keys with values"},
    {"listen: a\naccounts:\n  - id: 111122223333\n  - id: 1234\n",
     "x.yaml: line 4: key \"accounts[2].id\": expected a text of 12 to 12 bytes, not \"1234\""},
    {"listen: a\naccounts:\n  - id: 111122223333\n    regions: [a, b,\n  c, d]\n",
     "x.yaml: line 5: key \"accounts[1].regions\": more than the 3 entries allowed"},
    {"listen: a\naccounts:\n  - id: 111122223333\n    regions: []\n",
     "x.yaml: line 4: key \"accounts[1].regions\": fewer than the 1 entries needed"},
    {"listen: &x a\nlevel: *x\n",
     "x.yaml: line 2: the alias \"*x\" is not allowed: write the value out"},
    {"listen: a\n  bad: [\n",
     "x.yaml: line 2: not YAML: mapping values are not allowed in this context"},
    {"listen: a\n\tlevel: 1\n",
     "x.yaml: line 2: not YAML: found a tab character that violates indentation"},
    {"- a\n", "x.yaml: line 1: expected keys with values (a mapping), not a list"},
    {"just text", "x.yaml: line 1: expected keys with values (a mapping), not \"just text\""},
    {"", "x.yaml: no settings in it"},
    {"# only a remark\n", "x.yaml: no settings in it"},
    {"---\n...\n", "x.yaml: line 2: expected keys with values (a mapping), not nothing"},
    {"listen: a\n---\nlisten: b\n", "x.yaml: line 2: a second document begins here"},
    {"listen: a\n? [x]\n: 1\n", "x.yaml: line 2: expected a key, not a list"},
    {"listen: \xFF\n", "x.yaml: byte 8: not YAML: invalid leading UTF-8 octet"},
    {"level: 1\nlisten: \"a\nverbose: true\n",
     "x.yaml: line 2: not YAML: the quote that begins here is not closed"},
    {"level: 1\nlisten: 'a\n\n\n\n",
     "x.yaml: line 2: not YAML: the quote that begins here is not closed"},
    {"listen: \"a\nlevel: 1\nunknown: \"admit\"\n",
     "x.yaml: line 1: not YAML: the quote that begins here is closed in line 3 only: is one "
     "missing?"},
    {"listen: \"a\\0b\"\n",
     "x.yaml: line 1: key \"listen\": expected a text, not one with a zero byte"},
};

static void test_bad_settings_say_where_and_what(void **state) {
    (void)state;
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        assert_refused(span_text(bad[index].text), bad[index].message);
    }
}

static void test_hostile_texts(void **state) {
    (void)state;
    // Each level doubles the one before; expanded it would be 2^40 values.
    struct buffer text;
    buffer_init(&text, CONFIG_SIZE_MAX + 100);
    buffer_append_text(&text, "listen: &a0 [x]\n");
    for (int level = 1; level < 40; level++) {
        buffer_print(&text, "l%d: &a%d [*a%d, *a%d]\n", level, level, level - 1, level - 1);
    }
    assert_refused(buffer_span(&text),
                   "x.yaml: line 1: key \"listen\": expected a text, not a list");
    buffer_reset(&text);
    buffer_append_text(&text, "listen: a\naccounts: ");
    for (int level = 0; level < 1000000; level++) buffer_append_text(&text, "[");
    assert_refused(
        buffer_span(&text),
        "x.yaml: line 2: key \"accounts[1]\": expected keys with values (a mapping), not "
        "a list");
    buffer_reset(&text);
    for (int at = 0; at <= CONFIG_SIZE_MAX / 8; at++) buffer_append_text(&text, "#234567\n");
    assert_refused(buffer_span(&text), "x.yaml: 4194312 bytes, more than the 4194304 allowed");
    buffer_done(&text);
}

// A text cut anywhere is either good or refused with a message, and nothing else happens.
static void test_every_prefix(void **state) {
    (void)state;
    static const char text[] =
        "listen: \"a\"\ntls: {certificate: 'x', port: 1}\n"
        "accounts:\n  - id: \"111122223333\"\n    regions: [a, b]\nunknown: admit\n";
    for (size_t size = 0; size < sizeof text; size++) {
        struct fault fault = {0};
        void *loaded = NULL;
        if (config_load(span_of(text, size), "x.yaml", &schema, &loaded, &fault)) {
            config_free(&schema, loaded);
        } else {
            assert_memory_equal(fault.text, "x.yaml: ", 8);
            assert_int_equal(fault.kind, FAULT_INPUT);
        }
    }
}

static void test_the_reference_is_complete(void **state) {
    (void)state;
    static const struct config_help good[] = {
        {"listen", "address", NULL, "Where."},
        {"level", NULL, "0", "How much."},
        {"verbose", NULL, "false", "More."},
        {"tls.certificate", NULL, "no TLS", "It."},
        {"tls.port", NULL, "443", "There."},
        {"accounts[].id", NULL, NULL, "Who."},
        {"accounts[].name", NULL, "none", "Called."},
        {"accounts[].regions", NULL, "none", "Where."},
        {"unknown", NULL, "`refuse`", "Others."},
    };
    enum { COUNT = sizeof good / sizeof good[0] };
    struct config_help wrong[COUNT];
    struct buffer text;
    struct fault fault = {0};
    buffer_init(&text, 1 << 16);
    if (!config_print_reference(&schema, good, COUNT, &text, &fault)) fail_msg("%s", fault.text);
    buffer_append_byte(&text, 0);
    const char *table = (const char *)text.bytes;
    assert_non_null(strstr(table, "| `listen` | address | needed | Where. |\n| `level` | number "));
    assert_non_null(strstr(table, "| `unknown` | `refuse`, `admit` | `refuse` | Others. |\n"));
    // Without its help, with help for nothing, needed or not as the schema has it not.
    assert_false(config_print_reference(&schema, good, COUNT - 1, &text, &fault));
    assert_string_equal(fault.text, "unknown has no help");
    memcpy(wrong, good, sizeof wrong);
    wrong[1].otherwise = NULL;
    assert_false(config_print_reference(&schema, wrong, COUNT, &text, &fault));
    memcpy(wrong, good, sizeof wrong);
    wrong[0].otherwise = "none";
    assert_false(config_print_reference(&schema, wrong, COUNT, &text, &fault));
    struct config_help more[COUNT + 1];
    memcpy(more, good, sizeof good);
    more[COUNT] = (struct config_help){"nothing", NULL, NULL, "None."};
    assert_false(config_print_reference(&schema, more, COUNT + 1, &text, &fault));
    buffer_done(&text);
}

static void test_lines_of_values(void **state) {
    (void)state;
    struct span text = SPAN_LITERAL("listener: c\nlisten: cc\nlisten: \"c\"  # c\n");
    struct fault fault;
    fault_set(&fault, FAULT_INPUT, "wrong");
    assert_false(config_refuse(text, "x.yaml", "listen", "c", &fault));
    assert_string_equal(fault.text, "x.yaml: line 3: wrong");
    fault_set(&fault, FAULT_INPUT, "wrong");
    assert_false(config_refuse(text, "x.yaml", "listen", "d", &fault));
    assert_string_equal(fault.text, "x.yaml: wrong");
}

static void test_paths_count_from_the_file(void **state) {
    (void)state;
    const char *base = getenv("TEST_TMPDIR");
    char folder[256];
    char name[300];
    char expected[300];
    char path[300];
    struct fault fault = {0};
    assert_true(snprintf(folder, sizeof folder, "%s/config_XXXXXX", base == NULL ? "/tmp" : base) <
                256);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/etc", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/link", folder);
    assert_int_equal(symlink("etc", path), 0);
    static const char *const cases[][3] = {
        {"etc/x.yaml", "ca.pem", "etc/ca.pem"},        {"etc/x.yaml", "../store", "store"},
        {"etc/x.yaml", "../a/../store", "a/../store"}, {"link/x.yaml", "../store", "link/../store"},
        {"none/x.yaml", "../store", "none/../store"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        snprintf(name, sizeof name, "%s/%s", folder, cases[index][0]);
        snprintf(expected, sizeof expected, "%s/%s", folder, cases[index][2]);
        assert_true(config_resolve(name, cases[index][1], path, sizeof path, &fault));
        assert_string_equal(path, expected);
    }
    static const char *const plain[][3] = {
        {"x.yaml", "../store", "../store"}, {"x.yaml", "store", "store"},
        {"/x.yaml", "store", "/store"},     {"/x.yaml", "../store", "/../store"},
        {"/etc/x.yaml", "/srv", "/srv"},    {"/etc/x.yaml", "../../store", "/../store"},
    };
    for (size_t index = 0; index < sizeof plain / sizeof plain[0]; index++) {
        assert_true(config_resolve(plain[index][0], plain[index][1], path, sizeof path, &fault));
        assert_string_equal(path, plain[index][2]);
    }
    assert_false(config_resolve("/etc/x.yaml", "something", path, 10, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
}

static void test_sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t size;
    } taken[] = {{"1", 1},
                 {"4096", 4096},
                 {"4096B", 4096},
                 {"64KiB", 64 << 10},
                 {"256MiB", 1 << 28},
                 {"3GiB", UINT64_C(3) << 30},
                 {"2TiB", UINT64_C(2) << 40},
                 {"9223372036854775807", INT64_MAX}};
    static const char *const refused[] = {"",
                                          "0",
                                          "0GiB",
                                          "-1",
                                          "+1",
                                          " 1",
                                          "1 KiB",
                                          "1GB",
                                          "1kib",
                                          "0x10",
                                          "1.5GiB",
                                          "KiB",
                                          "9223372036854775808",
                                          "99999999999TiB",
                                          "99999999999999999999999"};
    struct fault fault;
    uint64_t size = 7;
    for (size_t index = 0; index < sizeof taken / sizeof taken[0]; index++) {
        assert_true(config_parse_size(taken[index].text, &size, &fault));
        assert_true(size == taken[index].size);
    }
    size = 7;
    for (size_t index = 0; index < sizeof refused / sizeof refused[0]; index++) {
        assert_false(config_parse_size(refused[index], &size, &fault));
        assert_int_equal(fault.kind, FAULT_INPUT);
        assert_non_null(strstr(fault.text, "is no size"));
        assert_int_equal(size, 7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_settings),
        cmocka_unit_test(test_bad_settings_say_where_and_what),
        cmocka_unit_test(test_hostile_texts),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_the_reference_is_complete),
        cmocka_unit_test(test_lines_of_values),
        cmocka_unit_test(test_paths_count_from_the_file),
        cmocka_unit_test(test_sizes),
    };
    return cases_run("config_test", tests, sizeof tests / sizeof tests[0]);
}
