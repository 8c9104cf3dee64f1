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
    uint32_t words;         // of the bitmap, 64 bits each
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

// A walk over the numbers.
struct sorted_walk {
    const struct sorted *sorted;
    uint32_t index;  // of the number that the lowest set bit of `word` stands for
    uint32_t next;   // word of the bitmap
    uint64_t word;   // what is left of the one before it
};

// Begins a walk before the first number. The numbers must outlive it.
struct sorted_walk sorted_walk_of(const struct sorted *sorted);

// The number at this index, which is below count and not below that of the call before. False if
// the bytes are damaged.
bool sorted_walk_to(struct sorted_walk *walk, uint32_t index, uint32_t *number);
