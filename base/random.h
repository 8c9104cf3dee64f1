// random.h: unpredictable bytes, as an interface, so that a simulated run can be repeated.

#pragma once

#include <stddef.h>
#include <stdint.h>

struct random {
    void (*fill)(void *context, void *bytes, size_t size);
    void *context;
};

// The kernel's generator (getrandom). Ends the process if the kernel has none. Lives for ever.
const struct random *random_system(void);

// Fills bytes.
void random_fill(const struct random *random, void *bytes, size_t size);

// A number from 0 to below - 1; below is at least 1. The tiny bias of a modulus is accepted.
uint64_t random_below(const struct random *random, uint64_t below);

// A repeatable generator for tests, simulation and generated traffic: splitmix64 over *state. The
// state outlives the result.
struct random random_seeded(uint64_t *state);

// One splitmix64 step, https://prng.di.unimi.it/splitmix64.c.
uint64_t random_splitmix64(uint64_t *state);
