// attribute.h: what an event can be looked up by.
//
// An attribute is a kind and a value; an event has any number of each kind. Kinds are stored in
// blocks: numbers never change meaning.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"
#include "event/record.h"

enum attribute_kind {
    ATTRIBUTE_EVENT_NAME = 1,
    ATTRIBUTE_USER_NAME = 2,  // userName, issuer's name, session name, "root": each that is there
    ATTRIBUTE_EVENT_SOURCE = 3,
    ATTRIBUTE_ACCESS_KEY = 4,
    ATTRIBUTE_READ_ONLY = 5,  // "true", "false"
    ATTRIBUTE_ACCOUNT = 6,    // the account the event was given to (not always a field of it)
    ATTRIBUTE_REGION = 7,
    ATTRIBUTE_ERROR_CODE = 8,
    ATTRIBUTE_CATEGORY = 9,  // record_category_name
    ATTRIBUTE_IDENTITY_TYPE = 10,
    ATTRIBUTE_SOURCE_IP = 11,
    ATTRIBUTE_SHARED_EVENT = 12,
    ATTRIBUTE_IDENTITY_ARN = 13,
    ATTRIBUTE_EVENT_TYPE = 14,
    ATTRIBUTE_GLOBAL = 15,  // "true" only; regional events have none
    ATTRIBUTE_ERROR = 16,   // "true" only
    ATTRIBUTE_RESOURCE_NAME = 20,
    ATTRIBUTE_RESOURCE_TYPE = 21,
    ATTRIBUTE_KINDS = 22,  // one past the last
};

enum {
    ATTRIBUTE_COUNT_MAX = 1000,       // of one event: three for each resource, and the rest
    ATTRIBUTE_VALUE_SIZE_MAX = 2048,  // bytes; longer values are cut here, in index and query alike
};

struct attribute {
    enum attribute_kind kind;
    struct span value;
};

// All attributes of an event given to `account`, each pair once, in order of kind. Values borrow
// from the record. NULL if the arena is full.
struct attribute *attribute_extract(const struct record *record, struct span account,
                                    struct arena *arena, uint32_t *count);

// Whether the event has this attribute (the answer to every index hit).
bool attribute_matches(const struct record *record, struct span account,
                       const struct attribute *wanted);

// Its name in answers and manifests: "EventName", "Username", "EventSource", "AccessKeyId",
// "ReadOnly", "ResourceName", "ResourceType", "AccountId", "Region", "ErrorCode", "Category",
// "IdentityType", "SourceIp", "SharedEventId", "IdentityArn", "EventType".
const char *attribute_kind_name(enum attribute_kind kind);
