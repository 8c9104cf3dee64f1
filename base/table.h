// table.h: memory for large tables that are reached at places nobody can foresee.
//
// Every such access misses the processor's caches, and with small pages it misses their addresses
// as well, which takes as long again.

#pragma once

#include <stddef.h>
#include <stdint.h>

enum { TABLE_PAGE_SIZE = 2 * 1024 * 1024 };  // of a large page

// Zeroed memory, in large pages if the size is worth it and the system has them; the caller frees
// it with free(). NULL if memory runs out.
void *table_allocate(size_t size);

// The bytes that an allocation of this size takes: more than size where large pages are worth it.
static inline size_t table_round(size_t size) {
    if (size < TABLE_PAGE_SIZE || size > SIZE_MAX - TABLE_PAGE_SIZE) return size;
    return (size + TABLE_PAGE_SIZE - 1) / TABLE_PAGE_SIZE * TABLE_PAGE_SIZE;
}

// The same as table_allocate, but not zeroed.
void *table_allocate_bare(size_t size);
