#include "base/rpc/test_certificates.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

// A test machine where OpenSSL fails cannot test anything.
static void need(bool is_good) {
    if (!is_good) abort();
}

static EVP_PKEY *make_key(bool is_rsa) {
    EVP_PKEY *key = is_rsa ? EVP_RSA_gen(2048u) : EVP_EC_gen("P-256");
    need(key != NULL);
    return key;
}

static void print_pem(BIO *bio, char text[TEST_PEM_SIZE]) {
    int size = BIO_read(bio, text, TEST_PEM_SIZE - 1);
    need(size > 0 && BIO_pending(bio) == 0);
    text[size] = 0;
    BIO_free(bio);
}

static void print_key(EVP_PKEY *key, char text[TEST_PEM_SIZE]) {
    BIO *bio = BIO_new(BIO_s_mem());
    need(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    print_pem(bio, text);
}

static void print_certificate(X509 *certificate, char text[TEST_PEM_SIZE]) {
    BIO *bio = BIO_new(BIO_s_mem());
    need(PEM_write_bio_X509(bio, certificate) == 1);
    print_pem(bio, text);
}

static X509 *begin_certificate(const char *name, int64_t serial, EVP_PKEY *key, long from_s,
                               long until_s) {
    X509 *certificate = X509_new();
    need(certificate != NULL);
    need(X509_set_version(certificate, X509_VERSION_3) == 1);
    need(ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial) == 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), until_s);
    need(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                    (const unsigned char *)name, -1, -1, 0) == 1);
    need(X509_set_pubkey(certificate, key) == 1);
    return certificate;
}

static void add_extension(X509 *certificate, int which, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, which, value);
    need(extension != NULL);
    need(X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

void test_ca_make(struct test_ca *ca, const char *name) {
    EVP_PKEY *key = make_key(false);
    X509 *certificate = begin_certificate(name, 1, key, -7200, 7200);
    need(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1);
    add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    need(X509_sign(certificate, key, EVP_sha256()) > 0);
    print_certificate(certificate, ca->certificate);
    print_key(key, ca->key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void test_identity_make(struct test_identity *identity, const struct test_ca *ca,
                        const struct test_request *request) {
    BIO *bio = BIO_new_mem_buf(ca->key, -1);
    EVP_PKEY *ca_key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(ca->certificate, -1);
    X509 *ca_certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    need(ca_key != NULL && ca_certificate != NULL);

    EVP_PKEY *key = make_key(request->is_rsa);
    X509 *certificate =
        begin_certificate("test", request->serial, key, -7200, request->is_expired ? -3600 : 3600);
    need(X509_set_issuer_name(certificate, X509_get_subject_name(ca_certificate)) == 1);
    if (request->names != NULL) {
        add_extension(certificate, NID_subject_alt_name, request->names);
    }
    if (request->is_for_clients) add_extension(certificate, NID_ext_key_usage, "clientAuth");
    need(X509_sign(certificate, ca_key, EVP_sha256()) > 0);
    memcpy(identity->ca, ca->certificate, TEST_PEM_SIZE);
    print_certificate(certificate, identity->certificate);
    print_key(key, identity->key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    X509_free(ca_certificate);
    EVP_PKEY_free(ca_key);
}

struct rpc_credentials test_credentials(const struct test_identity *identity) {
    return (struct rpc_credentials){
        .ca = span_text(identity->ca),
        .certificate = span_text(identity->certificate),
        .key = span_text(identity->key),
    };
}
