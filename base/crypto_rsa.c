#include "base/crypto_rsa.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/encoder.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum { BITS = 2048, EXPONENT_DEFAULT = 0 };

struct crypto_rsa {
    EVP_PKEY *key;
};

static bool take(EVP_PKEY *pair, struct crypto_rsa **key, struct fault *fault) {
    struct crypto_rsa *made = malloc(sizeof *made);
    if (made == NULL) {
        EVP_PKEY_free(pair);
        return fault_set(fault, FAULT_FULL, "no memory for a key");
    }
    made->key = pair;
    *key = made;
    return true;
}

bool crypto_rsa_generate(struct crypto_rsa **key, struct fault *fault) {
    EVP_PKEY *pair = EVP_RSA_gen(BITS);
    if (pair == NULL) return fault_set(fault, FAULT_IO, "OpenSSL makes no RSA key");
    return take(pair, key, fault);
}

// Reads one half of a key.
static EVP_PKEY *decode(struct span der, int selection) {
    EVP_PKEY *pair = NULL;
    const unsigned char *bytes = der.bytes;
    size_t size = der.size;
    OSSL_DECODER_CTX *context = OSSL_DECODER_CTX_new_for_pkey(
        &pair, "DER", selection == EVP_PKEY_PUBLIC_KEY ? "type-specific" : NULL, "RSA", selection,
        NULL, NULL);
    bool is_good = context != NULL && OSSL_DECODER_from_data(context, &bytes, &size) == 1 &&
                   pair != NULL && EVP_PKEY_get_bits(pair) == BITS;
    OSSL_DECODER_CTX_free(context);
    if (is_good) return pair;
    EVP_PKEY_free(pair);
    return NULL;
}

bool crypto_rsa_load(struct span der, struct crypto_rsa **key, struct fault *fault) {
    EVP_PKEY *pair = decode(der, EVP_PKEY_KEYPAIR);
    if (pair == NULL) return fault_set(fault, FAULT_CORRUPT, "this is no RSA key of %d bits", BITS);
    return take(pair, key, fault);
}

void crypto_rsa_destroy(struct crypto_rsa *key) {
    if (key == NULL) return;
    EVP_PKEY_free(key->key);
    free(key);
}

static bool encode(const struct crypto_rsa *key, int selection, struct buffer *der,
                   struct fault *fault) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    OSSL_ENCODER_CTX *context =
        OSSL_ENCODER_CTX_new_for_pkey(key->key, selection, "DER", "type-specific", NULL);
    bool is_good = context != NULL && OSSL_ENCODER_to_data(context, &bytes, &size) == 1;
    if (is_good) buffer_append(der, span_of(bytes, size));
    OPENSSL_clear_free(bytes, size);
    OSSL_ENCODER_CTX_free(context);
    if (is_good && !buffer_overflowed(der)) return true;
    return fault_set(fault, FAULT_IO, "OpenSSL prints no RSA key");
}

bool crypto_rsa_print_private(const struct crypto_rsa *key, struct buffer *der,
                              struct fault *fault) {
    return encode(key, EVP_PKEY_KEYPAIR, der, fault);
}

bool crypto_rsa_print_public(const struct crypto_rsa *key, struct buffer *der,
                             struct fault *fault) {
    return encode(key, EVP_PKEY_PUBLIC_KEY, der, fault);
}

bool crypto_rsa_sign(const struct crypto_rsa *key, struct span text,
                     uint8_t signature[CRYPTO_RSA_SIGNATURE_SIZE], struct fault *fault) {
    size_t size = CRYPTO_RSA_SIGNATURE_SIZE;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good = context != NULL &&
                   EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->key) == 1 &&
                   EVP_DigestSign(context, signature, &size, text.bytes, text.size) == 1 &&
                   size == CRYPTO_RSA_SIGNATURE_SIZE;
    EVP_MD_CTX_free(context);
    return is_good || fault_set(fault, FAULT_IO, "OpenSSL cannot sign");
}

bool crypto_rsa_verify(struct span public_der, struct span text, struct span signature) {
    EVP_PKEY *key = decode(public_der, EVP_PKEY_PUBLIC_KEY);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good =
        key != NULL && context != NULL &&
        EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestVerify(context, signature.bytes, signature.size, text.bytes, text.size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return is_good;
}

void crypto_append_base64(struct buffer *output, struct span bytes) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < bytes.size; at += 3) {
        size_t left = bytes.size - at;
        uint32_t three = (uint32_t)bytes.bytes[at] << 16;
        if (left > 1) three |= (uint32_t)bytes.bytes[at + 1] << 8;
        if (left > 2) three |= bytes.bytes[at + 2];
        buffer_append_byte(output, (uint8_t)letters[three >> 18]);
        buffer_append_byte(output, (uint8_t)letters[three >> 12 & 63]);
        buffer_append_byte(output, left > 1 ? (uint8_t)letters[three >> 6 & 63] : '=');
        buffer_append_byte(output, left > 2 ? (uint8_t)letters[three & 63] : '=');
    }
}

bool crypto_parse_base64(struct span text, struct buffer *bytes) {
    if (text.size == 0) return true;
    if (text.size % 4 != 0 || text.size > INT_MAX) return false;
    size_t size = text.size / 4 * 3;
    uint8_t *room = buffer_reserve(bytes, size);
    if (room == NULL || EVP_DecodeBlock(room, text.bytes, (int)text.size) != (int)size)
        return false;
    // It counts the filling as bytes.
    for (size_t at = text.size; at > 0 && text.bytes[at - 1] == '='; at--) size--;
    bytes->size += size;
    return true;
}
