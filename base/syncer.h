// syncer.h: one thread that syncs a descriptor while its caller goes on. Part of base/files.
//
// Threads: begin and end belong to one thread; the syncer's own lives as long as the process.

#pragma once

// Begins fdatasync of a descriptor; syncer_end comes before the next one. The first call starts the
// thread; where none can be had, syncer_end does the work.
void syncer_begin(int descriptor);

// Waits until it is done. What errno said, 0 if all is well.
int syncer_end(void);
