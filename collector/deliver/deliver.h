// deliver.h: the trails of the organization as they deliver.
//
// One follower looks for trails and adds a follower for each of its destinations: files (trail.h)
// and what else there is (struct deliver_kind).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto_seal.h"
#include "base/fault.h"
#include "collector/admit/roster_live.h"
#include "collector/api/trail_document.h"
#include "collector/deliver/objects.h"
#include "collector/follow/followers.h"

// A destination that trails may have.
struct deliver_kind {
    const char *documents;  // what the names of its states begin with; the trail's id follows, and
                            // the member "trail" is the trail's document
    bool (*wants)(const struct trail *trail);
    // A follower for the trail of an id. FAULT_FULL.
    bool (*create)(const void *options, struct span id, const struct trail *trail,
                   struct follower **follower, struct fault *fault);
    const void *options;
};

enum { DELIVER_KINDS_MAX = 4 };

struct deliver_options {
    struct followers *followers;
    const struct objects *objects;    // NULL: no files
    const struct deliver_kind *more;  // beside files
    uint32_t more_count;              // at most DELIVER_KINDS_MAX - 1
    struct roster_live *roster;
    const char *organization;  // "o-..."
    const uint8_t *secret;     // CRYPTO_SEAL_KEY_SIZE bytes
    uint32_t interval_s;
    uint32_t digest_interval_s;
    int64_t key_lifetime_ms;
    uint64_t file_size_max;  // bytes of a file's text
    int level;               // of compression, 1 to STATE_LEVEL_MAX
    // [any] Whether somebody is to be told of a trail's files: their lists are kept for them. NULL:
    // nobody is.
    bool (*is_told)(void *context, const struct trail *trail);
    void *context;
};

// Looks for trails from now on, until the followers are stopped. Options are borrowed. FAULT_FULL.
MUST_CHECK bool deliver_start(const struct deliver_options *options, struct fault *fault);
