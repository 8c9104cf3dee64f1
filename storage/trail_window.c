#include "storage/trail_window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// Values: 0 is an empty slot, all ones but the lowest bits unused a removed one; content hashes
// have the uppermost bit set, places have not.
static const uint64_t content_bit = (uint64_t)1 << 63;
static const uint64_t place_bit = (uint64_t)1 << 62;
static const uint64_t removed = 1;

enum {
    FRAME_BITS = 8,
    // Slots per 1000 entries: linear probing at 0.75 needs about 2.5 steps for what is not there.
    SLOTS_PER_THOUSAND = 1340,
};

struct slot {
    uint64_t key;
    uint64_t value;
};

struct generation {
    struct slot *slots;
    uint32_t count;
};

struct trail_window {
    struct generation generations[2];
    uint32_t slots_count;  // of each generation
    uint32_t ids_max;      // entries of one generation without the extra ones
    uint64_t number;       // of the younger generation, which is generations[number % 2]
};

struct trail_window *trail_window_create(uint32_t ids_count, uint32_t extra_count) {
    struct trail_window *window = calloc(1, sizeof *window);
    if (window == NULL) return NULL;
    uint64_t entries = (uint64_t)ids_count / 2 + extra_count;
    window->ids_max = ids_count / 2;
    window->slots_count = (uint32_t)(entries * SLOTS_PER_THOUSAND / 1000 + 16);
    window->number = 2;
    for (uint32_t index = 0; index < 2; index++) {
        struct generation *generation = &window->generations[index];
        generation->slots = calloc(window->slots_count, sizeof *generation->slots);
        if (generation->slots == NULL) {
            trail_window_destroy(window);
            return NULL;
        }
    }
    return window;
}

void trail_window_destroy(struct trail_window *window) {
    if (window == NULL) return;
    free(window->generations[0].slots);
    free(window->generations[1].slots);
    free(window);
}

uint64_t trail_window_content(uint64_t hash) {
    return hash | content_bit;
}

uint64_t trail_window_place(uint64_t block, uint32_t frame) {
    assert(frame < 1U << FRAME_BITS);
    return place_bit | block << FRAME_BITS | frame;
}

bool trail_window_is_place(uint64_t value) {
    return (value & content_bit) == 0;
}

uint64_t trail_window_place_block(uint64_t value) {
    return (value & ~place_bit) >> FRAME_BITS;
}

uint32_t trail_window_place_frame(uint64_t value) {
    return (uint32_t)(value & ((1U << FRAME_BITS) - 1));
}

// Where a key's run of slots begins: the upper half of its product with their number.
static uint32_t first_slot(const struct trail_window *window, uint64_t key) {
    return (uint32_t)((key >> 32) * window->slots_count >> 32);
}

uint64_t *trail_window_insert(struct trail_window *window, uint64_t key, uint64_t value) {
    struct generation *generation = &window->generations[window->number % 2];
    assert(generation->count + 1 < window->slots_count);
    uint32_t at = first_slot(window, key);
    while (generation->slots[at].value != 0) {
        at++;
        if (at == window->slots_count) at = 0;
    }
    generation->slots[at] = (struct slot){key, value};
    generation->count++;
    return &generation->slots[at].value;
}

uint64_t *trail_window_next(struct trail_window *window, uint64_t key,
                            struct trail_window_walk *walk) {
    for (; walk->generation < 2; walk->generation++, walk->steps = 0) {
        struct generation *generation =
            &window->generations[(window->number + walk->generation) % 2];
        for (;;) {
            uint64_t at = (uint64_t)first_slot(window, key) + walk->steps;
            if (at >= window->slots_count) at -= window->slots_count;
            struct slot *slot = &generation->slots[at];
            if (slot->value == 0) break;
            walk->steps++;
            if (slot->key == key && slot->value != removed) return &slot->value;
        }
    }
    return NULL;
}

void trail_window_remove(uint64_t *value) {
    assert(*value != 0);
    *value = removed;
}

bool trail_window_has_room(const struct trail_window *window, uint32_t count) {
    return window->generations[window->number % 2].count + (uint64_t)count <= window->ids_max;
}

void trail_window_rotate(struct trail_window *window) {
    window->number++;
    struct generation *generation = &window->generations[window->number % 2];
    memset(generation->slots, 0, window->slots_count * sizeof *generation->slots);
    generation->count = 0;
}

uint64_t trail_window_generation(const struct trail_window *window) {
    return window->number;
}

bool trail_window_holds(const struct trail_window *window, uint64_t generation) {
    return generation + 1 >= window->number;
}
