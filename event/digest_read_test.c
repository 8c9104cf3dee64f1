#include "event/digest_read.h"

#include "tests/kit/cases.h"

struct stage {
    struct json_reader *json;
    struct arena *arena;
    struct buffer text;
    struct digest_text read;
    struct fault fault;
};

static int set_up(void **state) {
    struct stage *stage = calloc(1, sizeof *stage);
    assert_non_null(stage);
    stage->json = json_reader_create();
    stage->arena = arena_create(64 * 1024 * 1024);
    buffer_init(&stage->text, 64 * 1024 * 1024);
    *state = stage;
    return 0;
}

static int tear_down(void **state) {
    struct stage *stage = *state;
    json_reader_destroy(stage->json);
    arena_destroy(stage->arena);
    buffer_done(&stage->text);
    free(stage);
    return 0;
}

#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct digest_file file = {
    .bucket = {(const uint8_t *)"b", 1},
    .object = {(const uint8_t *)"log", 3},
    .hash = {(const uint8_t *)HASH, 64},
    .newest_s = 1439823000,
    .oldest_s = 1439822000,
};

static const struct digest written = {
    .place = {.account = {(const uint8_t *)"111122223333", 12}},
    .bucket = {(const uint8_t *)"b", 1},
    .object = {(const uint8_t *)"k", 1},
    .fingerprint = {(const uint8_t *)"31e8", 4},
    .start_s = 1439820091,
    .end_s = 1439823691,
    .previous = {.bucket = {(const uint8_t *)"b", 1},
                 .object = {(const uint8_t *)"before", 6},
                 .hash = {(const uint8_t *)HASH, 64},
                 .signature = {(const uint8_t *)"ab12", 4}},
    .files = &file,
    .files_count = 1,
};

static void test_reads_what_is_written(void **state) {
    struct stage *stage = *state;
    struct digest_text *read = &stage->read;
    digest_print(&written, &stage->text);
    assert_true(
        digest_read(stage->json, stage->arena, buffer_span(&stage->text), read, &stage->fault));
    assert_true(span_is(read->end, "2015-08-17T15:01:31Z"));
    assert_true(span_is(read->digest.place.account, "111122223333"));
    assert_true(span_equal(read->digest.bucket, written.bucket));
    assert_true(span_equal(read->digest.object, written.object));
    assert_true(span_equal(read->digest.fingerprint, written.fingerprint));
    assert_int_equal(read->digest.start_s, written.start_s);
    assert_int_equal(read->digest.end_s, written.end_s);
    assert_true(span_equal(read->digest.previous.object, written.previous.object));
    assert_true(span_equal(read->digest.previous.hash, written.previous.hash));
    assert_true(span_equal(read->digest.previous.signature, written.previous.signature));
    assert_int_equal(read->digest.files_count, 1);
    assert_true(span_equal(read->digest.files[0].object, file.object));
    assert_int_equal(read->digest.files[0].newest_s, file.newest_s);
    assert_int_equal(read->digest.files[0].oldest_s, file.oldest_s);
}

static void test_reads_a_starting_digest(void **state) {
    struct stage *stage = *state;
    struct digest first = written;
    first.previous = (struct digest_previous){.bucket = {NULL, 0}};
    first.files_count = 0;
    digest_print(&first, &stage->text);
    assert_true(digest_read(stage->json, stage->arena, buffer_span(&stage->text), &stage->read,
                            &stage->fault));
    assert_int_equal(stage->read.digest.previous.bucket.size, 0);
    assert_int_equal(stage->read.digest.files_count, 0);
}

// A text like the written one but for one piece of it.
static void expect_refused(struct stage *stage, const char *piece, const char *by,
                           const char *why) {
    struct buffer changed;
    buffer_init(&changed, 64 * 1024);
    buffer_reset(&stage->text);
    digest_print(&written, &stage->text);
    struct span text = buffer_span(&stage->text);
    const uint8_t *at = memmem(text.bytes, text.size, piece, strlen(piece));
    assert_non_null(at);
    size_t before = (size_t)(at - text.bytes);
    buffer_append(&changed, span_of(text.bytes, before));
    buffer_append_text(&changed, by);
    buffer_append(&changed, span_from(text, before + strlen(piece)));
    struct digest_text read = {.end = SPAN_LITERAL("untouched")};
    bool is_read =
        digest_read(stage->json, stage->arena, buffer_span(&changed), &read, &stage->fault);
    assert_false(is_read);
    assert_int_equal(stage->fault.kind, FAULT_INPUT);
    if (strstr(stage->fault.text, why) == NULL) fail_msg("%s: %s", by, stage->fault.text);
    assert_true(span_is(read.end, "untouched"));
    buffer_done(&changed);
}

static void test_refuses(void **state) {
    struct stage *stage = *state;
    static const struct {
        const char *piece, *by, *why;
    } cases[] = {
        {"\"awsAccountId\":\"111122223333\",", "", "awsAccountId"},
        {"\"digestEndTime\":\"2015-08-17T15:01:31Z\"", "\"digestEndTime\":1439823691",
         "digestEndTime"},
        {"\"digestEndTime\":\"2015-08-17T15:01:31Z\"", "\"digestEndTime\":\"today\"",
         "digestEndTime"},
        {"\"digestStartTime\":\"2015", "\"digestStartTime\":\"2016", "after digestEndTime"},
        {"\"digestS3Object\":\"k\"", "\"digestS3Object\":null", "digestS3Object"},
        {"\"digestSignatureAlgorithm\":\"SHA256withRSA\"", "\"digestSignatureAlgorithm\":\"none\"",
         "digestSignatureAlgorithm is none"},
        {"\"previousDigestSignature\":\"ab12\"", "\"previousDigestSignature\":null",
         "previousDigestSignature"},
        {"\"previousDigestS3Bucket\":\"b\"", "\"previousDigestS3Bucket\":null",
         "previousDigestS3Bucket"},
        {"\"logFiles\":[", "\"logFiles\":7,\"other\":[", "logFiles"},
        {"\"hashValue\":\"0011", "\"hashValue\":\"zz11", "file 1 of logFiles: hashValue"},
        {"\"s3Object\":\"log\"", "\"s3Object\":\"\"", "file 1 of logFiles: s3Object"},
        {"\"logFiles\":[", "\"digestEndTime\":\"2015-08-17T15:01:31Z\",\"logFiles\":[", "twice"},
        {"{\"awsAccountId\"", "[{\"awsAccountId\"", "JSON"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++)
        expect_refused(stage, cases[index].piece, cases[index].by, cases[index].why);
}

static void test_claim_is_what_is_signed(void **state) {
    struct stage *stage = *state;
    const uint8_t hash[SHA256_SIZE] = {0xab, 1};
    struct digest first = written;
    first.previous = (struct digest_previous){.bucket = {NULL, 0}};
    const struct digest *digests[] = {&written, &first};
    struct buffer expected, claim;
    buffer_init(&expected, 4096);
    buffer_init(&claim, 4096);
    for (size_t index = 0; index < 2; index++) {
        buffer_reset(&stage->text);
        buffer_reset(&expected);
        buffer_reset(&claim);
        digest_print(digests[index], &stage->text);
        assert_true(digest_read(stage->json, stage->arena, buffer_span(&stage->text), &stage->read,
                                &stage->fault));
        digest_print_signed(digests[index], hash, &expected);
        digest_print_claim(&stage->read, hash, &claim);
        assert_true(span_equal(buffer_span(&claim), buffer_span(&expected)));
    }
    buffer_done(&expected);
    buffer_done(&claim);
}

static void test_signature(void **state) {
    (void)state;
    struct crypto_rsa *key;
    struct fault fault;
    struct buffer der;
    uint8_t bytes[CRYPTO_RSA_SIGNATURE_SIZE];
    char hex[DIGEST_SIGNATURE_TEXT_SIZE];
    const struct span claim = SPAN_LITERAL("what is signed");
    buffer_init(&der, 4096);
    assert_true(crypto_rsa_generate(&key, &fault));
    assert_true(crypto_rsa_print_public(key, &der, &fault));
    assert_true(crypto_rsa_sign(key, claim, bytes, &fault));
    crypto_print_hex(span_of(bytes, sizeof bytes), hex);
    assert_true(digest_is_signed(claim, span_text(hex), buffer_span(&der)));
    assert_false(digest_is_signed(SPAN_LITERAL("other"), span_text(hex), buffer_span(&der)));
    assert_false(digest_is_signed(claim, span_of(hex, 10), buffer_span(&der)));
    assert_false(digest_is_signed(claim, span_text(hex), SPAN_LITERAL("no key")));
    hex[0] = hex[0] == '0' ? '1' : '0';
    assert_false(digest_is_signed(claim, span_text(hex), buffer_span(&der)));
    crypto_rsa_destroy(key);
    buffer_done(&der);
}

static void test_names(void **state) {
    (void)state;
    struct digest_name name;
    assert_true(
        digest_parse_name(SPAN_LITERAL("111122223333_CloudTrail-Digest_us-east-2_a_trail_us-west-2_"
                                       "20150817T150131Z_backfill.json.gz"),
                          &name));
    assert_true(span_is(name.account, "111122223333"));
    assert_true(span_is(name.region, "us-east-2"));
    assert_true(span_is(name.trail, "a_trail"));
    assert_true(span_is(name.home_region, "us-west-2"));
    assert_int_equal(name.end_s, 1439823691);
    assert_true(name.is_backfill);
    static const char *const bad[] = {
        "",
        ".json.gz",
        "_backfill.json.gz",
        "1_CloudTrail-Digest_r_t_h_20150817T150131Z.json",
        "1_CloudTrail-Digest_r_t_h_20150817T250131Z.json.gz",
        "1_CloudTrail-Digest_r_t_h_2015081xT150131Z.json.gz",
        "1_CloudTrail-Digest_r_h_20150817T150131Z.json.gz",
        "1_CloudTrail-Digest__t_h_20150817T150131Z.json.gz",
        "_CloudTrail-Digest_r_t_h_20150817T150131Z.json.gz",
        "1_CloudTrail_r_t_h_20150817T150131Z.json.gz",
        "1_CloudTrail-Digest_r_t__20150817T150131Z.json.gz",
    };
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++)
        assert_false(digest_parse_name(span_text(bad[index]), &name));
    int64_t seconds;
    assert_true(digest_parse_time(SPAN_LITERAL("20150817T1501Z"), &seconds));
    assert_int_equal(seconds, 1439823660);
    assert_false(digest_parse_time(SPAN_LITERAL("20150817T1501"), &seconds));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reads_what_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reads_a_starting_digest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_claim_is_what_is_signed, set_up, tear_down),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_names),
    };
    return cases_run("digest_read", tests, sizeof tests / sizeof tests[0]);
}
