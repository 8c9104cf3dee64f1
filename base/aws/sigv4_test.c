#include "base/aws/sigv4.h"

#include <stdio.h>
#include <string.h>

#include "base/aws/sigv4_vectors.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "tests/kit/cases.h"

struct made {
    struct sigv4_header headers[HEADERS + 1];
    struct sigv4_request request;
    struct buffer authorization;
};

static void make_request(struct made *made, const struct vector *vector) {
    uint32_t count = 0;
    while (count < HEADERS && vector->headers[2 * count] != NULL) {
        made->headers[count].name = span_text(vector->headers[2 * count]);
        made->headers[count].value = span_text(vector->headers[2 * count + 1]);
        count++;
    }
    made->request = (struct sigv4_request){
        .method = span_text(vector->method),
        .path = span_text(vector->path),
        .query = span_text(vector->query),
        .headers = made->headers,
        .headers_count = count,
        .body = span_text(vector->body),
    };
    buffer_init(&made->authorization, 4096);
}

// Signs and adds the header.
static void make_signed(struct made *made, const struct vector *vector) {
    struct fault fault;
    make_request(made, vector);
    const struct sigv4_signer signer = {KEY_ID, SECRET, span_text(vector->region),
                                        span_text(vector->service)};
    if (!sigv4_sign(&made->request, &signer, &made->authorization, &fault))
        fail_msg("%s", fault.text);
    made->headers[made->request.headers_count++] =
        (struct sigv4_header){SPAN_LITERAL("Authorization"), buffer_span(&made->authorization)};
}

static void test_published_vectors(void **state) {
    (void)state;
    for (size_t index = 0; index < sizeof VECTORS / sizeof VECTORS[0]; index++) {
        struct made made;
        struct fault fault;
        struct sigv4_claim claim;
        const struct vector *vector = &VECTORS[index];
        make_signed(&made, vector);
        if (!span_ends(buffer_span(&made.authorization), span_text(vector->signature))) {
            fail_msg("%s: %.*s", vector->name, SPAN_PRINT(buffer_span(&made.authorization)));
        }
        assert_int_equal(sigv4_read(&made.request, &claim, &fault), SIGV4_GOOD);
        assert_true(span_equal(claim.key_id, KEY_ID));
        assert_true(span_is(claim.region, vector->region));
        assert_true(span_is(claim.service, vector->service));
        assert_int_equal(sigv4_verify(&made.request, &claim, SECRET, NOW_MS, &fault), SIGV4_GOOD);
        buffer_done(&made.authorization);
    }
}

static enum sigv4_verdict verify(struct made *made, struct span secret, int64_t now_ms,
                                 struct fault *fault) {
    struct sigv4_claim claim;
    enum sigv4_verdict verdict = sigv4_read(&made->request, &claim, fault);
    if (verdict != SIGV4_GOOD) return verdict;
    return sigv4_verify(&made->request, &claim, secret, now_ms, fault);
}

static const struct vector *const LOOKUP = &VECTORS[11];

static void test_any_change_is_found(void **state) {
    (void)state;
    struct made made;
    struct fault fault;
    make_signed(&made, LOOKUP);
    assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_GOOD);
    assert_int_equal(verify(&made, SPAN_LITERAL("another"), NOW_MS, &fault), SIGV4_WRONG);
    assert_non_null(strstr(fault.text, "does not match the signature you provided"));

    struct sigv4_request whole = made.request;
    made.request.body = SPAN_LITERAL("{\"MaxResults\": 51}");
    assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_WRONG);
    made.request = whole;
    made.request.method = SPAN_LITERAL("PUT");
    assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_WRONG);
    made.request = whole;
    made.request.path = SPAN_LITERAL("/x");
    assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_WRONG);
    made.request = whole;
    made.request.query = SPAN_LITERAL("x");
    assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_WRONG);
    made.request = whole;
    for (uint32_t index = 0; index < 4; index++) {
        struct sigv4_header kept = made.headers[index];
        made.headers[index].value =
            index == 3 ? SPAN_LITERAL("20150830T123601Z") : SPAN_LITERAL("changed");
        assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_WRONG);
        made.headers[index] = kept;
    }
    // What is not signed may change: proxies add headers.
    made.headers[made.request.headers_count++] =
        (struct sigv4_header){SPAN_LITERAL("Via"), SPAN_LITERAL("1.1 proxy")};
    assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_GOOD);
    buffer_done(&made.authorization);
}

static void test_clock(void **state) {
    (void)state;
    struct made made;
    struct fault fault;
    make_signed(&made, LOOKUP);
    assert_int_equal(verify(&made, SECRET, NOW_MS + 300000, &fault), SIGV4_GOOD);
    assert_int_equal(verify(&made, SECRET, NOW_MS - 300000, &fault), SIGV4_GOOD);
    assert_int_equal(verify(&made, SECRET, NOW_MS + 301000, &fault), SIGV4_WRONG);
    assert_string_equal(fault.text,
                        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z "
                        "(20150830T124101Z - 5 min.)");
    assert_int_equal(verify(&made, SECRET, NOW_MS - 301000, &fault), SIGV4_WRONG);
    assert_string_equal(fault.text,
                        "Signature not yet current: 20150830T123600Z is still later than "
                        "20150830T123559Z (20150830T123059Z + 5 min.)");
    // Whoever does not know the secret does not learn our clock's opinion.
    assert_int_equal(verify(&made, SPAN_LITERAL("no"), NOW_MS + 301000, &fault), SIGV4_WRONG);
    assert_null(strstr(fault.text, "expired"));
    buffer_done(&made.authorization);
}

static void test_content_hash(void **state) {
    (void)state;
    struct vector vector = *LOOKUP;
    struct made made;
    struct fault fault;
    struct span body = span_text(vector.body);
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    crypto_sha256(&body, 1, digest);
    crypto_print_hex(span_of(digest, sizeof digest), hex);
    vector.headers[8] = "x-amz-content-sha256";
    vector.headers[9] = hex;
    make_signed(&made, &vector);
    assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_GOOD);
    buffer_done(&made.authorization);
    vector.headers[9] = "UNSIGNED-PAYLOAD";
    make_signed(&made, &vector);
    assert_int_equal(verify(&made, SECRET, NOW_MS, &fault), SIGV4_WRONG);
    buffer_done(&made.authorization);
}

#define NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define S3_NEEDS(hash)                                                          \
    "Host", "examplebucket.s3.amazonaws.com", "x-amz-date", "20130524T000000Z", \
        "x-amz-content-sha256", hash

// The examples of S3's guide; the last is what botocore signs.
static const struct vector S3_VECTORS[] = {
    {"get object",
     "GET",
     "/test.txt",
     "",
     {S3_NEEDS(NOTHING), "Range", "bytes=0-9"},
     "",
     "us-east-1",
     "s3",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"put object",
     "PUT",
     "/test%24file.text",
     "",
     {S3_NEEDS("44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"), "date",
      "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class", "REDUCED_REDUNDANCY"},
     "Welcome to Amazon S3.",
     "us-east-1",
     "s3",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"get lifecycle",
     "GET",
     "/",
     "lifecycle",
     {S3_NEEDS(NOTHING)},
     "",
     "us-east-1",
     "s3",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"list",
     "GET",
     "/",
     "max-keys=2&prefix=J",
     {S3_NEEDS(NOTHING)},
     "",
     "us-east-1",
     "s3",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"metadata of a digest, parts of a path that others leave out",
     "PUT",
     "/b/a//c%20d%3D%2B%C3%BC%21/../e",
     "uploadId=x%2By%3D&partNumber=1",
     {"Host", "bucket.example.com:9000", "x-amz-date", "20130524T000000Z", "x-amz-content-sha256",
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "x-amz-meta-signature",
      "ab", "x-amz-meta-signature-algorithm", "SHA256withRSA"},
     "abc",
     "us-east-1",
     "s3",
     "2a1b5e779c739cc1075b44ea04738edf7dc56dde9ea11437612fdab2ef10432f"},
};

static void test_s3(void **state) {
    (void)state;
    const struct span secret = SPAN_LITERAL("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    const int64_t now_ms = INT64_C(1369353600000);
    for (size_t index = 0; index < sizeof S3_VECTORS / sizeof S3_VECTORS[0]; index++) {
        const struct vector *vector = &S3_VECTORS[index];
        const struct sigv4_signer signer = {SPAN_LITERAL("AKIAIOSFODNN7EXAMPLE"), secret,
                                            span_text(vector->region), span_text(vector->service)};
        struct made made;
        struct fault fault;
        make_request(&made, vector);
        if (!sigv4_sign(&made.request, &signer, &made.authorization, &fault))
            fail_msg("%s", fault.text);
        if (!span_ends(buffer_span(&made.authorization), span_text(vector->signature))) {
            fail_msg("%s: %.*s", vector->name, SPAN_PRINT(buffer_span(&made.authorization)));
        }
        made.headers[made.request.headers_count++] =
            (struct sigv4_header){SPAN_LITERAL("Authorization"), buffer_span(&made.authorization)};
        assert_int_equal(verify(&made, secret, now_ms, &fault), SIGV4_GOOD);
        made.request.body = SPAN_LITERAL("another");
        assert_int_equal(verify(&made, secret, now_ms, &fault), SIGV4_WRONG);
        buffer_done(&made.authorization);
    }
}

static void test_s3_body_that_is_not_signed(void **state) {
    (void)state;
    struct vector vector = S3_VECTORS[1];
    struct made made;
    struct fault fault;
    const struct sigv4_signer signer = {KEY_ID, SECRET, SPAN_LITERAL("r"), SPAN_LITERAL("s3")};
    vector.headers[5] = "UNSIGNED-PAYLOAD";
    make_request(&made, &vector);
    assert_true(sigv4_sign(&made.request, &signer, &made.authorization, &fault));
    made.headers[made.request.headers_count++] =
        (struct sigv4_header){SPAN_LITERAL("Authorization"), buffer_span(&made.authorization)};
    assert_int_equal(verify(&made, SECRET, INT64_C(1369353600000), &fault), SIGV4_GOOD);
    // The same request to another service is bound to its body.
    struct sigv4_claim claim;
    assert_int_equal(sigv4_read(&made.request, &claim, &fault), SIGV4_GOOD);
    claim.service = SPAN_LITERAL("s4");
    assert_int_equal(sigv4_verify(&made.request, &claim, SECRET, INT64_C(1369353600000), &fault),
                     SIGV4_WRONG);
    buffer_done(&made.authorization);
}

static enum sigv4_verdict read_header(const char *authorization, struct fault *fault) {
    struct made made;
    struct sigv4_claim claim;
    make_request(&made, LOOKUP);
    made.headers[made.request.headers_count++] =
        (struct sigv4_header){SPAN_LITERAL("authorization"), span_text(authorization)};
    return sigv4_read(&made.request, &claim, fault);
}

#define HEX "f734f26e8f50bd2e7f6fb0ab9116e0f99ec23a96d107608b0ca62612b40ea45b"
#define SCOPE "20150830/eu-central-1/cloudtrail/aws4_request"
#define NAMES "content-type;host;x-amz-date;x-amz-target"

static void test_forms_of_the_header(void **state) {
    (void)state;
    struct fault fault;
    const char *good[] = {
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=" NAMES ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ",SignedHeaders=" NAMES ",Signature=" HEX,
        "AWS4-HMAC-SHA256   Signature=" HEX " ,  SignedHeaders=" NAMES " , Credential=A/" SCOPE,
    };
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        if (read_header(good[index], &fault) != SIGV4_GOOD)
            fail_msg("%s: %s", good[index], fault.text);
    }
    const char *bad[] = {
        "",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "Basic dXNlcjpwYXNz",
        "AWS4-ECDSA-P256-SHA256 Credential=A/" SCOPE ", SignedHeaders=" NAMES ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=" NAMES,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", Signature=" HEX,
        "AWS4-HMAC-SHA256 SignedHeaders=" NAMES ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", Credential=A/" SCOPE ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=" NAMES ", Signature=" HEX ", X=1",
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=" NAMES ", Signature=" HEX "00",
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=" NAMES ", Signature=xy",
        "AWS4-HMAC-SHA256 Credential=/" SCOPE ", SignedHeaders=" NAMES ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/2015083/r/s/aws4_request, SignedHeaders=" NAMES
        ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/20150831/r/s/aws4_request, SignedHeaders=" NAMES
        ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r\"/s/aws4_request, SignedHeaders=" NAMES
        ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4, SignedHeaders=" NAMES ", Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request/x, SignedHeaders=" NAMES
        ", Signature=" HEX,
        // Not in order, in capitals, twice, absent, and what must be there.
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE
        ", SignedHeaders=host;content-type;x-amz-date;"
        "x-amz-target, Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE
        ", SignedHeaders=Host;x-amz-date;x-amz-target, "
        "Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE
        ", SignedHeaders=host;host;x-amz-date;x-amz-target, "
        "Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE
        ", SignedHeaders=host;via;x-amz-date;x-amz-target, "
        "Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE
        ", SignedHeaders=x-amz-date;x-amz-target, Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=host;x-amz-date, Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=" NAMES ";, Signature=" HEX,
        "AWS4-HMAC-SHA256 Credential=A/" SCOPE ", SignedHeaders=, Signature=" HEX,
    };
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        if (read_header(bad[index], &fault) != SIGV4_INCOMPLETE) fail_msg("taken: %s", bad[index]);
        assert_true(fault.text[0] != 0);
    }
}

static void test_headers_that_must_be_there_once(void **state) {
    (void)state;
    struct made made;
    struct fault fault;
    struct sigv4_claim claim;
    make_request(&made, LOOKUP);
    assert_int_equal(sigv4_read(&made.request, &claim, &fault), SIGV4_MISSING);
    assert_string_equal(fault.text, "Missing Authentication Token");
    make_signed(&made, LOOKUP);
    uint32_t count = made.request.headers_count;
    const char *names[] = {"Authorization", "X-AMZ-DATE", "host"};
    for (size_t index = 0; index < 3; index++) {
        made.headers[count] =
            (struct sigv4_header){span_text(names[index]), SPAN_LITERAL("20150830T123600Z")};
        made.request.headers_count = count + 1;
        assert_int_equal(sigv4_read(&made.request, &claim, &fault), SIGV4_INCOMPLETE);
    }
    buffer_done(&made.authorization);
    make_request(&made, LOOKUP);
    made.request.headers_count--;
    const struct sigv4_signer signer = {KEY_ID, SECRET, SPAN_LITERAL("r"), SPAN_LITERAL("s")};
    assert_false(sigv4_sign(&made.request, &signer, &made.authorization, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_any_change_is_found),
        cmocka_unit_test(test_clock),
        cmocka_unit_test(test_content_hash),
        cmocka_unit_test(test_s3),
        cmocka_unit_test(test_s3_body_that_is_not_signed),
        cmocka_unit_test(test_forms_of_the_header),
        cmocka_unit_test(test_headers_that_must_be_there_once),
    };
    return cases_run("sigv4_test", tests, sizeof tests / sizeof tests[0]);
}
