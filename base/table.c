#include "base/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *table_allocate_bare(size_t size) {
    if (size < TABLE_PAGE_SIZE || size > SIZE_MAX - TABLE_PAGE_SIZE) return malloc(size);
    size = table_round(size);
    void *table = aligned_alloc(TABLE_PAGE_SIZE, size);
    if (table == NULL) return NULL;
    // Advice only: where it is not taken, the table is slower.
    (void)madvise(table, size, MADV_HUGEPAGE);
    return table;
}

void *table_allocate(size_t size) {
    void *table = table_allocate_bare(size);
    return table == NULL ? NULL : memset(table, 0, size);
}
