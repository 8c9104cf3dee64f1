// arena.h: memory that is given back all at once.
//
// One arena per batch or request: everything made for it lies in the arena and goes with it.
// arena_reset keeps as much memory for the next batch, so a steady state allocates nothing. An
// arena has a limit; reaching it is an ordinary refusal (NULL), not the end of the process. One
// thread at a time.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct arena;

// An empty arena that will hold at most size_max bytes. NULL if even that takes too much memory.
struct arena *arena_create(size_t size_max);

// Frees the arena and all in it. NULL is allowed.
void arena_destroy(struct arena *arena);

// Says how much an empty arena that keeps nothing is going to hold: its first piece of memory is
// that large where the process gets one.
void arena_expect(struct arena *arena, size_t size);

// Forgets everything in it and keeps its memory for reuse.
void arena_reset(struct arena *arena);

// Forgets everything in it and keeps nothing.
void arena_release(struct arena *arena);

// size bytes aligned to 16, not initialised. NULL at the limit; size 0 gives a valid pointer.
void *arena_allocate(struct arena *arena, size_t size);

// count items of size bytes each, zeroed. NULL at the limit or if the product overflows.
void *arena_allocate_array(struct arena *arena, size_t count, size_t size);

// A copy of the span in the arena, followed by a zero that is not part of it. False at the limit.
bool arena_copy(struct arena *arena, struct span from, struct span *copy);

// A zero-terminated copy. NULL at the limit.
char *arena_copy_text(struct arena *arena, struct span from);

// printf into the arena, zero-terminated. NULL at the limit.
char *arena_print(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Bytes given out since the last reset.
size_t arena_size(const struct arena *arena);

// Bytes it keeps for reuse, or takes again with its first allocation.
size_t arena_kept(const struct arena *arena);
