// Selectors, insight selectors and tags of a trail.

#include <stdio.h>

#include "collector/api/api_fixture.h"
#include "tests/kit/cases.h"

#define ARN "arn:aws:cloudtrail:eu-central-1:111111111111:trail/one"
#define TRAIL "{\"TrailName\":\"one\""

static struct api_fixture fixture;

static const char *call(const char *operation, const char *input) {
    const char *body = api_fixture_call(&fixture, operation, input);
    if (fixture.answer.code != NULL) fail_msg("%s %s: %s", operation, input, body);
    return body;
}

static void refused(const char *code, const char *operation, const char *input, const char *part) {
    const char *message = api_fixture_refused(&fixture, code, operation, input);
    if (strstr(message, part) == NULL) fail_msg("%s %s: %s", operation, input, message);
}

static int make_room(void **state) {
    (void)state;
    api_fixture_init(&fixture);
    call("CreateTrail", "{\"Name\":\"one\",\"S3BucketName\":\"logs\"}");
    return 0;
}

static int end_room(void **state) {
    (void)state;
    api_fixture_done(&fixture);
    return 0;
}

#define WRITES                                                                              \
    "[{\"Name\":\"w\",\"FieldSelectors\":[{\"Field\":\"readOnly\",\"Equals\":[\"false\"]}," \
    "{\"Field\":\"eventCategory\",\"Equals\":[\"Management\"]}]}]"
#define WRITES_SORTED                                                                \
    "[{\"Name\":\"w\",\"FieldSelectors\":[{\"Field\":\"eventCategory\",\"Equals\":[" \
    "\"Management\"]},{\"Field\":\"readOnly\",\"Equals\":[\"false\"]}]}]"

static void test_event_selectors(void **state) {
    (void)state;
    assert_string_equal(call("GetEventSelectors", TRAIL "}"),
                        "{\"TrailARN\":\"" ARN
                        "\",\"EventSelectors\":[{\"ReadWriteType\":\"All\","
                        "\"IncludeManagementEvents\":true,\"DataResources\":[],"
                        "\"ExcludeManagementEventSources\":[]}]}");
    // As given, and then sorted.
    assert_string_equal(call("PutEventSelectors", TRAIL ",\"AdvancedEventSelectors\":" WRITES "}"),
                        "{\"TrailARN\":\"" ARN "\",\"AdvancedEventSelectors\":" WRITES "}");
    assert_string_equal(call("GetEventSelectors", "{\"TrailName\":\"" ARN "\"}"),
                        "{\"TrailARN\":\"" ARN "\",\"AdvancedEventSelectors\":" WRITES_SORTED "}");
    assert_non_null(
        strstr(call("GetTrail", "{\"Name\":\"one\"}"), "\"HasCustomEventSelectors\":true"));
    // Other settings leave them alone.
    call("UpdateTrail", "{\"Name\":\"one\",\"S3BucketName\":\"other\"}");
    assert_non_null(strstr(call("GetEventSelectors", TRAIL "}"), WRITES_SORTED));
    // One form replaces the other; what is not given has its default.
    assert_string_equal(
        call("PutEventSelectors", TRAIL ",\"EventSelectors\":[{\"ReadWriteType\":\"WriteOnly\","
                                        "\"DataResources\":[{\"Type\":\"AWS::S3::Object\","
                                        "\"Values\":[\"arn:aws:s3\"]}]}]}"),
        "{\"TrailARN\":\"" ARN
        "\",\"EventSelectors\":[{\"ReadWriteType\":\"WriteOnly\","
        "\"IncludeManagementEvents\":true,\"DataResources\":[{\"Type\":\"AWS::S3::Object\","
        "\"Values\":[\"arn:aws:s3\"]}],\"ExcludeManagementEventSources\":[]}]}");
    assert_null(strstr(call("GetEventSelectors", TRAIL "}"), "Advanced"));
    call("PutEventSelectors", TRAIL ",\"EventSelectors\":[{}]}");
    assert_non_null(
        strstr(call("GetTrail", "{\"Name\":\"one\"}"), "\"HasCustomEventSelectors\":false"));
}

static void test_event_selectors_that_are_refused(void **state) {
    (void)state;
    static const char code[] = "InvalidEventSelectorsException";
    refused(code, "PutEventSelectors", TRAIL "}", "either EventSelectors or");
    refused(code, "PutEventSelectors",
            TRAIL ",\"EventSelectors\":[{}],\"AdvancedEventSelectors\":" WRITES "}", "not both");
    refused(code, "PutEventSelectors", TRAIL ",\"EventSelectors\":[]}", "1 to 5");
    refused(code, "PutEventSelectors",
            TRAIL ",\"EventSelectors\":[{\"ReadWriteType\":\"read-only\"}]}",
            "Value read-only for ReadWriteType is invalid");
    refused(code, "PutEventSelectors", TRAIL ",\"AdvancedEventSelectors\":[{}]}",
            "AdvancedEventSelectors[0]");
    refused("SerializationException", "PutEventSelectors", TRAIL ",\"EventSelectors\":7}", "list");
    refused("TrailNotFoundException", "PutEventSelectors",
            "{\"TrailName\":\"two\",\"EventSelectors\":[{}]}", "Unknown trail");
    refused("TrailNotFoundException", "GetEventSelectors", "{\"TrailName\":\"two\"}", "Unknown");
    fixture.region = "us-east-1";
    refused("InvalidHomeRegionException", "PutEventSelectors",
            "{\"TrailName\":\"" ARN "\",\"EventSelectors\":[{}]}", "eu-central-1");
    assert_int_equal(fixture.changes, 1);
}

#define RATE(rest) TRAIL ",\"InsightSelectors\":[{\"InsightType\":\"ApiCallRateInsight\"" rest "}]}"
#define ERRORS TRAIL ",\"InsightSelectors\":[{\"InsightType\":\"ApiErrorRateInsight\"}]}"

static void test_insight_selectors(void **state) {
    (void)state;
    static const char code[] = "InvalidInsightSelectorsException";
    refused("InsightNotEnabledException", "GetInsightSelectors", TRAIL "}",
            "Trail one does not have Insights enabled.");
    static const char rate[] = "{\"TrailARN\":\"" ARN
                               "\",\"InsightSelectors\":[{\"InsightType\":\"ApiCallRateInsight\","
                               "\"EventCategories\":[\"Management\"]}]}";
    assert_string_equal(call("PutInsightSelectors", RATE("")), rate);
    assert_string_equal(call("GetInsightSelectors", TRAIL "}"), rate);
    assert_non_null(strstr(call("GetTrail", "{\"Name\":\"one\"}"), "\"HasInsightSelectors\":true"));
    assert_non_null(strstr(call("PutInsightSelectors", TRAIL ",\"InsightSelectors\":[]}"),
                           "\"InsightSelectors\":[]"));
    refused("InsightNotEnabledException", "GetInsightSelectors", TRAIL "}", "Insights");
    // The trail must record what Insights look at.
    refused(code, "PutInsightSelectors", RATE(",\"EventCategories\":[\"Data\"]"), "data events");
    call("PutEventSelectors", TRAIL ",\"EventSelectors\":[{\"ReadWriteType\":\"ReadOnly\"}]}");
    refused(code, "PutInsightSelectors", RATE(""), "write management events");
    call("PutInsightSelectors", ERRORS);
    call("PutEventSelectors", TRAIL
         ",\"AdvancedEventSelectors\":[{\"FieldSelectors\":[{\"Field\":\"eventCategory\","
         "\"Equals\":[\"Data\"]},{\"Field\":\"resources.type\",\"Equals\":["
         "\"AWS::S3::Object\"]}]}]}");
    refused(code, "PutInsightSelectors", ERRORS, "read or write management events");
    call("PutInsightSelectors", RATE(",\"EventCategories\":[\"Data\"]"));
    refused(code, "PutInsightSelectors", TRAIL ",\"InsightSelectors\":[{\"InsightType\":\"X\"}]}",
            "Value X for InsightType is invalid");
    refused(code, "PutInsightSelectors", TRAIL "}", "must be a list");
    refused("InvalidParameterCombinationException", "PutInsightSelectors",
            TRAIL ",\"EventDataStore\":\"x\",\"InsightSelectors\":[]}", "together");
    refused("InvalidParameterException", "PutInsightSelectors", "{\"InsightSelectors\":[]}",
            "TrailName");
    refused("UnsupportedOperationException", "GetInsightSelectors", "{\"EventDataStore\":\"x\"}",
            "event data stores");
}

static void test_tags(void **state) {
    (void)state;
    static const char list[] = "{\"ResourceIdList\":[\"" ARN "\"]}";
#define TAGS(tags) "{\"ResourceId\":\"" ARN "\",\"TagsList\":[" tags "]}"
    assert_string_equal(call("ListTags", list),
                        "{\"ResourceTagList\":[{\"ResourceId\":\"" ARN "\",\"TagsList\":[]}]}");
    assert_string_equal(call("AddTags", TAGS("{\"Key\":\"a\",\"Value\":\"1\"},{\"Key\":\"b\"}")),
                        "{}");
    call("AddTags", TAGS("{\"Key\":\"a\",\"Value\":\"2\"},{\"Key\":\"c\",\"Value\":\"\"}"));
    assert_string_equal(call("ListTags", list), "{\"ResourceTagList\":[{\"ResourceId\":\"" ARN
                                                "\",\"TagsList\":["
                                                "{\"Key\":\"a\",\"Value\":\"2\"},{\"Key\":\"b\"},"
                                                "{\"Key\":\"c\",\"Value\":\"\"}]}]}");
    // Of another value, and one that is not there.
    call("RemoveTags", TAGS("{\"Key\":\"a\",\"Value\":\"9\"},{\"Key\":\"z\"}"));
    assert_null(strstr(call("ListTags", list), "\"Key\":\"a\""));
    // 48 more fill it.
    static char text[16 * 1024];
    size_t size = (size_t)snprintf(text, sizeof text, "{\"ResourceId\":\"" ARN "\",\"TagsList\":[");
    for (int index = 0; index < 48; index++) {
        size += (size_t)snprintf(text + size, sizeof text - size, "%s{\"Key\":\"k%d\"}",
                                 index > 0 ? "," : "", index);
    }
    snprintf(text + size, sizeof text - size, "]}");
    call("AddTags", text);
    refused("TagsLimitExceededException", "AddTags", TAGS("{\"Key\":\"more\"}"), "50");
    call("AddTags", TAGS("{\"Key\":\"b\",\"Value\":\"new\"}"));
    refused("InvalidTagParameterException", "AddTags", TAGS("{\"Value\":\"x\"}"), "key");
    refused("InvalidTagParameterException", "RemoveTags", TAGS("{\"Key\":\"a\"},{\"Key\":\"a\"}"),
            "more than once");
    refused("SerializationException", "AddTags", TAGS("7"), "structure");
}

static void test_what_has_no_tags(void **state) {
    (void)state;
    static const struct {
        const char *id;
        const char *code;
    } cases[] = {
        {"one", "CloudTrailARNInvalidException"},
        {"arn:aws:s3:::bucket", "CloudTrailARNInvalidException"},
        {"arn:aws:cloudtrail:eu-central-1:111111111111:trail/two", "ResourceNotFoundException"},
        {"arn:aws:cloudtrail:eu-central-1:222222222222:trail/one", "ResourceNotFoundException"},
        {"arn:aws:cloudtrail:eu-central-1:111111111111:eventdatastore/x",
         "EventDataStoreNotFoundException"},
        {"arn:aws:cloudtrail:eu-central-1:111111111111:channel/x", "ChannelNotFoundException"},
        {"arn:aws:cloudtrail:eu-central-1:111111111111:dashboard/x",
         "ResourceTypeNotSupportedException"},
    };
    char input[512];
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        snprintf(input, sizeof input, "{\"ResourceId\":\"%s\",\"TagsList\":[{\"Key\":\"a\"}]}",
                 cases[index].id);
        (void)api_fixture_refused(&fixture, cases[index].code, "AddTags", input);
        (void)api_fixture_refused(&fixture, cases[index].code, "RemoveTags", input);
        snprintf(input, sizeof input, "{\"ResourceIdList\":[\"%s\"]}", cases[index].id);
        (void)api_fixture_refused(&fixture, cases[index].code, "ListTags", input);
    }
    refused("CloudTrailARNInvalidException", "ListTags", "{\"ResourceIdList\":[]}", "1 to 20");
    fixture.region = "us-east-1";
    refused("InvalidHomeRegionException", "AddTags", TAGS("{\"Key\":\"a\"}"), "eu-central-1");
    call("ListTags", "{\"ResourceIdList\":[\"" ARN "\"]}");
}

static void test_public_keys(void **state) {
    (void)state;
    assert_string_equal(call("ListPublicKeys", "{}"), "{\"PublicKeyList\":[]}");
    assert_string_equal(call("ListPublicKeys", "{\"StartTime\":1,\"EndTime\":2.5}"),
                        "{\"PublicKeyList\":[]}");
    refused("InvalidTimeRangeException", "ListPublicKeys", "{\"StartTime\":2,\"EndTime\":1}",
            "after");
    refused("InvalidTokenException", "ListPublicKeys", "{\"NextToken\":\"x\"}", "token");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_event_selectors, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_event_selectors_that_are_refused, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_insight_selectors, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_tags, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_what_has_no_tags, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_public_keys, make_room, end_room),
    };
    return cases_run("selectors", tests, sizeof tests / sizeof tests[0]);
}
