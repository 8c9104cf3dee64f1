#include "base/crypto.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_of_parts),
        cmocka_unit_test(test_sha256_stream),
        cmocka_unit_test(test_leaf_hash),
        cmocka_unit_test(test_hex),
    };
    return cases_run("crypto_test", tests, sizeof tests / sizeof tests[0]);
}
