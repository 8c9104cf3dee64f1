// answers.h: what lookups were answered since the last commit, to be answered again.
//
// As long as nothing is committed, the same call of the same key has the same answer: dashboards
// and scripts ask for the same page again and again, many times between two commits. With the next
// commit all answers are forgotten, so that none is ever older than the trail. Who asks is judged
// before, each time. Of one worker; one thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum {
    ANSWERS_MAX = 16,               // kept at a time
    ANSWERS_KEY_SIZE_MAX = 4096,    // bytes of a call's key id, region and body; larger: not kept
    ANSWERS_SIZE_MAX = 256 * 1024,  // bytes of an answer; larger: not kept
};

// A call, as far as its answer depends on it.
struct answers_call {
    struct span key_id;
    struct span region;
    struct span body;
};

struct answers;

// None kept. NULL if memory runs out.
struct answers *answers_create(void);

// Frees them. NULL is allowed.
void answers_destroy(struct answers *answers);

// The answer to the call, if it was given at this commit; it lives until the next answers_keep.
bool answers_find(struct answers *answers, uint64_t commit, const struct answers_call *call,
                  struct span *answer);

// Keeps a copy of an answer that was made of what there was at this commit or a later one. The one
// that was kept first makes room for it. Without memory for it nothing happens.
void answers_keep(struct answers *answers, uint64_t commit, const struct answers_call *call,
                  struct span answer);
