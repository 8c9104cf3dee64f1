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

bool pending_is_full(const struct pending *pending);
bool pending_has(const struct pending *pending, const struct taken_key *key);

// Adds a file; the ring is not full. Its number is at least that of the one before.
void pending_push(struct pending *pending, const struct pending_file *file);

// Everything up to this number is acknowledged.
void pending_acknowledge(struct pending *pending, uint64_t number);

// How many of the oldest files are acknowledged, and the one at an index among them.
uint32_t pending_acknowledged_count(const struct pending *pending);
const struct pending_file *pending_at(const struct pending *pending, uint32_t index);

// Drops the oldest `count` files.
void pending_pop(struct pending *pending, uint32_t count);

// Drops all.
void pending_clear(struct pending *pending);
