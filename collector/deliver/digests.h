// digests.h: the digests of a trail for one time: one for each account and region, signed and
// chained to those before.
//
// Whoever does it again skips those that are done: each chain's document says how far it is.

#pragma once

#include <stdbool.h>

#include "base/crypto_seal.h"
#include "base/fault.h"
#include "collector/admit/roster_live.h"
#include "collector/api/trail_document.h"
#include "collector/deliver/objects.h"
#include "collector/deliver/state.h"
#include "collector/follow/seat.h"

enum {
    DIGESTS_ARENA_SIZE = 256 * 1024 * 1024,  // bytes of lists of files of one digest's time
    DIGESTS_PAIRS_MAX = 20000,               // accounts x regions of one trail
};

struct digests_options {
    const char *id;            // the trail's
    const char *follower;      // for metrics
    const char *organization;  // "o-..."
    const struct trail *trail;
    const struct objects *objects;
    struct roster_live *roster;
    const uint8_t *secret;  // CRYPTO_SEAL_KEY_SIZE bytes, that seal keys
    int64_t key_lifetime_ms;
    bool is_repeat;  // of a plan that was perhaps begun
};

// Writes the digests of a plan and forgets the lists of files that they name. Faults as
// objects_write and seat_save; FAULT_RETRY if the collector stops.
MUST_CHECK bool digests_write(const struct digests_options *options,
                              const struct state_digest *plan, struct seat *seat,
                              struct fault *fault);

// Removes all documents whose name begins so, a few at a time. FAULT_RETRY, FAULT_FULL.
MUST_CHECK bool digests_remove_documents(struct seat *seat, struct span prefix,
                                         struct fault *fault);
