#include "base/hash_internal.h"

// The header for x86 puts functions that ask the processor in the place of the usual ones.
#ifdef __x86_64__
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

uint64_t hash_long_with_key(const struct hash_key *key, struct span bytes) {
    return XXH3_64bits_withSecret(bytes.bytes, bytes.size, key->bytes, HASH_SECRET_SIZE);
}

uint64_t hash_long_plain(struct span bytes) {
    return XXH3_64bits(bytes.bytes, bytes.size);
}
