#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ALIGNMENT = 16,
    CHUNK_SIZE_MIN = 64 * 1024,
};

// Chunks are kept in the order they were made; `current` moves along them and back on reset.
struct chunk {
    struct chunk *next;
    size_t size;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

struct arena {
    struct chunk *first;
    struct chunk *current;
    size_t used;   // bytes of the current chunk given out
    size_t given;  // bytes given out in all chunks
    size_t size;   // bytes of all chunks
    size_t size_max;
};

struct arena *arena_create(size_t size_max) {
    assert(size_max > 0);
    struct arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL) return NULL;
    arena->size_max = size_max;
    return arena;
}

void arena_destroy(struct arena *arena) {
    if (arena == NULL) return;
    for (struct chunk *chunk = arena->first; chunk != NULL;) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
}

void arena_reset(struct arena *arena) {
    arena->current = arena->first;
    arena->used = 0;
    arena->given = 0;
}

// Makes the next chunk current, or a new one put after the current one. False at the limit.
static bool advance(struct arena *arena, size_t size) {
    struct chunk *next = arena->current == NULL ? arena->first : arena->current->next;
    if (next == NULL || next->size < size) {
        size_t wanted = arena->size / 2 > CHUNK_SIZE_MIN ? arena->size / 2 : CHUNK_SIZE_MIN;
        size_t left = arena->size_max - arena->size;
        if (wanted > left) wanted = left;
        if (wanted < size) wanted = size;
        if (wanted > left) return false;
        struct chunk *chunk = malloc(sizeof *chunk + wanted);
        if (chunk == NULL) return false;
        chunk->size = wanted;
        chunk->next = next;
        if (arena->current == NULL) {
            arena->first = chunk;
        } else {
            arena->current->next = chunk;
        }
        arena->size += wanted;
        next = chunk;
    }
    arena->current = next;
    arena->used = 0;
    return true;
}

void *arena_allocate(struct arena *arena, size_t size) {
    if (size > arena->size_max) return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (arena->current == NULL || arena->current->size - arena->used < size) {
        if (!advance(arena, size)) return NULL;
    }
    void *bytes = arena->current->bytes + arena->used;
    arena->used += size;
    arena->given += size;
    return bytes;
}

void *arena_allocate_array(struct arena *arena, size_t count, size_t size) {
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) return NULL;
    void *items = arena_allocate(arena, total);
    if (items != NULL) memset(items, 0, total);
    return items;
}

bool arena_copy(struct arena *arena, struct span from, struct span *copy) {
    if (from.size == SIZE_MAX) return false;
    uint8_t *bytes = arena_allocate(arena, from.size + 1);
    if (bytes == NULL) return false;
    if (from.size > 0) memcpy(bytes, from.bytes, from.size);
    bytes[from.size] = 0;
    *copy = span_of(bytes, from.size);
    return true;
}

char *arena_copy_text(struct arena *arena, struct span from) {
    struct span copy;
    return arena_copy(arena, from, &copy) ? (char *)(uintptr_t)copy.bytes : NULL;
}

char *arena_print(struct arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : arena_allocate(arena, (size_t)length + 1);
    if (text != NULL) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

size_t arena_size(const struct arena *arena) {
    return arena->given;
}
