// block_codes.h: up to 128 numbers of a frame in few bits. Internal.
//
// Numbers are packed at one width, with exceptions; codes (small numbers below a known count, that
// come in runs or repeat) in whatever form is shortest.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "storage/block/bytes.h"

enum { CODES_MAX = 128 };  // numbers in one array

// The bits that a number needs; 0 for 0.
static inline uint32_t codes_width(uint64_t number) {
    return number == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(number);
}

// Appends count numbers of `width` bits (at most 56) each.
void codes_append_bits(struct buffer *output, const uint32_t *numbers, uint32_t count,
                       uint32_t width);

// The number at this bit of the bytes, which hold it; width at most 56.
static inline uint64_t codes_get_bits(struct span bytes, uint64_t bit, uint32_t width) {
    uint64_t byte = bit / 8;
    uint64_t word = 0;
    if (bytes.size - byte >= 8) {
        word = bytes_get_64(bytes.bytes + byte);
    } else {
        for (uint64_t at = byte; at < bytes.size; at++) {
            word |= (uint64_t)bytes.bytes[at] << (8 * (at - byte));
        }
    }
    return word >> bit % 8 & (((uint64_t)1 << width) - 1);
}

// Appends 1 to CODES_MAX numbers.
void codes_append_numbers(struct buffer *output, const uint64_t *numbers, uint32_t count);

// Reads them back; marks the reader bad if they are damaged.
void codes_read_numbers(struct reader *reader, uint64_t *numbers, uint32_t count);

// Appends 1 to CODES_MAX codes below codes_count (1 to CODES_MAX + 1).
void codes_append(struct buffer *output, const uint8_t *codes, uint32_t count,
                  uint32_t codes_count);

// Reads them back, all below codes_count, or marks the reader bad.
void codes_read(struct reader *reader, uint8_t *codes, uint32_t count, uint32_t codes_count);
