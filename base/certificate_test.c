#include "base/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "tests/kit/cases.h"

static const char uri[] = "spiffe://example/account/111122223333/region/eu-west-1";

static struct buffer ca_key, ca, server_key, server, client_key, client;

static const struct certificate_request ca_request = {
    .use = CERTIFICATE_CA, .common_name = "example CA", .valid_s = CERTIFICATE_VALID_S_MAX};
static const struct certificate_request client_request = {.use = CERTIFICATE_CLIENT,
                                                          .common_name = "agent",
                                                          .uri = uri,
                                                          .valid_s = 365 * CERTIFICATE_DAY_S};

static struct span span(const struct buffer *buffer) {
    return buffer_span(buffer);
}

static void must(bool good, const struct fault *fault) {
    if (!good) fail_msg("%s", fault->text);
}

static int make_all(void **state) {
    (void)state;
    struct fault fault = {0};
    struct buffer *const all[] = {&ca_key, &ca, &server_key, &server, &client_key, &client};
    for (int index = 0; index < 6; index++) buffer_init(all[index], 64 * 1024);
    int64_t now = time(NULL);
    must(certificate_make_key(&ca_key, &fault), &fault);
    must(certificate_make_key(&server_key, &fault), &fault);
    must(certificate_make_key(&client_key, &fault), &fault);
    must(certificate_make_ca(span(&ca_key), &ca_request, now, &ca, &fault), &fault);
    const struct certificate_request server_request = {
        .use = CERTIFICATE_SERVER,
        .common_name = "collector",
        .dns_names =
            (const char *const[]){"collector.example.com", "localhost", "127.0.0.1", "::1"},
        .dns_names_count = 4,
        .valid_s = 365 * CERTIFICATE_DAY_S};
    must(certificate_issue(span(&ca), span(&ca_key), span(&server_key), &server_request, now,
                           &server, &fault),
         &fault);
    must(certificate_issue(span(&ca), span(&ca_key), span(&client_key), &client_request, now,
                           &client, &fault),
         &fault);
    return 0;
}

static int free_all(void **state) {
    (void)state;
    struct buffer *const all[] = {&ca_key, &ca, &server_key, &server, &client_key, &client};
    for (int index = 0; index < 6; index++) buffer_done(all[index]);
    return 0;
}

static X509 *parse(struct span pem) {
    BIO *bio = BIO_new_mem_buf(pem.bytes, (int)pem.size);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

// What a TLS library asks of a peer's certificate, by OpenSSL with its strict checks.
static int verify(struct span leaf_pem, struct span ca_pem, int purpose) {
    X509 *leaf = parse(leaf_pem), *issuer = parse(ca_pem);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_add_cert(store, issuer);
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, leaf, NULL);
    X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_set_purpose(context, purpose);
    int result = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(issuer);
    X509_free(leaf);
    return result;
}

static void test_certificates_verify_for_their_use_only(void **state) {
    (void)state;
    assert_int_equal(verify(span(&server), span(&ca), X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(verify(span(&client), span(&ca), X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_not_equal(verify(span(&server), span(&ca), X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_not_equal(verify(span(&client), span(&ca), X509_PURPOSE_SSL_SERVER), X509_V_OK);
    X509 *certificate = parse(span(&server));
    assert_int_equal(X509_check_host(certificate, "collector.example.com", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(certificate, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(certificate, "other.example.com", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(certificate, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(certificate, "127.0.0.2", 0), 0);
    X509_free(certificate);
}

static void test_facts(void **state) {
    (void)state;
    struct certificate_facts facts, other;
    struct fault fault = {0};
    must(certificate_read(span(&client), &facts, &fault), &fault);
    assert_string_equal(facts.common_name, "agent");
    assert_string_equal(facts.uri, uri);
    assert_int_equal(strlen(facts.serial), 32);
    assert_true(facts.is_elliptic);
    int64_t now = time(NULL);
    assert_true(facts.not_before_s <= now - 290 && facts.not_before_s >= now - 400);
    assert_int_equal(facts.not_after_s - facts.not_before_s, 365 * 86400 + 300);
    must(certificate_read(span(&server), &other, &fault), &fault);
    assert_string_equal(other.uri, "");
    assert_string_not_equal(other.serial, facts.serial);
    assert_memory_not_equal(other.fingerprint, facts.fingerprint, 32);
    assert_false(certificate_read(SPAN_LITERAL("nonsense"), &facts, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_false(certificate_read((struct span){NULL, 0}, &facts, &fault));
    assert_false(certificate_read(span(&client_key), &facts, &fault));
    // Cut anywhere before its last line, it is refused and nothing else happens.
    for (size_t size = 0; size + 26 < client.size; size += 7) {
        assert_false(certificate_read(span_of(client.bytes, size), &facts, &fault));
    }
    assert_string_equal(facts.uri, uri);
}

static void test_foreign_keys_sign_nothing(void **state) {
    (void)state;
    struct fault fault = {0};
    struct buffer other_key;
    buffer_init(&other_key, 64 * 1024);
    must(certificate_make_key(&other_key, &fault), &fault);
    // A CA's key that is not this CA's signs nothing.
    struct buffer made;
    buffer_init(&made, 64 * 1024);
    assert_false(certificate_issue(span(&ca), span(&other_key), span(&client_key), &client_request,
                                   0, &made, &fault));
    assert_non_null(strstr(fault.text, "not of one pair"));
    assert_false(certificate_issue(span(&client), span(&client_key), span(&client_key),
                                   &client_request, 0, &made, &fault));
    assert_non_null(strstr(fault.text, "no CA's"));
    assert_int_equal(made.size, 0);
    buffer_done(&made);
    buffer_done(&other_key);
}

static void assert_request_refused(struct certificate_request request, const char *message) {
    struct buffer made;
    struct fault fault = {0};
    buffer_init(&made, 64 * 1024);
    assert_false(
        certificate_issue(span(&ca), span(&ca_key), span(&client_key), &request, 0, &made, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    if (strstr(fault.text, message) == NULL) fail_msg("%s lacks %s", fault.text, message);
    assert_int_equal(made.size, 0);
    buffer_done(&made);
}

static void test_bad_requests(void **state) {
    (void)state;
    char text[400];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    struct certificate_request request = client_request;
    request.common_name = text;
    assert_request_refused(request, "1 to 64 bytes");
    request.common_name = "";
    assert_request_refused(request, "1 to 64 bytes");
    request = client_request;
    request.uri = text;
    assert_request_refused(request, "1 to 255 bytes");
    request.uri = "spiffe://a/b c";
    assert_request_refused(request, "byte 12 is not a printable");
    request = client_request;
    request.valid_s = CERTIFICATE_VALID_S_MAX + 1;
    assert_request_refused(request, "valid for 315360001 s: 1 s to 3650 days");
    request.valid_s = 0;
    assert_request_refused(request, "valid for 0 s");
    request = client_request;
    request.dns_names = (const char *const[]){"a,URI:spiffe://x"};
    request.dns_names_count = 1;
    assert_request_refused(request, "neither a host name nor an IP address");
}

// The longest names that are allowed come back whole.
static void test_longest_names(void **state) {
    (void)state;
    char name[65], long_uri[256];
    memset(name, 'n', 64);
    name[64] = 0;
    snprintf(long_uri, sizeof long_uri, "spiffe://example/%0238d", 1);
    assert_int_equal(strlen(long_uri), 255);
    struct certificate_request request = client_request;
    request.common_name = name;
    request.uri = long_uri;
    struct buffer made;
    struct fault fault = {0};
    struct certificate_facts facts;
    buffer_init(&made, 64 * 1024);
    must(certificate_issue(span(&ca), span(&ca_key), span(&client_key), &request, time(NULL), &made,
                           &fault),
         &fault);
    must(certificate_read(span(&made), &facts, &fault), &fault);
    assert_string_equal(facts.common_name, name);
    assert_string_equal(facts.uri, long_uri);
    buffer_done(&made);
}

// A request for a new certificate, as a machine makes it that keeps its key to itself.
static struct buffer make_csr(EVP_PKEY *key) {
    X509_REQ *asked = X509_REQ_new();
    X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(asked), "CN", MBSTRING_ASC,
                               (const unsigned char *)"root of all", -1, -1, 0);
    X509_REQ_set_pubkey(asked, key);
    X509_REQ_sign(asked, key, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509_REQ(bio, asked);
    char *bytes;
    long size = BIO_get_mem_data(bio, &bytes);
    struct buffer csr;
    buffer_init(&csr, 64 * 1024);
    buffer_append(&csr, span_of(bytes, (size_t)size));
    BIO_free(bio);
    X509_REQ_free(asked);
    return csr;
}

static void test_csr(void **state) {
    (void)state;
    struct fault fault = {0};
    struct certificate_facts facts;
    struct buffer made;
    buffer_init(&made, 64 * 1024);
    EVP_PKEY *key = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(2048);
    struct buffer csr = make_csr(key), weak = make_csr(rsa);
    must(certificate_issue_from_csr(span(&ca), span(&ca_key), span(&csr), &client_request,
                                    time(NULL), &made, &fault),
         &fault);
    must(certificate_read(span(&made), &facts, &fault), &fault);
    assert_string_equal(facts.common_name, "agent");
    assert_string_equal(facts.uri, uri);
    assert_int_equal(verify(span(&made), span(&ca), X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    size_t size = made.size;
    assert_false(certificate_issue_from_csr(span(&ca), span(&ca_key), span(&weak), &client_request,
                                            0, &made, &fault));
    assert_non_null(strstr(fault.text, "its key is RSA; make one with an ECDSA P-256 key"));
    assert_false(certificate_issue_from_csr(span(&ca), span(&ca_key), SPAN_LITERAL("x"),
                                            &client_request, 0, &made, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    // One changed digit of the signature.
    uint8_t *byte = csr.bytes + csr.size - 50;
    *byte = *byte == 'A' ? 'B' : 'A';
    assert_false(certificate_issue_from_csr(span(&ca), span(&ca_key), span(&csr), &client_request,
                                            0, &made, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_int_equal(made.size, size);
    EVP_PKEY_free(key);
    EVP_PKEY_free(rsa);
    buffer_done(&csr);
    buffer_done(&weak);
    buffer_done(&made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_certificates_verify_for_their_use_only, make_all,
                                        free_all),
        cmocka_unit_test_setup_teardown(test_facts, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_foreign_keys_sign_nothing, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_bad_requests, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_longest_names, make_all, free_all),
        cmocka_unit_test_setup_teardown(test_csr, make_all, free_all),
    };
    return cases_run("certificate_test", tests, sizeof tests / sizeof tests[0]);
}
