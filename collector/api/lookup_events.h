// lookup_events.h: the operation LookupEvents: the event history, as AWS has it and beyond.
//
// A call sees the management events of the caller's account in the region of its signature. Regions
// that AWS does not have see more, for those who may: "all-regions", "account-ID",
// "account-ID-REGION", "organization" and "organization-REGION". In these several attributes may be
// combined, and orgtrail's own (AccountId, Region, ErrorCode, ...) are allowed. docs/api.md.

#pragma once

#include "collector/api/api.h"

enum {
    LOOKUP_EVENTS_MAX = 50,                     // of a page
    LOOKUP_EVENTS_ATTRIBUTES_MAX = 16,          // combined
    LOOKUP_EVENTS_VALUE_SIZE_MAX = 2000,        // characters of a value; "_ ,\n" count twice
    LOOKUP_EVENTS_SIZE_MAX = 16 * 1024 * 1024,  // bytes after which a page ends early
};

// See operations.h.
bool lookup_events_run(struct api_call *call);
