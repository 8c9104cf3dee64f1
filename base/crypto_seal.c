#include "base/crypto_seal.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

enum { NONCE_SIZE = 12, TAG_SIZE = 16 };

_Static_assert(NONCE_SIZE + TAG_SIZE == CRYPTO_SEAL_MORE, "a nonce and a tag");

void crypto_wipe(void *bytes, size_t size) {
    OPENSSL_cleanse(bytes, size);
}

// Encrypts or decrypts, and makes or checks the tag.
static bool run(bool is_sealing, const uint8_t *key, const uint8_t *nonce, struct span bound,
                struct span from, uint8_t *to, uint8_t *tag) {
    int size = 0;
    assert(bound.size <= INT_MAX && from.size <= INT_MAX);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context == NULL) return false;
    bool is_good =
        EVP_CipherInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce, is_sealing ? 1 : 0) == 1 &&
        (bound.size == 0 ||
         EVP_CipherUpdate(context, NULL, &size, bound.bytes, (int)bound.size) == 1) &&
        (from.size == 0 || EVP_CipherUpdate(context, to, &size, from.bytes, (int)from.size) == 1) &&
        (is_sealing || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1) &&
        EVP_CipherFinal_ex(context, to + from.size, &size) == 1 &&
        (!is_sealing || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_SIZE, tag) == 1);
    EVP_CIPHER_CTX_free(context);
    return is_good;
}

bool crypto_seal(const uint8_t key[CRYPTO_SEAL_KEY_SIZE], struct span bound, struct span bytes,
                 const struct random *random, uint8_t *sealed, struct fault *fault) {
    uint8_t *body = sealed + NONCE_SIZE;
    random_fill(random, sealed, NONCE_SIZE);
    if (run(true, key, sealed, bound, bytes, body, body + bytes.size)) return true;
    return fault_set(fault, FAULT_IO, "OpenSSL cannot seal");
}

bool crypto_open(const uint8_t key[CRYPTO_SEAL_KEY_SIZE], struct span bound, struct span sealed,
                 uint8_t *bytes, struct fault *fault) {
    if (sealed.size < CRYPTO_SEAL_MORE) {
        return fault_set(fault, FAULT_CORRUPT, "a sealed value of %zu bytes", sealed.size);
    }
    uint8_t tag[TAG_SIZE];
    struct span body = span_of(sealed.bytes + NONCE_SIZE, sealed.size - CRYPTO_SEAL_MORE);
    memcpy(tag, body.bytes + body.size, TAG_SIZE);
    if (run(false, key, sealed.bytes, bound, body, bytes, tag)) return true;
    crypto_wipe(bytes, body.size);
    return fault_set(fault, FAULT_CORRUPT,
                     "a sealed value cannot be opened: another key sealed it, or it was changed");
}
