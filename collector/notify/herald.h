// herald.h: a follower that tells one target of one trail's files, in order of delivery.
//
// It reads the lists of files that the trail's rounds have left (place.h) and moves its place after
// the target said that it has them: what was told between its last save and a crash is told again,
// with the same ids. A target that refuses one file is not told of the next ones before it.
//
// Threads: one makes, looks after and destroys it; steps are on others.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/files.h"
#include "collector/follow/followers.h"
#include "collector/notify/target.h"

struct herald;

struct herald_options {
    const struct files *files;
    const char *bucket_region;
    const atomic_bool *stop;
};

// A herald of a trail's target, whose texts are copied; the rest is borrowed. FAULT_FULL.
MUST_CHECK bool herald_create(const struct herald_options *options, struct span id,
                              struct span trail, const struct target *target,
                              struct herald **herald, struct fault *fault);

// Frees it, when it is no follower any more or never was one. NULL is allowed.
void herald_destroy(struct herald *herald);

// As a follower, for followers_add.
struct follower *herald_follower(struct herald *herald);

// Whether it is that of this trail, and of this target.
bool herald_is_of(const struct herald *herald, struct span id);
bool herald_tells(const struct herald *herald, const struct target *target);

// The name of its place's document.
const char *herald_document(const struct herald *herald);

// [any] The round whose files it was told of, as it is stored; 0 until it has looked.
uint64_t herald_to(const struct herald *herald);

// [any] Has it end with its next step.
void herald_end(struct herald *herald);

// [any] Whether it has ended.
bool herald_is_over(const struct herald *herald);
