// Operations of the API on documents: any parameters, one call after the other. Whatever is
// accepted can be read again by the operations that list it.

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "collector/api/api_fixture.h"
#include "tests/fuzz/fuzz.h"

enum { DOCUMENTS_MAX = API_FIXTURE_DOCUMENTS_MAX - 8 };

static const char *const names[] = {
    "CreateTrail",
    "UpdateTrail",
    "DeleteTrail",
    "StartLogging",
    "StopLogging",
    "GetTrail",
    "DescribeTrails",
    "ListTrails",
    "GetTrailStatus",
    "PutEventSelectors",
    "GetEventSelectors",
    "PutInsightSelectors",
    "AddTags",
    "RemoveTags",
    "ListTags",
    "GetInsightSelectors",
    "ListPublicKeys",
    "ListAccounts",
    "DescribeAccount",
    "DescribeOrganization",
    "GetCallerIdentity",
    "RegisterOrganizationDelegatedAdmin",
    "DeregisterOrganizationDelegatedAdmin",
};

static const char *service_of(const char *name) {
    if (strcmp(name, "GetCallerIdentity") == 0) return "sts";
    bool is_other = strcmp(name, "ListAccounts") == 0 || strcmp(name, "DescribeAccount") == 0 ||
                    strcmp(name, "DescribeOrganization") == 0;
    return is_other ? "organizations" : "cloudtrail";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct api_fixture fixture;
    static bool is_made;
    if (size < 2) return 0;
    if (is_made && fixture.documents_count > DOCUMENTS_MAX) {
        api_fixture_done(&fixture);
        is_made = false;
    }
    if (!is_made) {
        api_fixture_init(&fixture);
        (void)api_fixture_call(&fixture, "CreateTrail",
                               "{\"Name\":\"one\",\"S3BucketName\":\"logs\","
                               "\"IsMultiRegionTrail\":true,\"IsOrganizationTrail\":true}");
        is_made = true;
    }
    const char *name = names[data[0] % (sizeof names / sizeof names[0])];
    fixture.caller.account =
        span_text((data[1] & 1) == 0 ? fixture.world.place.account : "222222222222");
    fixture.region = (data[1] & 2) == 0 ? "eu-central-1" : "us-east-1";
    char *body = malloc(size - 1);
    assert(body != NULL);
    memcpy(body, data + 2, size - 2);
    body[size - 2] = 0;
    (void)api_fixture_call_of(&fixture, service_of(name), name, body);
    free(body);
    assert(fixture.answer.status != 500);
    assert((fixture.answer.code == NULL) == (fixture.answer.status == 200));
    for (uint32_t index = 0; index < 2; index++) {
        (void)api_fixture_call(&fixture, index == 0 ? "DescribeTrails" : "ListTrails", "{}");
        assert(fixture.answer.status == 200);
    }
    return 0;
}
