#include "base/certificate.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "base/certificate_internal.h"
#include "base/crypto.h"
#include "base/random.h"

enum {
    SERIAL_SIZE = 16,           // bytes; RFC 5280 allows 20
    BACKDATE_S = 5 * 60,        // how far before now a certificate begins to be valid
    COMMON_NAME_SIZE_MAX = 64,  // characters, RFC 5280 ub-common-name
    URI_SIZE_MAX = 255,         // bytes, as certificate_facts has room for
    DNS_NAME_SIZE_MAX = 253,    // bytes, RFC 1035
    DNS_NAMES_MAX = 64,
    PEM_SIZE_MAX = 64 * 1024,  // bytes of one PEM text read
    PASSPHRASE_NONE = 0,
};

// Sets a fault with OpenSSL's reason, and forgets what else OpenSSL had to say.
bool certificate_set_fault(struct fault *fault, enum fault_kind kind, const char *what) {
    unsigned long error = ERR_peek_last_error();
    const char *reason = error == 0 ? NULL : ERR_reason_error_string(error);
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE)
        reason = "it is not PEM, or another kind of it";
    fault_set(fault, kind, "%s: %s", what, reason == NULL ? "OpenSSL failed" : reason);
    ERR_clear_error();
    return false;
}

// An encrypted key is refused instead of asking a terminal that nobody watches.
static int refuse_passphrase(char *text, int size, int writing, void *context) {
    (void)text;
    (void)size;
    (void)writing;
    (void)context;
    return PASSPHRASE_NONE;
}

BIO *certificate_open_pem(struct span pem) {
    if (pem.size == 0 || pem.size > PEM_SIZE_MAX) return NULL;
    return BIO_new_mem_buf(pem.bytes, (int)pem.size);
}

X509 *certificate_read_x509(struct span pem) {
    BIO *bio = certificate_open_pem(pem);
    if (bio == NULL) return NULL;
    X509 *certificate = PEM_read_bio_X509(bio, NULL, refuse_passphrase, NULL);
    BIO_free(bio);
    return certificate;
}

EVP_PKEY *certificate_read_key(struct span pem) {
    BIO *bio = certificate_open_pem(pem);
    if (bio == NULL) return NULL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, NULL);
    BIO_free(bio);
    return key;
}

// Appends what a memory BIO holds, and frees the BIO.
static bool take_bio(BIO *bio, struct buffer *output, struct fault *fault) {
    char *bytes = NULL;
    long size = BIO_get_mem_data(bio, &bytes);
    size_t before = output->size;
    buffer_append(output, span_of(bytes, (size_t)size));
    BIO_free(bio);
    if (output->size == before + (size_t)size) return true;
    return fault_set(fault, FAULT_FULL, "no room for %ld bytes of PEM", size);
}

bool certificate_make_key(struct buffer *key, struct fault *fault) {
    EVP_PKEY *made = EVP_EC_gen("P-256");
    if (made == NULL) return certificate_set_fault(fault, FAULT_IO, "make key");
    BIO *bio = BIO_new(BIO_s_mem());
    bool written =
        bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, made, NULL, NULL, 0, NULL, NULL) == 1;
    EVP_PKEY_free(made);
    if (!written) {
        BIO_free(bio);
        return certificate_set_fault(fault, FAULT_IO, "write key");
    }
    return take_bio(bio, key, fault);
}

// Letters, digits and what stands between them: no wildcards, no control characters, nothing that
// OpenSSL's extension syntax would read as its own.
static bool is_dns_name(const char *name) {
    size_t size = strnlen(name, DNS_NAME_SIZE_MAX + 1);
    if (size == 0 || size > DNS_NAME_SIZE_MAX) return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
           size;
}

static bool check_request(const struct certificate_request *request, struct fault *fault) {
    size_t size = strnlen(request->common_name, COMMON_NAME_SIZE_MAX + 1);
    if (size == 0 || size > COMMON_NAME_SIZE_MAX) {
        return fault_set(fault, FAULT_INPUT, "common name \"%.80s\": 1 to %d bytes are allowed",
                         request->common_name, COMMON_NAME_SIZE_MAX);
    }
    if (request->uri != NULL) {
        size = strnlen(request->uri, URI_SIZE_MAX + 1);
        if (size == 0 || size > URI_SIZE_MAX) {
            return fault_set(fault, FAULT_INPUT, "URI \"%.80s\": 1 to %d bytes are allowed",
                             request->uri, URI_SIZE_MAX);
        }
        for (size_t at = 0; at < size; at++) {
            if (request->uri[at] > ' ' && request->uri[at] < 0x7F) continue;
            return fault_set(fault, FAULT_INPUT,
                             "URI \"%.80s\": byte %zu is not a printable ASCII character",
                             request->uri, at);
        }
    }
    if (request->valid_s < 1 || request->valid_s > CERTIFICATE_VALID_S_MAX) {
        return fault_set(fault, FAULT_INPUT, "valid for %" PRId64 " s: 1 s to %d days are allowed",
                         request->valid_s, CERTIFICATE_VALID_S_MAX / CERTIFICATE_DAY_S);
    }
    if (request->dns_names_count > DNS_NAMES_MAX) {
        return fault_set(fault, FAULT_INPUT, "%u host names: at most %d are allowed",
                         request->dns_names_count, DNS_NAMES_MAX);
    }
    for (uint32_t index = 0; index < request->dns_names_count; index++) {
        uint8_t address[16];
        const char *name = request->dns_names[index];
        if (is_dns_name(name) || inet_pton(AF_INET6, name, address) == 1) continue;
        return fault_set(fault, FAULT_INPUT, "\"%.80s\" is neither a host name nor an IP address",
                         name);
    }
    return true;
}

// Adds a name to the list, which then owns it. False if memory runs out.
static bool push_name(GENERAL_NAMES *names, int type, const void *bytes, size_t size) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_STRING *value = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    if (name == NULL || value == NULL || ASN1_STRING_set(value, bytes, (int)size) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0) return true;
    GENERAL_NAME_free(name);
    return false;
}

static bool push_host(GENERAL_NAMES *names, const char *host) {
    uint8_t address[16];
    if (inet_pton(AF_INET, host, address) == 1) return push_name(names, GEN_IPADD, address, 4);
    if (inet_pton(AF_INET6, host, address) == 1) return push_name(names, GEN_IPADD, address, 16);
    return push_name(names, GEN_DNS, host, strlen(host));
}

static bool add_names(X509 *certificate, const struct certificate_request *request) {
    if (request->uri == NULL && request->dns_names_count == 0) return true;
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool added = names != NULL;
    if (added && request->uri != NULL) {
        added = push_name(names, GEN_URI, request->uri, strlen(request->uri));
    }
    for (uint32_t index = 0; added && index < request->dns_names_count; index++) {
        added = push_host(names, request->dns_names[index]);
    }
    added = added &&
            X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return added;
}

static bool add_extension(X509 *certificate, X509V3_CTX *context, int nid, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, context, nid, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_extensions(X509 *certificate, X509 *issuer,
                           const struct certificate_request *request) {
    bool is_ca = request->use == CERTIFICATE_CA;
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    if (!add_extension(certificate, &context, NID_basic_constraints,
                       is_ca ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE") ||
        !add_extension(certificate, &context, NID_key_usage,
                       is_ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") ||
        !add_extension(certificate, &context, NID_subject_key_identifier, "hash") ||
        !add_extension(certificate, &context, NID_authority_key_identifier, "keyid:always")) {
        return false;
    }
    if (!is_ca &&
        !add_extension(certificate, &context, NID_ext_key_usage,
                       request->use == CERTIFICATE_SERVER ? "serverAuth" : "clientAuth")) {
        return false;
    }
    return add_names(certificate, request);
}

static bool set_serial(X509 *certificate, const struct random *random) {
    uint8_t bytes[SERIAL_SIZE];
    random_fill(random, bytes, sizeof bytes);
    // Positive and of full length, so that its text always has 32 digits.
    bytes[0] = (uint8_t)((bytes[0] & 0x7F) | 0x40);
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool set =
        number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

// All but the signature. The issuer is the certificate itself for a CA.
static bool fill_certificate(X509 *certificate, X509 *issuer, EVP_PKEY *subject_key,
                             const struct certificate_request *request, int64_t now_s) {
    X509_NAME *name = X509_get_subject_name(certificate);
    return X509_set_version(certificate, X509_VERSION_3) == 1 &&
           set_serial(certificate, random_system()) &&
           ASN1_TIME_set(X509_getm_notBefore(certificate), now_s - BACKDATE_S) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), now_s + request->valid_s) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      (const unsigned char *)request->common_name, -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 &&
           X509_set_pubkey(certificate, subject_key) == 1 &&
           add_extensions(certificate, issuer, request);
}

// Makes, signs and appends one certificate. issuer is NULL for a self-signed one.
static bool sign(X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *subject_key,
                 const struct certificate_request *request, int64_t now_s, struct buffer *output,
                 struct fault *fault) {
    X509 *certificate = X509_new();
    if (certificate == NULL) return certificate_set_fault(fault, FAULT_IO, "make certificate");
    BIO *bio = BIO_new(BIO_s_mem());
    bool made = bio != NULL &&
                fill_certificate(certificate, issuer == NULL ? certificate : issuer, subject_key,
                                 request, now_s) &&
                X509_sign(certificate, issuer_key, EVP_sha256()) > 0 &&
                PEM_write_bio_X509(bio, certificate) == 1;
    X509_free(certificate);
    if (!made) {
        BIO_free(bio);
        return certificate_set_fault(fault, FAULT_INPUT, "make certificate");
    }
    return take_bio(bio, output, fault);
}

bool certificate_make_ca(struct span key, const struct certificate_request *request, int64_t now_s,
                         struct buffer *certificate, struct fault *fault) {
    assert(request->use == CERTIFICATE_CA);
    if (!check_request(request, fault)) return false;
    EVP_PKEY *pair = certificate_read_key(key);
    if (pair == NULL) return certificate_set_fault(fault, FAULT_INPUT, "CA key");
    bool made = sign(NULL, pair, pair, request, now_s, certificate, fault);
    EVP_PKEY_free(pair);
    return made;
}

// Signs for a public key with a CA given as PEM.
static bool issue(struct span ca_certificate, struct span ca_key, EVP_PKEY *subject_key,
                  const struct certificate_request *request, int64_t now_s,
                  struct buffer *certificate, struct fault *fault) {
    X509 *issuer = certificate_read_x509(ca_certificate);
    if (issuer == NULL) return certificate_set_fault(fault, FAULT_INPUT, "CA certificate");
    EVP_PKEY *issuer_key = certificate_read_key(ca_key);
    bool made = false;
    if (issuer_key == NULL) {
        certificate_set_fault(fault, FAULT_INPUT, "CA key");
    } else if (X509_check_private_key(issuer, issuer_key) != 1) {
        certificate_set_fault(fault, FAULT_INPUT, "CA key and CA certificate are not of one pair");
    } else if (X509_check_ca(issuer) != 1) {
        fault_set(fault, FAULT_INPUT, "CA certificate: it is no CA's");
    } else {
        made = sign(issuer, issuer_key, subject_key, request, now_s, certificate, fault);
    }
    EVP_PKEY_free(issuer_key);
    X509_free(issuer);
    return made;
}

bool certificate_issue(struct span ca_certificate, struct span ca_key, struct span subject_key,
                       const struct certificate_request *request, int64_t now_s,
                       struct buffer *certificate, struct fault *fault) {
    assert(request->use != CERTIFICATE_CA);
    if (!check_request(request, fault)) return false;
    EVP_PKEY *key = certificate_read_key(subject_key);
    if (key == NULL) return certificate_set_fault(fault, FAULT_INPUT, "key");
    bool made = issue(ca_certificate, ca_key, key, request, now_s, certificate, fault);
    EVP_PKEY_free(key);
    return made;
}

static bool is_elliptic(EVP_PKEY *key) {
    return EVP_PKEY_is_a(key, "EC") || EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
}

bool certificate_issue_from_csr(struct span ca_certificate, struct span ca_key, struct span csr,
                                const struct certificate_request *request, int64_t now_s,
                                struct buffer *certificate, struct fault *fault) {
    assert(request->use != CERTIFICATE_CA);
    if (!check_request(request, fault)) return false;
    BIO *bio = certificate_open_pem(csr);
    X509_REQ *asked =
        bio == NULL ? NULL : PEM_read_bio_X509_REQ(bio, NULL, refuse_passphrase, NULL);
    BIO_free(bio);
    if (asked == NULL) return certificate_set_fault(fault, FAULT_INPUT, "certificate request");
    EVP_PKEY *key = X509_REQ_get0_pubkey(asked);
    bool made = false;
    if (key == NULL || X509_REQ_verify(asked, key) != 1) {
        certificate_set_fault(fault, FAULT_INPUT, "certificate request: its signature is wrong");
    } else if (!is_elliptic(key)) {
        fault_set(fault, FAULT_INPUT,
                  "certificate request: its key is %s; make one with an ECDSA P-256 key",
                  EVP_PKEY_get0_type_name(key));
    } else {
        made = issue(ca_certificate, ca_key, key, request, now_s, certificate, fault);
    }
    X509_REQ_free(asked);
    return made;
}

bool certificate_issue_again(struct span ca_certificate, struct span ca_key,
                             struct span certificate, const struct certificate_request *request,
                             int64_t now_s, struct buffer *made, struct fault *fault) {
    assert(request->use != CERTIFICATE_CA);
    if (!check_request(request, fault)) return false;
    X509 *old = certificate_read_x509(certificate);
    EVP_PKEY *key = old == NULL ? NULL : X509_get0_pubkey(old);
    bool is_good = key != NULL || certificate_set_fault(fault, FAULT_INPUT, "certificate");
    is_good = is_good && issue(ca_certificate, ca_key, key, request, now_s, made, fault);
    X509_free(old);
    return is_good;
}

static bool read_time(const ASN1_TIME *time, int64_t *seconds) {
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1) return false;
    *seconds = timegm(&parts);
    return true;
}

// Copies a text that must fit and hold no zero byte: a name with one is a trick.
static bool copy_text(const ASN1_STRING *from, char *to, size_t size) {
    int length = ASN1_STRING_length(from);
    const unsigned char *bytes = ASN1_STRING_get0_data(from);
    if (length < 0 || (size_t)length >= size) return false;
    if (memchr(bytes, 0, (size_t)length) != NULL) return false;
    memcpy(to, bytes, (size_t)length);
    to[length] = 0;
    return true;
}

// The one URI among the names; empty if there is none, several, or one that does not fit.
static void read_uri(X509 *certificate, char *uri, size_t size) {
    uri[0] = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int uris = 0;
    for (int index = 0; index < sk_GENERAL_NAME_num(names); index++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
        if (name->type != GEN_URI) continue;
        if (++uris > 1 || !copy_text(name->d.uniformResourceIdentifier, uri, size)) uri[0] = 0;
    }
    if (uris > 1) uri[0] = 0;
    GENERAL_NAMES_free(names);
}

static void read_common_name(X509_NAME *name, char *text, size_t size) {
    text[0] = 0;
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at < 0) return;
    const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, at);
    if (!copy_text(X509_NAME_ENTRY_get_data(entry), text, size)) text[0] = 0;
}

static bool read_serial(X509 *certificate, char *text, size_t size) {
    const ASN1_INTEGER *serial = X509_get0_serialNumber(certificate);
    struct span bytes = span_of(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial));
    if (2 * bytes.size + 1 > size) return false;
    crypto_print_hex(bytes, text);
    return true;
}

bool certificate_read_facts(X509 *certificate, struct certificate_facts *facts) {
    read_common_name(X509_get_subject_name(certificate), facts->common_name,
                     sizeof facts->common_name);
    read_common_name(X509_get_issuer_name(certificate), facts->issuer, sizeof facts->issuer);
    read_uri(certificate, facts->uri, sizeof facts->uri);
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    facts->is_elliptic = key != NULL && is_elliptic(key);
    unsigned int size = 0;
    return read_serial(certificate, facts->serial, sizeof facts->serial) &&
           read_time(X509_get0_notBefore(certificate), &facts->not_before_s) &&
           read_time(X509_get0_notAfter(certificate), &facts->not_after_s) &&
           X509_digest(certificate, EVP_sha256(), facts->fingerprint, &size) == 1 &&
           size == sizeof facts->fingerprint;
}

bool certificate_read(struct span pem, struct certificate_facts *facts, struct fault *fault) {
    X509 *certificate = certificate_read_x509(pem);
    if (certificate == NULL) return certificate_set_fault(fault, FAULT_INPUT, "certificate");
    struct certificate_facts read = {0};
    bool good = certificate_read_facts(certificate, &read);
    X509_free(certificate);
    if (!good)
        return certificate_set_fault(fault, FAULT_INPUT, "certificate: unusual serial or dates");
    ERR_clear_error();
    *facts = read;
    return true;
}

void certificate_print_fingerprint(const struct certificate_facts *facts,
                                   char text[CERTIFICATE_FINGERPRINT_TEXT_SIZE]) {
    crypto_print_hex(span_of(facts->fingerprint, sizeof facts->fingerprint), text);
}
