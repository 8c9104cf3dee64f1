// buffer.h: bytes that are appended to, in memory of their own that grows up to a limit.
//
// For output of unknown size that is used again and again (a block, a wire message, a page of
// text). Appending never returns an error: past the limit, or when memory runs out, the buffer is
// marked overflowed, keeps what it had, and ignores the rest; the user asks buffer_overflowed once
// at the end. A zeroed struct buffer with size_max set is ready to use. One thread at a time.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct buffer {
    uint8_t *bytes;
    size_t size;      // bytes appended
    size_t capacity;  // bytes allocated
    size_t size_max;
    bool overflowed;
};

// An empty buffer that will hold at most size_max bytes. Allocates nothing yet.
void buffer_init(struct buffer *buffer, size_t size_max);

// Frees its memory. The buffer may be initialised again.
void buffer_done(struct buffer *buffer);

// Empties it, keeps the memory, clears the overflow mark.
void buffer_reset(struct buffer *buffer);

// As buffer_reserve, which calls it when there is not enough room already.
uint8_t *buffer_reserve_more(struct buffer *buffer, size_t size);

// Makes room for size more bytes and returns where they begin, or NULL (and overflowed). The caller
// writes at most size bytes there and adds what it wrote to buffer->size.
static inline uint8_t *buffer_reserve(struct buffer *buffer, size_t size) {
    // The capacity is within the limit; a buffer without memory has none.
    bool fits = size <= buffer->capacity - buffer->size && buffer->bytes != NULL;
    if (fits && !buffer->overflowed) return buffer->bytes + buffer->size;
    return buffer_reserve_more(buffer, size);
}

// Appends bytes. A span into the buffer itself is not allowed.
void buffer_append(struct buffer *buffer, struct span bytes);

// Appends one byte.
void buffer_append_byte(struct buffer *buffer, uint8_t byte);

// Appends a zero-terminated string without its zero.
void buffer_append_text(struct buffer *buffer, const char *text);

// Appends formatted text without a final zero.
void buffer_print(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Whether anything that was appended since the last reset is missing.
bool buffer_overflowed(const struct buffer *buffer);

// Its present bytes, borrowed until the next append.
struct span buffer_span(const struct buffer *buffer);
