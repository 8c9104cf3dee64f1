// table.h: memory for large tables that are reached at places nobody can foresee.
//
// Every such access misses the processor's caches, and with small pages it misses their addresses
// as well, which takes as long again.

#pragma once

#include <stddef.h>

// Zeroed memory, in large pages if the size is worth it and the system has them; the caller frees
// it with free(). NULL if memory runs out.
void *table_allocate(size_t size);

// The same, but not zeroed.
void *table_allocate_bare(size_t size);
