// span.h: a borrowed run of bytes: a pointer and a size, never a final zero.
//
// A span never owns. Whoever made it says how long its bytes live. The zero span is empty and
// valid.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *bytes;
    size_t size;
};

// A span over a string literal, usable in initializers of automatic variables.
#define SPAN_LITERAL(text) ((struct span){(const uint8_t *)(text), sizeof(text) - 1})

// For printf: printf("%.*s", SPAN_PRINT(span)). The span must be shorter than INT_MAX.
#define SPAN_PRINT(span) (int)(span).size, (const char *)(span).bytes

// A span over any memory.
static inline struct span span_of(const void *bytes, size_t size) {
    return (struct span){(const uint8_t *)bytes, size};
}

// A span over a zero-terminated string, without the zero.
static inline struct span span_text(const char *text) {
    return span_of(text, strlen(text));
}

// Whether both hold the same bytes.
static inline bool span_equal(struct span left, struct span right) {
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.bytes, right.bytes, left.size) == 0);
}

// Whether the span holds exactly this text.
static inline bool span_is(struct span span, const char *text) {
    return span_equal(span, span_text(text));
}

// Order of unsigned bytes, the shorter first if one begins with the other: <0, 0, >0.
static inline int span_compare(struct span left, struct span right) {
    size_t size = left.size < right.size ? left.size : right.size;
    int order = size == 0 ? 0 : memcmp(left.bytes, right.bytes, size);
    if (order != 0) return order;
    return (left.size > right.size) - (left.size < right.size);
}

// Whether the span begins with these bytes.
static inline bool span_starts(struct span span, struct span prefix) {
    return span.size >= prefix.size && span_equal(span_of(span.bytes, prefix.size), prefix);
}

// Whether the span is the pattern, or begins with what stands before a '*' that ends the pattern.
static inline bool span_is_like(struct span span, struct span pattern) {
    if (pattern.size == 0 || pattern.bytes[pattern.size - 1] != '*') {
        return span_equal(span, pattern);
    }
    return span_starts(span, span_of(pattern.bytes, pattern.size - 1));
}

// Whether the span ends with these bytes.
static inline bool span_ends(struct span span, struct span suffix) {
    return span.size >= suffix.size &&
           span_equal(span_of(span.bytes + span.size - suffix.size, suffix.size), suffix);
}

// The index of the first such byte, or span.size if there is none.
static inline size_t span_find(struct span span, uint8_t byte) {
    const uint8_t *found = span.size == 0 ? NULL : memchr(span.bytes, byte, span.size);
    return found == NULL ? span.size : (size_t)(found - span.bytes);
}

// What is left from this offset on; the offset is at most the size.
static inline struct span span_from(struct span span, size_t offset) {
    // The zero span has no pointer to add to.
    return offset == 0 ? span : span_of(span.bytes + offset, span.size - offset);
}
