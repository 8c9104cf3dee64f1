#include "base/hash_internal.h"

#ifdef __x86_64__
#include <immintrin.h>
// The header puts functions that ask the processor in the place of the usual ones.
#include <xxh_x86dispatch.h>

// What the library's functions with wide vectors leave behind: the upper halves of registers in
// use, with which every SSE instruction of the program waits for the one before it. The library is
// built without the instruction that ends this.
__attribute__((target("avx"))) static void clear_upper_halves(void) {
    _mm256_zeroupper();
}

static uint64_t clean(uint64_t hash) {
    if (__builtin_cpu_supports("avx")) clear_upper_halves();
    return hash;
}
#else
#include <xxhash.h>

static uint64_t clean(uint64_t hash) {
    return hash;
}
#endif

uint64_t hash_long_with_key(const struct hash_key *key, struct span bytes) {
    return clean(XXH3_64bits_withSecret(bytes.bytes, bytes.size, key->bytes, HASH_SECRET_SIZE));
}

uint64_t hash_long_plain(struct span bytes) {
    return clean(XXH3_64bits(bytes.bytes, bytes.size));
}
