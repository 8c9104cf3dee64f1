// crypto_rsa.h: RSA keys of 2048 bits that sign with SHA-256 (PKCS#1 v1.5).
//
// One thread per key.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    CRYPTO_RSA_SIGNATURE_SIZE = 256,
    CRYPTO_RSA_DER_SIZE_MAX = 4096,  // of either half of a key
};

struct crypto_rsa;

// Makes a key, which takes about a tenth of a second. FAULT_IO if OpenSSL fails.
MUST_CHECK bool crypto_rsa_generate(struct crypto_rsa **key, struct fault *fault);

// Reads a private key as crypto_rsa_print_private gave it. FAULT_CORRUPT if it is none of 2048
// bits.
MUST_CHECK bool crypto_rsa_load(struct span der, struct crypto_rsa **key, struct fault *fault);

// Frees it; the private half is wiped. NULL is allowed.
void crypto_rsa_destroy(struct crypto_rsa *key);

// Appends the private key, DER. The caller wipes it. FAULT_IO.
MUST_CHECK bool crypto_rsa_print_private(const struct crypto_rsa *key, struct buffer *der,
                                         struct fault *fault);

// Appends the public key as PKCS#1's RSAPublicKey, DER. FAULT_IO.
MUST_CHECK bool crypto_rsa_print_public(const struct crypto_rsa *key, struct buffer *der,
                                        struct fault *fault);

// Signs; the same text gives the same signature. FAULT_IO.
MUST_CHECK bool crypto_rsa_sign(const struct crypto_rsa *key, struct span text,
                                uint8_t signature[CRYPTO_RSA_SIGNATURE_SIZE], struct fault *fault);

// Whether the signature is that of the text by the key whose public half this is, PKCS#1 DER.
bool crypto_rsa_verify(struct span public_der, struct span text, struct span signature);

// Appends bytes in base64, with '=' at the end where the length wants it.
void crypto_append_base64(struct buffer *output, struct span bytes);

// Appends the bytes that base64 text stands for. False if it is none.
bool crypto_parse_base64(struct span text, struct buffer *bytes);
