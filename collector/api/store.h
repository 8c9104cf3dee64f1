// store.h: the trail as the API's workers see it: documents and events read on snapshots of their
// own, changes made by the writer and waited for.
//
// Threads: each worker has one.

#pragma once

#include "collector/api/api.h"
#include "collector/append/append.h"
#include "storage/trail/trail_reader.h"

struct store;

// Opens the trail of a directory for one worker. Faults as trail_reader_open.
MUST_CHECK bool store_open(const char *directory, struct append *append, struct store **store,
                           struct fault *fault);

// Closes it. Changes that it no longer waits for go on. NULL is allowed.
void store_close(struct store *store);

// As api_worker_create wants it; lives as long as the store.
struct api_store store_interface(struct store *store);
