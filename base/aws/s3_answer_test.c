#include "base/aws/s3_answer.h"

#include <stdio.h>

#include "base/buffer.h"
#include "tests/kit/cases.h"

struct refusal {
    uint32_t status;
    const char *body;
    enum s3_error error;
    enum fault_kind kind;
    const char *words;
};

#define ERROR(code, rest) "<?xml version=\"1.0\"?><Error><Code>" code "</Code>" rest "</Error>"

static void test_failures(void **state) {
    (void)state;
    static const struct refusal refusals[] = {
        {404, ERROR("NoSuchBucket", "<Message>The bucket</Message>"), S3_ERROR_NO_BUCKET,
         FAULT_INPUT, "NoSuchBucket: make the bucket, or correct its name (\"The bucket\")"},
        {403, ERROR("AccessDenied", ""), S3_ERROR_DENIED, FAULT_DENIED, "AccessDenied: allow it"},
        {403, ERROR("InvalidAccessKeyId", ""), S3_ERROR_KEY_ID, FAULT_DENIED,
         "does not know the access key"},
        {403, ERROR("SignatureDoesNotMatch", ""), S3_ERROR_SIGNATURE, FAULT_DENIED, "the secret"},
        {400, ERROR("ExpiredToken", ""), S3_ERROR_TOKEN, FAULT_DENIED, "session token"},
        {301, ERROR("PermanentRedirect", ""), S3_ERROR_REGION, FAULT_INPUT, "another region"},
        {400, ERROR("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"), S3_ERROR_REGION,
         FAULT_INPUT, "AuthorizationHeaderMalformed: the bucket is in eu-west-1: set that region"},
        {400, ERROR("AuthorizationHeaderMalformed", "<Region>eu west\n</Region>"), S3_ERROR_REGION,
         FAULT_INPUT, "another region"},
        {403, ERROR("RequestTimeTooSkewed", ""), S3_ERROR_CLOCK, FAULT_RETRY, "set the clock"},
        {503, ERROR("SlowDown", ""), S3_ERROR_BUSY, FAULT_RETRY, "SlowDown: the store is busy"},
        {500, ERROR("InternalError", ""), S3_ERROR_BUSY, FAULT_RETRY, "busy"},
        {412, ERROR("PreconditionFailed", ""), S3_ERROR_EXISTS, FAULT_INPUT, "already"},
        {400, ERROR("BadDigest", ""), S3_ERROR_DAMAGED, FAULT_RETRY, "did not arrive"},
        {400, ERROR("KMS.DisabledException", ""), S3_ERROR_KMS, FAULT_DENIED, "KMS key"},
        {507, ERROR("XMinioStorageFull", ""), S3_ERROR_FULL, FAULT_FULL, "make room"},
        {501, ERROR("NotImplemented", ""), S3_ERROR_MISSING, FAULT_INPUT, "does not have"},
        {400, ERROR("InvalidArgument", "<Message>a\nb\x7f</Message>"), S3_ERROR_OTHER, FAULT_INPUT,
         "InvalidArgument: a?b?"},
        // No XML, or none at all: the status speaks.
        {502, "<html><p>Bad gateway", S3_ERROR_BUSY, FAULT_RETRY, "HTTP 502: the store is busy"},
        {403, "", S3_ERROR_DENIED, FAULT_DENIED, "HTTP 403: allow it"},
        {404, "", S3_ERROR_NO_KEY, FAULT_INPUT, "HTTP 404"},
        {418, "", S3_ERROR_OTHER, FAULT_INPUT, "refused without a reason"},
        {429, "<a/>", S3_ERROR_BUSY, FAULT_RETRY, "HTTP 429"},
    };
    for (size_t index = 0; index < sizeof refusals / sizeof refusals[0]; index++) {
        struct s3_failure failure;
        struct fault fault;
        const struct refusal *refusal = &refusals[index];
        s3_answer_read_failure(refusal->status, span_text(refusal->body), &failure);
        assert_false(s3_answer_explain(&failure, &fault));
        if (failure.error != refusal->error || fault.kind != refusal->kind ||
            strstr(fault.text, refusal->words) == NULL) {
            fail_msg("%s: %d, %s", refusal->body, failure.error, fault.text);
        }
    }
    assert_true(s3_answer_is_error(SPAN_LITERAL(ERROR("InternalError", ""))));
    assert_false(s3_answer_is_error(SPAN_LITERAL("<CompleteMultipartUploadResult/>")));
    assert_false(s3_answer_is_error(SPAN_LITERAL("<Errors><Error/></Errors>")));
    assert_false(s3_answer_is_error(SPAN_LITERAL("")));
}

static bool print_entry(void *user, const struct s3_entry *entry) {
    buffer_print(user, "%.*s %lu %ld %.*s;", SPAN_PRINT(entry->key), (unsigned long)entry->size,
                 (long)entry->modified, SPAN_PRINT(entry->etag));
    return entry->size != 7;
}

#define OBJECT(key, size)                                               \
    "<Contents><Key>" key                                               \
    "</Key><LastModified>2023-11-14T22:13:20.000Z</LastModified><ETag>" \
    "&quot;ab&quot;</ETag><Size>" size "</Size><StorageClass>STANDARD</StorageClass></Contents>"
#define PAGE(inner) "<ListBucketResult xmlns=\"http://s3\">" inner "</ListBucketResult>"

static void test_pages(void **state) {
    (void)state;
    struct buffer told;
    struct fault fault;
    struct s3_page page;
    buffer_init(&told, 65536);
    assert_true(s3_answer_read_page(
        SPAN_LITERAL(PAGE("<IsTruncated>true</IsTruncated>" OBJECT("a&amp;b%2F", "5") OBJECT(
            "c", "0") "<NextContinuationToken>1/=</NextContinuationToken>")),
        print_entry, &told, &page, &fault));
    assert_false(page.is_last);
    assert_string_equal(page.token, "1/=");
    assert_true(span_is(buffer_span(&told), "a&b%2F 5 1700000000 ab;c 0 1700000000 ab;"));
    // The encoding is told behind the keys.
    buffer_reset(&told);
    assert_true(s3_answer_read_page(
        SPAN_LITERAL(PAGE(OBJECT("a%2Fb+c%2b%c3%BC%zz", "7") OBJECT(
            "c", "1") "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
                      "<NextContinuationToken>x</NextContinuationToken>")),
        print_entry, &told, &page, &fault));
    assert_true(page.is_last);
    assert_true(span_is(buffer_span(&told), "a/b c+\xc3\xbc%zz 7 1700000000 ab;"));
    buffer_reset(&told);
    assert_true(s3_answer_read_page(SPAN_LITERAL(PAGE("")), print_entry, &told, &page, &fault));
    assert_true(page.is_last && told.size == 0);
    static const char *const wrong[] = {
        "",
        "<a/>",
        PAGE("<IsTruncated>true</IsTruncated>"),
        PAGE("<Contents><Key>a</Key></Contents>"),
        PAGE("<Contents><Size>1</Size></Contents>"),
        PAGE(OBJECT("", "1")),
        PAGE(OBJECT("a", "-1")),
        PAGE(OBJECT("a", "99999999999999999999")),
        "<ListBucketResult><Contents>",
    };
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        if (s3_answer_read_page(span_text(wrong[index]), print_entry, &told, &page, &fault)) {
            fail_msg("%s is no page", wrong[index]);
        }
        assert_int_equal(fault.kind, FAULT_INPUT);
    }
    char large[2048];
    snprintf(large, sizeof large, PAGE(OBJECT("%0*d", "1")), S3_KEY_SIZE_MAX + 1, 1);
    assert_false(s3_answer_read_page(span_text(large), print_entry, &told, &page, &fault));
    snprintf(large, sizeof large, PAGE(OBJECT("%0*d", "1")), S3_KEY_SIZE_MAX, 1);
    assert_true(s3_answer_read_page(span_text(large), print_entry, &told, &page, &fault));
    buffer_done(&told);
}

static void test_values(void **state) {
    (void)state;
    struct fault fault;
    char id[S3_UPLOAD_ID_SIZE];
    char region[S3_REGION_SIZE];
    assert_true(s3_answer_read_upload(
        SPAN_LITERAL("<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>a.b</UploadId>"
                     "</InitiateMultipartUploadResult>"),
        id, &fault));
    assert_string_equal(id, "a.b");
    assert_false(
        s3_answer_read_upload(SPAN_LITERAL("<InitiateMultipartUploadResult/>"), id, &fault));
    assert_false(s3_answer_read_upload(SPAN_LITERAL("{}"), id, &fault));
    static const char *const places[][2] = {
        {"<LocationConstraint xmlns=\"http://s3\"/>", "us-east-1"},
        {"<LocationConstraint>EU</LocationConstraint>", "eu-west-1"},
        {"<LocationConstraint>eu-central-1</LocationConstraint>", "eu-central-1"},
    };
    for (size_t index = 0; index < sizeof places / sizeof places[0]; index++) {
        assert_true(s3_answer_read_location(span_text(places[index][0]), region, &fault));
        assert_string_equal(region, places[index][1]);
    }
    assert_false(s3_answer_read_location(SPAN_LITERAL("<a/>"), region, &fault));
    assert_false(s3_answer_read_location(
        SPAN_LITERAL("<LocationConstraint>a b</LocationConstraint>"), region, &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_values),
    };
    return cases_run("s3_answer_test", tests, sizeof tests / sizeof tests[0]);
}
