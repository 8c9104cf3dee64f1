// heap.h: memory that was freed, given back to the system.
//
// glibc keeps what lies between things in use; after a burst that can be more than all that is in
// use. The process's own memory (RssAnon) is what counts for the machine.

#pragma once

#include <stdbool.h>
#include <stddef.h>

// Gives memory back if more than slack bytes are held and not in use, as far as can be told: pages
// that were never touched count as in use. Takes milliseconds then, in which other threads may have
// to wait; otherwise microseconds. True if it did. Any thread.
bool heap_trim(size_t slack);
