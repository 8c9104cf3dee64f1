#include "event/match/match.h"

#include <stdio.h>
#include <string.h>

#include "event/match/insight_selector.h"
#include "tests/kit/cases.h"

struct fixture {
    struct json_reader *reader;
    struct arena *arena;
};

static int set_up(void **state) {
    static struct fixture fixture;
    fixture.reader = json_reader_create();
    fixture.arena = arena_create(4 * SELECTOR_ARENA_SIZE);
    *state = &fixture;
    return fixture.reader == NULL || fixture.arena == NULL;
}

static int tear_down(void **state) {
    struct fixture *fixture = *state;
    json_reader_destroy(fixture->reader);
    arena_destroy(fixture->arena);
    return 0;
}

static bool try_parse(void **state, bool is_basic, enum selector_use use, const char *text,
                      struct selector_set *set, struct fault *fault) {
    struct fixture *fixture = *state;
    const struct yyjson_val *root;
    if (!json_read(fixture->reader, span_text(text), &root, fault)) fail_msg("%s", fault->text);
    return is_basic ? selector_parse_basic(root, fixture->arena, set, fault)
                    : selector_parse_advanced(root, use, fixture->arena, set, fault);
}

static struct selector_set parse(void **state, bool is_basic, const char *text) {
    struct selector_set set;
    struct fault fault;
    if (!try_parse(state, is_basic, SELECTOR_FOR_TRAIL, text, &set, &fault)) {
        fail_msg("%s: %s", text, fault.text);
    }
    return set;
}

static bool selects(void **state, const struct selector_set *set, const char *record_text) {
    struct fixture *fixture = *state;
    struct record record;
    enum record_refusal refusal;
    struct fault fault;
    if (!record_read(fixture->reader, fixture->arena, span_text(record_text), &record, &refusal,
                     &fault)) {
        fail_msg("%s: %s", record_text, fault.text);
    }
    struct match *match;
    if (!match_create(set, &match, &fault)) fail_msg("%s", fault.text);
    bool is_selected = match_selects(match, &record);
    match_destroy(match);
    return is_selected;
}

static void expect_refused(void **state, bool is_basic, const char *text, const char *expected) {
    struct selector_set set;
    struct fault fault = {0};
    if (try_parse(state, is_basic, SELECTOR_FOR_TRAIL, text, &set, &fault)) {
        fail_msg("accepted: %s", text);
    }
    assert_int_equal(fault.kind, FAULT_INPUT);
    if (strstr(fault.text, expected) == NULL) fail_msg("%s: %s", text, fault.text);
}

#define CATEGORY(name) "{\"Field\":\"eventCategory\",\"Equals\":[\"" name "\"]}"
#define MANAGEMENT CATEGORY("Management")
#define DATA CATEGORY("Data")
#define S3 "{\"Field\":\"resources.type\",\"Equals\":[\"AWS::S3::Object\"]}"
#define ONE(fields) "[{\"FieldSelectors\":[" fields "]}]"

// The example of AWS's guide: how the operators of one field work together.
static void test_six_objects(void **state) {
    struct selector_set set =
        parse(state, false,
              "[{\"Name\":\"six\",\"FieldSelectors\":[" DATA "," S3
              ",{\"Field\":\"resources.ARN\","
              "\"Equals\":[\"arn:aws:s3:::bucket1/object1\"],"
              "\"StartsWith\":[\"arn:aws:s3:::bucket2/\"],"
              "\"EndsWith\":[\"object3\",\"object4\",\"object5\",\"object6\"],"
              "\"NotStartsWith\":[\"arn:aws:s3:::bucket4/\"],"
              "\"NotEndsWith\":[\"/object5\"],"
              "\"NotEquals\":[\"arn:aws:s3:::bucket6/object6\"]}]}]");
    for (int number = 1; number <= 7; number++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"eventTime\":\"2026-01-01T00:00:00Z\",\"eventSource\":\"s3.amazonaws.com\","
                 "\"eventName\":\"PutObject\",\"eventCategory\":\"Data\",\"resources\":["
                 "{\"type\":\"AWS::S3::Bucket\",\"ARN\":\"arn:aws:s3:::bucket4/\"},"
                 "{\"type\":\"AWS::S3::Object\",\"ARN\":\"arn:aws:s3:::bucket%d/object%d\"}]}",
                 number, number);
        if (selects(state, &set, text) != (number <= 3)) fail_msg("object %d", number);
    }
}

#define EVENT(category, rest) \
    "{\"eventTime\":\"2026-01-01T00:00:00Z\",\"eventCategory\":\"" category "\"," rest "}"
#define KMS "\"eventSource\":\"kms.amazonaws.com\",\"eventName\":\"Decrypt\",\"readOnly\":true"
#define RUN \
    "\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"RunInstances\",\"readOnly\":false"
#define PUT(resources)                                                                     \
    "\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"PutObject\",\"readOnly\":false," \
    "\"resources\":[" resources "]"
#define OBJECT(arn) "{\"type\":\"AWS::S3::Object\",\"ARN\":\"" arn "\"}"

static void test_advanced_decides(void **state) {
    static const struct {
        const char *label;
        const char *selectors;
        const char *event;
        bool is_selected;
    } cases[] = {
        {"category", ONE(MANAGEMENT), EVENT("Management", RUN), true},
        {"another category", ONE(DATA "," S3), EVENT("Management", RUN), false},
        {"a category nobody names", ONE(MANAGEMENT), EVENT("Insight", RUN), false},
        {"one that AWS may add", ONE(MANAGEMENT), EVENT("New", RUN), false},
        {"read only", ONE(MANAGEMENT ",{\"Field\":\"readOnly\",\"Equals\":[\"true\"]}"),
         EVENT("Management", RUN), false},
        {"read only, and it is", ONE(MANAGEMENT ",{\"Field\":\"readOnly\",\"Equals\":[\"true\"]}"),
         EVENT("Management", KMS), true},
        {"write only", ONE(MANAGEMENT ",{\"Field\":\"readOnly\",\"Equals\":[\"false\"]}"),
         EVENT("Management", KMS), false},
        {"a source is left out",
         ONE(MANAGEMENT ",{\"Field\":\"eventSource\",\"NotEquals\":[\"kms.amazonaws.com\"]}"),
         EVENT("Management", KMS), false},
        {"and the others stay",
         ONE(MANAGEMENT ",{\"Field\":\"eventSource\",\"NotEquals\":[\"kms.amazonaws.com\"]}"),
         EVENT("Management", RUN), true},
        {"AND within a selector",
         ONE(MANAGEMENT ",{\"Field\":\"eventName\",\"StartsWith\":[\"Run\"]},"
                        "{\"Field\":\"eventSource\",\"Equals\":[\"rds.amazonaws.com\"]}"),
         EVENT("Management", RUN), false},
        {"OR between selectors",
         "[{\"FieldSelectors\":[" MANAGEMENT
         ",{\"Field\":\"eventName\",\"Equals\":[\"No\"]}]},{\"FieldSelectors\":[" MANAGEMENT
         ",{\"Field\":\"eventName\",\"EndsWith\":[\"tances\"]}]}]",
         EVENT("Management", RUN), true},
        {"a missing field selects nothing",
         ONE(MANAGEMENT ",{\"Field\":\"userIdentity.arn\",\"EndsWith\":[\"x\"]}"),
         EVENT("Management", RUN), false},
        {"and deselects nothing",
         ONE(MANAGEMENT ",{\"Field\":\"userIdentity.arn\",\"NotEndsWith\":[\"x\"]}"),
         EVENT("Management", RUN), true},
        {"identity", ONE(MANAGEMENT ",{\"Field\":\"userIdentity.arn\",\"EndsWith\":[\"/x\"]}"),
         EVENT("Management", RUN ",\"userIdentity\":{\"arn\":\"arn:aws:iam::1:user/x\"}"), true},
        {"console",
         ONE(MANAGEMENT ",{\"Field\":\"sessionCredentialFromConsole\",\"Equals\":[\"true\"]}"),
         EVENT("Management", RUN ",\"sessionCredentialFromConsole\":\"true\""), true},
        {"not the console",
         ONE(MANAGEMENT ",{\"Field\":\"sessionCredentialFromConsole\",\"NotEquals\":[\"true\"]}"),
         EVENT("Management", RUN ",\"sessionCredentialFromConsole\":\"true\""), false},
        {"not the console, and it is not",
         ONE(MANAGEMENT ",{\"Field\":\"sessionCredentialFromConsole\",\"NotEquals\":[\"true\"]}"),
         EVENT("Management", RUN), true},
        {"type", ONE(DATA "," S3), EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/k"))), true},
        {"no resources", ONE(DATA "," S3), EVENT("Data", PUT("")), false},
        {"ARN of another type",
         ONE(DATA "," S3 ",{\"Field\":\"resources.ARN\",\"StartsWith\":[\"arn\"]}"),
         EVENT("Data", PUT("{\"type\":\"AWS::S3::Bucket\",\"ARN\":\"arn:aws:s3:::b\"}")), false},
        {"one of two is selected",
         ONE(DATA "," S3 ",{\"Field\":\"resources.ARN\",\"EndsWith\":[\"/k\"]}"),
         EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/l") "," OBJECT("arn:aws:s3:::b/k"))), true},
        {"one of two is deselected",
         ONE(DATA "," S3 ",{\"Field\":\"resources.ARN\",\"NotEndsWith\":[\"/k\"]}"),
         EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/l") "," OBJECT("arn:aws:s3:::b/k"))), false},
        {"a resource without ARN",
         ONE(DATA "," S3 ",{\"Field\":\"resources.ARN\",\"NotEndsWith\":[\"/k\"]}"),
         EVENT("Data", PUT("{\"type\":\"AWS::S3::Object\"}")), true},
        {"prefix of a list",
         ONE(DATA "," S3 ",{\"Field\":\"resources.ARN\",\"StartsWith\":[\"arn:aws:s3:::"
                  "b/\"]}"),
         EVENT("Data", PUT("{\"type\":\"AWS::S3::Object\",\"ARNPrefix\":\"arn:aws:s3:::b/\"}")),
         true},
        {"network",
         ONE(CATEGORY("NetworkActivity") ",{\"Field\":\"eventSource\",\"Equals\":[\"ec2.amazonaws."
                                         "com\"]},{\"Field\":\"errorCode\",\"Equals\":["
                                         "\"VpceAccessDenied\"]},{\"Field\":\"vpcEndpointId\","
                                         "\"Equals\":[\"vpce-1\"]}"),
         EVENT("NetworkActivity",
               RUN ",\"errorCode\":\"VpceAccessDenied\",\"vpcEndpointId\":\"vpce-1\""),
         true},
        {"network, not denied",
         ONE(CATEGORY("NetworkActivity") ",{\"Field\":\"eventSource\",\"Equals\":[\"ec2.amazonaws."
                                         "com\"]},{\"Field\":\"errorCode\",\"Equals\":["
                                         "\"VpceAccessDenied\"]}"),
         EVENT("NetworkActivity", RUN), false},
        {"letters' case counts",
         ONE(MANAGEMENT ",{\"Field\":\"eventName\",\"Equals\":[\"runinstances\"]}"),
         EVENT("Management", RUN), false},
        {"a star is a star", ONE(MANAGEMENT ",{\"Field\":\"eventName\",\"Equals\":[\"Run*\"]}"),
         EVENT("Management", RUN), false},
        {"values within one another",
         ONE(MANAGEMENT ",{\"Field\":\"eventName\",\"StartsWith\":[\"RunI\",\"Run\",\"RunZ\","
                        "\"R\",\"RunA\"]}"),
         EVENT("Management", RUN), true},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct selector_set set = parse(state, false, cases[index].selectors);
        if (selects(state, &set, cases[index].event) != cases[index].is_selected) {
            fail_msg("%s", cases[index].label);
        }
    }
}

static void test_advanced_refuses(void **state) {
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"{}", "AdvancedEventSelectors must be a list of 1 to 500"},
        {"[]", "AdvancedEventSelectors must be a list of 1 to 500"},
        {"[1]", "AdvancedEventSelectors[0]: FieldSelectors must be a list"},
        {"[{\"FieldSelectors\":[]}]", "FieldSelectors must be a list"},
        {ONE("{\"Equals\":[\"x\"]}"), "has no Field"},
        {ONE("{\"Field\":\"awsRegion\",\"Equals\":[\"x\"]}"), "Value awsRegion for Field"},
        {ONE("{\"Field\":\"eventCategory\"}"), "Field eventCategory has no operator"},
        {ONE("{\"Field\":\"eventCategory\",\"Equals\":null}"), "has no operator"},
        {ONE("{\"Field\":\"eventCategory\",\"Like\":[\"Data\"]}"), "no operator Like"},
        {ONE("{\"Field\":\"eventCategory\",\"Equals\":\"Data\"}"), "Equals must be a list"},
        {ONE("{\"Field\":\"eventCategory\",\"Equals\":[]}"), "Equals must be a list of 1 to 500"},
        {ONE("{\"Field\":\"eventCategory\",\"Equals\":[\"\"]}"), "no text of 1 to 2048"},
        {ONE("{\"Field\":\"eventCategory\",\"Equals\":[1]}"), "no text of 1 to 2048"},
        {ONE("{\"Field\":\"eventName\",\"Equals\":[\"x\"]}"), "eventCategory with Equals"},
        {ONE("{\"Field\":\"eventCategory\",\"NotEquals\":[\"Data\"]}"),
         "eventCategory with Equals"},
        {ONE("{\"Field\":\"eventCategory\",\"Equals\":[\"Data\",\"Management\"]}"), "exactly one"},
        {ONE(MANAGEMENT "," MANAGEMENT), "Field eventCategory is given twice"},
        {ONE(CATEGORY("Insight")), "Management, Data or NetworkActivity"},
        {ONE(CATEGORY("ConfigurationItem")), "Value ConfigurationItem for eventCategory"},
        {ONE(CATEGORY("data")), "Value data for eventCategory"},
        {ONE(DATA), "Field resources.type is required with eventCategory Data"},
        {ONE(CATEGORY("NetworkActivity")), "Field eventSource is required"},
        {ONE(MANAGEMENT "," S3), "Field resources.type cannot be used with eventCategory Managem"},
        {ONE(DATA ",{\"Field\":\"resources.type\",\"NotEquals\":[\"AWS::S3::Object\"]}"),
         "Operator NotEquals cannot be used with field resources.type"},
        {ONE(DATA ",{\"Field\":\"resources.type\",\"Equals\":[\"AWS::S3::Object\","
                  "\"AWS::Lambda::Function\"]}"),
         "resources.type must have exactly one value"},
        {ONE(DATA ",{\"Field\":\"resources.type\",\"Equals\":[\"s3\"]}"), "like AWS::S3::Object"},
        {ONE(DATA ",{\"Field\":\"resources.type\",\"Equals\":[\"AWS::S3:\"]}"), "like AWS::S3::"},
        {ONE(DATA "," S3 ",{\"Field\":\"resources.ARN\",\"Equals\":[\"arn:aws:s3\"]}"),
         "Equals needs a whole ARN"},
        {ONE(DATA "," S3 ",{\"Field\":\"errorCode\",\"Equals\":[\"VpceAccessDenied\"]}"),
         "Field errorCode cannot be used"},
        {ONE(MANAGEMENT ",{\"Field\":\"readOnly\",\"Equals\":[\"yes\"]}"), "must be true or false"},
        {ONE(MANAGEMENT ",{\"Field\":\"readOnly\",\"NotEquals\":[\"true\"]}"),
         "Operator NotEquals cannot be used with field readOnly"},
        {ONE(MANAGEMENT ",{\"Field\":\"sessionCredentialFromConsole\",\"Equals\":[\"false\"]}"),
         "it must be true"},
        {ONE(CATEGORY("NetworkActivity") ",{\"Field\":\"eventSource\",\"Equals\":[\"a\",\"b\"]}"),
         "eventSource must have exactly one value"},
        {ONE(CATEGORY("NetworkActivity") ",{\"Field\":\"eventSource\",\"Equals\":[\"a\"]},"
                                         "{\"Field\":\"errorCode\",\"Equals\":[\"X\"]}"),
         "it must be VpceAccessDenied"},
        {ONE(CATEGORY("NetworkActivity") ",{\"Field\":\"eventSource\",\"Equals\":[\"a\"]},"
                                         "{\"Field\":\"readOnly\",\"Equals\":[\"true\"]}"),
         "Field readOnly cannot be used with eventCategory NetworkActivity"},
        {"[{\"Name\":7,\"FieldSelectors\":[" MANAGEMENT "]}]", "Name is no text"},
        {"[{\"FieldSelectors\":[" MANAGEMENT "]},{\"FieldSelectors\":[" DATA "]}]",
         "AdvancedEventSelectors[1]: "},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        expect_refused(state, false, cases[index].text, cases[index].expected);
    }
}

// Selectors whose conditions have so many values in all.
static const char *print_values(uint32_t count, size_t length) {
    static struct buffer text = {.size_max = 16 * 1024 * 1024};
    buffer_reset(&text);
    for (uint32_t index = 0; index < count; index++) {
        // One value a selector beside its category's, as many selectors as that takes.
        buffer_print(&text, "%s{\"FieldSelectors\":[" MANAGEMENT, index == 0 ? "[" : ",");
        buffer_print(&text, ",{\"Field\":\"eventName\",\"Equals\":[\"%0*u\"]}]}", (int)length,
                     index);
    }
    buffer_append(&text, span_of("]", 2));
    assert_false(buffer_overflowed(&text));
    return (const char *)text.bytes;
}

static void test_limits(void **state) {
    parse(state, false, print_values(SELECTOR_VALUES_MAX / 2, 8));
    expect_refused(state, false, print_values(SELECTOR_VALUES_MAX / 2 + 1, 8),
                   "have more than 500 values");
    struct selector_set set =
        parse(state, false, print_values(SELECTOR_VALUES_MAX / 2, SELECTOR_VALUE_LENGTH_MAX));
    assert_true(selects(state, &set, EVENT("Management", RUN)) == false);
    expect_refused(state, false, print_values(1, SELECTOR_VALUE_LENGTH_MAX + 1), "1 to 2048");
    char text[4 * SELECTOR_NAME_LENGTH_MAX];
    // Characters are counted, not bytes.
    char name[2 * SELECTOR_NAME_LENGTH_MAX + 3];
    for (size_t at = 0; at < sizeof name - 1; at += 2) memcpy(name + at, "\xC3\xBC", 2);
    name[2 * SELECTOR_NAME_LENGTH_MAX] = 0;
    snprintf(text, sizeof text, "[{\"Name\":\"%s\",\"FieldSelectors\":[" MANAGEMENT "]}]", name);
    parse(state, false, text);
    snprintf(text, sizeof text, "[{\"Name\":\"%sx\",\"FieldSelectors\":[" MANAGEMENT "]}]", name);
    expect_refused(state, false, text, "at most 1000 characters");
}

// What the agent may name beyond a trail.
static void test_agent_categories(void **state) {
    struct selector_set set;
    struct fault fault;
    const char *insight = ONE(CATEGORY("Insight"));
    assert_true(try_parse(state, false, SELECTOR_FOR_AGENT, insight, &set, &fault));
    assert_true(selects(state, &set,
                        EVENT("Insight",
                              "\"insightDetails\":{\"eventSource\":\"s\","
                              "\"eventName\":\"n\"}")));
    assert_true(
        try_parse(state, false, SELECTOR_FOR_AGENT, ONE(CATEGORY("Aggregated")), &set, &fault));
    assert_false(try_parse(state, false, SELECTOR_FOR_AGENT,
                           ONE(CATEGORY("Insight") ",{\"Field\":\"eventName\",\"Equals\":[\"x\"]}"),
                           &set, &fault));
}

#define RESOURCES(type, values) "{\"Type\":\"" type "\",\"Values\":[" values "]}"
#define LAMBDA_ARN "arn:aws:lambda:us-east-1:123456789012:function:f"
#define LAMBDA_EVENT(arn)                                                          \
    EVENT("Data",                                                                  \
          "\"eventSource\":\"lambda.amazonaws.com\",\"eventName\":\"Invoke\","     \
          "\"readOnly\":false,\"resources\":[{\"type\":\"AWS::Lambda::Function\"," \
          "\"ARN\":\"" arn "\"}]")

static void test_basic_decides(void **state) {
    static const struct {
        const char *label;
        const char *selectors;
        const char *event;
        bool is_selected;
    } cases[] = {
        {"default", "[{}]", EVENT("Management", RUN), true},
        {"no data by default", "[{}]", EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/k"))), false},
        {"no network", "[{}]", EVENT("NetworkActivity", RUN), false},
        {"write only", "[{\"ReadWriteType\":\"WriteOnly\"}]", EVENT("Management", KMS), false},
        {"read only", "[{\"ReadWriteType\":\"ReadOnly\"}]", EVENT("Management", KMS), true},
        {"no management", "[{\"IncludeManagementEvents\":false}]", EVENT("Management", RUN), false},
        {"excluded", "[{\"ExcludeManagementEventSources\":[\"kms.amazonaws.com\"]}]",
         EVENT("Management", KMS), false},
        {"not excluded", "[{\"ExcludeManagementEventSources\":[\"kms.amazonaws.com\"]}]",
         EVENT("Management", RUN), true},
        {"nothing excluded", "[{\"ExcludeManagementEventSources\":[]}]", EVENT("Management", KMS),
         true},
        {"all of S3", "[{\"DataResources\":[" RESOURCES("AWS::S3::Object", "\"arn:aws:s3\"") "]}]",
         EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/k"))), true},
        {"all of S3, as it was written once",
         "[{\"DataResources\":[" RESOURCES("AWS::S3::Object", "\"arn:aws:s3:::\"") "]}]",
         EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/k"))), true},
        {"a bucket",
         "[{\"DataResources\":[" RESOURCES("AWS::S3::Object", "\"arn:aws:s3:::b/\"") "]}]",
         EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/k"))), true},
        {"another bucket",
         "[{\"DataResources\":[" RESOURCES("AWS::S3::Object", "\"arn:aws:s3:::b/\"") "]}]",
         EVENT("Data", PUT(OBJECT("arn:aws:s3:::bb/k"))), false},
        {"a prefix",
         "[{\"DataResources\":[" RESOURCES("AWS::S3::Object",
                                           "\"arn:aws:s3:::b/x\",\"arn:aws:s3:::b/k\"") "]}]",
         EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/key"))), true},
        {"data of another access",
         "[{\"ReadWriteType\":\"ReadOnly\",\"DataResources\":[" RESOURCES("AWS::S3::Object",
                                                                          "\"arn:aws:s3\"") "]}]",
         EVENT("Data", PUT(OBJECT("arn:aws:s3:::b/k"))), false},
        {"a function",
         "[{\"DataResources\":[" RESOURCES("AWS::Lambda::Function", "\"" LAMBDA_ARN "\"") "]}]",
         LAMBDA_EVENT(LAMBDA_ARN), true},
        {"a function is no prefix",
         "[{\"DataResources\":[" RESOURCES("AWS::Lambda::Function", "\"" LAMBDA_ARN "\"") "]}]",
         LAMBDA_EVENT(LAMBDA_ARN "2"), false},
        {"all functions beside one",
         "[{\"DataResources\":[" RESOURCES("AWS::Lambda::Function",
                                           "\"" LAMBDA_ARN "\",\"arn:aws:lambda\"") "]}]",
         LAMBDA_EVENT(LAMBDA_ARN "2"), true},
        {"any selector is enough",
         "[{\"ReadWriteType\":\"ReadOnly\"},{\"ReadWriteType\":\"WriteOnly\"}]",
         EVENT("Management", RUN), true},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct selector_set set = parse(state, true, cases[index].selectors);
        if (selects(state, &set, cases[index].event) != cases[index].is_selected) {
            fail_msg("%s", cases[index].label);
        }
    }
    struct selector_set set = selector_default();
    assert_true(selector_is_default(&set));
    assert_true(selects(state, &set, EVENT("Management", RUN)));
    set = parse(state, true, "[{}]");
    assert_true(selector_is_default(&set));
    set = parse(state, true, "[{\"ReadWriteType\":\"ReadOnly\"}]");
    assert_false(selector_is_default(&set));
}

static void test_basic_refuses(void **state) {
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"[]", "EventSelectors must be a list of 1 to 5"},
        {"[{},{},{},{},{},{}]", "EventSelectors must be a list of 1 to 5"},
        {"[{},7]", "EventSelectors[1]: An event selector must be an object"},
        {"[{\"ReadWriteType\":\"read-only\"}]", "Value read-only for ReadWriteType is invalid"},
        {"[{\"IncludeManagementEvents\":\"true\"}]", "must be true or false"},
        {"[{\"DataResources\":{}}]", "DataResources must be a list"},
        {"[{\"DataResources\":[{}]}]", "for DataResources.Type is invalid"},
        {"[{\"DataResources\":[" RESOURCES("AWS::SNS::Topic", "\"arn:aws:sns\"") "]}]",
         "Value AWS::SNS::Topic for DataResources.Type is invalid"},
        {"[{\"DataResources\":[" RESOURCES("AWS::S3::Object", "") "]}]",
         "DataResources.Values must be a list"},
        {"[{\"DataResources\":[" RESOURCES("AWS::S3::Object", "\"arn:aws:s3:::*\"") "]}]",
         "Value arn:aws:s3:::* for DataResources.Values is invalid."},
        {"[{\"DataResources\":[" RESOURCES("AWS::S3::Object", "\"arn:aws:s3:::bucket\"") "]}]",
         "Value arn:aws:s3:::bucket for DataResources.Values is invalid."},
        {"[{\"DataResources\":[" RESOURCES("AWS::Lambda::Function", "\"arn:aws:lambda:*\"") "]}]",
         "Value arn:aws:lambda:* for DataResources.Values is invalid."},
        {"[{\"DataResources\":[" RESOURCES("AWS::DynamoDB::Table", "\"arn:aws:s3\"") "]}]",
         "Value arn:aws:s3 for DataResources.Values is invalid."},
        {"[{\"ExcludeManagementEventSources\":[\"ec2.amazonaws.com\"]}]",
         "Value ec2.amazonaws.com for ExcludeManagementEventSources is invalid"},
        {"[{\"ExcludeManagementEventSources\":\"kms.amazonaws.com\"}]", "must be a list"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        expect_refused(state, true, cases[index].text, cases[index].expected);
    }
}

static void test_basic_resources_are_counted(void **state) {
    static char text[64 * 1024];
    for (uint32_t count = SELECTOR_RESOURCES_MAX; count <= SELECTOR_RESOURCES_MAX + 1; count++) {
        size_t size = (size_t)snprintf(text, sizeof text, "[");
        for (uint32_t index = 0; index < count; index++) {
            // In two selectors: the limit is for both.
            if (index % 150 == 0) {
                size += (size_t)snprintf(text + size, sizeof text - size,
                                         "%s{\"DataResources\":[{\"Type\":\"AWS::S3::Object\","
                                         "\"Values\":[\"arn:aws:s3\"",
                                         index == 0 ? "" : "]}]},");
            }
            size +=
                (size_t)snprintf(text + size, sizeof text - size, ",\"arn:aws:s3:::b/%u\"", index);
        }
        snprintf(text + size, sizeof text - size, "]}]}]");
        if (count == SELECTOR_RESOURCES_MAX) {
            parse(state, true, text);
        } else {
            expect_refused(state, true, text, "exceeds 250");
        }
    }
}

static void expect_printed(const struct selector_set *set, bool sorted, const char *expected) {
    struct buffer output;
    buffer_init(&output, 4096);
    selector_print(set, sorted, &output);
    buffer_append_byte(&output, 0);
    assert_string_equal((const char *)output.bytes, expected);
    buffer_done(&output);
}

static void test_prints(void **state) {
    const char *advanced =
        "[{\"Name\":\"a \\\"b\\\"\",\"FieldSelectors\":[{\"Field\":\"readOnly\",\"Equals\":["
        "\"true\"]},{\"Field\":\"eventName\",\"Equals\":[\"b\",\"a\"],\"NotEndsWith\":[\"c\"]},"
        "{\"Field\":\"eventCategory\",\"Equals\":[\"Management\"]}]},{\"FieldSelectors\":[{"
        "\"Field\":\"eventCategory\",\"Equals\":[\"Management\"]}]}]";
    struct selector_set set = parse(state, false, advanced);
    expect_printed(&set, false, advanced);
    expect_printed(
        &set, true,
        "[{\"Name\":\"a \\\"b\\\"\",\"FieldSelectors\":[{\"Field\":\"eventCategory\",\"Equals\":["
        "\"Management\"]},{\"Field\":\"eventName\",\"Equals\":[\"b\",\"a\"],\"NotEndsWith\":["
        "\"c\"]},{\"Field\":\"readOnly\",\"Equals\":[\"true\"]}]},{\"FieldSelectors\":[{\"Field\":"
        "\"eventCategory\",\"Equals\":[\"Management\"]}]}]");
    set = selector_default();
    expect_printed(&set, true,
                   "[{\"ReadWriteType\":\"All\",\"IncludeManagementEvents\":true,"
                   "\"DataResources\":[],\"ExcludeManagementEventSources\":[]}]");
    const char *basic =
        "[{\"ReadWriteType\":\"WriteOnly\",\"IncludeManagementEvents\":false,\"DataResources\":[{"
        "\"Type\":\"AWS::S3::Object\",\"Values\":[\"arn:aws:s3\"]}],"
        "\"ExcludeManagementEventSources\":[\"kms.amazonaws.com\"]}]";
    set = parse(state, true, basic);
    expect_printed(&set, true, basic);
}

static void test_insight_selectors(void **state) {
    static const struct {
        const char *text;
        const char *expected;  // printed, or part of the fault
        bool is_good;
    } cases[] = {
        {"[]", "[]", true},
        {"[{\"InsightType\":\"ApiErrorRateInsight\"}]",
         "[{\"InsightType\":\"ApiErrorRateInsight\",\"EventCategories\":[\"Management\"]}]", true},
        {"[{\"InsightType\":\"ApiErrorRateInsight\",\"EventCategories\":[\"Data\"]},"
         "{\"InsightType\":\"ApiCallRateInsight\",\"EventCategories\":[\"Data\",\"Management\"]}]",
         "[{\"InsightType\":\"ApiCallRateInsight\",\"EventCategories\":[\"Management\",\"Data\"]},"
         "{\"InsightType\":\"ApiErrorRateInsight\",\"EventCategories\":[\"Data\"]}]",
         true},
        {"{}", "must be a list", false},
        {"[7]", "for InsightType is invalid", false},
        {"[{\"InsightType\":\"Other\"}]", "Value Other for InsightType is invalid", false},
        {"[{\"InsightType\":\"ApiCallRateInsight\"},{\"InsightType\":\"ApiCallRateInsight\"}]",
         "given twice", false},
        {"[{\"InsightType\":\"ApiCallRateInsight\",\"EventCategories\":[]}]", "must be a list",
         false},
        {"[{\"InsightType\":\"ApiCallRateInsight\",\"EventCategories\":[\"All\"]}]",
         "Value All for EventCategories is invalid", false},
    };
    struct fixture *fixture = *state;
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        const struct yyjson_val *root;
        struct fault fault;
        struct insight_selectors selectors;
        assert_true(json_read(fixture->reader, span_text(cases[index].text), &root, &fault));
        bool is_good = insight_selector_parse(root, &selectors, &fault);
        if (is_good != cases[index].is_good) fail_msg("%s", cases[index].text);
        if (!is_good) {
            if (strstr(fault.text, cases[index].expected) == NULL) fail_msg("%s", fault.text);
            continue;
        }
        assert_int_equal(insight_selector_is_empty(&selectors), index == 0);
        struct buffer output;
        buffer_init(&output, 4096);
        insight_selector_print(&selectors, &output);
        buffer_append_byte(&output, 0);
        assert_string_equal((const char *)output.bytes, cases[index].expected);
        buffer_done(&output);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_six_objects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_advanced_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_advanced_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_agent_categories, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_basic_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_basic_refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_basic_resources_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prints, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_insight_selectors, set_up, tear_down),
    };
    return cases_run("match", tests, sizeof tests / sizeof tests[0]);
}
