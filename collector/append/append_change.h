// append_change.h: small changes of the trail that an operator asks for: a follower or an agent is
// forgotten.
//
// Each is one commit with its own event, which says who asked.

#pragma once

#include <stdbool.h>

#include "base/fault.h"
#include "collector/append/append.h"

enum append_change_kind {
    APPEND_CHANGE_DROP_FOLLOWER,  // days wait for it no more; it begins anew if it comes back
    APPEND_CHANGE_FORGET_AGENT,   // it is silent no more; if it connects it is as it was
};

struct append_change_options {
    enum append_change_kind kind;
    const char *name;  // the follower's, or the agent's certificate URI; copied
    const char *user;  // for the own event; copied
    // Called once, on the writer's thread: it is durable, or the fault says why not. FAULT_INPUT:
    // there is none of that name, or the agent is connected.
    void (*done)(void *context, const struct fault *fault);
    void *context;
};

// Makes the job and submits it. FAULT_FULL: no memory, or too many jobs; done is not called then.
MUST_CHECK bool append_change_submit(struct append *append,
                                     const struct append_change_options *options,
                                     struct fault *fault);
