// sender_internal.h: the kinds of senders.

#pragma once

#include "collector/notify/sender.h"

// As sender_create, for a target of that kind.
MUST_CHECK bool sender_create_webhook(const struct sender_options *options, struct sender *sender,
                                      struct fault *fault);
MUST_CHECK bool sender_create_queue(const struct sender_options *options, struct sender *sender,
                                    struct fault *fault);
MUST_CHECK bool sender_create_topic(const struct sender_options *options, struct sender *sender,
                                    struct fault *fault);

// Puts a word before the fault of a call that has brought no answer. Returns false.
bool sender_name_fault(struct fault *fault);
