// hash.h: fast hashes that are no proof of anything: keyed 64-bit (XXH3) and CRC-32.
//
// A keyed hash uses a secret that nobody outside the machine knows, so that a sender cannot choose
// values that collide; every hit is verified on the bytes all the same. For proofs see crypto.h.

#pragma once

#include <stdint.h>

#include "base/span.h"

enum { HASH_SECRET_SIZE = 192 };  // bytes, random; XXH3's default secret length

// 64 bits of XXH3 over the span under a secret of HASH_SECRET_SIZE bytes and a seed that separates
// uses.
uint64_t hash_keyed(const uint8_t secret[HASH_SECRET_SIZE], uint64_t seed, struct span bytes);

// The same in two steps, for many values under one secret and seed: what both make together, and
// the hash of a span under it.
struct hash_key {
    uint8_t bytes[HASH_SECRET_SIZE];
};
void hash_key_make(const uint8_t secret[HASH_SECRET_SIZE], uint64_t seed, struct hash_key *key);
uint64_t hash_with_key(const struct hash_key *key, struct span bytes);

// Unkeyed XXH3-64, for checksums of what we wrote ourselves.
uint64_t hash_plain(struct span bytes);
