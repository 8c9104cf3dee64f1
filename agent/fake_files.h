// fake_files.h: files in memory that fail and crash as told, for tests.
//
// What a sync that failed was about is in memory and never written, as it is with Linux: a later
// sync succeeds without it, unless it was renewed. What was appended and not synced, and names
// whose folder was not synced, are lost by a crash, or some of them, as a seed decides: a torn end,
// or a page of zeros in the middle.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/files.h"

struct fake_files;

// No files. Ends the test if memory runs out.
struct fake_files *fake_files_create(void);

// Frees them.
void fake_files_destroy(struct fake_files *fake);

// The interface over them; lives as long as they do.
const struct files *fake_files_interface(struct fake_files *fake);

// The nth operation from now on (1: the next that can fail) fails once with this kind; 0: none.
void fake_files_fail(struct fake_files *fake, uint64_t nth, enum fault_kind kind);

// Whether a failure that was asked for has happened.
bool fake_files_has_failed(const struct fake_files *fake);

// All files together hold at most so many bytes: appending past it fails as a full disk does.
void fake_files_limit(struct fake_files *fake, uint64_t size_max);

// The power goes off: what was not synced is gone. With a seed that is not 0 some of it stays.
// All handles are closed.
void fake_files_crash(struct fake_files *fake, uint64_t seed);

// The bytes of a file to look at or to damage, or NULL.
uint8_t *fake_files_bytes(struct fake_files *fake, const char *path, uint64_t *size);

// Changes every byte of a range of a file, durably, as a bad disk does. The range lies in it.
void fake_files_damage(struct fake_files *fake, const char *path, uint64_t offset, uint64_t size);

// Cuts a file off, durably.
void fake_files_cut(struct fake_files *fake, const char *path, uint64_t size);

// From now on a sync that has begun comes to its end only when it is waited for, or at once again.
void fake_files_slow_down(struct fake_files *fake, bool is_slow);

// How many syncs of files there were.
uint64_t fake_files_syncs(const struct fake_files *fake);

// A deep copy with no handle open, as of a cloned machine.
struct fake_files *fake_files_copy(const struct fake_files *fake);
