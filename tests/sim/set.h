// set.h: a set of 64-bit hashes that grows. For a run's few thousand of them, no two are equal by
// chance.

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct set;

// An empty set. Ends the process if memory runs out.
struct set *set_create(void);

// Frees it.
void set_destroy(struct set *set);

// Adds a hash. False if it was in it.
bool set_add(struct set *set, uint64_t hash);

// Whether it is in it.
bool set_has(const struct set *set, uint64_t hash);
