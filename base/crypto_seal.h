// crypto_seal.h: bytes that only the holder of a key can read, and nobody can change: AES-256-GCM.
//
// What is sealed is bound to a text beside it (its name, say): it cannot be opened as something
// else.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/random.h"
#include "base/span.h"

enum {
    CRYPTO_SEAL_KEY_SIZE = 32,
    CRYPTO_SEAL_MORE = 28,  // bytes that sealing adds: 12 of nonce and 16 of tag
};

// Seals; sealed has room for bytes.size + CRYPTO_SEAL_MORE. The nonce is random: a key serves for
// 2^32 seals. FAULT_IO if OpenSSL fails.
MUST_CHECK bool crypto_seal(const uint8_t key[CRYPTO_SEAL_KEY_SIZE], struct span bound,
                            struct span bytes, const struct random *random, uint8_t *sealed,
                            struct fault *fault);

// Opens; bytes has room for sealed.size - CRYPTO_SEAL_MORE. FAULT_CORRUPT if it was sealed with
// another key, for another text, or changed; bytes are zero then.
MUST_CHECK bool crypto_open(const uint8_t key[CRYPTO_SEAL_KEY_SIZE], struct span bound,
                            struct span sealed, uint8_t *bytes, struct fault *fault);

// Overwrites a secret that is no longer needed; the compiler does not leave it out.
void crypto_wipe(void *bytes, size_t size);
