#include "storage/block/block_asked.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/block/block_internal.h"

// A bitmap of the hashes' top bits, small enough to stay in the nearest cache, keeps nearly all
// fingerprints from being compared with any of them.
enum {
    BITMAP_BITS = 17,
    WORD_BITS = 6,
    WORDS = 1 << (BITMAP_BITS - WORD_BITS),
};

struct block_asked {
    uint64_t bitmap[WORDS];
    uint16_t first[WORDS];  // of each word: the index of the first hash in it or in one behind it
    uint32_t count;
    uint32_t count_max;
    uint32_t hashes[];
};

struct block_asked *block_asked_create(uint32_t count_max) {
    assert(count_max <= UINT16_MAX);
    struct block_asked *asked = calloc(1, sizeof *asked + count_max * sizeof asked->hashes[0]);
    if (asked != NULL) asked->count_max = count_max;
    return asked;
}

void block_asked_destroy(struct block_asked *asked) {
    free(asked);
}

void block_asked_set(struct block_asked *asked, const uint32_t *hashes, uint32_t count) {
    assert(count <= asked->count_max);
    memset(asked->bitmap, 0, sizeof asked->bitmap);
    if (count > 0) memcpy(asked->hashes, hashes, count * sizeof *hashes);
    asked->count = count;
    uint32_t at = 0;
    for (uint32_t word = 0; word < WORDS; word++) {
        asked->first[word] = (uint16_t)at;
        for (; at < count && hashes[at] >> (32 - BITMAP_BITS + WORD_BITS) == word; at++) {
            uint32_t bit = hashes[at] >> (32 - BITMAP_BITS);
            asked->bitmap[word] |= (uint64_t)1 << bit % (1 << WORD_BITS);
        }
    }
    assert(at == count);
}

uint32_t block_asked_find(const struct block_asked *asked, const struct block *block,
                          uint32_t *hits) {
    uint32_t rows = block->summary.rows;
    uint32_t bits = fingerprints_bits(rows);
    struct sorted sorted;
    if (!sorted_open(block->sections[BLOCK_FINGERPRINTS], rows, bits, &sorted)) return 0;
    struct sorted_walk walk = sorted_walk_of(&sorted);
    uint32_t found = 0;
    uint32_t next = 0;  // hash that no fingerprint has hit yet
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t number = sorted_number(&sorted, row, sorted_walk_next(&walk));
        if (walk.bad || number >> bits != 0) break;
        uint32_t lowest = number << (32 - bits);
        uint32_t top = lowest >> (32 - BITMAP_BITS);
        uint32_t word = top >> WORD_BITS;
        // Those of a small block are shorter than the bitmap's: they stand for several of its bits.
        if (bits >= BITMAP_BITS && (asked->bitmap[word] >> top % (1 << WORD_BITS) & 1) == 0)
            continue;
        uint32_t at = asked->first[word] > next ? asked->first[word] : next;
        while (at < asked->count && asked->hashes[at] < lowest) at++;
        while (at < asked->count && asked->hashes[at] >> (32 - bits) == number)
            hits[found++] = at++;
        next = at;
    }
    return found;
}
