// integer.h: unsigned integers as little-endian bytes, at any address.

#pragma once

#include <stdint.h>

// Writes the lowest 2, 4 or 8 bytes of a value.
static inline void integer_put16(uint8_t *bytes, uint32_t value) {
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static inline void integer_put32(uint8_t *bytes, uint32_t value) {
    integer_put16(bytes, value);
    integer_put16(bytes + 2, value >> 16);
}

static inline void integer_put64(uint8_t *bytes, uint64_t value) {
    integer_put32(bytes, (uint32_t)value);
    integer_put32(bytes + 4, (uint32_t)(value >> 32));
}

// Reads 2, 4 or 8 bytes.
static inline uint32_t integer_get16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static inline uint32_t integer_get32(const uint8_t *bytes) {
    return integer_get16(bytes) | integer_get16(bytes + 2) << 16;
}

static inline uint64_t integer_get64(const uint8_t *bytes) {
    return (uint64_t)integer_get32(bytes) | (uint64_t)integer_get32(bytes + 4) << 32;
}
