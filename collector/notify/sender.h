// sender.h: brings messages to one target.
//
// One thread at a time. A call ends within SENDER_CALL_MS, and within a second once *stop is true.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/files.h"
#include "collector/notify/message.h"
#include "collector/notify/target.h"

enum {
    SENDER_CONNECT_MS = 5 * 1000,
    SENDER_CALL_MS = 10 * 1000,
    SENDER_ANSWER_SIZE_MAX = 64 * 1024,  // bytes of a target's answer
};

struct sender_options {
    const struct target *target;
    const struct clock *clock;
    const struct files *files;
    const atomic_bool *stop;
};

struct sender {
    bool (*send)(void *context, const struct message *message, struct fault *fault);
    void (*destroy)(void *context);
    void *context;
};

// A sender to a target; the options and what they name are borrowed. It connects to nothing.
// FAULT_INPUT, FAULT_DENIED: what is named cannot be used. FAULT_FULL.
MUST_CHECK bool sender_create(const struct sender_options *options, struct sender *sender,
                              struct fault *fault);

// True: the target says that it has the message. Otherwise the text of the fault begins with a word
// for what it is; trying again is of use whatever the kind.
MUST_CHECK bool sender_send(const struct sender *sender, const struct message *message,
                            struct fault *fault);

// Frees it. One that was never made is allowed.
void sender_destroy(struct sender *sender);
