// heap.h: memory that was freed, given back to the system.
//
// glibc keeps what lies between things in use; after a burst that can be more than all that is in
// use. The process's own memory (RssAnon) is what counts for the machine.

#pragma once

#include <stdbool.h>
#include <stddef.h>

// Large tables are maps of their own from now on, and go back whole when they are freed: otherwise
// malloc keeps them for others once it has seen a few, in large pages that cannot be given back in
// part. Once, before there are threads.
void heap_begin(void);

// The least that there was since memory was given back last. Zeroed at first; one thread.
struct heap_trim {
    size_t own_size;   // the process's own memory
    size_t free_size;  // what malloc has free, whether or not it has memory behind it
};

// Gives memory back if, beyond its least, the process has more than slack bytes of its own, or more
// than slack bytes were freed. Takes milliseconds then, in which other threads may have to wait;
// otherwise microseconds. True if it did.
bool heap_trim(struct heap_trim *trim, size_t slack);
