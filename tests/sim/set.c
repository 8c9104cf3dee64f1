#include "tests/sim/set.h"

#include <assert.h>
#include <stdlib.h>

struct set {
    uint64_t *slots;  // 0: empty
    uint64_t mask;
    uint64_t count;
};

static uint64_t *find(const struct set *set, uint64_t hash) {
    uint64_t slot = hash & set->mask;
    while (set->slots[slot] != 0 && set->slots[slot] != hash) slot = (slot + 1) & set->mask;
    return &set->slots[slot];
}

struct set *set_create(void) {
    struct set *set = calloc(1, sizeof *set);
    assert(set != NULL);
    set->mask = 1023;
    set->slots = calloc(set->mask + 1, sizeof *set->slots);
    assert(set->slots != NULL);
    return set;
}

void set_destroy(struct set *set) {
    free(set->slots);
    free(set);
}

static void grow(struct set *set) {
    struct set bigger = {.mask = 2 * set->mask + 1, .count = set->count};
    bigger.slots = calloc(bigger.mask + 1, sizeof *bigger.slots);
    assert(bigger.slots != NULL);
    for (uint64_t index = 0; index <= set->mask; index++) {
        if (set->slots[index] != 0) *find(&bigger, set->slots[index]) = set->slots[index];
    }
    free(set->slots);
    *set = bigger;
}

bool set_add(struct set *set, uint64_t hash) {
    if (hash == 0) hash = 1;
    uint64_t *slot = find(set, hash);
    if (*slot != 0) return false;
    *slot = hash;
    set->count++;
    if (2 * set->count > set->mask) grow(set);
    return true;
}

bool set_has(const struct set *set, uint64_t hash) {
    return *find(set, hash == 0 ? 1 : hash) != 0;
}
