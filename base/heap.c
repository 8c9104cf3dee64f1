#include "base/heap.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

enum { TABLE_SIZE_MIN = 2 * 1024 * 1024 };  // of table.h

// Bytes of memory that are the process's own and in RAM; 0 if the system does not tell.
static size_t measure_own(void) {
    char text[128];
    unsigned long long all, resident, shared;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    if (size <= 0) return 0;
    text[size] = 0;
    if (sscanf(text, "%llu %llu %llu", &all, &resident, &shared) != 3 || resident < shared) {
        return 0;
    }
    return (size_t)((resident - shared) * (unsigned long long)sysconf(_SC_PAGESIZE));
}

void heap_begin(void) {
    // Fixed; by itself it grows with what is freed.
    (void)mallopt(M_MMAP_THRESHOLD, TABLE_SIZE_MIN);
}

// Notes the least; true if there is more than slack beyond it.
static bool has_grown(size_t *least, size_t now, size_t slack) {
    if (*least == 0 || now < *least) *least = now;
    return now > *least + slack;
}

bool heap_trim(struct heap_trim *trim, size_t slack) {
    bool has_more = has_grown(&trim->own_size, measure_own(), slack);
    bool has_freed = has_grown(&trim->free_size, mallinfo2().fordblks, slack);
    if (!has_more && !has_freed) return false;
    bool is_given = malloc_trim(0) != 0;
    *trim = (struct heap_trim){measure_own(), mallinfo2().fordblks};
    return is_given;
}
