// block_sorted.h: ascending numbers in few bits, and a quick search among them. Internal.
//
// Of each number the low bits lie packed; the high ones say in which of the buckets, about as many
// as there are numbers, it stands, and a bitmap has for each bucket a set bit for every number in
// it and a clear bit behind them. That is Elias and Fano's code: 2 bits more than the logarithm of
// the mean distance.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"
#include "storage/block/block_codes.h"

// Numbers opened for reading: borrows the bytes.
struct sorted {
    uint32_t count;
    uint32_t low_width;
    uint32_t buckets;
    uint32_t words;         // of the bitmap, 64 bits each; less than 2^26
    const uint8_t *skips;   // for each SKIP buckets but the first: numbers before them (32 bits)
    const uint8_t *bitmap;  // words
    struct span lows;
};

// The bytes of count numbers (at least 1) of `width` bits, at most 32.
size_t sorted_size(uint32_t count, uint32_t width);

// Appends that many; numbers are ascending, the same one may come again.
void sorted_append(struct buffer *output, const uint32_t *numbers, uint32_t count, uint32_t width);

// Opens count numbers that lie in the first sorted_size bytes. False if there are fewer bytes.
bool sorted_open(struct span bytes, uint32_t count, uint32_t width, struct sorted *sorted);

// Finds the first number that is equal. Damaged bytes give any answer, of an index below count.
bool sorted_find(const struct sorted *sorted, uint32_t number, uint32_t *index);

// A walk over the numbers: first their buckets, of each in turn, then those numbers that are
// wanted.
struct sorted_walk {
    const struct sorted *sorted;
    uint64_t word;   // of the bitmap: what is left of it
    uint32_t next;   // word after that
    uint32_t index;  // of the next number
    bool bad;        // the bitmap ended before the numbers
};

// Begins a walk before the first number. The numbers must outlive it.
static inline struct sorted_walk sorted_walk_of(const struct sorted *sorted) {
    return (struct sorted_walk){.sorted = sorted};
}

// The bucket of the next number, which exists. Marks the walk bad if it is damaged.
static inline uint32_t sorted_walk_next(struct sorted_walk *walk) {
    while (walk->word == 0) {
        if (walk->next == walk->sorted->words) {
            walk->bad = true;
            return 0;
        }
        walk->word = bytes_get_64(walk->sorted->bitmap + (size_t)walk->next++ * sizeof(uint64_t));
    }
    uint32_t bit = (walk->next - 1) * 64 + (uint32_t)__builtin_ctzll(walk->word);
    walk->word &= walk->word - 1;
    return bit - walk->index++;
}

// The number at this index in this bucket.
static inline uint32_t sorted_number(const struct sorted *sorted, uint32_t index, uint32_t bucket) {
    uint64_t bit = (uint64_t)index * sorted->low_width;
    uint64_t low = codes_get_bits(sorted->lows, bit, sorted->low_width);
    return (uint32_t)((uint64_t)bucket << sorted->low_width | low);
}
