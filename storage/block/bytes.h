// bytes.h: variable-length numbers in borrowed bytes, beside base/bytes.h. Internal.
//
// A struct reader never leaves its bytes: what would lie behind the end reads as 0 and marks it
// bad, so that decoding asks once at the end. Writers write into a struct buffer.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/span.h"

enum { BYTES_VARINT_MAX = 10 };  // bytes of the longest variable-length number

// Writes 7 bits a byte, the lowest first; the top bit says that more follow. Returns the end.
static inline uint8_t *bytes_put_varint(uint8_t *at, uint64_t value) {
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static inline void bytes_append_varint(struct buffer *output, uint64_t value) {
    uint8_t *at = buffer_reserve(output, BYTES_VARINT_MAX);
    if (at != NULL) output->size += (size_t)(bytes_put_varint(at, value) - at);
}

// Small numbers of either sign as small unsigned ones.
static inline uint64_t bytes_zigzag(int64_t value) {
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static inline int64_t bytes_unzigzag(uint64_t value) {
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

static inline struct reader reader_of(struct span bytes) {
    return (struct reader){bytes.bytes, bytes.bytes + bytes.size, false};
}

static inline size_t reader_left(const struct reader *reader) {
    return (size_t)(reader->end - reader->at);
}

// The next bytes, or NULL and bad if there are not so many.
static inline const uint8_t *reader_take(struct reader *reader, uint64_t size) {
    if (size > reader_left(reader)) {
        reader->bad = true;
        reader->at = reader->end;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += size;
    return at;
}

static inline uint8_t reader_byte(struct reader *reader) {
    if (reader->at == reader->end) {
        reader->bad = true;
        return 0;
    }
    return *reader->at++;
}

static inline uint64_t reader_varint(struct reader *reader) {
    // As most of them are.
    if (reader->at != reader->end && *reader->at < 0x80) return *reader->at++;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = reader_byte(reader);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
    }
    reader->bad = true;
    return 0;
}
