// notifier.h: the trails' targets: who is told of delivered files, and what they are told of yet.
//
// One follower looks for trails, adds a herald for each target of each (herald.h), and removes the
// lists of files that every target of a trail was told of. What nobody takes is given up in the
// end: after NOTIFIER_KEEP_S, or when a trail's lists are larger than NOTIFIER_QUEUE_SIZE_MAX.
//
// Threads: options are only read; notifier_wants may be asked by any thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/files.h"
#include "collector/api/trail_document.h"
#include "collector/follow/followers.h"
#include "collector/notify/target.h"

enum {
    NOTIFIER_KEEP_S = 14 * 86400,
    NOTIFIER_QUEUE_SIZE_MAX = 256 * 1024 * 1024,  // bytes of a trail's lists
    NOTIFIER_DELETED_KEEP_S = 60,  // what a trail has left that was deleted is tried for so long
    NOTIFIER_HERALDS_MAX = FOLLOWERS_TARGETS_MAX,
    NOTIFIER_REFUSED_MAX = NOTIFIER_HERALDS_MAX / 8,  // of them: of topics that are not allowed
};

struct notifier_options {
    struct followers *followers;
    const struct files *files;
    const char *bucket_region;
    const struct target *targets;  // of the settings
    uint32_t targets_count;
    const char *const *topics;  // that trails may name; each may end in '*'
    uint32_t topics_count;      // 0: none is published to
    struct target_service topic_service;
    uint64_t queue_size_max;  // bytes of a trail's lists; 0: NOTIFIER_QUEUE_SIZE_MAX
};

struct notifier;

// Looks for trails from now on, until the followers are stopped. Options are borrowed for its life.
// FAULT_FULL.
MUST_CHECK bool notifier_start(const struct notifier_options *options, struct notifier **notifier,
                               struct fault *fault);

// Whether somebody is to be told of a trail's files.
bool notifier_wants(const struct notifier *notifier, const struct trail *trail);

// [any] Calls under way end within a second. NULL is allowed.
void notifier_end_soon(struct notifier *notifier);

// Frees it, behind followers_stop. NULL is allowed.
void notifier_destroy(struct notifier *notifier);
