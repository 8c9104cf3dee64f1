#include "base/crypto.h"

#include "base/crypto_seal.h"
#include "base/random.h"
#include "tests/kit/cases.h"

static const char abc_hex[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char empty_hex[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void assert_digest(const uint8_t digest[SHA256_SIZE], const char *expected) {
    char text[SHA256_HEX_SIZE];
    crypto_print_hex(span_of(digest, SHA256_SIZE), text);
    assert_string_equal(text, expected);
}

static void test_sha256_of_parts(void **state) {
    (void)state;
    uint8_t digest[SHA256_SIZE];
    crypto_sha256((const struct span[]){SPAN_LITERAL("abc")}, 1, digest);
    assert_digest(digest, abc_hex);
    crypto_sha256(
        (const struct span[]){SPAN_LITERAL("a"), {NULL, 0}, SPAN_LITERAL("bc"), {NULL, 0}}, 4,
        digest);
    assert_digest(digest, abc_hex);
    crypto_sha256((const struct span[]){{NULL, 0}}, 1, digest);
    assert_digest(digest, empty_hex);
}

static void test_sha256_stream(void **state) {
    (void)state;
    uint8_t digest[SHA256_SIZE];
    struct crypto_sha256_stream *stream = crypto_sha256_create();
    assert_non_null(stream);
    crypto_sha256_update(stream, SPAN_LITERAL("ab"));
    crypto_sha256_update(stream, (struct span){NULL, 0});
    crypto_sha256_update(stream, SPAN_LITERAL("c"));
    crypto_sha256_finish(stream, digest);
    assert_digest(digest, abc_hex);
    crypto_sha256_finish(stream, digest);
    assert_digest(digest, empty_hex);
    crypto_sha256_destroy(stream);
    crypto_sha256_destroy(NULL);
}

static void test_leaf_hash(void **state) {
    (void)state;
    uint8_t digest[SHA256_SIZE];
    // SHA-256 of one zero byte: the leaf hash of an empty record, as in RFC 6962's test data.
    crypto_leaf_hash((struct span){NULL, 0}, digest);
    assert_digest(digest, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
}

static void test_hex(void **state) {
    (void)state;
    uint8_t bytes[3] = {9, 9, 9};
    assert_true(crypto_parse_hex(SPAN_LITERAL("00aBfF"), bytes, 3));
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
    assert_false(crypto_parse_hex(SPAN_LITERAL("00112"), bytes, 3));
    assert_false(crypto_parse_hex(SPAN_LITERAL("0011223"), bytes, 3));
    assert_false(crypto_parse_hex(SPAN_LITERAL("00112233"), bytes, 3));
    assert_false(crypto_parse_hex(SPAN_LITERAL("00112g"), bytes, 3));
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
    assert_true(crypto_parse_hex((struct span){NULL, 0}, bytes, 0));
    char text[7];
    crypto_print_hex(span_of(bytes, 3), text);
    assert_string_equal(text, "00abff");
}

// RFC 4231, cases 1, 2 and 6.
static void test_hmac(void **state) {
    (void)state;
    uint8_t digest[SHA256_SIZE];
    uint8_t key[131];
    memset(key, 0x0b, 20);
    crypto_hmac_sha256(span_of(key, 20), (const struct span[]){SPAN_LITERAL("Hi There")}, 1,
                       digest);
    assert_digest(digest, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    const struct span parts[] = {SPAN_LITERAL("what do ya want "), SPAN_LITERAL("for nothing?")};
    crypto_hmac_sha256(SPAN_LITERAL("Jefe"), parts, 2, digest);
    assert_digest(digest, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    const struct span text = SPAN_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First");
    crypto_hmac_sha256(span_of(key, sizeof key), &text, 1, digest);
    assert_digest(digest, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_true(crypto_equal(text, text));
    assert_false(crypto_equal(text, span_from(text, 1)));
    assert_false(crypto_equal(SPAN_LITERAL("a"), SPAN_LITERAL("b")));
    assert_true(crypto_equal(span_of(NULL, 0), span_of(NULL, 0)));
}

static void test_seal(void **state) {
    (void)state;
    struct fault fault;
    uint64_t seed = 7;
    struct random random = random_seeded(&seed);
    uint8_t key[CRYPTO_SEAL_KEY_SIZE] = {1};
    struct span secret = SPAN_LITERAL("a secret of some bytes");
    uint8_t sealed[2][22 + CRYPTO_SEAL_MORE];
    uint8_t opened[22];
    for (int index = 0; index < 2; index++) {
        assert_true(crypto_seal(key, SPAN_LITERAL("one"), secret, &random, sealed[index], &fault));
    }
    // Each time another nonce, so nothing of two seals is alike.
    assert_memory_not_equal(sealed[0], sealed[1], sizeof sealed[0]);
    struct span first = span_of(sealed[0], sizeof sealed[0]);
    assert_true(crypto_open(key, SPAN_LITERAL("one"), first, opened, &fault));
    assert_memory_equal(opened, secret.bytes, secret.size);
    assert_false(crypto_open(key, SPAN_LITERAL("two"), first, opened, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    for (size_t index = 0; index < sizeof sealed[0]; index++) {
        sealed[0][index] ^= 1;
        assert_false(crypto_open(key, SPAN_LITERAL("one"), first, opened, &fault));
        sealed[0][index] ^= 1;
    }
    assert_false(crypto_open(key, SPAN_LITERAL("one"), span_of(sealed[0], 20), opened, &fault));
    key[0] = 2;
    assert_false(crypto_open(key, SPAN_LITERAL("one"), first, opened, &fault));
    key[0] = 1;
    // Nothing can be sealed too.
    assert_true(crypto_seal(key, span_of(NULL, 0), span_of(NULL, 0), &random, sealed[0], &fault));
    assert_true(
        crypto_open(key, span_of(NULL, 0), span_of(sealed[0], CRYPTO_SEAL_MORE), opened, &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_sha256_of_parts),
        cmocka_unit_test(test_sha256_stream),
        cmocka_unit_test(test_leaf_hash),
        cmocka_unit_test(test_hex),
    };
    return cases_run("crypto_test", tests, sizeof tests / sizeof tests[0]);
}
