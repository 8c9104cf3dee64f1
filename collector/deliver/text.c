#include "collector/deliver/text.h"

#include <string.h>

enum {
    PIECE_FIRST_SIZE = 4 * 1024,  // of a file that may stay small
    PIECE_SIZE = 32 * 1024,
};

struct text_piece {
    struct text_piece *next;
    uint32_t capacity;
    uint32_t size;
    uint8_t bytes[];
};

static bool add_piece(struct text *text, struct arena *arena) {
    uint32_t size = text->last == NULL ? PIECE_FIRST_SIZE : PIECE_SIZE;
    struct text_piece *piece = arena_allocate(arena, size);
    if (piece == NULL) return false;
    *piece = (struct text_piece){.capacity = size - (uint32_t)sizeof *piece};
    if (text->last == NULL) {
        text->first = piece;
    } else {
        text->last->next = piece;
    }
    text->last = piece;
    return true;
}

bool text_append(struct text *text, struct arena *arena, struct span bytes) {
    text->size += bytes.size;
    while (bytes.size > 0) {
        struct text_piece *last = text->last;
        if (last == NULL || last->size == last->capacity) {
            if (!add_piece(text, arena)) return false;
            last = text->last;
        }
        uint32_t room = last->capacity - last->size;
        uint32_t part = bytes.size < room ? (uint32_t)bytes.size : room;
        memcpy(last->bytes + last->size, bytes.bytes, part);
        last->size += part;
        bytes = span_from(bytes, part);
    }
    return true;
}

void text_copy(const struct text *text, struct buffer *buffer) {
    // Once is enough: the pieces would make it grow step by step.
    if (buffer_reserve(buffer, text->size) == NULL) return;
    for (const struct text_piece *piece = text->first; piece != NULL; piece = piece->next) {
        buffer_append(buffer, span_of(piece->bytes, piece->size));
    }
}
