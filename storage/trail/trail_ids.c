#include "storage/trail/trail_ids.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SLOT_BITS = 15,
    SLOTS = 1 << SLOT_BITS,
};

struct filter {
    uint32_t group;
    bool is_whole;
    uint64_t any;  // blocks that may hold any id
    uint64_t slots[SLOTS];
};

struct trail_ids {
    struct filter *filters[TRAIL_IDS_GROUPS];
    struct filter *begun;
};

struct trail_ids *trail_ids_create(void) {
    return calloc(1, sizeof(struct trail_ids));
}

void trail_ids_destroy(struct trail_ids *ids) {
    if (ids == NULL) return;
    for (uint32_t index = 0; index < TRAIL_IDS_GROUPS; index++) free(ids->filters[index]);
    free(ids);
}

// The two places of a hash's top bits. They share ten of them: an id that has the one of another
// has the other once in 32 times.
static uint32_t first_slot(uint32_t bits) {
    return bits >> (TRAIL_IDS_BITS - SLOT_BITS);
}

static uint32_t second_slot(uint32_t bits) {
    return bits & (SLOTS - 1);
}

bool trail_ids_find(const struct trail_ids *ids, uint32_t group, uint32_t hash, uint64_t *blocks) {
    const struct filter *filter = ids->filters[group % TRAIL_IDS_GROUPS];
    if (filter == NULL || filter->group != group || !filter->is_whole) return false;
    uint32_t bits = hash >> (32 - TRAIL_IDS_BITS);
    *blocks = filter->any | (filter->slots[first_slot(bits)] & filter->slots[second_slot(bits)]);
    return true;
}

bool trail_ids_begin(struct trail_ids *ids, uint32_t group) {
    struct filter **place = &ids->filters[group % TRAIL_IDS_GROUPS];
    if (*place != NULL && (*place)->group > group) return false;
    free(*place);
    *place = calloc(1, sizeof **place);
    ids->begun = *place;
    if (*place == NULL) return false;
    (*place)->group = group;
    return true;
}

void trail_ids_add(struct trail_ids *ids, uint32_t place, const uint32_t *hashes, uint32_t count) {
    assert(place < 64);
    assert(ids->begun != NULL);
    struct filter *filter = ids->begun;
    uint64_t bit = (uint64_t)1 << place;
    if (hashes == NULL) filter->any |= bit;
    for (uint32_t index = 0; hashes != NULL && index < count; index++) {
        assert(hashes[index] >> TRAIL_IDS_BITS == 0);
        filter->slots[first_slot(hashes[index])] |= bit;
        filter->slots[second_slot(hashes[index])] |= bit;
    }
}

void trail_ids_end(struct trail_ids *ids) {
    assert(ids->begun != NULL);
    ids->begun->is_whole = true;
    ids->begun = NULL;
}
