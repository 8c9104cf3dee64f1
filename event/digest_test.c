#include "event/digest.h"

#include "tests/kit/cases.h"

static const struct digest_place place = {
    .organization = {(const uint8_t *)"o-example", 9},
    .account = {(const uint8_t *)"111122223333", 12},
    .region = {(const uint8_t *)"us-east-2", 9},
    .trail = {(const uint8_t *)"your-trail-name", 15},
    .home_region = {(const uint8_t *)"us-west-2", 9},
};

static void test_name(void **state) {
    (void)state;
    char name[FILE_NAME_SIZE];
    digest_print_name(&place, 1439823691, false, name);
    assert_string_equal(name,
                        "AWSLogs/o-example/111122223333/CloudTrail-Digest/us-east-2/2015/08/17/"
                        "111122223333_CloudTrail-Digest_us-east-2_your-trail-name_us-west-2_"
                        "20150817T150131Z.json.gz");
    struct digest_place plain = place;
    plain.organization = (struct span){NULL, 0};
    digest_print_name(&plain, 1439823691, true, name);
    assert_string_equal(name,
                        "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2015/08/17/"
                        "111122223333_CloudTrail-Digest_us-east-2_your-trail-name_us-west-2_"
                        "20150817T150131Z_backfill.json.gz");
}

static void assert_text(struct buffer *text, const char *expected) {
    assert_false(buffer_overflowed(text));
    buffer_append_byte(text, 0);
    assert_string_equal((const char *)text->bytes, expected);
    buffer_reset(text);
}

static void test_starting_digest(void **state) {
    (void)state;
    struct buffer text;
    const uint8_t hash[SHA256_SIZE] = {0xab};
    const struct digest digest = {
        .place = place,
        .bucket = SPAN_LITERAL("b"),
        .object = SPAN_LITERAL("k"),
        .fingerprint = SPAN_LITERAL("31e8b5433410dfb61a9dc45cc65b22ff"),
        .start_s = 1439820091,
        .end_s = 1439823691,
    };
    buffer_init(&text, 4096);
    digest_print(&digest, &text);
    assert_text(&text,
                "{\"awsAccountId\":\"111122223333\",\"digestStartTime\":\"2015-08-17T14:01:31Z\","
                "\"digestEndTime\":\"2015-08-17T15:01:31Z\",\"digestS3Bucket\":\"b\","
                "\"digestS3Object\":\"k\",\"digestPublicKeyFingerprint\":"
                "\"31e8b5433410dfb61a9dc45cc65b22ff\",\"digestSignatureAlgorithm\":"
                "\"SHA256withRSA\",\"newestEventTime\":null,\"oldestEventTime\":null,"
                "\"previousDigestS3Bucket\":null,\"previousDigestS3Object\":null,"
                "\"previousDigestHashValue\":null,\"previousDigestHashAlgorithm\":null,"
                "\"previousDigestSignature\":null,\"logFiles\":[]}");
    digest_print_signed(&digest, hash, &text);
    assert_text(&text,
                "2015-08-17T15:01:31Z\nb/k\n"
                "ab00000000000000000000000000000000000000000000000000000000000000\nnull");
    buffer_done(&text);
}

static void test_digest_with_files(void **state) {
    (void)state;
    struct buffer text;
    const uint8_t hash[SHA256_SIZE] = {0};
    const struct digest_file files[] = {
        {SPAN_LITERAL("b"), SPAN_LITERAL("one"), SPAN_LITERAL("01"), 1439822000, 1439821000},
        {SPAN_LITERAL("b"), SPAN_LITERAL("two"), SPAN_LITERAL("02"), 1439822500, 1439820500},
    };
    const struct digest digest = {
        .place = place,
        .bucket = SPAN_LITERAL("b"),
        .object = SPAN_LITERAL("k"),
        .fingerprint = SPAN_LITERAL("f"),
        .start_s = 1439820091,
        .end_s = 1439823691,
        .previous = {SPAN_LITERAL("pb"), SPAN_LITERAL("pk"), SPAN_LITERAL("ph"),
                     SPAN_LITERAL("ps")},
        .files = files,
        .files_count = 2,
    };
    buffer_init(&text, 4096);
    digest_print(&digest, &text);
    assert_text(&text,
                "{\"awsAccountId\":\"111122223333\",\"digestStartTime\":\"2015-08-17T14:01:31Z\","
                "\"digestEndTime\":\"2015-08-17T15:01:31Z\",\"digestS3Bucket\":\"b\","
                "\"digestS3Object\":\"k\",\"digestPublicKeyFingerprint\":\"f\","
                "\"digestSignatureAlgorithm\":\"SHA256withRSA\",\"newestEventTime\":"
                "\"2015-08-17T14:41:40Z\",\"oldestEventTime\":\"2015-08-17T14:08:20Z\","
                "\"previousDigestS3Bucket\":\"pb\",\"previousDigestS3Object\":\"pk\","
                "\"previousDigestHashValue\":\"ph\",\"previousDigestHashAlgorithm\":\"SHA-256\","
                "\"previousDigestSignature\":\"ps\",\"logFiles\":["
                "{\"s3Bucket\":\"b\",\"s3Object\":\"one\",\"hashValue\":\"01\",\"hashAlgorithm\":"
                "\"SHA-256\",\"newestEventTime\":\"2015-08-17T14:33:20Z\",\"oldestEventTime\":"
                "\"2015-08-17T14:16:40Z\"},"
                "{\"s3Bucket\":\"b\",\"s3Object\":\"two\",\"hashValue\":\"02\",\"hashAlgorithm\":"
                "\"SHA-256\",\"newestEventTime\":\"2015-08-17T14:41:40Z\",\"oldestEventTime\":"
                "\"2015-08-17T14:08:20Z\"}]}");
    digest_print_signed(&digest, hash, &text);
    assert_text(&text,
                "2015-08-17T15:01:31Z\nb/k\n"
                "0000000000000000000000000000000000000000000000000000000000000000\nps");
    buffer_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_starting_digest),
        cmocka_unit_test(test_digest_with_files),
    };
    return cases_run("digest_test", tests, sizeof tests / sizeof tests[0]);
}
