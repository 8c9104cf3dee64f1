#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"

enum {
    ALIGNMENT = 16,
    CHUNK_SIZE_MIN = 16 * 1024,
};

// Bytes are given out of the newest chunk, which comes first in the list.
struct chunk {
    struct chunk *older;
    size_t size;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

struct arena {
    struct chunk *newest;
    size_t used;    // bytes of the newest chunk given out
    size_t given;   // bytes given out in all chunks
    size_t size;    // bytes of all chunks
    size_t wanted;  // bytes the first chunk should have: what all had before the last reset
    size_t size_max;
};

struct arena *arena_create(size_t size_max) {
    assert(size_max > 0);
    struct arena *arena = calloc(1, sizeof *arena);
    if (arena == NULL) return NULL;
    arena->size_max = size_max;
    return arena;
}

static void free_chunks(struct arena *arena) {
    for (struct chunk *chunk = arena->newest; chunk != NULL;) {
        struct chunk *older = chunk->older;
        free(chunk);
        chunk = older;
    }
    arena->newest = NULL;
    arena->size = 0;
}

void arena_destroy(struct arena *arena) {
    if (arena == NULL) return;
    free_chunks(arena);
    free(arena);
}

void arena_expect(struct arena *arena, size_t size) {
    assert(arena->newest == NULL);
    arena->wanted = size;
}

void arena_reset(struct arena *arena) {
    // One chunk is kept. Several become one as large as all of them, with the next allocation:
    // otherwise sizes that come in another order each time would leave ever more gaps.
    if (arena->newest != NULL && arena->newest->older != NULL) {
        arena->wanted = arena->size;
        free_chunks(arena);
    }
    arena->used = 0;
    arena->given = 0;
}

void arena_release(struct arena *arena) {
    free_chunks(arena);
    arena->wanted = 0;
    arena->used = 0;
    arena->given = 0;
}

// A chunk of *wanted bytes, or of what large pages take for them if that is within the limit.
static struct chunk *allocate_chunk(size_t *wanted, size_t left) {
    // Rows of a commit lie in chunks of megabytes, and blocks take them in another order. What
    // large pages take beyond what is wanted is used and counted; past the limit there are none.
    size_t whole = table_round(sizeof(struct chunk) + *wanted) - sizeof(struct chunk);
    if (whole > left) return malloc(sizeof(struct chunk) + *wanted);
    *wanted = whole;
    return table_allocate_bare(sizeof(struct chunk) + whole);
}

// Makes a new newest chunk that holds size bytes. False at the limit or without memory.
static bool add_chunk(struct arena *arena, size_t size) {
    // A kept chunk that is too small for the very first item would only take from the limit.
    if (arena->given == 0) free_chunks(arena);
    size_t left = arena->size_max - arena->size;
    if (size > left) return false;
    size_t wanted = arena->newest == NULL ? arena->wanted : arena->size / 2;
    if (wanted < CHUNK_SIZE_MIN) wanted = CHUNK_SIZE_MIN;
    if (wanted > left) wanted = left;
    if (wanted < size) wanted = size;
    struct chunk *chunk = allocate_chunk(&wanted, left);
    if (chunk == NULL) {
        // What was wanted may be far more than is needed.
        wanted = size;
        chunk = allocate_chunk(&wanted, left);
    }
    if (chunk == NULL) return false;
    chunk->size = wanted;
    chunk->older = arena->newest;
    arena->newest = chunk;
    arena->size += wanted;
    arena->used = 0;
    return true;
}

void *arena_allocate(struct arena *arena, size_t size) {
    if (size > arena->size_max) return NULL;
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (arena->newest == NULL || arena->newest->size - arena->used < size) {
        if (!add_chunk(arena, size)) return NULL;
    }
    void *bytes = arena->newest->bytes + arena->used;
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

size_t arena_kept(const struct arena *arena) {
    return arena->newest != NULL ? arena->size : arena->wanted;
}
