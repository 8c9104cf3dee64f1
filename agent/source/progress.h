// progress.h: how far a directory source has read a file, and its form as a position in the spool.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/source/taken.h"
#include "agent/source/tree.h"
#include "base/span.h"

enum {
    PROGRESS_PATH_SIZE_MAX = 512,  // longer paths are cut: only messages need them
    PROGRESS_SIZE_MAX = 41 + PROGRESS_PATH_SIZE_MAX,
};

struct progress {
    bool exists;
    bool is_ended;  // nothing of the file comes after this
    struct taken_key key;
    struct taken_key folder;
    uint64_t offset;  // of the first inflated byte that was not yet given
    uint64_t number;  // of its last record in the spool; 0: none
    char path[TREE_PATH_SIZE];
};

// Writes a position. previous_ended: the file before this one had been read to its end.
struct span progress_encode(const struct progress *progress, bool previous_ended,
                            uint8_t bytes[PROGRESS_SIZE_MAX]);

// Reads a position. False if it is none. The number is left 0.
bool progress_decode(struct span position, struct progress *progress, bool *previous_ended);
