// target.h: somebody who is told of delivered files, as the settings or a trail name them.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/notify/message.h"

enum {
    TARGET_NAME_SIZE_MAX = 16,
    TARGET_ADDRESS_SIZE_MAX = 2048,
};

// The name of a topic that a trail names itself, which no target of the settings has.
#define TARGET_TOPIC_NAME "sns"

enum target_kind {
    TARGET_WEBHOOK,
    TARGET_QUEUE,  // of SQS
    TARGET_TOPIC,  // of SNS
};

// How to reach a service, and with which access key. NULL: not set.
struct target_service {
    const char *endpoint;  // NULL: AWS's
    const char *region;    // NULL: what the address says
    const char *ca;
    const char *credentials;
    const char *profile;
    const char *proxy;
};

struct target {
    enum target_kind kind;
    const char *name;     // letters, digits and '-'
    const char *trail;    // the trail's name
    const char *account;  // its owner
    const char *address;  // a URL, or a topic's ARN
    enum message_form form;
    const char *secret;   // of a webhook: the file that has it
    bool allows_private;  // of a webhook: addresses that are not public, and http
    bool is_refused;      // of a topic: the settings do not have it among those that are allowed
    struct target_service service;
};
