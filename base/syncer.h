// syncer.h: one thread that syncs a descriptor while its caller goes on. Part of base/files.
//
// Threads: begin and end belong to one thread; the syncer's own lives as long as the process.

#pragma once

#include <stdbool.h>

// Begins fdatasync of a descriptor; syncer_end comes before the next one. The first call starts the
// thread; where none can be had, syncer_end does the work.
void syncer_begin(int descriptor);

// Whether syncer_end would not have to wait.
bool syncer_is_done(void);

// Waits until it is done. What errno said, 0 if all is well.
int syncer_end(void);
