#include "storage/block/block_sorted.h"

#include <assert.h>

enum { SKIP = 256, WORD_BITS = 64 };

// Where the parts are, from the beginning: skips, bitmap, lows.
struct layout {
    uint32_t low_width;
    uint32_t buckets;
    uint32_t words;
    size_t bitmap;
    size_t lows;
    size_t end;
};

static struct layout layout_of(uint32_t count, uint32_t width) {
    assert(count > 0);
    assert(width <= 32);
    uint32_t bucket_bits = codes_width(count) - 1;
    if (bucket_bits > width) bucket_bits = width;
    struct layout layout = {
        .low_width = width - bucket_bits,
        .buckets = (uint32_t)1 << bucket_bits,
    };
    uint64_t bits = (uint64_t)count + layout.buckets;
    layout.words = (uint32_t)((bits + WORD_BITS - 1) / WORD_BITS);
    layout.bitmap = (layout.buckets - 1) / SKIP * sizeof(uint32_t);
    layout.lows = layout.bitmap + layout.words * sizeof(uint64_t);
    layout.end = layout.lows + (size_t)(((uint64_t)count * layout.low_width + 7) / 8);
    return layout;
}

size_t sorted_size(uint32_t count, uint32_t width) {
    return layout_of(count, width).end;
}

// Writes the skips and sets the bits of the bitmap, which is clear.
static void write_buckets(const struct layout *layout, const uint32_t *numbers, uint32_t count,
                          uint8_t *skips, uint8_t *bitmap) {
    uint32_t index = 0;
    for (uint32_t bucket = 0; bucket < layout->buckets; bucket++) {
        if (bucket % SKIP == 0 && bucket > 0) {
            bytes_put_32(skips, index);
            skips += sizeof(uint32_t);
        }
        for (; index < count && (uint64_t)numbers[index] >> layout->low_width <= bucket; index++) {
            uint64_t bit = (uint64_t)index + bucket;
            bitmap[bit / 8] |= (uint8_t)(1 << bit % 8);
        }
    }
    assert(index == count);
}

void sorted_append(struct buffer *output, const uint32_t *numbers, uint32_t count, uint32_t width) {
    struct layout layout = layout_of(count, width);
    uint8_t *bytes = buffer_reserve(output, layout.end);
    if (bytes == NULL) return;
    memset(bytes + layout.bitmap, 0, layout.lows - layout.bitmap);
    write_buckets(&layout, numbers, count, bytes, bytes + layout.bitmap);
    output->size += layout.lows;
    codes_append_bits(output, numbers, count, layout.low_width);
}

bool sorted_open(struct span bytes, uint32_t count, uint32_t width, struct sorted *sorted) {
    if (count == 0) return false;
    struct layout layout = layout_of(count, width);
    if (layout.end > bytes.size) return false;
    *sorted = (struct sorted){
        .count = count,
        .low_width = layout.low_width,
        .buckets = layout.buckets,
        .words = layout.words,
        .skips = bytes.bytes,
        .bitmap = bytes.bytes + layout.bitmap,
        .lows = span_of(bytes.bytes + layout.lows, layout.end - layout.lows),
    };
    return true;
}

static uint64_t word_of(const struct sorted *sorted, uint32_t word) {
    return bytes_get_64(sorted->bitmap + word * sizeof(uint64_t));
}

// The index of the first number that is in this bucket or a later one; count if damaged.
static uint32_t bucket_begin(const struct sorted *sorted, uint32_t bucket) {
    uint32_t begin = bucket / SKIP * SKIP;
    uint32_t left = bucket - begin;  // buckets that end before this one begins
    uint64_t bit = begin;
    if (begin > 0) bit += bytes_get_32(sorted->skips + (bucket / SKIP - 1) * sizeof(uint32_t));
    if (left == 0) return (uint32_t)(bit - bucket);
    uint64_t number = bit / WORD_BITS;
    if (number >= sorted->words) return sorted->count;
    uint64_t ends = ~word_of(sorted, (uint32_t)number) & UINT64_MAX << bit % WORD_BITS;
    for (;;) {
        uint32_t count = (uint32_t)__builtin_popcountll(ends);
        if (left <= count) break;
        left -= count;
        if (++number == sorted->words) return sorted->count;
        ends = ~word_of(sorted, (uint32_t)number);
    }
    for (; left > 1; left--) ends &= ends - 1;
    return (uint32_t)(number * WORD_BITS + (uint32_t)__builtin_ctzll(ends) + 1 - bucket);
}

bool sorted_find(const struct sorted *sorted, uint32_t number, uint32_t *index) {
    uint32_t bucket = (uint32_t)((uint64_t)number >> sorted->low_width);
    if (bucket >= sorted->buckets) return false;
    uint32_t at = bucket_begin(sorted, bucket);
    for (; at < sorted->count; at++) {
        uint64_t bit = (uint64_t)at + bucket;
        if ((sorted->bitmap[bit / 8] >> bit % 8 & 1) == 0) return false;
        uint32_t found = sorted_number(sorted, at, bucket);
        if (found < number) continue;
        *index = at;
        return found == number;
    }
    return false;
}
