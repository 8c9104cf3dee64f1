#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_MIN = 256 };

void buffer_init(struct buffer *buffer, size_t size_max) {
    *buffer = (struct buffer){.size_max = size_max};
}

void buffer_done(struct buffer *buffer) {
    free(buffer->bytes);
    *buffer = (struct buffer){.size_max = buffer->size_max};
}

void buffer_reset(struct buffer *buffer) {
    buffer->size = 0;
    buffer->overflowed = false;
}

uint8_t *buffer_reserve_more(struct buffer *buffer, size_t size) {
    assert(buffer->size <= buffer->capacity);
    if (buffer->overflowed) return NULL;
    if (size > buffer->size_max || buffer->size > buffer->size_max - size) {
        buffer->overflowed = true;
        return NULL;
    }
    if (buffer->capacity - buffer->size >= size && buffer->bytes != NULL) {
        return buffer->bytes + buffer->size;
    }
    size_t capacity = buffer->capacity < CAPACITY_MIN ? CAPACITY_MIN : buffer->capacity;
    while (capacity < buffer->size + size) capacity += capacity / 2;
    if (capacity > buffer->size_max) capacity = buffer->size_max;
    uint8_t *bytes = realloc(buffer->bytes, capacity);
    if (bytes == NULL) {
        buffer->overflowed = true;
        return NULL;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return bytes + buffer->size;
}

void buffer_append(struct buffer *buffer, struct span bytes) {
    if (bytes.size == 0) return;
    uint8_t *to = buffer_reserve(buffer, bytes.size);
    if (to == NULL) return;
    memcpy(to, bytes.bytes, bytes.size);
    buffer->size += bytes.size;
}

void buffer_append_byte(struct buffer *buffer, uint8_t byte) {
    uint8_t *to = buffer_reserve(buffer, 1);
    if (to == NULL) return;
    *to = byte;
    buffer->size++;
}

void buffer_append_text(struct buffer *buffer, const char *text) {
    buffer_append(buffer, span_text(text));
}

void buffer_print(struct buffer *buffer, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    // One byte more, since vsnprintf always writes its zero.
    uint8_t *to = length < 0 ? NULL : buffer_reserve(buffer, (size_t)length + 1);
    if (to != NULL) {
        vsnprintf((char *)to, (size_t)length + 1, format, again);
        buffer->size += (size_t)length;
    }
    va_end(again);
}

bool buffer_overflowed(const struct buffer *buffer) {
    return buffer->overflowed;
}

struct span buffer_span(const struct buffer *buffer) {
    return span_of(buffer->bytes, buffer->size);
}
