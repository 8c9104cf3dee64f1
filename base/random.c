#include "base/random.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void system_fill(void *context, void *bytes, size_t size) {
    (void)context;
    uint8_t *to = bytes;
    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);
        // Only possible with a kernel older than 3.17: nothing sensible can go on without it.
        if (got < 0) abort();
        to += got;
        size -= (size_t)got;
    }
}

const struct random *random_system(void) {
    static const struct random system = {system_fill, NULL};
    return &system;
}

void random_fill(const struct random *random, void *bytes, size_t size) {
    random->fill(random->context, bytes, size);
}

uint64_t random_below(const struct random *random, uint64_t below) {
    assert(below > 0);
    uint64_t value;
    random_fill(random, &value, sizeof value);
    return value % below;
}

uint64_t random_splitmix64(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void seeded_fill(void *context, void *bytes, size_t size) {
    uint8_t *to = bytes;
    while (size > 0) {
        uint64_t value = random_splitmix64(context);
        size_t part = size < sizeof value ? size : sizeof value;
        memcpy(to, &value, part);
        to += part;
        size -= part;
    }
}

struct random random_seeded(uint64_t *state) {
    return (struct random){seeded_fill, state};
}
