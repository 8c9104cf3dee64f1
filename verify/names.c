#include "verify/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/random.h"
#include "base/table.h"

enum { CAPACITY_MIN = 1024 };  // a power of two, as all of them

struct names {
    uint8_t secret[HASH_SECRET_SIZE];
    uint64_t *slots;  // 0: free
    uint64_t capacity;
    uint64_t count;
};

struct names *names_create(void) {
    struct names *names = calloc(1, sizeof *names);
    if (names == NULL) return NULL;
    random_fill(random_system(), names->secret, sizeof names->secret);
    names->capacity = CAPACITY_MIN;
    names->slots = table_allocate(CAPACITY_MIN * sizeof *names->slots);
    if (names->slots != NULL) return names;
    free(names);
    return NULL;
}

void names_destroy(struct names *names) {
    if (names == NULL) return;
    free(names->slots);
    free(names);
}

void names_reset(struct names *names) {
    memset(names->slots, 0, names->capacity * sizeof *names->slots);
    names->count = 0;
}

static uint64_t hash_of(const struct names *names, struct span bucket, struct span key) {
    // A bucket's name has no slash: the two cannot be confused with two others.
    uint64_t seed = hash_keyed(names->secret, bucket.size, bucket);
    uint64_t hash = hash_keyed(names->secret, seed, key);
    return hash == 0 ? 1 : hash;
}

// Where the hash is, or where it would be put.
static uint64_t find(const uint64_t *slots, uint64_t capacity, uint64_t hash) {
    uint64_t at = hash & (capacity - 1);
    while (slots[at] != 0 && slots[at] != hash) at = (at + 1) & (capacity - 1);
    return at;
}

static bool grow(struct names *names) {
    uint64_t capacity = 2 * names->capacity;
    uint64_t *slots = table_allocate(capacity * sizeof *slots);
    if (slots == NULL) return false;
    for (uint64_t index = 0; index < names->capacity; index++) {
        uint64_t hash = names->slots[index];
        if (hash != 0) slots[find(slots, capacity, hash)] = hash;
    }
    free(names->slots);
    names->slots = slots;
    names->capacity = capacity;
    return true;
}

bool names_add(struct names *names, struct span bucket, struct span key) {
    if (2 * names->count >= names->capacity && !grow(names)) return false;
    uint64_t hash = hash_of(names, bucket, key);
    uint64_t at = find(names->slots, names->capacity, hash);
    names->count += names->slots[at] == 0;
    names->slots[at] = hash;
    return true;
}

bool names_have(const struct names *names, struct span bucket, struct span key) {
    uint64_t hash = hash_of(names, bucket, key);
    return names->slots[find(names->slots, names->capacity, hash)] == hash;
}
