#include "storage/block/block_internal.h"
#include "storage/block/block_sort.h"

// The section: so many top bits of the ids' hashes, as block_sorted.h has them. Their number
// follows from that of rows, so that a hash is found by chance in one block of CHANCE.

enum { CHANCE_BITS = 10 };  // 1,024 blocks

uint32_t fingerprints_bits(uint32_t rows) {
    return codes_width(rows - 1) + CHANCE_BITS;
}

void fingerprints_append(uint32_t *hashes, uint64_t *sorting, uint32_t count,
                         struct buffer *output) {
    uint32_t bits = fingerprints_bits(count);
    for (uint32_t row = 0; row < count; row++) sorting[row] = hashes[row] >> (32 - bits);
    block_sort(sorting, sorting + count, count);
    for (uint32_t row = 0; row < count; row++) hashes[row] = (uint32_t)sorting[row];
    sorted_append(output, hashes, count, bits);
}

bool fingerprints_check(struct span section, uint32_t rows) {
    return section.size == sorted_size(rows, fingerprints_bits(rows));
}

bool fingerprints_find(struct span section, uint32_t rows, uint32_t hash) {
    uint32_t bits = fingerprints_bits(rows);
    struct sorted sorted;
    uint32_t index;
    return sorted_open(section, rows, bits, &sorted) &&
           sorted_find(&sorted, hash >> (32 - bits), &index);
}

bool fingerprints_read(struct span section, uint32_t rows, uint32_t bits, uint32_t *hashes) {
    uint32_t own_bits = fingerprints_bits(rows);
    struct sorted sorted;
    if (own_bits < bits || !sorted_open(section, rows, own_bits, &sorted)) return false;
    struct sorted_walk walk = sorted_walk_of(&sorted);
    for (uint32_t row = 0; row < rows; row++) {
        uint32_t number = sorted_number(&sorted, row, sorted_walk_next(&walk));
        if (walk.bad || number >> own_bits != 0) return false;
        hashes[row] = number >> (own_bits - bits);
    }
    return true;
}
