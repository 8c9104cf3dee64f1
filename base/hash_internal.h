// hash_internal.h: what hash.c leaves to the library.

#pragma once

#include "base/hash.h"

enum { HASH_LONG_SIZE_MIN = 256 };  // bytes; below it a call costs more than it gains

// XXH3's two functions for long spans, by the widest vectors that this processor has: 1,650 bytes
// take 50 ns, with those of x86-64-v2 130.
uint64_t hash_long_with_key(const struct hash_key *key, struct span bytes);
uint64_t hash_long_plain(struct span bytes);
