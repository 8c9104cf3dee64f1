// digest_keys.h: the keys that digests are signed with: documents of the store, made at first need.
//
// A key signs for so long and is then followed by another; its public half is kept for ever, for
// whoever verifies what it signed. The private half stands there sealed with secret.key.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto_rsa.h"
#include "base/crypto_seal.h"
#include "base/fault.h"
#include "base/json.h"
#include "collector/follow/seat.h"

enum {
    DIGEST_KEY_FINGERPRINT_SIZE = 33,  // hex and a final zero
    DIGEST_KEYS_MAX = 1000,            // kept
};

// A key, as whoever verifies sees it. The text borrows from the document.
struct digest_key_facts {
    struct span fingerprint;
    struct span public_key;  // PKCS#1 DER in base64
    int64_t from_ms;         // signs from here
    int64_t to_ms;           // to here
};

// Reads the public part of a document.
struct digest_key_facts digest_key_read(const struct yyjson_val *root);

struct digest_key {
    struct crypto_rsa *rsa;  // the caller destroys it
    char fingerprint[DIGEST_KEY_FINGERPRINT_SIZE];
};

// The key that signs what was planned at a moment, the same one whenever it is asked for; a new
// one, which signs for lifetime_ms from now on, if there is none that can be used. FAULT_RETRY if
// another thread makes one at the same time; FAULT_FULL, FAULT_IO.
MUST_CHECK bool digest_key_get(struct seat *seat, const uint8_t secret[CRYPTO_SEAL_KEY_SIZE],
                               int64_t at_ms, int64_t lifetime_ms, struct digest_key *key,
                               struct fault *fault);
