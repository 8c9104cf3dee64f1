// taken.h: which files of a folder tree were taken, in one small sorted file per folder.
//
// A key is the first 16 bytes of SHA-256 over path, size and time of change, so a file that changed
// is another file. A set is loaded one folder at a time. The sets lie in the spool's folder, name
// the spool and are void for another one: without its frames nobody knows what was acknowledged.
// Losing a set loses nothing: its files are read again, and what they hold are duplicates.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/files.h"
#include "base/span.h"

enum {
    TAKEN_KEY_SIZE = 16,
    TAKEN_SPOOL_ID_SIZE = 16,
    TAKEN_COUNT_MAX = 512 * 1024,  // files of one folder: 8 MiB of keys
};

struct taken_key {
    uint8_t bytes[TAKEN_KEY_SIZE];
};

// The key of a file, and of a folder (size and time 0).
struct taken_key taken_key_of(struct span path, uint64_t size, int64_t modified_ns);

// The sets of one source.
struct taken;

// Opens the sets in a folder, which is made if it is missing (its parent exists). FAULT_FULL,
// FAULT_DENIED, FAULT_IO.
MUST_CHECK bool taken_open(const struct files *files, const char *directory,
                           const uint8_t spool_id[TAKEN_SPOOL_ID_SIZE], struct taken **taken,
                           struct fault *fault);
void taken_close(struct taken *taken);

// A folder's set in memory. A zeroed one is empty and may be loaded.
struct taken_set {
    struct taken_key folder;
    struct taken_key *keys;  // sorted
    uint8_t *seen;           // one byte a key
    uint32_t count;
    uint32_t seen_count;
    int64_t folder_modified_ns;  // when all its files were found taken; 0: never
    uint64_t generation;         // of the sets when it was loaded
};

// Loads a folder's set; a missing, damaged or foreign one is empty. FAULT_IO.
MUST_CHECK bool taken_load(struct taken *taken, struct taken_key folder, struct taken_set *set,
                           struct fault *fault);

// Whether the set on disk changed since it was loaded.
bool taken_is_stale(const struct taken *taken, const struct taken_set *set);

// Whether the file was taken; marks it as seen.
bool taken_has(struct taken_set *set, const struct taken_key *key);

// Adds keys to a folder's set, durably. FAULT_FULL: the disk, or TAKEN_COUNT_MAX. FAULT_IO.
MUST_CHECK bool taken_add(struct taken *taken, struct taken_key folder,
                          const struct taken_key *keys, uint32_t keys_count, struct fault *fault);

// After a whole listing of the folder: drops keys that were not seen, and notes the folder's time
// of change if it is not 0. Nothing is written if nothing changed. FAULT_FULL, FAULT_IO.
MUST_CHECK bool taken_settle(struct taken *taken, struct taken_set *set, int64_t folder_modified_ns,
                             struct fault *fault);

// Frees a set's memory.
void taken_set_done(struct taken_set *set);

// Removes all sets that were written at this time or later (ms since the Unix epoch), or up to an
// hour before: two clocks are at work. FAULT_IO.
MUST_CHECK bool taken_forget(struct taken *taken, int64_t since_ms, struct fault *fault);
