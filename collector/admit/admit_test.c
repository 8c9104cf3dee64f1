#include "collector/admit/admit.h"

#include "tests/kit/cases.h"

enum { NOW_S = 1700000000, DAY_S = 86400 };

#define RECORD_WITH(fields)                                                          \
    "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"ec2.amazonaws.com\"," \
    "\"eventName\":\"RunInstances\"" fields "}"

static const struct roster_account ACCOUNTS[] = {{.id = "111111111111"}, {.id = "222222222222"}};

struct room {
    struct arena *arena;
    struct json_reader *reader;
    struct roster *rosters[3];  // by enum roster_unknown
};

static int make_room(void **state) {
    static struct room room;
    struct fault fault = {0};
    room.arena = arena_create(1 << 20);
    room.reader = json_reader_create();
    for (int unknown = 0; unknown < 3; unknown++) {
        if (!roster_create(ACCOUNTS, 2, (enum roster_unknown)unknown, &room.rosters[unknown],
                           &fault)) {
            return 1;
        }
    }
    *state = &room;
    return 0;
}

static int end_room(void **state) {
    struct room *room = *state;
    arena_destroy(room->arena);
    json_reader_destroy(room->reader);
    for (int unknown = 0; unknown < 3; unknown++) roster_destroy(room->rosters[unknown]);
    return 0;
}

struct example {
    const char *name;
    const char *uri;
    enum roster_unknown unknown;
    const char *object;
    const char *record;
    enum admit_reason reason;
    const char *account;  // if good
    bool is_unlisted;
    const char *detail;  // part of it, if not good
};

static void check(struct room *room, const struct example *example) {
    struct fault fault = {0};
    struct grant grant;
    if (!grant_parse(span_text(example->uri), "o-abc", &grant, &fault)) fail_msg("%s", fault.text);
    struct admit_rules rules = {&grant, room->rosters[example->unknown], DAY_S};
    struct record record;
    enum record_refusal refusal;
    if (!record_read(room->reader, room->arena, span_text(example->record), &record, &refusal,
                     &fault)) {
        fail_msg("%s: %s", example->name, fault.text);
    }
    struct admit_answer answer;
    const char *object = example->object == NULL ? "" : example->object;
    assert_true(
        admit_record(&rules, &record, span_text(object), NOW_S, room->arena, &answer, &fault));
    if (answer.reason != example->reason) {
        fail_msg("%s: %s (%s)", example->name, admit_reason_name(answer.reason), answer.detail);
    }
    if (answer.reason == ADMIT_GOOD) {
        if (!span_is(answer.account, example->account)) {
            fail_msg("%s: account %.*s", example->name, SPAN_PRINT(answer.account));
        }
        assert_int_equal(answer.is_unlisted, example->is_unlisted);
    } else if (strstr(answer.detail, example->detail) == NULL) {
        fail_msg("%s: %s", example->name, answer.detail);
    }
}

#define ONE "spiffe://o-abc/account/111111111111"
#define ONE_EU "spiffe://o-abc/account/111111111111/region/eu-west-1"
#define NINE "spiffe://o-abc/account/999999999999"
#define ALL "spiffe://o-abc/organization"
#define FOLDER "AWSLogs/o-abc/222222222222/CloudTrail/eu-west-1/2023/11/14/x.json.gz"

static void test_accounts(void **state) {
    static const struct example examples[] = {
        {"the record's account", ONE, 0, NULL,
         RECORD_WITH(",\"recipientAccountId\":\"111111111111\""), ADMIT_GOOD, "111111111111", false,
         NULL},
        {"an aggregated record's account", ONE, 0, NULL,
         "{\"eventVersion\":\"1.0\",\"accountId\":\"111111111111\",\"eventId\":\"a\","
         "\"eventCategory\":\"Aggregated\",\"eventType\":\"AwsAggregatedEvent\","
         "\"eventTime\":\"2023-11-14T22:00:00Z\",\"awsRegion\":\"eu-west-1\","
         "\"eventSource\":\"s3.amazonaws.com\",\"eventName\":\"Aggregate\"}",
         ADMIT_GOOD, "111111111111", false, NULL},
        {"the certificate's account", ONE, 0, FOLDER,
         RECORD_WITH(",\"userIdentity\":{\"accountId\":\"222222222222\"}"), ADMIT_GOOD,
         "111111111111", false, NULL},
        {"the object's folder", ALL, 0, FOLDER,
         RECORD_WITH(",\"userIdentity\":{\"accountId\":\"111111111111\"}"), ADMIT_GOOD,
         "222222222222", false, NULL},
        {"the record before the object's folder", ALL, 0, FOLDER,
         RECORD_WITH(",\"recipientAccountId\":\"111111111111\""), ADMIT_GOOD, "111111111111", false,
         NULL},
        {"the caller's account", ALL, 0, "some/file.json",
         RECORD_WITH(",\"userIdentity\":{\"accountId\":\"222222222222\"}"), ADMIT_GOOD,
         "222222222222", false, NULL},
        {"no account at all", ALL, 0, NULL, RECORD_WITH(""), ADMIT_NO_ACCOUNT, NULL, false,
         "no recipientAccountId"},
        {"an account too long", ALL, 0, NULL,
         RECORD_WITH(",\"recipientAccountId\":"
                     "\"01234567890123456789012345678901234567890123456789012345678901234\""),
         ADMIT_BAD_ACCOUNT, NULL, false, "65 bytes"},
        {"a foreign account", ONE, 0, NULL, RECORD_WITH(",\"recipientAccountId\":\"222222222222\""),
         ADMIT_IDENTITY, NULL, false,
         "the record is of account 222222222222, the certificate is for account 111111111111"},
        {"a foreign account that is a prefix", ONE, 0, NULL,
         RECORD_WITH(",\"recipientAccountId\":\"11111111111\""), ADMIT_IDENTITY, NULL, false,
         "account 11111111111,"},
    };
    for (size_t index = 0; index < sizeof examples / sizeof examples[0]; index++) {
        check(*state, &examples[index]);
    }
}

static void test_roster(void **state) {
    static const struct example examples[] = {
        {"unlisted, of an account", NINE, ROSTER_UNKNOWN_DEFAULT, NULL, RECORD_WITH(""),
         ADMIT_UNKNOWN_ACCOUNT, NULL, false, "account 999999999999 is not in the roster"},
        {"unlisted, of an organization", ALL, ROSTER_UNKNOWN_DEFAULT, NULL,
         RECORD_WITH(",\"recipientAccountId\":\"999999999999\""), ADMIT_GOOD, "999999999999", true,
         NULL},
        {"unlisted, of an organization, quarantined", ALL, ROSTER_UNKNOWN_QUARANTINE, NULL,
         RECORD_WITH(",\"recipientAccountId\":\"999999999999\""), ADMIT_UNKNOWN_ACCOUNT, NULL,
         false, "999999999999"},
        {"unlisted, of an account, admitted", NINE, ROSTER_UNKNOWN_ADMIT, NULL, RECORD_WITH(""),
         ADMIT_GOOD, "999999999999", true, NULL},
        {"foreign and unlisted", ONE, ROSTER_UNKNOWN_ADMIT, NULL,
         RECORD_WITH(",\"recipientAccountId\":\"999999999999\""), ADMIT_IDENTITY, NULL, false,
         "account 999999999999"},
    };
    for (size_t index = 0; index < sizeof examples / sizeof examples[0]; index++) {
        check(*state, &examples[index]);
    }
}

static void test_regions(void **state) {
    static const struct example examples[] = {
        {"its region", ONE_EU, 0, NULL, RECORD_WITH(",\"awsRegion\":\"eu-west-1\""), ADMIT_GOOD,
         "111111111111", false, NULL},
        {"another region", ONE_EU, 0, NULL, RECORD_WITH(",\"awsRegion\":\"us-west-2\""),
         ADMIT_IDENTITY, NULL, false, "of region us-west-2"},
        {"another region without a rule", ONE, 0, NULL, RECORD_WITH(",\"awsRegion\":\"us-west-2\""),
         ADMIT_GOOD, "111111111111", false, NULL},
        {"no region", ONE_EU, 0, NULL, RECORD_WITH(""), ADMIT_GOOD, "111111111111", false, NULL},
        {"an insight of another region", ONE_EU, 0, NULL,
         "{\"eventVersion\":\"1.07\",\"eventTime\":\"2023-11-14T22:00:00Z\","
         "\"awsRegion\":\"us-west-2\",\"eventID\":\"b\",\"eventType\":\"AwsCloudTrailInsight\","
         "\"recipientAccountId\":\"111111111111\",\"insightDetails\":{\"state\":\"Start\","
         "\"eventSource\":\"ec2.amazonaws.com\",\"eventName\":\"RunInstances\"},"
         "\"eventCategory\":\"Insight\"}",
         ADMIT_IDENTITY, NULL, false, "of region us-west-2"},
    };
    for (size_t index = 0; index < sizeof examples / sizeof examples[0]; index++) {
        check(*state, &examples[index]);
    }
}

static void test_global_event_of_17_regional_agents(void **state) {
    static const char *const regions[] = {
        "us-east-1",      "us-east-2",      "us-west-1",      "us-west-2", "ap-south-1",
        "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "sa-east-1", "ap-southeast-1",
        "ap-southeast-2", "ca-central-1",   "eu-central-1",   "eu-west-1", "eu-west-2",
        "eu-west-3",      "eu-north-1"};
    for (size_t index = 0; index < sizeof regions / sizeof regions[0]; index++) {
        char uri[128];
        (void)snprintf(uri, sizeof uri, "%s/region/%s", ONE, regions[index]);
        struct example example = {
            regions[index],
            uri,
            0,
            NULL,
            "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"iam.amazonaws.com\","
            "\"eventName\":\"CreateUser\",\"awsRegion\":\"us-east-1\"}",
            ADMIT_GOOD,
            "111111111111",
            false,
            NULL};
        check(*state, &example);
    }
    const struct example foreign = {
        "a global event of another account",
        ONE_EU,
        0,
        NULL,
        "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"iam.amazonaws.com\","
        "\"eventName\":\"CreateUser\",\"awsRegion\":\"us-east-1\","
        "\"recipientAccountId\":\"222222222222\"}",
        ADMIT_IDENTITY,
        NULL,
        false,
        "account 222222222222"};
    check(*state, &foreign);
}

static void test_time_and_source(void **state) {
    static const struct example examples[] = {
        {"the year 2099", ONE, 0, NULL,
         "{\"eventTime\":\"2099-01-01T00:00:00Z\",\"eventSource\":\"s\",\"eventName\":\"n\"}",
         ADMIT_FUTURE, NULL, false, "eventTime 2099-01-01T00:00:00Z is more than 86400 s ahead"},
        {"a day ahead", ONE, 0, NULL,  // 1700000000 is 2023-11-14T22:13:20Z
         "{\"eventTime\":\"2023-11-15T22:13:20Z\",\"eventSource\":\"s\",\"eventName\":\"n\"}",
         ADMIT_GOOD, "111111111111", false, NULL},
        {"a day and a second ahead", ONE, 0, NULL,
         "{\"eventTime\":\"2023-11-15T22:13:21Z\",\"eventSource\":\"s\",\"eventName\":\"n\"}",
         ADMIT_FUTURE, NULL, false, "ahead of the collector's clock, 2023-11-14T22:13:20Z"},
        {"a forged own event", ALL, 0, NULL,
         "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"orgtrail.local\","
         "\"eventName\":\"n\",\"recipientAccountId\":\"111111111111\"}",
         ADMIT_RESERVED_SOURCE, NULL, false, "is reserved"},
        {"a forged own event in capitals", ONE, 0, NULL,
         "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"Orgtrail.LOCAL\","
         "\"eventName\":\"n\"}",
         ADMIT_RESERVED_SOURCE, NULL, false, "is reserved"},
        {"a forged own event, escaped", ONE, 0, NULL,
         "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"\\u006frgtrail.local\","
         "\"eventName\":\"n\"}",
         ADMIT_RESERVED_SOURCE, NULL, false, "is reserved"},
        {"a forged own event in an insight", ONE, 0, NULL,
         "{\"eventCategory\":\"Insight\",\"insightDetails\":{\"eventSource\":\"x\","
         "\"eventName\":\"y\"},\"eventTime\":\"2023-11-14T22:00:00Z\","
         "\"eventSource\":\"orgtrail.local\",\"eventName\":\"EventsLost\"}",
         ADMIT_RESERVED_SOURCE, NULL, false, "is reserved"},
        {"a forged own event inside of an insight", ONE, 0, NULL,
         "{\"eventCategory\":\"Insight\",\"insightDetails\":{\"eventSource\":"
         "\"orgtrail.local\",\"eventName\":\"y\"},\"eventTime\":\"2023-11-14T22:00:00Z\"}",
         ADMIT_RESERVED_SOURCE, NULL, false, "is reserved"},
        {"details of an insight in another record", ONE, 0, NULL,
         RECORD_WITH(",\"insightDetails\":{\"eventSource\":\"orgtrail.local\"}"),
         ADMIT_RESERVED_SOURCE, NULL, false, "is reserved"},
        {"a forged own event with a blank", ONE, 0, NULL,
         "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"orgtrail.local \","
         "\"eventName\":\"n\"}",
         ADMIT_RESERVED_SOURCE, NULL, false, "is reserved"},
        {"a forged own event with what cannot be seen", ONE, 0, NULL,
         "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":"
         "\"\\u200b\\torgtrail.local\\u00a0\\u0000\",\"eventName\":\"n\"}",
         ADMIT_RESERVED_SOURCE, NULL, false, "is reserved"},
        {"an event invoked by us", ONE, 0, NULL,
         RECORD_WITH(",\"userIdentity\":{\"invokedBy\":\"orgtrail.local\"}"), ADMIT_RESERVED_SOURCE,
         NULL, false, "invokedBy"},
        {"a name that only begins like ours", ONE, 0, NULL,
         "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"orgtrail.local.example\","
         "\"eventName\":\"n\"}",
         ADMIT_GOOD, "111111111111", false, NULL},
    };
    for (size_t index = 0; index < sizeof examples / sizeof examples[0]; index++) {
        check(*state, &examples[index]);
    }
}

static void test_object_accounts(void **state) {
    (void)state;
    static const struct {
        const char *object;
        const char *account;
    } cases[] = {
        {"AWSLogs/111111111111/CloudTrail/eu-west-1/2023/x.json.gz", "111111111111"},
        {"AWSLogs/o-abc/111111111111/CloudTrail/x.json.gz", "111111111111"},
        {"o-abc/AWSLogs/o-abc/111111111111/CloudTrail/x.json.gz", "111111111111"},
        {"/data/in/AWSLogs/111111111111/x", "111111111111"},
        {"AWSLogs/111111111111", ""},
        {"AWSLogs//x", ""},
        {"AWSLogs/o-abc", ""},
        {"111111111111/CloudTrail/x", ""},
        {"XAWSLogs/111111111111/x", ""},
        {"", ""},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        struct span account = admit_object_account(span_text(cases[index].object));
        if (!span_is(account, cases[index].account)) {
            fail_msg("%s: %.*s", cases[index].object, SPAN_PRINT(account));
        }
    }
}

static void test_reason_names_are_distinct(void **state) {
    (void)state;
    for (int left = 0; left < ADMIT_REASONS; left++) {
        for (int right = 0; right < left; right++) {
            assert_string_not_equal(admit_reason_name((enum admit_reason)left),
                                    admit_reason_name((enum admit_reason)right));
        }
    }
}

static void test_full_arena_is_a_fault(void **state) {
    struct room *room = *state;
    struct fault fault = {0};
    struct grant grant;
    assert_true(grant_parse(SPAN_LITERAL(ONE), "o-abc", &grant, &fault));
    struct admit_rules rules = {&grant, room->rosters[0], DAY_S};
    struct record record;
    enum record_refusal refusal;
    assert_true(record_read(room->reader, room->arena,
                            SPAN_LITERAL(RECORD_WITH(",\"recipientAccountId\":\"2\"")), &record,
                            &refusal, &fault));
    struct arena *small = arena_create(16);
    struct admit_answer answer = {.account = {NULL, 17}};
    assert_false(admit_record(&rules, &record, SPAN_LITERAL(""), NOW_S, small, &answer, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    assert_int_equal(answer.account.size, 17);
    arena_destroy(small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_accounts, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_roster, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_regions, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_global_event_of_17_regional_agents, make_room,
                                        end_room),
        cmocka_unit_test_setup_teardown(test_time_and_source, make_room, end_room),
        cmocka_unit_test(test_object_accounts),
        cmocka_unit_test(test_reason_names_are_distinct),
        cmocka_unit_test_setup_teardown(test_full_arena_is_a_fault, make_room, end_room),
    };
    return cases_run("collector/admit", tests, sizeof tests / sizeof tests[0]);
}
