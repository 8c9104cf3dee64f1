#include "base/certificate_check.h"

#include <string.h>

#include "tests/kit/cases.h"

enum { NOW = 1800000000, HOUR = 3600, TEXT_SIZE = 64 * 1024 };

// Two CAs of the same name, and what the first one signed.
static struct buffer ca_key, ca, other_key, other_ca;
static struct buffer key, client, server, nameless, short_lived;

static struct span span(const struct buffer *buffer) {
    return buffer_span(buffer);
}

static void must(bool good, const struct fault *fault) {
    if (!good) fail_msg("%s", fault->text);
}

static void make_ca(struct buffer *ca_key_text, struct buffer *ca_text) {
    const struct certificate_request request = {
        .use = CERTIFICATE_CA, .common_name = "example CA", .valid_s = 10 * HOUR};
    struct fault fault;
    must(certificate_make_key(ca_key_text, &fault), &fault);
    must(certificate_make_ca(span(ca_key_text), &request, NOW, ca_text, &fault), &fault);
}

static void issue(enum certificate_use use, const char *uri, const char *host, int64_t valid_s,
                  struct buffer *made) {
    const struct certificate_request request = {
        .use = use,
        .common_name = "somebody",
        .uri = uri,
        .dns_names = &host,
        .dns_names_count = host == NULL ? 0 : 1,
        .valid_s = valid_s,
    };
    struct fault fault;
    must(certificate_issue(span(&ca), span(&ca_key), span(&key), &request, NOW, made, &fault),
         &fault);
}

static int make_all(void **state) {
    (void)state;
    struct buffer *const all[] = {&ca_key, &ca,     &other_key, &other_ca,   &key,
                                  &client, &server, &nameless,  &short_lived};
    for (int index = 0; index < 9; index++) buffer_init(all[index], TEXT_SIZE);
    struct fault fault;
    make_ca(&ca_key, &ca);
    make_ca(&other_key, &other_ca);
    must(certificate_make_key(&key, &fault), &fault);
    issue(CERTIFICATE_CLIENT, "spiffe://o-a/account/1", NULL, 20 * HOUR, &client);
    issue(CERTIFICATE_SERVER, NULL, "collector.example", HOUR, &server);
    issue(CERTIFICATE_CLIENT, NULL, NULL, HOUR, &nameless);
    issue(CERTIFICATE_CLIENT, "spiffe://o-a/account/1", NULL, 5, &short_lived);
    return 0;
}

static int free_all(void **state) {
    (void)state;
    struct buffer *const all[] = {&ca_key, &ca,     &other_key, &other_ca,   &key,
                                  &client, &server, &nameless,  &short_lived};
    for (int index = 0; index < 9; index++) buffer_done(all[index]);
    return 0;
}

static void assert_says(const struct fault *fault, enum fault_kind kind, const char *said) {
    assert_int_equal(fault->kind, kind);
    if (strstr(fault->text, said) == NULL) fail_msg("\"%s\" lacks \"%s\"", fault->text, said);
}

static void assert_set_refused(struct certificate_set set, enum certificate_use use, int64_t now_s,
                               const char *said) {
    struct certificate_facts facts = {.serial = "untouched"};
    struct fault fault;
    assert_false(certificate_check(&set, use, now_s, &facts, &fault));
    assert_says(&fault, FAULT_INPUT, said);
    assert_string_equal(facts.serial, "untouched");
}

static void test_a_good_set(void **state) {
    (void)state;
    struct certificate_facts facts;
    struct fault fault;
    const struct certificate_set agent = {span(&ca), span(&client), span(&key)};
    const struct certificate_set collector = {span(&ca), span(&server), span(&key)};
    must(certificate_check(&agent, CERTIFICATE_CLIENT, NOW, &facts, &fault), &fault);
    assert_string_equal(facts.uri, "spiffe://o-a/account/1");
    assert_string_equal(facts.issuer, "example CA");
    assert_int_equal(facts.not_after_s, NOW + 20 * HOUR);
    must(certificate_check(&collector, CERTIFICATE_SERVER, NOW, &facts, &fault), &fault);
}

static void test_what_is_wrong_with_a_set(void **state) {
    (void)state;
    const struct certificate_set good = {span(&ca), span(&client), span(&key)};
    struct certificate_set set = good;
    set.key = span(&ca_key);
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW, "do not belong together");
    set.key = SPAN_LITERAL("x");
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW, "key: ");
    set = good;
    set.ca = span(&other_ca);
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW,
                       "signed by \"example CA\", not by an accepted");
    set.ca = span(&client);
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW, "CA: \"somebody\" is no CA's");
    set.ca = SPAN_LITERAL("");
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW, "CA: certificate 1 of it cannot be read");
    set = good;
    set.certificate = SPAN_LITERAL("x");
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW, "certificate: ");
    set.certificate = span(&nameless);
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW, "not exactly one URI");
    assert_set_refused(set, CERTIFICATE_SERVER, NOW, "no host name");
    set.certificate = span(&server);
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW, "not exactly one URI");
}

static void test_dates(void **state) {
    (void)state;
    struct certificate_set set = {span(&ca), span(&short_lived), span(&key)};
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW + 6,
                       "expired at 2027-01-15T08:00:05Z (the clock says 2027-01-15T08:00:06Z)");
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW - HOUR,
                       "not valid before 2027-01-15T07:55:00Z");
    set.certificate = span(&client);
    assert_set_refused(set, CERTIFICATE_CLIENT, NOW + 11 * HOUR,
                       "the CA that signed the certificate expired at");
}

static void test_two_cas_while_one_is_replaced(void **state) {
    (void)state;
    struct buffer both;
    struct fault fault;
    struct certificate_facts facts[CERTIFICATE_CAS_MAX];
    uint32_t count = 0;
    buffer_init(&both, TEXT_SIZE);
    buffer_append(&both, span(&other_ca));
    buffer_append(&both, span(&ca));
    must(certificate_check_peer(span(&client), span(&both), CERTIFICATE_CLIENT, NOW, &fault),
         &fault);
    must(certificate_read_cas(span(&both), facts, &count, &fault), &fault);
    assert_int_equal(count, 2);
    assert_memory_not_equal(facts[0].fingerprint, facts[1].fingerprint, 32);

    // A file that was cut off is not taken for one that holds less.
    struct span cut = span(&both);
    cut.size -= 100;
    assert_false(certificate_read_cas(cut, facts, &count, &fault));
    assert_says(&fault, FAULT_INPUT, "CA: certificate 2 of it cannot be read");

    while (count++ <= CERTIFICATE_CAS_MAX) buffer_append(&both, span(&ca));
    assert_false(certificate_read_cas(span(&both), facts, &count, &fault));
    assert_says(&fault, FAULT_INPUT, "at most 16");
    buffer_done(&both);
}

static void test_peers(void **state) {
    (void)state;
    struct fault fault;
    must(certificate_check_peer(span(&client), span(&ca), CERTIFICATE_CLIENT, NOW, &fault), &fault);
    must(certificate_check_peer(span(&server), span(&ca), CERTIFICATE_SERVER, NOW, &fault), &fault);
    assert_false(certificate_check_peer(span(&client), span(&ca), CERTIFICATE_SERVER, NOW, &fault));
    assert_says(&fault, FAULT_DENIED, "not made out for this use");
    assert_false(
        certificate_check_peer(span(&client), span(&other_ca), CERTIFICATE_CLIENT, NOW, &fault));
    assert_says(&fault, FAULT_DENIED, "signed by \"example CA\"");
    assert_false(
        certificate_check_peer(SPAN_LITERAL("no"), span(&ca), CERTIFICATE_CLIENT, NOW, &fault));
    assert_says(&fault, FAULT_DENIED, "not PEM");
}

// Read once, asked often: the text may be gone, and a bad answer changes none that follow.
static void test_peers_of_cas_read_once(void **state) {
    (void)state;
    struct fault fault;
    struct buffer text;
    struct certificate_cas *cas;
    buffer_init(&text, TEXT_SIZE);
    buffer_append(&text, span(&other_ca));
    buffer_append(&text, span(&ca));
    must(certificate_cas_create(buffer_span(&text), &cas, &fault), &fault);
    buffer_done(&text);
    for (int round = 0; round < 3; round++) {
        must(certificate_cas_check(cas, span(&client), CERTIFICATE_CLIENT, NOW, &fault), &fault);
        must(certificate_cas_check(cas, span(&server), CERTIFICATE_SERVER, NOW, &fault), &fault);
        assert_false(certificate_cas_check(cas, span(&client), CERTIFICATE_SERVER, NOW, &fault));
        assert_says(&fault, FAULT_DENIED, "not made out for this use");
        assert_false(certificate_cas_check(cas, span(&client), CERTIFICATE_CLIENT,
                                           NOW + INT64_C(1000) * 86400 * 365, &fault));
        assert_says(&fault, FAULT_DENIED, "expired");
    }
    certificate_cas_destroy(cas);
    must(certificate_cas_create(span(&other_ca), &cas, &fault), &fault);
    assert_false(certificate_cas_check(cas, span(&client), CERTIFICATE_CLIENT, NOW, &fault));
    assert_says(&fault, FAULT_DENIED, "not by an accepted CA");
    certificate_cas_destroy(cas);
    certificate_cas_destroy(NULL);
    assert_false(certificate_cas_create(SPAN_LITERAL("no"), &cas, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
}

static void test_hosts(void **state) {
    (void)state;
    struct fault fault;
    must(certificate_check_host(span(&server), "collector.example", &fault), &fault);
    assert_false(certificate_check_host(span(&server), "example", &fault));
    assert_says(&fault, FAULT_DENIED, "another name than example");
    // The common name is for people.
    assert_false(certificate_check_host(span(&nameless), "somebody", &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_good_set, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_what_is_wrong_with_a_set, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_dates, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_two_cas_while_one_is_replaced, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_peers, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_peers_of_cas_read_once, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_hosts, make_all, free_all),
    };
    return cases_run("base/certificate_check", tests, sizeof tests / sizeof tests[0]);
}
