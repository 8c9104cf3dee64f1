#include <stdio.h>

#include "collector/api/api_fixture.h"
#include "collector/api/trails_operations.h"
#include "tests/kit/cases.h"

#define HOME "eu-central-1"
#define AWAY "us-east-1"
#define ARN_OF(region, account, name) "arn:aws:cloudtrail:" region ":" account ":trail/" name
#define ARN(name) ARN_OF(HOME, "111111111111", name)
#define NAMED(name) "{\"Name\":\"" name "\"}"
#define TRAIL(name, rest) "{\"Name\":\"" name "\",\"S3BucketName\":\"logs\"" rest "}"

static struct api_fixture fixture;

static int make_room(void **state) {
    (void)state;
    api_fixture_init(&fixture);
    return 0;
}

static int end_room(void **state) {
    (void)state;
    api_fixture_done(&fixture);
    return 0;
}

static const char *call(const char *operation, const char *input) {
    const char *body = api_fixture_call(&fixture, operation, input);
    if (fixture.answer.code != NULL) fail_msg("%s %s: %s", operation, input, body);
    return body;
}

static void expect(const char *operation, const char *input, const char *part) {
    const char *body = call(operation, input);
    if (strstr(body, part) == NULL) fail_msg("%s: %s has no %s", operation, body, part);
}

static void refused(const char *code, const char *operation, const char *input, const char *part) {
    const char *message = api_fixture_refused(&fixture, code, operation, input);
    if (strstr(message, part) == NULL) fail_msg("%s %s: %s", operation, input, message);
}

static void be(const char *account, const char *region) {
    fixture.caller.account = span_text(account);
    fixture.region = region;
}

static void test_life_of_a_trail(void **state) {
    (void)state;
    assert_string_equal(
        call("CreateTrail", TRAIL("first", "")),
        "{\"Name\":\"first\",\"S3BucketName\":\"logs\",\"IncludeGlobalServiceEvents\":true,"
        "\"IsMultiRegionTrail\":false,\"TrailARN\":\"" ARN("first") "\","
        "\"LogFileValidationEnabled\":false,\"IsOrganizationTrail\":false,"
        "\"RecursiveLogging\":true}");
    assert_int_equal(fixture.changes, 1);
    assert_non_null(strstr(fixture.event, "\"eventName\":\"CreateTrail\""));
    assert_non_null(strstr(fixture.event, "\"readOnly\":false"));
    static const char unstarted[] =
        "{\"IsLogging\":false,\"LatestDeliveryAttemptTime\":\"\","
        "\"LatestNotificationAttemptTime\":\"\",\"LatestNotificationAttemptSucceeded\":\"\","
        "\"LatestDeliveryAttemptSucceeded\":\"\",\"TimeLoggingStarted\":\"\","
        "\"TimeLoggingStopped\":\"\"}";
    assert_string_equal(call("GetTrailStatus", NAMED("first")), unstarted);
    assert_string_equal(call("StartLogging", NAMED("first")), "{}");
    fixture.now_ms += 60500;
    // Who starts what has started changes nothing.
    uint32_t changes = fixture.changes;
    assert_string_equal(call("StartLogging", NAMED("first")), "{}");
    assert_int_equal(fixture.changes, changes);
    assert_string_equal(call("StopLogging", "{\"Name\":\"" ARN("first") "\"}"), "{}");
    assert_string_equal(call("StopLogging", NAMED("first")), "{}");
    assert_string_equal(
        call("GetTrailStatus", NAMED("first")),
        "{\"IsLogging\":false,\"StartLoggingTime\":1760000000,\"StopLoggingTime\":1760000060.500,"
        "\"LatestDeliveryAttemptTime\":\"\",\"LatestNotificationAttemptTime\":\"\","
        "\"LatestNotificationAttemptSucceeded\":\"\",\"LatestDeliveryAttemptSucceeded\":\"\","
        "\"TimeLoggingStarted\":\"2025-10-09T08:53:20Z\","
        "\"TimeLoggingStopped\":\"2025-10-09T08:54:20Z\"}");
    assert_string_equal(
        call("GetTrail", NAMED("first")),
        "{\"Trail\":{\"Name\":\"first\",\"S3BucketName\":\"logs\",\"IncludeGlobalServiceEvents\":"
        "true,\"IsMultiRegionTrail\":false,\"TrailARN\":\"" ARN("first") "\","
        "\"LogFileValidationEnabled\":false,\"IsOrganizationTrail\":false,"
        "\"RecursiveLogging\":true,\"HomeRegion\":\"" HOME
        "\",\"HasCustomEventSelectors\":false,\"HasInsightSelectors\":false}}");
    assert_string_equal(call("ListTrails", "{}"),
                        "{\"Trails\":[{\"TrailARN\":\"" ARN("first") "\",\"Name\":\"first\","
                        "\"HomeRegion\":\"" HOME "\"}]}");
    assert_string_equal(call("DeleteTrail", NAMED("first")), "{}");
    assert_string_equal(call("DescribeTrails", "{}"), "{\"trailList\":[]}");
    static const char *const operations[] = {"GetTrail",    "GetTrailStatus", "StartLogging",
                                             "StopLogging", "DeleteTrail",    "UpdateTrail"};
    for (size_t index = 0; index < sizeof operations / sizeof operations[0]; index++) {
        refused("TrailNotFoundException", operations[index], NAMED("first"),
                "Unknown trail: " ARN("first") " for the user: 111111111111");
        refused("TrailNotFoundException", operations[index], "{\"Name\":\"" ARN("first") "\"}",
                "Unknown trail: " ARN("first") " for the user: 111111111111");
        refused("CloudTrailARNInvalidException", operations[index], "{\"Name\":\"arn:aws:s3:::x\"}",
                "is no ARN of a trail");
        refused("CloudTrailARNInvalidException", operations[index],
                "{\"Name\":\"arn:aws-cn:cloudtrail:" HOME ":111111111111:trail/first\"}", "aws-cn");
        refused("InvalidTrailNameException", operations[index], NAMED("x"), "too short");
        refused("InvalidTrailNameException", operations[index], "{}", "cannot be blank");
    }
}

static void test_all_settings(void **state) {
    (void)state;
    expect("CreateTrail",
           TRAIL("full",
                 ",\"S3KeyPrefix\":\"a/b\",\"SnsTopicName\":\"topic\",\"IsMultiRegionTrail\":true,"
                 "\"EnableLogFileValidation\":true,\"KmsKeyId\":\"alias/logs\","
                 "\"CloudWatchLogsLogGroupArn\":\"arn:aws:logs:" HOME
                 ":111111111111:log-group:g:*\",\"CloudWatchLogsRoleArn\":"
                 "\"arn:aws:iam::111111111111:role/r\",\"TagsList\":[{\"Key\":\"k\"}]"),
           "{\"Name\":\"full\",\"S3BucketName\":\"logs\",\"S3KeyPrefix\":\"a/b\",\"SnsTopicName\":"
           "\"topic\",\"CloudWatchLogsLogGroupArn\":\"arn:aws:logs:" HOME
           ":111111111111:log-group:g:*\",\"CloudWatchLogsRoleArn\":\"arn:aws:iam::111111111111:"
           "role/r\",\"KmsKeyId\":\"arn:aws:kms:" HOME
           ":111111111111:alias/logs\","
           "\"SnsTopicARN\":\"arn:aws:sns:" HOME
           ":111111111111:topic\","
           "\"IncludeGlobalServiceEvents\":true,\"IsMultiRegionTrail\":true,");
    // What is not given stays.
    expect("UpdateTrail", "{\"Name\":\"full\",\"S3BucketName\":\"other\"}",
           "\"S3BucketName\":\"other\",\"S3KeyPrefix\":\"a/b\",\"SnsTopicName\":\"topic\"");
    expect("UpdateTrail", NAMED("full"), "\"LogFileValidationEnabled\":true");
    expect("UpdateTrail", "{\"Name\":\"full\",\"RecursiveLogging\":false}",
           "\"RecursiveLogging\":false");
    expect("GetTrail", NAMED("full"), "\"RecursiveLogging\":false");
    // Empty removes.
    expect("UpdateTrail",
           "{\"Name\":\"full\",\"S3KeyPrefix\":\"\",\"SnsTopicName\":\"\",\"KmsKeyId\":\"\","
           "\"CloudWatchLogsLogGroupArn\":\"\",\"CloudWatchLogsRoleArn\":\"\"}",
           "{\"Name\":\"full\",\"S3BucketName\":\"other\",\"IncludeGlobalServiceEvents\"");
    expect("UpdateTrail",
           "{\"Name\":\"full\",\"SnsTopicName\":\"arn:aws:sns:us-east-1:222222222222:t\","
           "\"KmsKeyId\":\"12345678-1234-1234-1234-123456789012\"}",
           "\"SnsTopicARN\":\"arn:aws:sns:us-east-1:222222222222:t\"");
    expect("GetTrail", NAMED("full"),
           "arn:aws:kms:" HOME ":111111111111:key/12345678-1234-1234-1234-123456789012");
    refused("InvalidCloudWatchLogsLogGroupArnException", "UpdateTrail",
            "{\"Name\":\"full\",\"CloudWatchLogsRoleArn\":\"arn:aws:iam::111111111111:role/r\"}",
            "You must specify a log group as well as a role ARN.");
    // A change that is refused changes nothing.
    refused("InvalidS3BucketNameException", "UpdateTrail",
            "{\"Name\":\"full\",\"S3KeyPrefix\":\"new\",\"S3BucketName\":\"UPPER\"}", "UPPER");
    assert_null(strstr(call("GetTrail", NAMED("full")), "S3KeyPrefix"));
}

static void test_global_services_go_with_all_regions(void **state) {
    (void)state;
    call("CreateTrail", TRAIL("one", ",\"IncludeGlobalServiceEvents\":false"));
    expect("UpdateTrail", "{\"Name\":\"one\",\"IsMultiRegionTrail\":true}",
           "\"IncludeGlobalServiceEvents\":true,\"IsMultiRegionTrail\":true");
    refused("InvalidParameterCombinationException", "UpdateTrail",
            "{\"Name\":\"one\",\"IncludeGlobalServiceEvents\":false}",
            "Multi-Region trail must include global service events.");
    expect("UpdateTrail", "{\"Name\":\"one\",\"IsMultiRegionTrail\":false}",
           "\"IncludeGlobalServiceEvents\":false,\"IsMultiRegionTrail\":false");
    expect("UpdateTrail", "{\"Name\":\"one\",\"IncludeGlobalServiceEvents\":true}",
           "\"IncludeGlobalServiceEvents\":true,\"IsMultiRegionTrail\":false");
    // Checked before the bucket.
    refused("InvalidParameterCombinationException", "CreateTrail",
            "{\"Name\":\"two\",\"S3BucketName\":\"X\",\"IsMultiRegionTrail\":true,"
            "\"IncludeGlobalServiceEvents\":false}",
            "Multi-Region trail must include global service events.");
}

static void test_what_cannot_be_created(void **state) {
    (void)state;
    static const char LONG[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    static const struct {
        const char *input;
        const char *code;
        const char *part;
    } cases[] = {
        {"{\"S3BucketName\":\"logs\"}", "InvalidTrailNameException", "cannot be blank"},
        {TRAIL("ab", ""), "InvalidTrailNameException",
         "Trail name too short. Minimum allowed length: 3 characters. Specified name length: 2 "
         "characters."},
        {TRAIL("-ab", ""), "InvalidTrailNameException", "must starts with"},
        {TRAIL("ab_", ""), "InvalidTrailNameException", "must ends with"},
        {TRAIL("a b", ""), "InvalidTrailNameException", "can only contain"},
        {TRAIL("a..b", ""), "InvalidTrailNameException", "adjacent"},
        {TRAIL("a-_b", ""), "InvalidTrailNameException", "adjacent"},
        {TRAIL("192.168.5.4", ""), "InvalidTrailNameException", "IP address"},
        {"{\"Name\":7}", "SerializationException", "Name"},
        {NAMED("abc"), "InvalidS3BucketNameException", "not valid"},
        {"{\"Name\":\"abc\",\"S3BucketName\":\"a_b\"}", "InvalidS3BucketNameException", "a_b"},
        {"{\"Name\":\"abc\",\"S3BucketName\":\"a..b\"}", "InvalidS3BucketNameException", "a..b"},
        {"{\"Name\":\"abc\",\"S3BucketName\":\"1.2.3.4\"}", "InvalidS3BucketNameException", "1.2"},
        {"{\"Name\":\"abc\",\"S3BucketName\":\"-bb\"}", "InvalidS3BucketNameException", "-bb"},
        {TRAIL("abc", ",\"S3KeyPrefix\":\"/x\""), "InvalidS3PrefixException", "slash"},
        {TRAIL("abc", ",\"S3KeyPrefix\":\"x/AWSLogs/1\""), "InvalidS3PrefixException", "AWSLogs"},
        {TRAIL("abc", ",\"SnsTopicName\":\"a b\""), "InvalidSnsTopicNameException", "not valid"},
        {TRAIL("abc", ",\"SnsTopicName\":\"x.fifo\""), "InvalidSnsTopicNameException", "FIFO"},
        {TRAIL("abc", ",\"SnsTopicName\":\"arn:aws:sqs:r:1:x\""), "InvalidSnsTopicNameException",
         "not valid"},
        {TRAIL("abc", ",\"KmsKeyId\":\"key\""), "InvalidKmsKeyIdException", "key"},
        {TRAIL("abc", ",\"KmsKeyId\":\"arn:aws:s3:r:1:alias/x\""), "InvalidKmsKeyIdException",
         "arn:aws:s3"},
        {TRAIL("abc", ",\"KmsKeyId\":\"arn:aws:kms:us-east-1:1:alias/x\""),
         "KmsKeyNotFoundException", "region " HOME},
        {TRAIL("abc", ",\"CloudWatchLogsLogGroupArn\":\"arn:aws:logs:r:1:log-group:x:*\""),
         "InvalidCloudWatchLogsRoleArnException",
         "You must specify a role ARN as well as a log group."},
        {TRAIL("abc",
               ",\"CloudWatchLogsLogGroupArn\":\"arn:aws:logs:r:1:log-group:x\","
               "\"CloudWatchLogsRoleArn\":\"arn:aws:iam::1:role/r\""),
         "InvalidCloudWatchLogsLogGroupArnException", ":*"},
        {TRAIL("abc",
               ",\"CloudWatchLogsLogGroupArn\":\"arn:aws:logs:r:1:log-group:x:*\","
               "\"CloudWatchLogsRoleArn\":\"arn:aws:iam::1:user/r\""),
         "InvalidCloudWatchLogsRoleArnException", "role/NAME"},
        {TRAIL("abc", ",\"TagsList\":[{\"Key\":\"\"}]"), "InvalidTagParameterException",
         "1 to 128"},
        {TRAIL("abc", ",\"TagsList\":[{\"Key\":\"a\"},{\"Key\":\"a\"}]"),
         "InvalidTagParameterException", "more than once"},
        {TRAIL("abc", ",\"TagsList\":[{\"Key\":\"AWS:a\"}]"), "InvalidTagParameterException",
         "reserved"},
        {TRAIL("abc", ",\"IsMultiRegionTrail\":\"yes\""), "SerializationException", "boolean"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        refused(cases[index].code, "CreateTrail", cases[index].input, cases[index].part);
    }
    char text[512];
    snprintf(text, sizeof text, "{\"Name\":\"%s\",\"S3BucketName\":\"logs\"}", LONG);
    refused("InvalidTrailNameException", "CreateTrail", text, "too long");
    snprintf(text, sizeof text, "{\"Name\":\"%.128s\",\"S3BucketName\":\"logs\"}", LONG);
    call("CreateTrail", text);
    fixture.region = "Region";
    refused("UnsupportedOperationException", "CreateTrail", TRAIL("abc", ""), "region Region");
    static const char *const pseudo[] = {"all-regions", "account-222222222222", "organization"};
    for (size_t index = 0; index < sizeof pseudo / sizeof pseudo[0]; index++) {
        fixture.region = pseudo[index];
        refused("UnsupportedOperationException", "CreateTrail", TRAIL("abc", ""), "region");
    }
    fixture.region = HOME;
    fixture.caller.role = API_READ;
    refused("AccessDeniedException", "CreateTrail", TRAIL("abc", ""), "CreateTrail");
    assert_int_equal(fixture.changes, 1);
}

static void create(const char *name, const char *rest) {
    char text[256];
    snprintf(text, sizeof text, "{\"Name\":\"%s\",\"S3BucketName\":\"logs\"%s}", name, rest);
    call("CreateTrail", text);
}

#define ALL_REGIONS ",\"IsMultiRegionTrail\":true"

static void test_five_in_a_region(void **state) {
    (void)state;
    create("one", "");
    create("two", "");
    create("three", ALL_REGIONS);
    fixture.region = AWAY;
    create("four", ALL_REGIONS);
    create("one", "");  // the same name in another region is another trail
    refused("TrailAlreadyExistsException", "CreateTrail", TRAIL("one", ""),
            "Trail one already exists for customer: 111111111111");
    // A trail of all regions is there already.
    refused("TrailAlreadyExistsException", "CreateTrail", TRAIL("three", ""), "three");
    refused("TrailAlreadyExistsException", "CreateTrail", TRAIL("two", ALL_REGIONS), "two");
    fixture.region = HOME;
    create("five", "");
    refused("MaximumNumberOfTrailsExceededException", "CreateTrail", TRAIL("six", ""),
            "User: 111111111111 already has 5 trails in " HOME ".");
    // There is room in the other region, but not for one of all.
    fixture.region = AWAY;
    refused("MaximumNumberOfTrailsExceededException", "CreateTrail", TRAIL("six", ALL_REGIONS),
            "already has 5 trails in " HOME ".");
    create("six", "");
    create("seven", "");
    refused("MaximumNumberOfTrailsExceededException", "UpdateTrail",
            "{\"Name\":\"six\",\"IsMultiRegionTrail\":true}", "already has 5 trails in");
    // Another account counts for itself.
    be("222222222222", HOME);
    create("one", "");
}

// Another caller creates a trail just before the change.
static void create_between(struct api_fixture *changed) {
    static struct api_fixture other;
    changed->before_change = NULL;
    api_fixture_init(&other);
    for (uint32_t index = 0; index < changed->documents_count; index++) {
        api_fixture_put(&other, changed->documents[index].name, changed->documents[index].value);
    }
    const char *body = api_fixture_call(&other, "CreateTrail", TRAIL("between", ""));
    if (other.answer.code != NULL) fail_msg("%s", body);
    for (uint32_t index = 0; index < other.documents_count; index++) {
        api_fixture_put(changed, other.documents[index].name, other.documents[index].value);
    }
    api_fixture_done(&other);
}

static void test_two_at_once(void **state) {
    (void)state;
    create("one", "");
    create("two", "");
    create("three", "");
    create("four", "");
    fixture.before_change = create_between;
    refused("MaximumNumberOfTrailsExceededException", "CreateTrail", TRAIL("five", ""), "5 trails");
    call("DeleteTrail", NAMED("between"));
    fixture.before_change = create_between;
    refused("TrailAlreadyExistsException", "CreateTrail", TRAIL("between", ALL_REGIONS), "between");
}

static void test_shadows(void **state) {
    (void)state;
    create("here", "");
    create("everywhere", ALL_REGIONS);
    assert_non_null(strstr(call("DescribeTrails", "{}"), "\"Name\":\"here\""));
    fixture.region = AWAY;
    const char *body = call("DescribeTrails", "{}");
    assert_null(strstr(body, "\"Name\":\"here\""));
    assert_non_null(strstr(body, "\"Name\":\"everywhere\""));
    assert_non_null(strstr(body, "\"HomeRegion\":\"" HOME "\""));
    assert_string_equal(call("DescribeTrails", "{\"includeShadowTrails\":false}"),
                        "{\"trailList\":[]}");
    // Names are of this region, ARNs of any.
    assert_string_equal(call("DescribeTrails", "{\"trailNameList\":[\"everywhere\",\"here\"]}"),
                        "{\"trailList\":[]}");
    expect("DescribeTrails", "{\"trailNameList\":[\"" ARN("here") "\"]}", "\"Name\":\"here\"");
    refused("InvalidTrailNameException", "DescribeTrails", "{\"trailNameList\":[\"x\"]}", "short");
    expect("GetTrailStatus", "{\"Name\":\"" ARN("everywhere") "\"}", "\"IsLogging\":false");
    refused("TrailNotFoundException", "GetTrailStatus", NAMED("everywhere"),
            "Unknown trail: " ARN_OF(AWAY, "111111111111", "everywhere"));
    expect("ListTrails", "{}", "\"Name\":\"here\"");
    static const char *const operations[] = {"StartLogging", "StopLogging", "DeleteTrail",
                                             "UpdateTrail"};
    for (size_t index = 0; index < sizeof operations / sizeof operations[0]; index++) {
        refused("InvalidHomeRegionException", operations[index],
                "{\"Name\":\"" ARN("everywhere") "\"}", "was created in region " HOME);
        refused("TrailNotFoundException", operations[index], NAMED("everywhere"), "Unknown trail");
    }
    fixture.region = HOME;
    expect("DescribeTrails", "{\"includeShadowTrails\":false}", "\"Name\":\"everywhere\"");
}

static void test_organization_trails(void **state) {
    (void)state;
    create("plain", ALL_REGIONS);
    create("whole", ALL_REGIONS ",\"IsOrganizationTrail\":true");
    create("narrow", ",\"IsOrganizationTrail\":true");
    be("222222222222", HOME);
    const char *body = call("DescribeTrails", "{}");
    assert_null(strstr(body, "plain"));
    assert_non_null(strstr(body, "\"TrailARN\":\"" ARN("whole") "\""));
    assert_non_null(strstr(body, "\"IsOrganizationTrail\":true"));
    assert_non_null(strstr(body, ARN("narrow")));
    // What a member sees is a copy, even at home, and it needs the ARN.
    assert_string_equal(call("DescribeTrails", "{\"includeShadowTrails\":false}"),
                        "{\"trailList\":[]}");
    refused("TrailNotFoundException", "GetTrail", NAMED("whole"), "for the user: 222222222222");
    expect("GetTrail", "{\"Name\":\"" ARN("whole") "\"}", "\"Name\":\"whole\"");
    refused("TrailNotFoundException", "GetTrail", "{\"Name\":\"" ARN("plain") "\"}", "Unknown");
    static const char *const operations[] = {"StartLogging", "StopLogging", "DeleteTrail",
                                             "UpdateTrail"};
    for (size_t index = 0; index < sizeof operations / sizeof operations[0]; index++) {
        refused("NotOrganizationMasterAccountException", operations[index],
                "{\"Name\":\"" ARN("whole") "\"}", "222222222222");
    }
    refused("NotOrganizationMasterAccountException", "CreateTrail",
            TRAIL("mine", ",\"IsOrganizationTrail\":true"), "cannot create");
    create("mine", "");
    refused("NotOrganizationMasterAccountException", "UpdateTrail",
            "{\"Name\":\"mine\",\"IsOrganizationTrail\":true}", "mine");
    fixture.region = AWAY;
    body = call("DescribeTrails", "{}");
    assert_non_null(strstr(body, ARN("whole")));
    assert_null(strstr(body, "narrow"));

    // A delegated administrator acts for the management account, which stays the owner.
    be("111111111111", HOME);
    call("RegisterOrganizationDelegatedAdmin", "{\"MemberAccountId\":\"222222222222\"}");
    be("222222222222", HOME);
    call("StartLogging", "{\"Name\":\"" ARN("whole") "\"}");
    expect("CreateTrail", TRAIL("theirs", ",\"IsOrganizationTrail\":true"),
           "\"TrailARN\":\"" ARN("theirs") "\"");
    refused("TrailAlreadyExistsException", "CreateTrail",
            TRAIL("plain", ",\"IsOrganizationTrail\":true"), "for customer: 111111111111");
    refused("TrailNotFoundException", "StopLogging", "{\"Name\":\"" ARN("plain") "\"}", "Unknown");
    be("333333333333", HOME);
    assert_non_null(strstr(call("ListTrails", "{}"), ARN("theirs")));

    // A key of the management account that is narrowed does not speak for the organization.
    be("111111111111", HOME);
    const struct span accounts[] = {SPAN_LITERAL("111111111111")};
    fixture.caller.accounts = accounts;
    fixture.caller.accounts_count = 1;
    refused("NotOrganizationMasterAccountException", "StopLogging", NAMED("whole"), "whole");
    call("StartLogging", NAMED("plain"));
    const struct span others[] = {SPAN_LITERAL("222222222222")};
    fixture.caller.accounts = others;
    refused("TrailNotFoundException", "StartLogging", NAMED("plain"), "Unknown trail");
    refused("AccessDeniedException", "CreateTrail", TRAIL("other", ""), "narrowed");
    assert_null(strstr(call("ListTrails", "{}"), "plain"));
    assert_non_null(strstr(call("ListTrails", "{}"), "whole"));
    fixture.caller.accounts_count = 0;
    // It becomes a plain one: members do not see it any more.
    expect("UpdateTrail", "{\"Name\":\"whole\",\"IsOrganizationTrail\":false}",
           "\"IsOrganizationTrail\":false");
    be("333333333333", HOME);
    assert_null(strstr(call("ListTrails", "{}"), "whole"));
}

// What is delivered will name the version it was delivered by.
static void test_versions(void **state) {
    (void)state;
    create("one", "");
    const char *name = NULL;
    for (uint32_t index = 0; index < fixture.documents_count; index++) {
        if (strncmp(fixture.documents[index].name, "api/trail/111111111111/", 23) == 0) {
            name = fixture.documents[index].name;
        }
    }
    assert_non_null(name);
    char kept[128];
    snprintf(kept, sizeof kept, "%s", name);
    assert_non_null(strstr(api_fixture_get(&fixture, kept), "\"version\":1,"));
    fixture.now_ms += 1000;
    call("StartLogging", NAMED("one"));
    assert_non_null(strstr(api_fixture_get(&fixture, kept), "\"version\":2,"));
    assert_non_null(strstr(api_fixture_get(&fixture, kept), "\"created_ms\":1760000000000"));
    assert_non_null(strstr(api_fixture_get(&fixture, kept), "\"changed_ms\":1760000001000"));
    call("DeleteTrail", NAMED("one"));
    assert_null(api_fixture_get(&fixture, kept));
    // A document of ours that is damaged is our fault, and says nothing.
    api_fixture_put(&fixture, kept, "{");
    (void)api_fixture_refused(&fixture, "InternalFailureException", "GetTrail", NAMED("one"));
    (void)api_fixture_refused(&fixture, "InternalFailureException", "ListTrails", "{}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life_of_a_trail, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_all_settings, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_global_services_go_with_all_regions, make_room,
                                        end_room),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_created, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_five_in_a_region, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_two_at_once, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_shadows, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_organization_trails, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_versions, make_room, end_room),
    };
    return cases_run("trails", tests, sizeof tests / sizeof tests[0]);
}
