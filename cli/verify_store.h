// verify_store.h: what a collector's store knows of delivered digests: its keys, and where each
// chain ends.

#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "cli/store.h"
#include "verify/keys.h"
#include "verify/known.h"

// Adds both; what is read lies in the arena. Faults as store_open; FAULT_CORRUPT if a document
// cannot be read.
MUST_CHECK bool verify_store_read(const struct store_choice *choice, struct public_keys *keys,
                                  struct known *known, struct arena *arena, struct fault *fault);
