// Filters of ids, made when they are worth it: reading the fingerprints of a group costs as much as
// a few lookups that open each of its blocks.

#include <stdlib.h>

#include "storage/trail/trail_reader_internal.h"

enum { QUERIES_MIN = 8 };  // by id; a process that makes fewer goes without

// Adds one block to the filter that was begun. Of one that cannot be read the reader says so when
// it is met.
static bool add_block(struct trail_reader *reader, uint32_t index, uint32_t place, uint32_t *hashes,
                      struct fault *fault) {
    bool found = false;
    struct block block;
    struct fault reason;
    bool is_open = trail_reader_open_block(reader, index, &found, &block, &reason);
    if (!is_open && reason.kind != FAULT_CORRUPT)
        return fault_set(fault, reason.kind, "%s", reason.text);
    if (is_open && !found) return true;
    bool is_good = is_open && block_read_id_hashes(&block, TRAIL_IDS_BITS, hashes);
    trail_ids_add(reader->ids, place, is_good ? hashes : NULL, is_good ? block.summary.rows : 0);
    return true;
}

static bool learn(struct trail_reader *reader, uint32_t group, uint32_t *hashes,
                  struct fault *fault) {
    // Without memory or room for it: as before.
    if (!trail_ids_begin(reader->ids, group)) return true;
    for (uint32_t place = 0; place < TRAIL_GROUP_BLOCKS; place++) {
        uint32_t index;
        uint64_t number = (uint64_t)group * TRAIL_GROUP_BLOCKS + place;
        if (!trail_catalog_find_number(reader->catalog, number, &index)) continue;
        if (!trail_reader_renew(reader, fault)) return false;
        if (!add_block(reader, index, place, hashes, fault)) return false;
    }
    trail_ids_end(reader->ids);
    return true;
}

bool trail_reader_find_id(struct trail_reader *reader, uint32_t group, uint32_t id_hash,
                          bool *may_learn, uint64_t *blocks, struct fault *fault) {
    *blocks = UINT64_MAX;
    if (trail_ids_find(reader->ids, group, id_hash, blocks)) return true;
    // One for each query: none waits for long.
    if (!*may_learn || reader->id_queries <= QUERIES_MIN) return true;
    *may_learn = false;
    uint32_t *hashes = malloc(BLOCK_ROWS_MAX * sizeof *hashes);
    if (hashes == NULL) return true;
    bool is_good = learn(reader, group, hashes, fault);
    free(hashes);
    if (is_good) (void)trail_ids_find(reader->ids, group, id_hash, blocks);
    return is_good;
}
