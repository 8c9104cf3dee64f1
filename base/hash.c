#include "base/hash.h"

#include <string.h>

#include "base/hash_internal.h"

// Inlined, so that hashing a short value is not a call into a library.
#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(HASH_SECRET_SIZE >= XXH3_SECRET_SIZE_MIN, "XXH3 takes no shorter secret");
_Static_assert(HASH_SECRET_SIZE % 8 == 0, "the secret is changed in words of 64 bits");

void hash_key_make(const uint8_t secret[HASH_SECRET_SIZE], uint64_t seed, struct hash_key *key) {
    // XXH3's own "secret and seed" forgets the secret for short inputs. So the seed is worked into
    // the secret, into each word by another amount: XXH3 combines words by exclusive or, which
    // would cancel equal or small changes of both.
    uint64_t words[HASH_SECRET_SIZE / 8];
    memcpy(words, secret, HASH_SECRET_SIZE);
    uint64_t step = seed * 0x9E3779B97F4A7C15u, change = 0;
    for (size_t index = 0; index < HASH_SECRET_SIZE / 8; index++) {
        change += step;
        words[index] += change;
    }
    memcpy(key->bytes, words, HASH_SECRET_SIZE);
}

uint64_t hash_with_key(const struct hash_key *key, struct span bytes) {
    if (bytes.size >= HASH_LONG_SIZE_MIN) return hash_long_with_key(key, bytes);
    return XXH3_64bits_withSecret(bytes.bytes, bytes.size, key->bytes, HASH_SECRET_SIZE);
}

uint64_t hash_keyed(const uint8_t secret[HASH_SECRET_SIZE], uint64_t seed, struct span bytes) {
    struct hash_key key;
    hash_key_make(secret, seed, &key);
    return hash_with_key(&key, bytes);
}

uint64_t hash_plain(struct span bytes) {
    if (bytes.size >= HASH_LONG_SIZE_MIN) return hash_long_plain(bytes);
    return XXH3_64bits(bytes.bytes, bytes.size);
}
