// block_equal.h: whether two runs of bytes are equal; quick for short ones. Internal.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    PAGE_SIZE = 4096,  // at least; of memory
    COPY = 32,         // bytes compared or copied at once where there is room
};

// Whether a load of COPY bytes from here stays in the page, and so is allowed wherever the bytes
// that are meant end.
static inline bool is_loadable(const uint8_t *bytes) {
    return ((uintptr_t)bytes & (PAGE_SIZE - 1)) <= PAGE_SIZE - COPY;
}

#ifdef __SSE2__
// Whether the first of COPY bytes are equal. All are compared: lengths cannot be foreseen, and a
// branch that is guessed wrong takes longer than the comparison.
__attribute__((no_sanitize_address)) static inline bool begins_equal(const uint8_t *left,
                                                                     const uint8_t *right,
                                                                     size_t size) {
    const __m128i *lefts = (const __m128i *)(const void *)left;
    const __m128i *rights = (const __m128i *)(const void *)right;
    __m128i low = _mm_cmpeq_epi8(_mm_loadu_si128(lefts), _mm_loadu_si128(rights));
    __m128i high = _mm_cmpeq_epi8(_mm_loadu_si128(lefts + 1), _mm_loadu_si128(rights + 1));
    uint64_t equal = (uint32_t)_mm_movemask_epi8(low) | (uint64_t)_mm_movemask_epi8(high) << 16;
    // The lowest zero stands above the first bytes.
    return ((equal + 1) & (((uint64_t)1 << size) - 1)) == 0;
}

// Whether two runs of COPY bytes are equal.
static inline bool pieces_equal(const uint8_t *left, const uint8_t *right) {
    const __m128i *lefts = (const __m128i *)(const void *)left;
    const __m128i *rights = (const __m128i *)(const void *)right;
    __m128i low = _mm_cmpeq_epi8(_mm_loadu_si128(lefts), _mm_loadu_si128(rights));
    __m128i high = _mm_cmpeq_epi8(_mm_loadu_si128(lefts + 1), _mm_loadu_si128(rights + 1));
    return _mm_movemask_epi8(_mm_and_si128(low, high)) == 0xffff;
}

// The same for runs of more than COPY bytes: the last piece overlaps the one before.
static inline bool long_equal(const uint8_t *left, const uint8_t *right, size_t size) {
    for (size_t at = 0; at + COPY < size; at += COPY) {
        if (!pieces_equal(left + at, right + at)) return false;
    }
    return pieces_equal(left + size - COPY, right + size - COPY);
}

// Whether two runs of bytes are equal; quick for short ones.
static inline bool bytes_equal(const uint8_t *left, const uint8_t *right, size_t size) {
    if (size > COPY) return long_equal(left, right, size);
    if (!is_loadable(left) || !is_loadable(right)) return memcmp(left, right, size) == 0;
    return begins_equal(left, right, size);
}

#else
static inline bool bytes_equal(const uint8_t *left, const uint8_t *right, size_t size) {
    return memcmp(left, right, size) == 0;
}
static inline bool begins_equal(const uint8_t *left, const uint8_t *right, size_t size) {
    return memcmp(left, right, size) == 0;
}
static inline bool long_equal(const uint8_t *left, const uint8_t *right, size_t size) {
    return memcmp(left, right, size) == 0;
}
#endif
