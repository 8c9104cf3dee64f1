#include <assert.h>
#include <stdlib.h>

#include "storage/block/block_internal.h"

// The table is a posting table (block_postings.c) of the group's blocks instead of a block's
// frames, behind a header: magic, version (16 bits), blocks (16 bits), checksum (64 bits).

enum {
    GROUP_MAGIC = 0x4742544f,  // "OTBG"
    GROUP_VERSION = 1,
    GROUP_SUM = 8,  // 64 bits
    GROUP_HEADER_SIZE = 16,
    GROUP_BLOCKS_MAX = 64,
};

struct merge {
    struct postings *postings;
    uint32_t block;
    bool failed;
};

static bool merge_entry(void *user, uint32_t hash, uint64_t frames) {
    struct merge *merge = user;
    (void)frames;
    merge->failed = postings_add(merge->postings, hash, merge->block) == UINT32_MAX;
    return !merge->failed;
}

static bool merge_blocks(struct postings *postings, const struct block *blocks, uint32_t count,
                         struct fault *fault) {
    if (!postings_begin(postings)) return fault_set(fault, FAULT_FULL, "group: no memory");
    for (uint32_t index = 0; index < count; index++) {
        if (blocks[index].frames == 0) continue;  // dropped
        struct merge merge = {postings, index, false};
        bool good = postings_walk(blocks[index].sections[BLOCK_POSTINGS], blocks[index].frames,
                                  merge_entry, &merge);
        if (merge.failed) return fault_set(fault, FAULT_FULL, "group: no memory");
        if (!good) return fault_set(fault, FAULT_CORRUPT, "group: block %u: damaged", index);
    }
    return true;
}

// The sum over version, number of blocks and table.
static uint64_t sum_of(struct span group) {
    return hash_plain(span_of(group.bytes, GROUP_SUM)) ^
           hash_plain(span_from(group, GROUP_HEADER_SIZE));
}

bool block_group_encode(const struct block *blocks, uint32_t count, struct buffer *output,
                        struct fault *fault) {
    assert(count > 0);
    assert(count <= GROUP_BLOCKS_MAX);
    struct postings postings = {0};
    if (!merge_blocks(&postings, blocks, count, fault)) {
        postings_done(&postings);
        return false;
    }
    postings_sort(&postings);
    size_t begin = output->size;
    uint8_t *header = buffer_reserve(output, GROUP_HEADER_SIZE);
    if (header != NULL) output->size += GROUP_HEADER_SIZE;
    postings_append(&postings, count, output);
    postings_done(&postings);
    if (buffer_overflowed(output)) {
        output->size = begin;
        return fault_set(fault, FAULT_FULL, "group: no room");
    }
    header = output->bytes + begin;
    bytes_put_32(header, GROUP_MAGIC);
    bytes_put_16(header + 4, GROUP_VERSION);
    bytes_put_16(header + 6, (uint16_t)count);
    bytes_put_64(header + GROUP_SUM, sum_of(span_of(header, output->size - begin)));
    return true;
}

bool block_group_check(struct span group, struct fault *fault) {
    if (group.size >= GROUP_HEADER_SIZE && bytes_get_64(group.bytes + GROUP_SUM) == sum_of(group)) {
        return true;
    }
    return fault_set(fault, FAULT_CORRUPT, "group: wrong checksum");
}

bool block_group_find(struct span group, uint32_t attribute_hash, uint64_t *blocks,
                      struct fault *fault) {
    if (group.size < GROUP_HEADER_SIZE || bytes_get_32(group.bytes) != GROUP_MAGIC ||
        bytes_get_16(group.bytes + 4) != GROUP_VERSION) {
        return fault_set(fault, FAULT_CORRUPT, "group: no group table of version %d",
                         GROUP_VERSION);
    }
    uint32_t count = bytes_get_16(group.bytes + 6);
    struct span table = span_from(group, GROUP_HEADER_SIZE);
    if (count == 0 || count > GROUP_BLOCKS_MAX || !postings_check(table)) {
        return fault_set(fault, FAULT_CORRUPT, "group: damaged header");
    }
    *blocks = postings_find(table, count, attribute_hash);
    return true;
}
