#include "collector/server/gate.h"

#include <string.h>

#include "tests/kit/cases.h"

enum { NOW = 1800000000, HOUR = 3600, TEXT_SIZE = 64 * 1024 };

static const char uri[] = "spiffe://o-abc/account/1";

static struct buffer old_ca, new_ca, agent;
static struct certificate_facts facts;

static void must(bool good, const struct fault *fault) {
    if (!good) fail_msg("%s", fault->text);
}

// A CA that lives so long; its key stays in `key`.
static void make_ca(const char *name, int64_t valid_s, struct buffer *key, struct buffer *ca) {
    const struct certificate_request request = {
        .use = CERTIFICATE_CA, .common_name = name, .valid_s = valid_s};
    struct fault fault;
    buffer_init(key, TEXT_SIZE);
    buffer_init(ca, TEXT_SIZE);
    must(certificate_make_key(key, &fault), &fault);
    must(certificate_make_ca(buffer_span(key), &request, NOW, ca, &fault), &fault);
}

static int make_all(void **state) {
    (void)state;
    struct buffer old_key, new_key, key;
    struct fault fault;
    make_ca("old", 3 * HOUR, &old_key, &old_ca);
    make_ca("new", 90 * HOUR, &new_key, &new_ca);
    const struct certificate_request request = {
        .use = CERTIFICATE_CLIENT, .common_name = "agent", .uri = uri, .valid_s = 10 * HOUR};
    buffer_init(&key, TEXT_SIZE);
    buffer_init(&agent, TEXT_SIZE);
    must(certificate_make_key(&key, &fault), &fault);
    must(certificate_issue(buffer_span(&old_ca), buffer_span(&old_key), buffer_span(&key), &request,
                           NOW, &agent, &fault),
         &fault);
    must(certificate_read(buffer_span(&agent), &facts, &fault), &fault);
    buffer_done(&old_key);
    buffer_done(&new_key);
    buffer_done(&key);
    return 0;
}

static int free_all(void **state) {
    (void)state;
    buffer_done(&old_ca);
    buffer_done(&new_ca);
    buffer_done(&agent);
    return 0;
}

static struct gate *make_gate(const struct buffer *first, const struct buffer *second,
                              const char *denied) {
    struct buffer ca;
    struct deny *deny;
    struct gate *gate;
    struct fault fault;
    buffer_init(&ca, TEXT_SIZE);
    buffer_append(&ca, buffer_span(first));
    if (second != NULL) buffer_append(&ca, buffer_span(second));
    must(deny_parse(span_text(denied), &deny, &fault), &fault);
    must(gate_create(buffer_span(&ca), buffer_span(&agent), deny, &gate, &fault), &fault);
    buffer_done(&ca);
    return gate;
}

static void assert_answer(struct gate *gate, int64_t now_s, const char *said) {
    const struct gate_peer peer = {uri, facts.serial, buffer_span(&agent)};
    struct fault fault = {0};
    bool is_good = gate_check(gate, &peer, now_s, &fault);
    if (said == NULL) {
        must(is_good, &fault);
    } else {
        assert_false(is_good);
        assert_int_equal(fault.kind, FAULT_DENIED);
        if (strstr(fault.text, said) == NULL) fail_msg("\"%s\" lacks \"%s\"", fault.text, said);
    }
    gate_destroy(gate);
}

static void test_answers(void **state) {
    (void)state;
    assert_answer(make_gate(&old_ca, NULL, ""), NOW, NULL);
    assert_answer(make_gate(&new_ca, &old_ca, ""), NOW, NULL);
    assert_answer(make_gate(&new_ca, NULL, ""), NOW, "signed by \"old\", not by an accepted CA");
    assert_answer(make_gate(&old_ca, NULL, uri), NOW, "deny list has spiffe://o-abc/account/1");
    assert_answer(make_gate(&old_ca, NULL, facts.serial), NOW, facts.serial);
    assert_answer(make_gate(&old_ca, NULL, "spiffe://o-abc/account/2"), NOW, NULL);
    assert_answer(make_gate(&old_ca, NULL, ""), NOW + 11 * HOUR, "expired");
}

static void test_a_ca_that_expires_changes_the_answer(void **state) {
    (void)state;
    struct gate *gate = make_gate(&new_ca, &old_ca, "");
    uint32_t count;
    assert_string_equal(gate_cas(gate, &count)[1].common_name, "old");
    assert_int_equal(count, 2);
    assert_int_equal(gate_changes_s(gate, NOW), NOW + 3 * HOUR);
    assert_int_equal(gate_changes_s(gate, NOW + 3 * HOUR), NOW + 90 * HOUR);
    assert_int_equal(gate_changes_s(gate, NOW + 90 * HOUR), INT64_MAX);
    assert_answer(gate, NOW + 3 * HOUR + 1, "the CA that signed the certificate expired");
}

static void test_a_bad_ca_text(void **state) {
    (void)state;
    struct deny *deny;
    struct gate *gate = NULL;
    struct fault fault;
    must(deny_parse(SPAN_LITERAL(""), &deny, &fault), &fault);
    assert_false(gate_create(buffer_span(&agent), buffer_span(&agent), deny, &gate, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_null(gate);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answers, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_a_ca_that_expires_changes_the_answer, make_all,
                                        free_all),
        cmocka_unit_test_setup_teardown(test_a_bad_ca_text, make_all, free_all),
    };
    return cases_run("collector/gate", tests, sizeof tests / sizeof tests[0]);
}
