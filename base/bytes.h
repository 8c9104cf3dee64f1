// bytes.h: unsigned integers as little-endian bytes, at any address.

#pragma once

#include <endian.h>
#include <stdint.h>
#include <string.h>

// The number in 2, 4 or 8 bytes at any address.
static inline uint16_t bytes_get_16(const uint8_t *at) {
    return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t bytes_get_32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static inline uint64_t bytes_get_64(const uint8_t *at) {
    return (uint64_t)bytes_get_32(at) | (uint64_t)bytes_get_32(at + 4) << 32;
}

// One store each: compilers leave a loop over the bytes as it is.
static inline void bytes_put_16(uint8_t *at, uint16_t value) {
    value = htole16(value);
    memcpy(at, &value, sizeof value);
}

static inline void bytes_put_32(uint8_t *at, uint32_t value) {
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static inline void bytes_put_64(uint8_t *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}
