#include "storage/trail/trail_window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"

// Values: 0 is an empty slot, all ones but the lowest bits unused a removed one; content hashes
// have the uppermost bit set, places have not.
static const uint64_t content_bit = (uint64_t)1 << 63;
static const uint64_t place_bit = (uint64_t)1 << 62;
static const uint64_t removed = 1;

enum {
    FRAME_BITS = 8,
    // Slots per 1000 entries: linear probing at 0.75 needs about 2.5 steps for what is not there.
    SLOTS_PER_THOUSAND = 1340,
    IDS_FIRST = 64 * 1024,  // entries of the first generation; each one doubles, up to its limit
    TRACKS = 4,             // tables of traces: the oldest is given up as a whole
};

struct slot {
    uint64_t key;
    uint64_t value;
};

struct generation {
    struct slot *slots;
    uint32_t slots_count;
    uint32_t ids_max;  // entries without the extra ones
    uint32_t count;
};

// Traces of a run of generations: the lowest 16 bits of their keys; 0 is an empty slot.
struct track {
    uint16_t *slots;  // NULL: none yet
    uint32_t count;
    uint64_t first;  // generation
};

struct trail_window {
    struct generation generations[2];
    struct track tracks[TRACKS];
    uint32_t track;        // the youngest
    uint32_t traces_max;   // of a track
    uint32_t slots_count;  // of a track
    uint64_t recalled;     // generations from this on have traces
    uint32_t ids_max;      // of a generation, in the end
    uint32_t extra_count;
    uint64_t number;  // of the younger generation, which is generations[number % 2]
    bool is_due;      // more was wanted than fits
};

// Makes the generation an empty one for about ids_max entries. False if memory runs out.
static bool begin_generation(const struct trail_window *window, struct generation *generation,
                             uint32_t ids_max) {
    uint64_t entries = (uint64_t)ids_max + window->extra_count;
    uint32_t slots_count = (uint32_t)(entries * SLOTS_PER_THOUSAND / 1000 + 16);
    struct slot *slots = table_allocate(slots_count * sizeof *slots);
    if (slots == NULL) return false;
    free(generation->slots);
    *generation = (struct generation){
        .slots = slots,
        .slots_count = slots_count,
        .ids_max = ids_max,
    };
    return true;
}

struct trail_window *trail_window_create(uint32_t ids_count, uint32_t extra_count,
                                         uint32_t traces_count) {
    struct trail_window *window = calloc(1, sizeof *window);
    if (window == NULL) return NULL;
    window->ids_max = ids_count / 2;
    window->extra_count = extra_count;
    window->number = 2;
    // A track takes a generation at least.
    window->traces_max = traces_count / TRACKS;
    if (window->traces_max < window->ids_max + extra_count)
        window->traces_max = window->ids_max + extra_count;
    window->slots_count = (uint32_t)((uint64_t)window->traces_max * SLOTS_PER_THOUSAND / 1000 + 16);
    window->recalled = window->number;
    uint32_t first = window->ids_max < IDS_FIRST ? window->ids_max : IDS_FIRST;
    if (!begin_generation(window, &window->generations[0], first) ||
        !begin_generation(window, &window->generations[1], 0)) {
        trail_window_destroy(window);
        return NULL;
    }
    return window;
}

void trail_window_destroy(struct trail_window *window) {
    if (window == NULL) return;
    free(window->generations[0].slots);
    free(window->generations[1].slots);
    for (uint32_t index = 0; index < TRACKS; index++) free(window->tracks[index].slots);
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
static uint32_t first_slot(uint32_t slots_count, uint64_t key) {
    return (uint32_t)((key >> 32) * slots_count >> 32);
}

void trail_window_prefetch(const struct trail_window *window, uint64_t key) {
    for (uint32_t index = 0; index < 2; index++) {
        const struct generation *generation = &window->generations[index];
        __builtin_prefetch(&generation->slots[first_slot(generation->slots_count, key)]);
    }
}

uint64_t *trail_window_insert(struct trail_window *window, uint64_t key, uint64_t value) {
    struct generation *generation = &window->generations[window->number % 2];
    assert(generation->count + 1 < generation->slots_count);
    uint32_t at = first_slot(generation->slots_count, key);
    while (generation->slots[at].value != 0) {
        at++;
        if (at == generation->slots_count) at = 0;
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
            uint64_t at = (uint64_t)first_slot(generation->slots_count, key) + walk->steps;
            if (at >= generation->slots_count) at -= generation->slots_count;
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

bool trail_window_has_room(struct trail_window *window, uint32_t count) {
    const struct generation *generation = &window->generations[window->number % 2];
    if (generation->count + (uint64_t)count <= generation->ids_max) return true;
    if (generation->count >= generation->ids_max / 2) window->is_due = true;
    return false;
}

bool trail_window_is_due(const struct trail_window *window) {
    const struct generation *generation = &window->generations[window->number % 2];
    return window->is_due || generation->count > generation->ids_max;
}

static uint16_t trace_of(uint64_t key) {
    uint16_t trace = (uint16_t)key;
    return trace == 0 ? 1 : trace;
}

// The slot with the key's trace, or the empty one where it would be.
static uint16_t *find_trace(const struct trail_window *window, const struct track *track,
                            uint64_t key) {
    uint16_t trace = trace_of(key);
    uint32_t at = first_slot(window->slots_count, key);
    while (track->slots[at] != 0 && track->slots[at] != trace) {
        at++;
        if (at == window->slots_count) at = 0;
    }
    return &track->slots[at];
}

// Makes room for the traces of a generation of so many keys; what does not fit beside them in all
// tracks is given up. False if memory runs out.
static bool begin_traces(struct trail_window *window, uint64_t number, uint32_t count) {
    struct track *track = &window->tracks[window->track];
    if (track->slots != NULL && track->count + (uint64_t)count <= window->traces_max) return true;
    if (track->slots != NULL) window->track = (window->track + 1) % TRACKS;
    track = &window->tracks[window->track];
    if (track->slots == NULL) {
        track->slots = table_allocate(window->slots_count * sizeof *track->slots);
        if (track->slots == NULL) return false;
    } else {
        memset(track->slots, 0, window->slots_count * sizeof *track->slots);
        uint64_t oldest = window->tracks[(window->track + 1) % TRACKS].first;
        if (window->recalled < oldest) window->recalled = oldest;
    }
    track->count = 0;
    track->first = number;
    return true;
}

// Keeps the traces of a generation that is about to be dropped.
static void leave_traces(struct trail_window *window, const struct generation *generation,
                         uint64_t number) {
    if (!begin_traces(window, number, generation->count)) {
        window->recalled = number + 1;
        return;
    }
    struct track *track = &window->tracks[window->track];
    for (uint32_t index = 0; index < generation->slots_count; index++) {
        const struct slot *slot = &generation->slots[index];
        if (slot->value == 0 || slot->value == removed) continue;
        uint16_t *trace = find_trace(window, track, slot->key);
        track->count += *trace == 0;
        *trace = trace_of(slot->key);
    }
}

void trail_window_rotate(struct trail_window *window) {
    const struct generation *older = &window->generations[(window->number + 1) % 2];
    if (older->count > 0) leave_traces(window, older, window->number - 1);
    uint64_t grown = (uint64_t)window->generations[window->number % 2].ids_max * 2;
    uint32_t ids_max = grown < window->ids_max ? (uint32_t)grown : window->ids_max;
    window->number++;
    window->is_due = false;
    struct generation *generation = &window->generations[window->number % 2];
    if (generation->ids_max < ids_max && begin_generation(window, generation, ids_max)) return;
    // It has its size, or there is no memory for more: the same table again.
    memset(generation->slots, 0, generation->slots_count * sizeof *generation->slots);
    generation->count = 0;
}

uint64_t trail_window_generation(const struct trail_window *window) {
    return window->number;
}

bool trail_window_holds(const struct trail_window *window, uint64_t generation) {
    return generation + 1 >= window->number;
}

bool trail_window_recalls(const struct trail_window *window, uint64_t generation) {
    return generation >= window->recalled && generation + 1 < window->number;
}

bool trail_window_may_recall(const struct trail_window *window, uint64_t key) {
    for (uint32_t index = 0; index < TRACKS; index++) {
        const struct track *track = &window->tracks[index];
        if (track->slots != NULL && *find_trace(window, track, key) != 0) return true;
    }
    return false;
}

void trail_window_prefetch_traces(const struct trail_window *window, uint64_t key) {
    for (uint32_t index = 0; index < TRACKS; index++) {
        const struct track *track = &window->tracks[index];
        if (track->slots != NULL)
            __builtin_prefetch(&track->slots[first_slot(window->slots_count, key)]);
    }
}
