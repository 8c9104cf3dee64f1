#include "verify/keys.h"

#include <stdio.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/crypto_rsa.h"
#include "tests/kit/cases.h"

enum { BEGIN_S = 1700000000, END_S = 1700100000 };

static const struct span claim = {(const uint8_t *)"claim", 5};

// A key pair; the signature of the claim.
static void make(struct buffer *der, char signature[2 * CRYPTO_RSA_SIGNATURE_SIZE + 1]) {
    struct crypto_rsa *key;
    struct fault fault;
    uint8_t bytes[CRYPTO_RSA_SIGNATURE_SIZE];
    buffer_init(der, CRYPTO_RSA_DER_SIZE_MAX);
    assert_true(crypto_rsa_generate(&key, &fault));
    assert_true(crypto_rsa_print_public(key, der, &fault));
    assert_true(crypto_rsa_sign(key, claim, bytes, &fault));
    crypto_print_hex(span_of(bytes, sizeof bytes), signature);
    crypto_rsa_destroy(key);
}

static void test_verdicts(void **state) {
    (void)state;
    struct buffer one, other;
    struct fault fault;
    char of_one[2 * CRYPTO_RSA_SIGNATURE_SIZE + 1], of_other[2 * CRYPTO_RSA_SIGNATURE_SIZE + 1];
    const struct span name = SPAN_LITERAL("f1");
    struct public_keys *keys = keys_create();
    assert_non_null(keys);
    make(&one, of_one);
    make(&other, of_other);
    assert_true(keys_add(keys, name, buffer_span(&one), BEGIN_S, END_S, &fault));
    assert_int_equal(keys_count(keys), 1);
    struct span good = span_text(of_one), bad = span_text(of_other);
    assert_int_equal(keys_verify(keys, name, BEGIN_S, claim, good), KEYS_GOOD);
    assert_int_equal(keys_verify(keys, name, BEGIN_S, claim, bad), KEYS_BAD);
    assert_int_equal(keys_verify(keys, name, BEGIN_S, SPAN_LITERAL("x"), good), KEYS_BAD);
    assert_int_equal(keys_verify(keys, SPAN_LITERAL("f2"), BEGIN_S, claim, good), KEYS_UNKNOWN);
    assert_int_equal(keys_verify(keys, name, END_S + KEYS_SLACK_S, claim, good), KEYS_GOOD);
    assert_int_equal(keys_verify(keys, name, END_S + KEYS_SLACK_S + 1, claim, good), KEYS_OUTDATED);
    assert_int_equal(keys_verify(keys, name, BEGIN_S - KEYS_SLACK_S - 1, claim, good),
                     KEYS_OUTDATED);
    // Another key of the same fingerprint, or one that answers for any.
    assert_true(keys_add(keys, name, buffer_span(&other), BEGIN_S, END_S, &fault));
    assert_int_equal(keys_verify(keys, name, BEGIN_S, claim, bad), KEYS_GOOD);
    assert_true(keys_add(keys, (struct span){NULL, 0}, buffer_span(&one), 0, INT64_MAX, &fault));
    assert_int_equal(keys_verify(keys, SPAN_LITERAL("f2"), 0, claim, good), KEYS_GOOD);
    keys_destroy(keys);
    buffer_done(&one);
    buffer_done(&other);
}

static void expect_refused(const char *text, const char *why) {
    struct public_keys *keys = keys_create();
    struct fault fault = {.kind = FAULT_NONE};
    assert_non_null(keys);
    assert_false(keys_read(keys, span_text(text), &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    if (strstr(fault.text, why) == NULL) fail_msg("%s: %s", text, fault.text);
    keys_destroy(keys);
}

static void test_refused(void **state) {
    (void)state;
    expect_refused("", "empty");
    expect_refused("{", "invalid JSON");
    expect_refused("{}", "no keys in it");
    expect_refused("{\"PublicKeyList\":[]}", "no keys in it");
    expect_refused("[{}]", "key 1: Fingerprint");
    expect_refused("[{\"Fingerprint\":\"f\"}]", "key 1: Value");
    expect_refused("[{\"Fingerprint\":\"f\",\"Value\":\"?\"}]", "key 1: Value");
    expect_refused("[{\"Fingerprint\":\"f\",\"Value\":\"AAAA\",\"ValidityEndTime\":-1}]",
                   "ValidityEndTime is no time");
    expect_refused("[{\"Fingerprint\":\"f\",\"Value\":\"AAAA\",\"ValidityStartTime\":\"x\"}]",
                   "ValidityStartTime");
    expect_refused("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "PKCS#1");
    expect_refused("-----BEGIN RSA PUBLIC KEY-----\n!\n-----END RSA PUBLIC KEY-----\n", "base64");
}

static void test_times(void **state) {
    (void)state;
    static const char *const texts[] = {
        "[{\"Fingerprint\":\"f\",\"Value\":\"AAAA\",\"ValidityStartTime\":1700000000.5,"
        "\"ValidityEndTime\":1.7001E9}]",
        "{\"PublicKeyList\":[{\"Fingerprint\":\"f\",\"Value\":\"AAAA\",\"ValidityStartTime\":"
        "\"2023-11-14T22:13:20+00:00\",\"ValidityEndTime\":\"2023-11-16T02:00:00.000Z\"}]}",
        "[{\"Fingerprint\":\"f\",\"Value\":\"AAAA\"}]",
    };
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        struct public_keys *keys = keys_create();
        struct fault fault;
        assert_non_null(keys);
        if (!keys_read(keys, span_text(texts[index]), &fault)) fail_msg("%s", fault.text);
        assert_int_equal(keys_count(keys), 1);
        // The key is none: nothing is signed by it.
        assert_int_equal(keys_verify(keys, SPAN_LITERAL("f"), BEGIN_S, claim, SPAN_LITERAL("00")),
                         KEYS_BAD);
        keys_destroy(keys);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_times),
    };
    return cases_run("keys", tests, sizeof tests / sizeof tests[0]);
}
