// keys.h: the public keys that digests may be signed with, and when each of them was in use.
//
// They come from outside what is verified: the answer of ListPublicKeys kept as JSON, one key as
// PEM or DER (PKCS#1), or the collector's store. Read-only once made, by any number of threads.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum {
    KEYS_MAX = 4096,                        // public keys of one run
    KEYS_FILE_SIZE_MAX = 16 * 1024 * 1024,  // bytes
    KEYS_SLACK_S = 2 * 3600,  // the stock verifier asks for keys so long after a digest
};

struct public_keys;

// What became of a signature.
enum keys_verdict {
    KEYS_GOOD,
    KEYS_BAD,       // the key is known and did not sign this
    KEYS_UNKNOWN,   // no key has that fingerprint
    KEYS_OUTDATED,  // signed, but outside the time in which the key was in use
};

// No keys. NULL if memory runs out.
struct public_keys *keys_create(void);

// Frees them. NULL is allowed.
void keys_destroy(struct public_keys *keys);

// How many there are.
uint32_t keys_count(const struct public_keys *keys);

// Adds one key, PKCS#1 DER, in use from..to (0 and INT64_MAX: always). An empty fingerprint: the
// key answers for any. FAULT_INPUT if there are KEYS_MAX already; FAULT_FULL.
MUST_CHECK bool keys_add(struct public_keys *keys, struct span fingerprint, struct span der,
                         int64_t from_s, int64_t to_s, struct fault *fault);

// Adds the keys of a file's bytes: JSON {"PublicKeyList":[{"Value","Fingerprint",
// "ValidityStartTime","ValidityEndTime"},...]} with times as text or epoch seconds, or that list;
// or one PKCS#1 public key as PEM or DER. FAULT_INPUT says what is wrong with it; FAULT_FULL.
MUST_CHECK bool keys_read(struct public_keys *keys, struct span bytes, struct fault *fault);

// Whether the signature (hex) of the claim is by the key of this fingerprint, in use at this time.
enum keys_verdict keys_verify(const struct public_keys *keys, struct span fingerprint,
                              int64_t time_s, struct span claim, struct span signature_hex);
