// trail_dictionaries.h: dictionaries of the epochs that a reader is using, the newest few of them.
//
// At most TRAIL_DICTIONARIES_MAX are kept (each up to the limits of dictionary.h, in practice about
// 30 MB); the one unused for longest goes first. Loading one takes 20 to 40 ms, and the 50 newest
// rows of a rare value may lie in as many epochs: 16 are 15 M events of mixed traffic. A dictionary
// that grew since it was loaded is brought up to date. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "storage/block/dictionary.h"
#include "storage/trail/trail_environment.h"

enum { TRAIL_DICTIONARIES_MAX = 16 };

struct trail_dictionaries;

// NULL if memory runs out.
struct trail_dictionaries *trail_dictionaries_create(struct trail_environment *environment);
void trail_dictionaries_destroy(struct trail_dictionaries *dictionaries);

// The dictionary of an epoch with all that the snapshot has of it, up to a damaged chunk; borrowed
// until the next call. snapshot_number tells snapshots apart and is not 0. FAULT_FULL, FAULT_IO.
MUST_CHECK bool trail_dictionaries_get(struct trail_dictionaries *dictionaries,
                                       MDB_txn *transaction, uint64_t snapshot_number,
                                       uint32_t epoch, const struct dictionary **dictionary,
                                       struct fault *fault);

// Loads the chunks of an epoch from number *next on, and moves *next behind them. FAULT_CORRUPT: up
// to a damaged one.
MUST_CHECK bool trail_dictionaries_load(struct trail_environment *environment, MDB_txn *transaction,
                                        struct dictionary *dictionary, uint32_t *next,
                                        struct fault *fault);

// The key of a chunk.
uint64_t trail_dictionaries_key(uint32_t epoch, uint32_t chunk);
