#include "base/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE_SIZE = 2 * 1024 * 1024 };

void *table_allocate_bare(size_t size) {
    if (size < HUGE_PAGE_SIZE || size > SIZE_MAX - HUGE_PAGE_SIZE) return malloc(size);
    size = (size + HUGE_PAGE_SIZE - 1) / HUGE_PAGE_SIZE * HUGE_PAGE_SIZE;
    void *table = aligned_alloc(HUGE_PAGE_SIZE, size);
    if (table == NULL) return NULL;
    // Advice only: where it is not taken, the table is slower.
    (void)madvise(table, size, MADV_HUGEPAGE);
    return table;
}

void *table_allocate(size_t size) {
    void *table = table_allocate_bare(size);
    return table == NULL ? NULL : memset(table, 0, size);
}
