#include "event/braces.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

// One structural byte of an object. True if it closes the object.
static bool take_structural(struct braces *braces, uint8_t byte) {
    if (braces->in_string) {
        if (byte == '"') braces->in_string = false;
        return false;
    }
    if (byte == '"') {
        braces->in_string = true;
    } else if (byte == '{') {
        braces->depth++;
    } else if (byte == '}') {
        braces->depth--;
    }
    return braces->depth == 0;
}

// Walks bytes one by one; *end is how many belong to the object. True if it closes in them.
static bool walk_bytes(struct braces *braces, struct span bytes, size_t *end) {
    for (size_t index = 0; index < bytes.size; index++) {
        uint8_t byte = bytes.bytes[index];
        if (braces->is_escaped) {
            braces->is_escaped = false;
        } else if (byte == '\\' && braces->in_string) {
            braces->is_escaped = true;
        } else if (take_structural(braces, byte) && byte == '}') {
            *end = index + 1;
            return true;
        }
    }
    *end = bytes.size;
    return false;
}

#ifdef __SSE2__
// Where in 16 bytes the ones that matter are, a bit each.
struct marks {
    uint32_t quotes;
    uint32_t escapes;
    uint32_t braces;
};

static uint32_t find_byte(__m128i block, char byte) {
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(byte)));
}

static struct marks find_marks(const uint8_t *bytes) {
    __m128i block = _mm_loadu_si128((const __m128i *)(const void *)bytes);
    return (struct marks){
        .quotes = find_byte(block, '"'),
        .escapes = find_byte(block, '\\'),
        .braces = find_byte(block, '{') | find_byte(block, '}'),
    };
}

// Looks only at bytes that matter, 16 at a time; of quotes without a brace among them only their
// number matters.
bool braces_walk(struct braces *braces, struct span bytes, size_t *end) {
    size_t at = 0;
    for (; bytes.size - at >= 16; at += 16) {
        struct marks marks = find_marks(bytes.bytes + at);
        // An escape concerns the next byte whatever it is: leave such blocks to the byte walk.
        if (braces->is_escaped || marks.escapes != 0) {
            size_t walked;
            if (!walk_bytes(braces, span_of(bytes.bytes + at, 16), &walked)) continue;
            *end = at + walked;
            return true;
        }
        if (marks.braces == 0) {
            if (__builtin_parity(marks.quotes)) braces->in_string = !braces->in_string;
            continue;
        }
        for (uint32_t hits = marks.quotes | marks.braces; hits != 0; hits &= hits - 1) {
            size_t index = at + (size_t)__builtin_ctz(hits);
            uint8_t byte = bytes.bytes[index];
            if (take_structural(braces, byte) && byte == '}') {
                *end = index + 1;
                return true;
            }
        }
    }
    size_t walked;
    bool ended = walk_bytes(braces, span_from(bytes, at), &walked);
    *end = at + walked;
    return ended;
}
#else
bool braces_walk(struct braces *braces, struct span bytes, size_t *end) {
    return walk_bytes(braces, bytes, end);
}
#endif
