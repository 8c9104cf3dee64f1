// trail_dictionaries.h: dictionaries of the epochs that readers are using.
//
// Of a dictionary only what is used is inflated: a page of strings takes about 10 us, the first
// page of an epoch 1 ms more. What one reader inflated is there for all others of the process that
// share: together they hold at most TRAIL_DICTIONARIES_SIZE_MAX bytes, and beyond that what the
// frames at hand refer to (at worst one dictionary each); what was not used lately goes first. A
// dictionary that grew since it was loaded is brought up to date. Each struct is for one thread.
//
// What is shared is the shelf: of each epoch an entry, a dictionary and how far it was read. A
// thread reads it through a view of its own, which has the way to its snapshot's chunks. The order
// of locks: the environment's gate (a read transaction holds it), then the shelf's gate, then a
// dictionary's `loading` (dictionary_pages.c). Who waits for one of them holds none behind it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "storage/block/dictionary.h"
#include "storage/trail/trail_environment.h"

enum {
    TRAIL_DICTIONARIES_MAX = 64,                     // epochs; 64 are 60 M events of mixed traffic
    TRAIL_DICTIONARIES_SIZE_MAX = 96 * 1024 * 1024,  // of all readers of a process
    TRAIL_WRITER_DICTIONARIES_SIZE_MAX = 64 * 1024 * 1024,
};

struct trail_dictionaries;

// Shared with all others of the environment that are, or of its own, so that it never waits for
// them. NULL if memory runs out.
struct trail_dictionaries *trail_dictionaries_create(struct trail_environment *environment,
                                                     bool is_shared);
void trail_dictionaries_destroy(struct trail_dictionaries *dictionaries);

// The dictionary of an epoch with all that the transaction's snapshot has of it but for damaged
// chunks, for reading within the snapshot until trail_dictionaries_put, which comes soon: others
// may wait for it. FAULT_FULL, FAULT_IO.
MUST_CHECK bool trail_dictionaries_get(struct trail_dictionaries *dictionaries,
                                       MDB_txn *transaction, uint32_t epoch,
                                       const struct dictionary **dictionary, struct fault *fault);

// Gives back what the last get gave.
void trail_dictionaries_put(struct trail_dictionaries *dictionaries);

// Bytes that all of them hold.
size_t trail_dictionaries_memory(const struct trail_dictionaries *dictionaries);

// Another bound than TRAIL_DICTIONARIES_SIZE_MAX, for all that share.
void trail_dictionaries_limit(struct trail_dictionaries *dictionaries, size_t size_max);

// Loads all of the chunks of an epoch from number *next on, to write on or to check, and moves
// *next behind them. FAULT_CORRUPT: up to a damaged one.
MUST_CHECK bool trail_dictionaries_load(struct trail_environment *environment, MDB_txn *transaction,
                                        struct dictionary *dictionary, uint32_t *next,
                                        struct fault *fault);

// The key of a chunk.
uint64_t trail_dictionaries_key(uint32_t epoch, uint32_t chunk);
