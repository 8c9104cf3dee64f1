// pending.h: files that were read and whose last record is not yet acknowledged and saved.
//
// Files end in the order of their numbers, so this is a ring with an index by key.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/source/taken.h"

struct pending_file {
    struct taken_key key;
    struct taken_key folder;
    uint64_t number;  // of its last record in the spool
};

struct pending;

// Room for a power of two of files. NULL if memory runs out.
struct pending *pending_create(uint32_t count_max);
void pending_destroy(struct pending *pending);

// Whether there is no room for another file.
bool pending_is_full(const struct pending *pending);

// Whether a file is in it.
bool pending_has(const struct pending *pending, const struct taken_key *key);

// Adds a file; the ring is not full. Its number is at least that of the one before.
void pending_push(struct pending *pending, const struct pending_file *file);

// Everything up to this number is acknowledged.
void pending_acknowledge(struct pending *pending, uint64_t number);

// Puts the acknowledged files into the sets of their folders, durably, and drops them. FAULT_FULL:
// they stay. FAULT_IO.
MUST_CHECK bool pending_save(struct pending *pending, struct taken *taken, struct fault *fault);

// Drops all.
void pending_clear(struct pending *pending);
