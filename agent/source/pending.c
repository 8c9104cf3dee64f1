#include "agent/source/pending.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct pending {
    struct pending_file *files;  // ring
    uint32_t *slots;             // index by key: place in the ring + 1, 0: free; linear probing
    uint32_t count_max;
    uint32_t slots_count;
    uint32_t begin;
    uint32_t count;
    uint32_t acknowledged;  // of the oldest ones
};

struct pending *pending_create(uint32_t count_max) {
    assert(count_max > 0 && (count_max & (count_max - 1)) == 0);
    struct pending *pending = calloc(1, sizeof *pending);
    if (pending == NULL) return NULL;
    pending->count_max = count_max;
    pending->slots_count = count_max * 2;
    pending->files = calloc(count_max, sizeof *pending->files);
    pending->slots = calloc(pending->slots_count, sizeof *pending->slots);
    if (pending->files == NULL || pending->slots == NULL) {
        pending_destroy(pending);
        return NULL;
    }
    return pending;
}

void pending_destroy(struct pending *pending) {
    if (pending == NULL) return;
    free(pending->files);
    free(pending->slots);
    free(pending);
}

bool pending_is_full(const struct pending *pending) {
    return pending->count == pending->count_max;
}

// Where a key belongs; keys are hashes already.
static uint32_t home_of(const struct pending *pending, const struct taken_key *key) {
    uint32_t hash;
    memcpy(&hash, key->bytes, sizeof hash);
    return hash & (pending->slots_count - 1);
}

// The slot that holds the key, or the free one where it would go.
static uint32_t find_slot(const struct pending *pending, const struct taken_key *key) {
    uint32_t slot = home_of(pending, key);
    while (pending->slots[slot] != 0 && memcmp(pending->files[pending->slots[slot] - 1].key.bytes,
                                               key->bytes, TAKEN_KEY_SIZE) != 0) {
        slot = (slot + 1) & (pending->slots_count - 1);
    }
    return slot;
}

bool pending_has(const struct pending *pending, const struct taken_key *key) {
    return pending->slots[find_slot(pending, key)] != 0;
}

void pending_push(struct pending *pending, const struct pending_file *file) {
    assert(!pending_is_full(pending));
    uint32_t place = (pending->begin + pending->count) & (pending->count_max - 1);
    uint32_t slot = find_slot(pending, &file->key);
    pending->files[place] = *file;
    pending->count++;
    // A key that is there twice is found until the older one goes, and that one goes into the set.
    if (pending->slots[slot] == 0) pending->slots[slot] = place + 1;
}

void pending_acknowledge(struct pending *pending, uint64_t number) {
    while (pending->acknowledged < pending->count) {
        uint32_t place = (pending->begin + pending->acknowledged) & (pending->count_max - 1);
        if (pending->files[place].number > number) break;
        pending->acknowledged++;
    }
}

// Frees a slot and moves those back that were pushed past it.
static void free_slot(struct pending *pending, uint32_t slot) {
    uint32_t mask = pending->slots_count - 1;
    uint32_t hole = slot;
    for (uint32_t next = (hole + 1) & mask; pending->slots[next] != 0; next = (next + 1) & mask) {
        uint32_t home = home_of(pending, &pending->files[pending->slots[next] - 1].key);
        // Only what may stand at the hole: its home is not between the hole and where it is.
        if (((next - home) & mask) < ((next - hole) & mask)) continue;
        pending->slots[hole] = pending->slots[next];
        hole = next;
    }
    pending->slots[hole] = 0;
}

// Drops the oldest files.
static void pop(struct pending *pending, uint32_t count) {
    assert(count <= pending->count);
    for (uint32_t index = 0; index < count; index++) {
        uint32_t slot = find_slot(pending, &pending->files[pending->begin].key);
        if (pending->slots[slot] == pending->begin + 1) free_slot(pending, slot);
        pending->begin = (pending->begin + 1) & (pending->count_max - 1);
        pending->count--;
        if (pending->acknowledged > 0) pending->acknowledged--;
    }
}

static int compare_folders(const void *left, const void *right) {
    const struct pending_file *one = left, *other = right;
    return memcmp(one->folder.bytes, other->folder.bytes, TAKEN_KEY_SIZE);
}

// Adds the oldest `count` files to their sets, one write for each folder.
static bool add_files(const struct pending *pending, struct taken *taken,
                      struct pending_file *files, uint32_t count, struct taken_key *keys,
                      struct fault *fault) {
    for (uint32_t index = 0; index < count; index++) {
        files[index] = pending->files[(pending->begin + index) & (pending->count_max - 1)];
    }
    qsort(files, count, sizeof *files, compare_folders);
    uint32_t begin = 0;
    while (begin < count) {
        uint32_t end = begin;
        while (end < count && compare_folders(&files[begin], &files[end]) == 0) {
            keys[end - begin] = files[end].key;
            end++;
        }
        if (!taken_add(taken, files[begin].folder, keys, end - begin, fault)) return false;
        begin = end;
    }
    return true;
}

bool pending_save(struct pending *pending, struct taken *taken, struct fault *fault) {
    uint32_t count = pending->acknowledged;
    if (count == 0) return true;
    struct pending_file *files = malloc(count * sizeof *files);
    struct taken_key *keys = malloc(count * sizeof *keys);
    bool saved = files == NULL || keys == NULL
                     ? fault_set(fault, FAULT_FULL, "out of memory for taken files")
                     : add_files(pending, taken, files, count, keys, fault);
    free(files);
    free(keys);
    // Those that were added before a failure are added once more: a set holds each once.
    if (saved) pop(pending, count);
    return saved;
}

void pending_clear(struct pending *pending) {
    pop(pending, pending->count);
}
