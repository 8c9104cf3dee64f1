#include "base/crypto_rsa.h"

#include "base/crypto.h"
#include "tests/kit/cases.h"

static void test_key_signs_and_comes_back(void **state) {
    (void)state;
    struct crypto_rsa *key = NULL, *again = NULL;
    struct buffer secret, open;
    struct fault fault;
    uint8_t one[CRYPTO_RSA_SIGNATURE_SIZE], other[CRYPTO_RSA_SIGNATURE_SIZE];
    const struct span text = SPAN_LITERAL("2026-01-01T00:00:00Z\nbucket/key\n00\nnull");
    buffer_init(&secret, CRYPTO_RSA_DER_SIZE_MAX);
    buffer_init(&open, CRYPTO_RSA_DER_SIZE_MAX);
    assert_true(crypto_rsa_generate(&key, &fault));
    assert_true(crypto_rsa_print_private(key, &secret, &fault));
    assert_true(crypto_rsa_print_public(key, &open, &fault));
    // PKCS#1: SEQUENCE of modulus and exponent, no algorithm before it.
    assert_int_equal(open.size, 270);
    assert_memory_equal(open.bytes, "\x30\x82\x01\x0a\x02\x82\x01\x01", 8);
    assert_true(crypto_rsa_load(buffer_span(&secret), &again, &fault));
    assert_true(crypto_rsa_sign(key, text, one, &fault));
    assert_true(crypto_rsa_sign(again, text, other, &fault));
    assert_memory_equal(one, other, sizeof one);
    const struct span signature = span_of(one, sizeof one);
    assert_true(crypto_rsa_verify(buffer_span(&open), text, signature));
    assert_false(crypto_rsa_verify(buffer_span(&open), SPAN_LITERAL("another"), signature));
    one[7] ^= 1;
    assert_false(crypto_rsa_verify(buffer_span(&open), text, signature));
    assert_false(crypto_rsa_verify(SPAN_LITERAL("no key"), text, signature));
    crypto_rsa_destroy(again);
    assert_false(crypto_rsa_load(span_of(secret.bytes, 40), &again, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    crypto_rsa_destroy(key);
    crypto_rsa_destroy(NULL);
    buffer_done(&secret);
    buffer_done(&open);
}

static void test_base64(void **state) {
    (void)state;
    static const struct {
        const char *plain;
        const char *coded;
    } cases[] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
                 {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct buffer coded, plain;
        buffer_init(&coded, 100);
        buffer_init(&plain, 100);
        crypto_append_base64(&coded, span_text(cases[index].plain));
        assert_true(span_is(buffer_span(&coded), cases[index].coded));
        assert_true(crypto_parse_base64(buffer_span(&coded), &plain));
        assert_true(span_is(buffer_span(&plain), cases[index].plain));
        buffer_done(&coded);
        buffer_done(&plain);
    }
    struct buffer none;
    buffer_init(&none, 100);
    assert_false(crypto_parse_base64(SPAN_LITERAL("Zm9"), &none));
    assert_false(crypto_parse_base64(SPAN_LITERAL("Zm9*"), &none));
    buffer_done(&none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_signs_and_comes_back),
        cmocka_unit_test(test_base64),
    };
    return cases_run("crypto_rsa_test", tests, sizeof tests / sizeof tests[0]);
}
