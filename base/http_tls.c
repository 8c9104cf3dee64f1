#include "base/http_tls.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

enum {
    CHAIN_MAX = 8,              // certificates
    HANDSHAKE_MS = 10 * 60000,  // far more than any handshake is given
};

struct identity {
    struct identity *older;
    int64_t replaced_ms;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned int chain_count;
    gnutls_privkey_t key;
};

struct http_tls {
    pthread_mutex_t mutex;
    struct identity *present;  // guarded; the older ones hang on it
};

static void discard(struct identity *identity) {
    if (identity == NULL) return;
    for (unsigned int index = 0; index < identity->chain_count; index++) {
        gnutls_pcert_deinit(&identity->chain[index]);
    }
    if (identity->key != NULL) gnutls_privkey_deinit(identity->key);
    free(identity);
}

static gnutls_datum_t datum_of(struct span bytes) {
    return (gnutls_datum_t){(unsigned char *)(uintptr_t)bytes.bytes, (unsigned int)bytes.size};
}

// Whether the key is the certificate's: both have the same key id.
static int compare_keys(const struct identity *identity) {
    unsigned char ids[2][64];
    size_t sizes[2] = {sizeof ids[0], sizeof ids[1]};
    gnutls_pubkey_t key;
    int status = gnutls_pubkey_init(&key);
    if (status < 0) return status;
    status = gnutls_pubkey_import_privkey(key, identity->key, 0, 0);
    if (status >= 0) status = gnutls_pubkey_get_key_id(key, 0, ids[0], &sizes[0]);
    if (status >= 0) {
        status = gnutls_pubkey_get_key_id(identity->chain[0].pubkey, 0, ids[1], &sizes[1]);
    }
    gnutls_pubkey_deinit(key);
    if (status < 0) return status;
    return span_equal(span_of(ids[0], sizes[0]), span_of(ids[1], sizes[1]))
               ? 0
               : GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
}

static bool make(struct span certificate, struct span key, struct identity **identity,
                 struct fault *fault) {
    struct identity *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a certificate");
    gnutls_datum_t pem = datum_of(certificate);
    unsigned int count = CHAIN_MAX;
    int status = gnutls_pcert_list_import_x509_raw(made->chain, &count, &pem, GNUTLS_X509_FMT_PEM,
                                                   GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
    if (status < 0) {
        free(made);
        return fault_set(fault, FAULT_INPUT, "the server's certificate: %s",
                         gnutls_strerror(status));
    }
    made->chain_count = count;
    pem = datum_of(key);
    status = gnutls_privkey_init(&made->key);
    if (status >= 0) {
        status = gnutls_privkey_import_x509_raw(made->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    if (status >= 0) status = compare_keys(made);
    if (status < 0) {
        discard(made);
        return fault_set(fault, FAULT_INPUT, "the key of the server's certificate: %s",
                         gnutls_strerror(status));
    }
    *identity = made;
    return true;
}

bool http_tls_create(struct span certificate, struct span key, struct http_tls **tls,
                     struct fault *fault) {
    struct identity *identity;
    if (!make(certificate, key, &identity, fault)) return false;
    struct http_tls *made = calloc(1, sizeof *made);
    if (made == NULL || pthread_mutex_init(&made->mutex, NULL) != 0) {
        free(made);
        discard(identity);
        return fault_set(fault, FAULT_FULL, "no memory for a certificate");
    }
    made->present = identity;
    *tls = made;
    return true;
}

void http_tls_destroy(struct http_tls *tls) {
    if (tls == NULL) return;
    while (tls->present != NULL) {
        struct identity *identity = tls->present;
        tls->present = identity->older;
        discard(identity);
    }
    pthread_mutex_destroy(&tls->mutex);
    free(tls);
}

static void lock(struct http_tls *tls) {
    int status = pthread_mutex_lock(&tls->mutex);
    assert(status == 0);
}

static void unlock(struct http_tls *tls) {
    int status = pthread_mutex_unlock(&tls->mutex);
    assert(status == 0);
}

// Takes those off that were replaced so long ago that no handshake uses them.
static struct identity *take_old(struct identity *newest, int64_t now_ms) {
    struct identity *last = newest;
    while (last->older != NULL && now_ms - last->older->replaced_ms < HANDSHAKE_MS) {
        last = last->older;
    }
    struct identity *old = last->older;
    last->older = NULL;
    return old;
}

bool http_tls_replace(struct http_tls *tls, struct span certificate, struct span key,
                      int64_t now_ms, struct fault *fault) {
    struct identity *identity;
    if (!make(certificate, key, &identity, fault)) return false;
    lock(tls);
    identity->older = tls->present;
    identity->older->replaced_ms = now_ms;
    tls->present = identity;
    struct identity *old = take_old(identity, now_ms);
    unlock(tls);
    while (old != NULL) {
        struct identity *older = old->older;
        discard(old);
        old = older;
    }
    return true;
}

void http_tls_get(struct http_tls *tls, gnutls_pcert_st **chain, unsigned int *chain_count,
                  gnutls_privkey_t *key) {
    lock(tls);
    *chain = tls->present->chain;
    *chain_count = tls->present->chain_count;
    *key = tls->present->key;
    unlock(tls);
}
