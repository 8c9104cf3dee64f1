#include <assert.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "base/rpc/rpc_internal.h"

enum { PEM_SIZE_MAX = 1024 * 1024 };

static BIO *open_pem(struct span pem) {
    return BIO_new_mem_buf(pem.bytes, (int)pem.size);
}

static X509 *read_certificate(struct span pem) {
    BIO *bio = open_pem(pem);
    if (bio == NULL) return NULL;
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return certificate;
}

// No password is ever asked for: a daemon has no terminal.
static int no_password(char *text, int size, int is_writing, void *context) {
    (void)text;
    (void)size;
    (void)is_writing;
    (void)context;
    return 0;
}

static EVP_PKEY *read_key(struct span pem) {
    BIO *bio = open_pem(pem);
    if (bio == NULL) return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    BIO_free(bio);
    return key;
}

static bool check_text(struct span pem, const char *name, struct fault *fault) {
    if (pem.size == 0) return fault_set(fault, FAULT_INPUT, "%s is empty", name);
    if (pem.size > PEM_SIZE_MAX) return fault_set(fault, FAULT_INPUT, "%s is too large", name);
    if (memchr(pem.bytes, 0, pem.size) != NULL) {
        return fault_set(fault, FAULT_INPUT, "%s is not a PEM text: it holds a zero byte", name);
    }
    return true;
}

static bool check_pair(X509 *certificate, EVP_PKEY *key, struct fault *fault) {
    int kind = EVP_PKEY_get_base_id(key);
    if (kind != EVP_PKEY_EC && kind != EVP_PKEY_ED25519) {
        return fault_set(
            fault, FAULT_INPUT,
            "the key is %s; only ECDSA (or Ed25519) keys are accepted: make a new one, "
            "for example P-256",
            kind == EVP_PKEY_RSA ? "an RSA key" : "of another kind");
    }
    if (X509_check_private_key(certificate, key) != 1) {
        return fault_set(fault, FAULT_INPUT, "the key does not belong to the certificate");
    }
    return true;
}

bool rpc_credentials_check(const struct rpc_credentials *credentials, struct fault *fault) {
    if (!check_text(credentials->ca, "the CA certificate", fault)) return false;
    if (!check_text(credentials->certificate, "the certificate", fault)) return false;
    if (!check_text(credentials->key, "the key", fault)) return false;

    X509 *ca = read_certificate(credentials->ca);
    X509 *certificate = read_certificate(credentials->certificate);
    EVP_PKEY *key = read_key(credentials->key);
    bool is_good = false;
    if (ca == NULL) {
        fault_set(fault, FAULT_INPUT, "the CA certificate cannot be read: it is not PEM");
    } else if (certificate == NULL) {
        fault_set(fault, FAULT_INPUT, "the certificate cannot be read: it is not PEM");
    } else if (key == NULL) {
        fault_set(fault, FAULT_INPUT, "the key cannot be read: it is not an unencrypted PEM key");
    } else {
        is_good = check_pair(certificate, key, fault);
    }
    X509_free(ca);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return is_good;
}

// gRPC wants zero-terminated texts and copies them.
struct texts {
    char *ca;
    char *certificate;
    char *key;
    size_t key_size;
};

static char *copy_text(struct span pem) {
    char *text = malloc(pem.size + 1);
    if (text == NULL) abort();
    memcpy(text, pem.bytes, pem.size);
    text[pem.size] = 0;
    return text;
}

static struct texts copy_texts(const struct rpc_credentials *credentials) {
    return (struct texts){
        .ca = copy_text(credentials->ca),
        .certificate = copy_text(credentials->certificate),
        .key = copy_text(credentials->key),
        .key_size = credentials->key.size,
    };
}

static void free_texts(struct texts *texts) {
    OPENSSL_cleanse(texts->key, texts->key_size);
    free(texts->ca);
    free(texts->certificate);
    free(texts->key);
}

bool rpc_credentials_for_client(const struct rpc_credentials *credentials, const char *name,
                                grpc_channel_credentials **made, struct rpc_verifier **verifier,
                                struct fault *fault) {
    if (!rpc_credentials_check(credentials, fault)) return false;
    struct texts texts = copy_texts(credentials);
    grpc_tls_identity_pairs *pairs = grpc_tls_identity_pairs_create();
    grpc_tls_identity_pairs_add_pair(pairs, texts.key, texts.certificate);
    grpc_tls_certificate_provider *provider =
        grpc_tls_certificate_provider_static_data_create(texts.ca, pairs);
    free_texts(&texts);
    grpc_tls_certificate_verifier *grpc_verifier;
    *verifier = rpc_verifier_create(credentials->ca, name, &grpc_verifier);
    grpc_tls_credentials_options *options = grpc_tls_credentials_options_create();
    grpc_tls_credentials_options_set_certificate_provider(options, provider);
    grpc_tls_credentials_options_watch_root_certs(options);
    grpc_tls_credentials_options_watch_identity_key_cert_pairs(options);
    // The verifier does all of it, and says what is wrong.
    grpc_tls_credentials_options_set_verify_server_cert(options, 0);
    grpc_tls_credentials_options_set_check_call_host(options, 0);
    grpc_tls_credentials_options_set_certificate_verifier(options, grpc_verifier);
    *made = grpc_tls_credentials_create(options);
    grpc_tls_certificate_provider_release(provider);
    grpc_tls_certificate_verifier_release(grpc_verifier);
    assert(*made != NULL);
    return true;
}

bool rpc_credentials_for_server(const struct rpc_credentials *credentials,
                                grpc_ssl_server_certificate_config **made, struct fault *fault) {
    if (!rpc_credentials_check(credentials, fault)) return false;
    struct texts texts = copy_texts(credentials);
    grpc_ssl_pem_key_cert_pair pair = {texts.key, texts.certificate};
    *made = grpc_ssl_server_certificate_config_create(texts.ca, &pair, 1);
    free_texts(&texts);
    assert(*made != NULL);
    return true;
}
