#include "base/certificate_check.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/certificate_internal.h"
#include "base/clock.h"

struct certificate_cas {
    X509_STORE *store;  // OpenSSL locks it
};

// The certificates of a PEM text, in their order; NULL if memory is out. Ends at the first thing
// that is none: *is_whole says whether that was the end of the text.
static STACK_OF(X509) * read_stack(struct span pem, bool *is_whole) {
    STACK_OF(X509) *stack = sk_X509_new_null();
    BIO *bio = certificate_open_pem(pem);
    *is_whole = false;
    while (stack != NULL && bio != NULL) {
        X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (next == NULL) {
            *is_whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            break;
        }
        if (sk_X509_push(stack, next) == 0) {
            X509_free(next);
            break;
        }
    }
    BIO_free(bio);
    ERR_clear_error();
    return stack;
}

static void free_stack(STACK_OF(X509) * stack) {
    sk_X509_pop_free(stack, X509_free);
}

static X509_STORE *make_store(struct span ca) {
    bool is_whole;
    STACK_OF(X509) *stack = read_stack(ca, &is_whole);
    X509_STORE *store = X509_STORE_new();
    bool is_good = stack != NULL && store != NULL;
    for (int index = 0; is_good && index < sk_X509_num(stack); index++) {
        is_good = X509_STORE_add_cert(store, sk_X509_value(stack, index)) == 1;
    }
    free_stack(stack);
    if (is_good) return store;
    X509_STORE_free(store);
    return NULL;
}

// What OpenSSL found wrong, in the terms of those who can mend it.
static bool set_reason(X509_STORE_CTX *context, int64_t now_s, enum fault_kind kind,
                       struct fault *fault) {
    int error = X509_STORE_CTX_get_error(context);
    X509 *wrong = X509_STORE_CTX_get_current_cert(context);
    struct certificate_facts facts = {0};
    if (wrong == NULL || !certificate_read_facts(wrong, &facts)) {
        return fault_set(fault, kind, "the certificate: %s", X509_verify_cert_error_string(error));
    }
    char now[TIME_TEXT_SIZE], begin[TIME_TEXT_SIZE], end[TIME_TEXT_SIZE];
    time_print(now_s, now);
    time_print(facts.not_before_s, begin);
    time_print(facts.not_after_s, end);
    bool is_leaf = X509_STORE_CTX_get_error_depth(context) == 0;
    const char *what = is_leaf ? "the certificate" : "the CA that signed the certificate";
    if (error == X509_V_ERR_CERT_HAS_EXPIRED) {
        return fault_set(fault, kind, "%s expired at %s (the clock says %s)", what, end, now);
    }
    if (error == X509_V_ERR_CERT_NOT_YET_VALID) {
        return fault_set(fault, kind, "%s is not valid before %s (the clock says %s)", what, begin,
                         now);
    }
    if (error == X509_V_ERR_INVALID_PURPOSE) {
        return fault_set(fault, kind, "the certificate is not made out for this use");
    }
    if (error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
        error == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
        error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
        error == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
        error == X509_V_ERR_CERT_SIGNATURE_FAILURE) {
        return fault_set(fault, kind, "the certificate was signed by \"%s\", not by an accepted CA",
                         facts.issuer);
    }
    return fault_set(fault, kind, "%s: %s", what, X509_verify_cert_error_string(error));
}

static bool verify(STACK_OF(X509) * chain, X509_STORE *store, enum certificate_use use,
                   int64_t now_s, enum fault_kind kind, struct fault *fault) {
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    bool is_good = store != NULL && context != NULL &&
                   X509_STORE_CTX_init(context, store, sk_X509_value(chain, 0), chain) == 1 &&
                   X509_STORE_CTX_set_purpose(context, use == CERTIFICATE_SERVER
                                                           ? X509_PURPOSE_SSL_SERVER
                                                           : X509_PURPOSE_SSL_CLIENT) == 1;
    if (!is_good) {
        certificate_set_fault(fault, kind, "verify the certificate");
    } else {
        X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context), (time_t)now_s);
        is_good = X509_verify_cert(context) == 1;
        if (!is_good) set_reason(context, now_s, kind, fault);
    }
    X509_STORE_CTX_free(context);
    ERR_clear_error();
    return is_good;
}

static bool verify_text(struct span text, X509_STORE *store, enum certificate_use use,
                        int64_t now_s, enum fault_kind kind, struct fault *fault) {
    bool is_whole;
    STACK_OF(X509) *chain = read_stack(text, &is_whole);
    bool is_good = chain != NULL && sk_X509_num(chain) > 0;
    if (is_good) {
        is_good = verify(chain, store, use, now_s, kind, fault);
    } else {
        fault_set(fault, kind, "the certificate cannot be read: it is not PEM");
    }
    free_stack(chain);
    return is_good;
}

bool certificate_check_peer(struct span chain, struct span ca, enum certificate_use use,
                            int64_t now_s, struct fault *fault) {
    X509_STORE *store = make_store(ca);
    bool is_good = verify_text(chain, store, use, now_s, FAULT_DENIED, fault);
    X509_STORE_free(store);
    return is_good;
}

bool certificate_cas_create(struct span ca, struct certificate_cas **cas, struct fault *fault) {
    struct certificate_facts facts[CERTIFICATE_CAS_MAX];
    uint32_t count;
    if (!certificate_read_cas(ca, facts, &count, fault)) return false;
    struct certificate_cas *made = calloc(1, sizeof *made);
    if (made != NULL) made->store = make_store(ca);
    if (made == NULL || made->store == NULL) {
        free(made);
        return fault_set(fault, FAULT_FULL, "no memory for the accepted CAs");
    }
    *cas = made;
    return true;
}

void certificate_cas_destroy(struct certificate_cas *cas) {
    if (cas == NULL) return;
    X509_STORE_free(cas->store);
    free(cas);
}

bool certificate_cas_check(const struct certificate_cas *cas, struct span chain,
                           enum certificate_use use, int64_t now_s, struct fault *fault) {
    return verify_text(chain, cas->store, use, now_s, FAULT_DENIED, fault);
}

bool certificate_check_host(struct span certificate, const char *host, struct fault *fault) {
    X509 *leaf = certificate_read_x509(certificate);
    if (leaf == NULL) return certificate_set_fault(fault, FAULT_DENIED, "certificate");
    bool is_good = X509_check_host(leaf, host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1 ||
                   X509_check_ip_asc(leaf, host, 0) == 1;
    X509_free(leaf);
    ERR_clear_error();
    if (is_good) return true;
    return fault_set(fault, FAULT_DENIED, "the certificate is made out to another name than %s",
                     host);
}

bool certificate_read_cas(struct span ca, struct certificate_facts facts[CERTIFICATE_CAS_MAX],
                          uint32_t *count, struct fault *fault) {
    bool is_whole;
    STACK_OF(X509) *stack = read_stack(ca, &is_whole);
    int found = stack == NULL ? 0 : sk_X509_num(stack);
    bool is_good = found > 0 && is_whole;
    if (!is_good) {
        fault_set(fault, FAULT_INPUT, "CA: certificate %d of it cannot be read or is not there",
                  found + 1);
    } else if (found > CERTIFICATE_CAS_MAX) {
        is_good = fault_set(fault, FAULT_INPUT, "CA: %d certificates, at most %d are allowed",
                            found, CERTIFICATE_CAS_MAX);
    }
    for (int index = 0; is_good && index < found; index++) {
        X509 *one = sk_X509_value(stack, index);
        if (!certificate_read_facts(one, &facts[index])) {
            is_good = certificate_set_fault(fault, FAULT_INPUT, "CA: unusual serial or dates");
        } else if (X509_check_ca(one) != 1) {
            is_good = fault_set(fault, FAULT_INPUT, "CA: \"%s\" is no CA's certificate",
                                facts[index].common_name);
        }
    }
    free_stack(stack);
    ERR_clear_error();
    if (is_good) *count = (uint32_t)found;
    return is_good;
}

// Whether it has a host name or an address, which clients compare.
static bool has_host(X509 *certificate) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool is_found = false;
    for (int index = 0; index < sk_GENERAL_NAME_num(names); index++) {
        int type = sk_GENERAL_NAME_value(names, index)->type;
        if (type == GEN_DNS || type == GEN_IPADD) is_found = true;
    }
    GENERAL_NAMES_free(names);
    return is_found;
}

static bool check_leaf(X509 *leaf, EVP_PKEY *key, enum certificate_use use,
                       struct certificate_facts *facts, struct fault *fault) {
    if (!certificate_read_facts(leaf, facts)) {
        return certificate_set_fault(fault, FAULT_INPUT, "certificate: unusual serial or dates");
    }
    if (X509_check_private_key(leaf, key) != 1) {
        return fault_set(fault, FAULT_INPUT,
                         "the key and the certificate do not belong together: replace both files, "
                         "or neither");
    }
    if (!facts->is_elliptic) {
        return fault_set(fault, FAULT_INPUT,
                         "the key is %s; only ECDSA (or EdDSA) keys are accepted, P-256 for "
                         "example",
                         EVP_PKEY_get0_type_name(key));
    }
    if (use == CERTIFICATE_CLIENT && facts->uri[0] == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "the certificate has not exactly one URI that names the agent: enroll it "
                         "with \"orgtrail enroll\"");
    }
    if (use == CERTIFICATE_SERVER && !has_host(leaf)) {
        return fault_set(fault, FAULT_INPUT,
                         "the certificate has no host name (DNS or IP) that agents could compare");
    }
    return true;
}

bool certificate_check(const struct certificate_set *set, enum certificate_use use, int64_t now_s,
                       struct certificate_facts *facts, struct fault *fault) {
    struct certificate_facts cas[CERTIFICATE_CAS_MAX];
    struct certificate_facts found = {0};
    uint32_t cas_count;
    if (!certificate_read_cas(set->ca, cas, &cas_count, fault)) return false;
    X509 *leaf = certificate_read_x509(set->certificate);
    if (leaf == NULL) return certificate_set_fault(fault, FAULT_INPUT, "certificate");
    EVP_PKEY *key = certificate_read_key(set->key);
    bool is_good = key != NULL ? check_leaf(leaf, key, use, &found, fault)
                               : certificate_set_fault(fault, FAULT_INPUT, "key");
    EVP_PKEY_free(key);
    X509_free(leaf);
    ERR_clear_error();
    X509_STORE *store = make_store(set->ca);
    is_good = is_good && verify_text(set->certificate, store, use, now_s, FAULT_INPUT, fault);
    X509_STORE_free(store);
    if (is_good) *facts = found;
    return is_good;
}
