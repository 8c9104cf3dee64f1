#include <assert.h>

#include "event/record_fields_internal.h"
#include "event/subject_internal.h"

static_assert((int)FIELDS <= (int)SUBJECT_FIRST, "numbers of fields");

#define WANT(name, field) \
    { name, sizeof(name) - 1, field, 0, NULL }
#define OUTER(name, field, inner) \
    { name, sizeof(name) - 1, field, sizeof(inner) / sizeof(inner)[0], inner }

// Shorter names first.
static const struct json_want of_issuer[] = {WANT("userName", FIELD_ISSUER_NAME)};
static const struct json_want of_context[] = {OUTER("sessionIssuer", 0, of_issuer)};
static const struct json_want of_identity[] = {
    WANT("arn", FIELD_IDENTITY_ARN),
    WANT("type", FIELD_IDENTITY_TYPE),
    WANT("userName", FIELD_USER_NAME),
    WANT("accountId", FIELD_IDENTITY_ACCOUNT),
    WANT("invokedBy", FIELD_IDENTITY_INVOKED_BY),
    WANT("accessKeyId", FIELD_ACCESS_KEY),
    OUTER("sessionContext", 0, of_context),
};
static const struct json_want of_request[] = {WANT("endpointType", FIELD_ENDPOINT_TYPE)};
static const struct json_want of_additional[] = {OUTER("RequestDetails", 0, of_request)};
static const struct json_want of_insight[] = {
    WANT("eventName", FIELD_INSIGHT_NAME),
    WANT("eventSource", FIELD_INSIGHT_SOURCE),
};
static const struct json_want of_resource[] = {
    WANT("ARN", FIELD_RESOURCE_ARN),
    WANT("type", FIELD_RESOURCE_TYPE),
    WANT("ARNPrefix", FIELD_RESOURCE_ARN_PREFIX),
    WANT("resourceName", FIELD_RESOURCE_NAME),
};
static const struct json_want of_resources[] = {
    {NULL, 0, FIELD_RESOURCE, sizeof of_resource / sizeof of_resource[0], of_resource},
};
static const struct json_want of_tls[] = {WANT("clientProvidedHostHeader", FIELD_HOST_HEADER)};
static const struct json_want of_window[] = {WANT("windowStart", FIELD_WINDOW_START)};
static const struct json_want of_record[] = {
    WANT("eventID", FIELD_EVENT_ID),
    WANT("eventId", FIELD_EVENT_ID_AGGREGATED),
    WANT("readOnly", FIELD_READ_ONLY),
    WANT("accountId", FIELD_ACCOUNT_ID),
    WANT("awsRegion", FIELD_AWS_REGION),
    WANT("errorCode", FIELD_ERROR_CODE),
    WANT("eventName", FIELD_EVENT_NAME),
    WANT("eventTime", FIELD_EVENT_TIME),
    WANT("eventType", FIELD_EVENT_TYPE),
    OUTER("resources", 0, of_resources),
    OUTER("timeWindow", 0, of_window),
    OUTER("tlsDetails", 0, of_tls),
    WANT("eventSource", FIELD_EVENT_SOURCE),
    WANT("errorMessage", FIELD_ERROR_MESSAGE),
    OUTER("userIdentity", 0, of_identity),
    WANT("eventCategory", FIELD_EVENT_CATEGORY),
    WANT("sharedEventID", FIELD_SHARED_EVENT),
    WANT("vpcEndpointId", FIELD_VPC_ENDPOINT),
    OUTER("insightDetails", FIELD_INSIGHT, of_insight),
    WANT("managementEvent", FIELD_MANAGEMENT),
    WANT("sourceIPAddress", FIELD_SOURCE_IP),
    {"responseElements", 16, FIELD_NONE, SUBJECT_WANTS, subject_wants},
    {"requestParameters", 17, FIELD_NONE, SUBJECT_WANTS, subject_wants},
    WANT("recipientAccountId", FIELD_RECIPIENT),
    OUTER("additionalEventData", 0, of_additional),
    WANT("sessionCredentialFromConsole", FIELD_CONSOLE),
};
static const struct json_want root = OUTER("", 0, of_record);

bool fields_find(struct json_reader *reader, struct span text, struct fields *fields,
                 enum json_refusal *refusal, struct fault *fault) {
    struct json_picks picks;
    if (!json_pick(reader, &root, text, &picks, refusal, fault)) return false;
    *fields = (struct fields){.resources_count = 0};
    for (uint32_t index = 0; index < picks.count; index++) {
        const struct json_pick *pick = &picks.items[index];
        if (pick->field < FIELDS_SINGLE) {
            fields->strings[pick->field] = pick->string;
            fields->kinds[pick->field] = pick->kind;
            continue;
        }
        if (pick->field >= SUBJECT_FIRST) {
            if (fields->subjects == NULL) fields->subjects = pick;
            fields->subjects_picks = (uint32_t)(pick - fields->subjects) + 1;
            continue;
        }
        // They come together: their array is there once.
        if (fields->resources == NULL) fields->resources = pick;
        fields->resources_picks++;
        if (pick->field == FIELD_RESOURCE) fields->resources_count++;
    }
    return true;
}
