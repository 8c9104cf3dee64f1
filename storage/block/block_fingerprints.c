#include "storage/block/block_internal.h"
#include "storage/block/block_sort.h"

// The section: for each value of the hashes' top bits where its fingerprints begin (16 bits), then
// the fingerprints, the next 16 bits of each hash, in order. The number of top bits follows from
// that of rows.

enum { BUCKET_ROWS = 8, FINGERPRINT_BITS = 16 };

static uint32_t directory_bits(uint32_t rows) {
    uint32_t buckets = rows / BUCKET_ROWS;
    return buckets == 0 ? 0 : codes_width(buckets) - 1;
}

static void append_16(struct buffer *output, uint32_t number) {
    uint8_t *at = buffer_reserve(output, 2);
    if (at == NULL) return;
    bytes_put_16(at, (uint16_t)number);
    output->size += 2;
}

void fingerprints_append(const uint32_t *hashes, uint64_t *sorting, uint32_t count,
                         struct buffer *output) {
    uint32_t shift = 32 - FINGERPRINT_BITS - directory_bits(count);
    for (uint32_t row = 0; row < count; row++) sorting[row] = hashes[row] >> shift;
    block_sort(sorting, sorting + count, count);
    uint32_t index = 0;
    for (uint64_t bucket = 0; bucket < (uint64_t)1 << directory_bits(count); bucket++) {
        append_16(output, index);
        while (index < count && sorting[index] >> FINGERPRINT_BITS == bucket) index++;
    }
    for (uint32_t row = 0; row < count; row++) append_16(output, (uint32_t)sorting[row] & 0xffff);
}

bool fingerprints_check(struct span section, uint32_t rows) {
    return section.size == 2 * (((size_t)1 << directory_bits(rows)) + rows);
}

bool fingerprints_find(struct span section, uint32_t rows, uint32_t hash) {
    uint32_t bits = directory_bits(rows);
    uint32_t prefix = hash >> (32 - FINGERPRINT_BITS - bits);
    uint32_t bucket = prefix >> FINGERPRINT_BITS;
    uint32_t wanted = prefix & 0xffff;
    const uint8_t *directory = section.bytes;
    const uint8_t *fingerprints = directory + ((size_t)2 << bits);
    uint32_t index = bytes_get_16(directory + 2 * (size_t)bucket);
    bool is_last = (bucket + 1) >> bits != 0;
    uint32_t end = is_last ? rows : bytes_get_16(directory + 2 * (size_t)bucket + 2);
    if (end > rows) end = rows;
    for (; index < end; index++) {
        if (bytes_get_16(fingerprints + 2 * (size_t)index) == wanted) return true;
    }
    return false;
}
