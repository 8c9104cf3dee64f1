// tail_file.h: one file that is followed: which it is, and how far it was read.
//
// A file is known by its inode and by a hash of its first bytes, because inodes are used again and
// copytruncate keeps the inode of another content.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/files.h"
#include "base/span.h"

enum {
    TAIL_FILES_MAX = 20,  // files of one source at a time
    TAIL_MARKS_MAX = 30,  // marks of one position: of files, and of lost ones not yet told
    TAIL_FINGERPRINT_SIZE_MAX = 255,  // first bytes that are hashed
    TAIL_PATH_SIZE = 4096,
    TAIL_MARK_SIZE = 34,  // bytes of a mark in a position
};

// What is remembered of a file.
struct tail_mark {
    uint64_t path_hash;
    uint64_t inode;
    uint64_t fingerprint;
    uint8_t fingerprint_size;
    bool is_skipping;  // inside a line that is too large
    bool is_done;      // rotated and read to its end: nothing is missed if it goes away
    uint64_t offset;   // of the first byte that was not given yet
};

// A file that is open.
struct tail_file {
    struct tail_mark mark;
    char *path;  // as it was found; its name may have changed since
    int handle;
    uint64_t size;         // as last seen
    uint64_t looked_size;  // when its end was reached last
    int64_t modified_ns;   // when its beginning was compared last
    bool is_rotated;       // its path names another file now, or none
    int64_t rested_ms;     // monotonic: since when it did not grow
};

// The hash by which a mark names a path.
uint64_t tail_hash_path(const char *path);

// Opens a path; the mark begins at offset 0. FAULT_INPUT if it is missing, FAULT_DENIED, FAULT_IO.
MUST_CHECK bool tail_file_open(const struct files *files, const char *path, struct tail_file *file,
                               struct fault *fault);
void tail_file_close(const struct files *files, struct tail_file *file);

// Whether the file begins as the mark says. FAULT_IO.
MUST_CHECK bool tail_file_matches(const struct files *files, const struct tail_file *file,
                                  const struct tail_mark *mark, bool *matches, struct fault *fault);

// Takes more first bytes into the fingerprint once they were read.
MUST_CHECK bool tail_file_extend(const struct files *files, struct tail_file *file,
                                 struct fault *fault);

// Writes and reads marks as a position. decode gives how many there were.
struct span tail_marks_encode(const struct tail_mark *marks, uint32_t count,
                              uint8_t bytes[1 + TAIL_MARKS_MAX * TAIL_MARK_SIZE]);
uint32_t tail_marks_decode(struct span position, struct tail_mark marks[TAIL_MARKS_MAX]);
