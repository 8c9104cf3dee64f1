// record_fields_internal.h: the members of a record that are looked at, and finding them.

#pragma once

#include "base/json_pick.h"

enum field {
    FIELD_NONE,
    FIELD_ACCESS_KEY,  // this and the next six: of userIdentity
    FIELD_IDENTITY_ACCOUNT,
    FIELD_IDENTITY_ARN,
    FIELD_IDENTITY_INVOKED_BY,
    FIELD_IDENTITY_TYPE,
    FIELD_ISSUER_NAME,  // of its sessionContext.sessionIssuer
    FIELD_USER_NAME,
    FIELD_ACCOUNT_ID,
    FIELD_AWS_REGION,
    FIELD_CONSOLE,
    FIELD_ENDPOINT_TYPE,  // of additionalEventData.RequestDetails
    FIELD_ERROR_CODE,
    FIELD_ERROR_MESSAGE,
    FIELD_EVENT_CATEGORY,
    FIELD_EVENT_ID,
    FIELD_EVENT_ID_AGGREGATED,
    FIELD_EVENT_NAME,
    FIELD_EVENT_SOURCE,
    FIELD_EVENT_TIME,
    FIELD_EVENT_TYPE,
    FIELD_HOST_HEADER,  // of tlsDetails
    FIELD_INSIGHT,
    FIELD_INSIGHT_NAME,  // of insightDetails
    FIELD_INSIGHT_SOURCE,
    FIELD_MANAGEMENT,
    FIELD_READ_ONLY,
    FIELD_RECIPIENT,
    FIELD_SHARED_EVENT,
    FIELD_SOURCE_IP,
    FIELD_VPC_ENDPOINT,
    FIELD_WINDOW_START,  // of timeWindow
    FIELDS_SINGLE,       // what follows is there once for each resource
    FIELD_RESOURCE = FIELDS_SINGLE,
    FIELD_RESOURCE_ARN,
    FIELD_RESOURCE_ARN_PREFIX,
    FIELD_RESOURCE_NAME,
    FIELD_RESOURCE_TYPE,
    FIELDS,  // subject_internal.h has more
};

struct fields {
    struct span strings[FIELDS_SINGLE];         // unescaped; NULL bytes if absent or no string
    enum json_kind kinds[FIELDS_SINGLE];        // JSON_ABSENT is 0
    const struct json_pick *resources;          // each FIELD_RESOURCE with its members behind it
    uint32_t resources_picks, resources_count;  // of picks, of FIELD_RESOURCE among them
    const struct json_pick *subjects;  // from the first of subject_wants to the last, with others
    uint32_t subjects_picks;
};

// Finds them in one record. Strings lie in the text or in the reader. As json_pick.
MUST_CHECK bool fields_find(struct json_reader *reader, struct span text, struct fields *fields,
                            enum json_refusal *refusal, struct fault *fault);
