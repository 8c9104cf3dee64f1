#include "base/heap.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

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

bool heap_trim(size_t slack) {
    struct mallinfo2 info = mallinfo2();
    if (measure_own() <= info.uordblks + info.hblkhd + slack) return false;
    return malloc_trim(0) != 0;
}
