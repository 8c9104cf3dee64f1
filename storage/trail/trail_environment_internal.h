// trail_environment_internal.h: an open environment, as the door's own files see it.

#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "storage/trail/trail_environment.h"

enum {
    TRAIL_PATH_SIZE = 4096,
};

struct trail_environment {
    MDB_env *lmdb;
    MDB_dbi databases[TRAIL_DATABASES];
    bool has_documents;  // an older store has none before it was opened for writing once
    char directory[TRAIL_PATH_SIZE];
    dev_t device;
    ino_t inode;
    pid_t process;
    bool is_read_only;
    bool no_sync;
    uint64_t size_max;
    uint64_t reserved;  // writer: bytes of the file that certainly have room on the disk
    uint32_t users;
    bool is_broken;         // behind the gate: the map is gone, nothing may touch it again
    pthread_rwlock_t gate;  // shared: a read transaction is active; alone: the map changes
    struct trail_environment *next;
};

// What the file may grow to, with the reserve or without it; 0: no limit.
uint64_t trail_environment_limit(uint64_t size_max, bool uses_reserve);

// Gives the map another size (0: the one another process gave it). LMDB unmaps first: after a
// failure there is no map, and nothing of this environment may be touched again.
MUST_CHECK bool trail_environment_resize(struct trail_environment *environment, uint64_t size,
                                         struct fault *fault);

// Says that the map is gone. Returns false.
bool trail_environment_broken(const struct trail_environment *environment, struct fault *fault);
