#include "collector/api/gateway.h"

#include <string.h>

#include "collector/api/api_fixture.h"
#include "tests/kit/cases.h"

enum { HEADERS = 8 };

static struct api_fixture fixture;

// A gateway before the fixture's worker, and a key of each state.
static struct room {
    struct gateway *gateway;
    struct gateway_lane *lane;
    struct keys *keys;
    struct arena *arena;
    struct clock clock;
    int64_t monotonic_ms;
    struct keys_facts key;
    struct keys_facts disabled;
    bool has_room;
    uint32_t events;
    uint32_t refusals;
    char refused[64];
    struct gateway_answer answer;
    char *body;
} room;

static int64_t now_ms(void *context) {
    (void)context;
    return fixture.now_ms;
}

static int64_t monotonic_ms(void *context) {
    (void)context;
    return room.monotonic_ms;
}

static bool on_event(void *context, struct span record) {
    (void)context;
    assert_true(record.size > 0);
    room.events++;
    return true;
}

static bool has_room(void *context) {
    (void)context;
    return room.has_room;
}

static void on_refused(void *context, const char *code, struct span key_id, struct span source) {
    (void)context;
    (void)key_id;
    assert_true(span_is(source, "192.0.2.7"));
    room.refusals++;
    snprintf(room.refused, sizeof room.refused, "%s", code);
}

static struct keys_facts add_key(const char *name, bool is_disabled) {
    struct fault fault;
    struct buffer document;
    struct keys_facts facts = {.name = span_text(name),
                               .account = SPAN_LITERAL("111111111111"),
                               .role = API_ADMIN,
                               .is_disabled = is_disabled,
                               .creator = SPAN_LITERAL("test")};
    buffer_init(&document, KEYS_DOCUMENT_SIZE_MAX);
    assert_true(keys_make(&fixture.random, room.arena, &facts, &fault));
    assert_true(keys_print(room.keys, &facts, &fixture.random, &document, &fault));
    assert_true(keys_take(room.keys, facts.id, buffer_span(&document), &fault));
    buffer_done(&document);
    return facts;
}

static void make_gateway(uint32_t lookups_per_second) {
    const struct gateway_options options = {
        .clock = &room.clock,
        .random = &fixture.random,
        .keys = room.keys,
        .lookups_per_second = lookups_per_second,
        .on_event = on_event,
        .has_room = has_room,
        .on_refused = on_refused,
    };
    room.gateway = gateway_create(&options);
    assert_non_null(room.gateway);
    room.lane = gateway_lane_create(room.gateway, fixture.worker);
    assert_non_null(room.lane);
}

static void end_gateway(void) {
    gateway_lane_destroy(room.lane);
    gateway_destroy(room.gateway);
}

static int make_room(void **state) {
    (void)state;
    api_fixture_init(&fixture);
    room = (struct room){.has_room = true, .clock = {now_ms, monotonic_ms, NULL}};
    room.keys = fixture.keys;
    room.arena = arena_create(1 << 20);
    room.key = add_key("good", false);
    room.disabled = add_key("disabled", true);
    make_gateway(0);
    return 0;
}

static int end_room(void **state) {
    (void)state;
    end_gateway();
    arena_destroy(room.arena);
    free(room.body);
    api_fixture_done(&fixture);
    return 0;
}

#define LONG "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."
#define SHORT "CloudTrail_20131101."

// A request to be signed and sent.
struct wish {
    const char *method;
    const char *path;
    const char *target;  // NULL: none
    const char *type;
    const char *body;
    const char *service;
    const char *region;
    const char *token;
    const struct keys_facts *key;
    const char *secret;  // in place of the key's
    int64_t skew_ms;
    bool is_unsigned;
};

static const struct wish WISH = {.method = "POST",
                                 .path = "/",
                                 .target = LONG "ListTrails",
                                 .type = "application/x-amz-json-1.1",
                                 .body = "{}",
                                 .service = "cloudtrail",
                                 .region = "eu-central-1"};

static void send_wish(const struct wish *wish) {
    struct fault fault;
    struct buffer authorization;
    char time[SIGV4_TIME_SIZE];
    struct sigv4_header headers[HEADERS];
    const struct keys_facts *key = wish->key == NULL ? &room.key : wish->key;
    uint32_t count = 0;
    sigv4_print_time(fixture.now_ms + wish->skew_ms, time);
    buffer_init(&authorization, 4096);
    headers[count++] = (struct sigv4_header){SPAN_LITERAL("Host"), SPAN_LITERAL("localhost")};
    headers[count++] = (struct sigv4_header){SPAN_LITERAL("X-Amz-Date"), span_text(time)};
    headers[count++] = (struct sigv4_header){SPAN_LITERAL("Content-Type"), span_text(wish->type)};
    if (wish->target != NULL) {
        headers[count++] =
            (struct sigv4_header){SPAN_LITERAL("X-Amz-Target"), span_text(wish->target)};
    }
    if (wish->token != NULL) {
        headers[count++] =
            (struct sigv4_header){SPAN_LITERAL("X-Amz-Security-Token"), span_text(wish->token)};
    }
    struct gateway_request request = {
        .wire = {.method = span_text(wish->method),
                 .path = span_text(wish->path),
                 .headers = headers,
                 .headers_count = count,
                 .body = span_text(wish->body)},
        .source = SPAN_LITERAL("192.0.2.7"),
    };
    const struct sigv4_signer signer = {
        .key_id = key->id,
        .secret = wish->secret == NULL ? key->secret : span_text(wish->secret),
        .region = span_text(wish->region),
        .service = span_text(wish->service),
    };
    if (!wish->is_unsigned) {
        assert_true(sigv4_sign(&request.wire, &signer, &authorization, &fault));
        headers[request.wire.headers_count++] =
            (struct sigv4_header){SPAN_LITERAL("Authorization"), buffer_span(&authorization)};
    }
    gateway_run(room.lane, &request, &room.answer);
    buffer_done(&authorization);
    free(room.body);
    room.body = strndup((const char *)room.answer.body.bytes, room.answer.body.size);
}

static void expect(const struct wish *wish, uint32_t status, enum gateway_outcome outcome,
                   const char *part) {
    send_wish(wish);
    if (room.answer.status != status || room.answer.outcome != outcome ||
        strstr(room.body, part) == NULL) {
        fail_msg("%u %d: %s", room.answer.status, room.answer.outcome, room.body);
    }
    assert_int_equal(strlen(room.answer.request_id), 36);
}

static void test_both_targets(void **state) {
    (void)state;
    struct wish wish = WISH;
    expect(&wish, 200, GATEWAY_ANSWERED, "{\"Trails\":[]}");
    assert_string_equal(room.answer.content_type, "application/x-amz-json-1.1");
    wish.target = SHORT "ListTrails";
    wish.type = "Application/X-Amz-JSON-1.1; charset=utf-8";
    expect(&wish, 200, GATEWAY_ANSWERED, "{\"Trails\":[]}");
    assert_int_equal(room.events, 2);
    assert_int_equal(room.refusals, 0);
    wish.target = "AWSOrganizationsV20161128.DescribeOrganization";
    wish.service = "organizations";
    expect(&wish, 200, GATEWAY_ANSWERED, "o-example");
}

static void test_a_change_through_the_gateway(void **state) {
    (void)state;
    struct wish wish = WISH;
    wish.target = LONG "CreateTrail";
    wish.body = "{\"Name\":\"one\",\"S3BucketName\":\"a-bucket\"}";
    expect(&wish, 200, GATEWAY_ANSWERED, "trail/one");
    // Its event is stored with it.
    assert_int_equal(room.events, 0);
    assert_int_equal(fixture.changes, 1);
    expect(&wish, 400, GATEWAY_REFUSED, "TrailAlreadyExistsException");
    assert_int_equal(room.events, 1);
}

static void test_who_is_not_let_in(void **state) {
    (void)state;
    struct wish wish = WISH;
    wish.is_unsigned = true;
    expect(&wish, 400, GATEWAY_UNAUTHENTICATED, "MissingAuthenticationTokenException");
    assert_string_equal(room.refused, "MissingAuthenticationTokenException");
    wish = WISH;
    wish.secret = "wrong";
    expect(&wish, 400, GATEWAY_UNAUTHENTICATED, "InvalidSignatureException");
    wish = WISH;
    wish.key = &room.disabled;
    expect(&wish, 400, GATEWAY_UNAUTHENTICATED, "UnrecognizedClientException");
    struct keys_facts unknown = room.key;
    unknown.id = SPAN_LITERAL("AKIANONE");
    wish.key = &unknown;
    expect(&wish, 400, GATEWAY_UNAUTHENTICATED, "UnrecognizedClientException");
    wish = WISH;
    wish.token = "session";
    expect(&wish, 400, GATEWAY_UNAUTHENTICATED, "UnrecognizedClientException");
    wish = WISH;
    wish.skew_ms = -301000;
    expect(&wish, 400, GATEWAY_UNAUTHENTICATED, "Signature expired");
    wish.skew_ms = 301000;
    expect(&wish, 400, GATEWAY_UNAUTHENTICATED, "Signature not yet current");
    wish = WISH;
    wish.service = "s3";
    expect(&wish, 400, GATEWAY_UNAUTHENTICATED, "scoped to correct service");
    assert_int_equal(room.refusals, 8);
    assert_int_equal(room.events, 0);
    wish = WISH;
    wish.skew_ms = -300000;
    expect(&wish, 200, GATEWAY_ANSWERED, "Trails");
}

static void test_what_is_no_call(void **state) {
    (void)state;
    struct wish wish = WISH;
    wish.path = "/x";
    expect(&wish, 404, GATEWAY_REFUSED, "UnknownOperationException");
    wish = WISH;
    wish.method = "GET";
    expect(&wish, 405, GATEWAY_REFUSED, "UnknownOperationException");
    const char *types[] = {"", "text/plain", "application/json", "application/x-amz-json-1.1x"};
    for (size_t index = 0; index < sizeof types / sizeof types[0]; index++) {
        wish = WISH;
        wish.type = types[index];
        expect(&wish, 400, GATEWAY_REFUSED, "SerializationException");
    }
    const char *targets[] = {NULL,
                             "",
                             ".",
                             "ListTrails",
                             LONG,
                             SHORT,
                             "Other_20131101.ListTrails",
                             "xCloudTrail_20131101.ListTrails",
                             SHORT "List\"Trails",
                             SHORT "DropTables",
                             SHORT "GetCallerIdentity"};
    for (size_t index = 0; index < sizeof targets / sizeof targets[0]; index++) {
        wish = WISH;
        wish.target = targets[index];
        expect(&wish, 400, GATEWAY_REFUSED, "UnknownOperationException");
    }
    wish = WISH;
    const char *bodies[] = {"[]", "{", "{\"a\":1,\"a\":2}", "\xff"};
    for (size_t index = 0; index < sizeof bodies / sizeof bodies[0]; index++) {
        wish.body = bodies[index];
        expect(&wish, 400, GATEWAY_REFUSED, "SerializationException");
    }
}

static void test_the_query_form(void **state) {
    (void)state;
    struct wish wish = WISH;
    wish.target = NULL;
    wish.type = "application/x-www-form-urlencoded; charset=utf-8";
    wish.service = "sts";
    wish.body = "Action=GetCallerIdentity&Version=2011-06-15";
    expect(&wish, 200, GATEWAY_ANSWERED, "<Arn>arn:aws:iam::111111111111:user/good</Arn>");
    assert_non_null(strstr(room.body, "<GetCallerIdentityResponse xmlns="));
    assert_non_null(strstr(room.body, "<Account>111111111111</Account>"));
    assert_non_null(strstr(room.body, "<RequestId>"));
    assert_string_equal(room.answer.content_type, "text/xml");
    wish.secret = "wrong";
    expect(&wish, 403, GATEWAY_UNAUTHENTICATED, "<Code>SignatureDoesNotMatch</Code>");
    assert_string_equal(room.refused, "InvalidSignatureException");
    wish.secret = NULL;
    wish.skew_ms = -301000;
    expect(&wish, 403, GATEWAY_UNAUTHENTICATED, "Signature expired");
    wish.skew_ms = 0;
    wish.token = "session";
    expect(&wish, 403, GATEWAY_UNAUTHENTICATED, "<Code>InvalidClientTokenId</Code>");
    wish.token = NULL;
    wish.is_unsigned = true;
    expect(&wish, 403, GATEWAY_UNAUTHENTICATED, "<Code>MissingAuthenticationToken</Code>");
    wish.is_unsigned = false;
    const char *bodies[] = {"", "Version=1", "Action=A&Action=B", "Action=%zz", "Action=a%20b"};
    for (size_t index = 0; index < sizeof bodies / sizeof bodies[0]; index++) {
        wish.body = bodies[index];
        expect(&wish, 400, GATEWAY_REFUSED, "<Error><Type>Sender</Type>");
    }
    wish.body = "Action=AssumeRole&RoleArn=%3Cx%3E";
    expect(&wish, 400, GATEWAY_REFUSED, "<Code>InvalidAction</Code>");
}

static void test_rates(void **state) {
    (void)state;
    struct wish wish = WISH;
    end_gateway();
    make_gateway(2);
    room.monotonic_ms = 1000000;
    wish.target = LONG "LookupEvents";
    wish.body = "{\"MaxResults\":0}";  // refused before it looks anything up
    for (int index = 0; index < 2; index++) {
        expect(&wish, 400, GATEWAY_REFUSED, "InvalidMaxResultsException");
    }
    expect(&wish, 400, GATEWAY_THROTTLED, "ThrottlingException");
    assert_int_equal(room.answer.retry_after_ms, 500);
    // A region is what the caller writes.
    wish.region = "us-invented-1";
    expect(&wish, 400, GATEWAY_THROTTLED, "ThrottlingException");
    wish.region = "organization";
    expect(&wish, 400, GATEWAY_THROTTLED, "ThrottlingException");
    wish.region = WISH.region;
    // Other calls have no rate.
    struct wish other = WISH;
    expect(&other, 200, GATEWAY_ANSWERED, "Trails");
    room.monotonic_ms += 500;
    expect(&wish, 400, GATEWAY_REFUSED, "InvalidMaxResultsException");
    expect(&wish, 400, GATEWAY_THROTTLED, "ThrottlingException");
    // However long nobody calls, a second's worth comes at once.
    room.monotonic_ms += 60000;
    expect(&wish, 400, GATEWAY_REFUSED, "InvalidMaxResultsException");
    expect(&wish, 400, GATEWAY_REFUSED, "InvalidMaxResultsException");
    expect(&wish, 400, GATEWAY_THROTTLED, "ThrottlingException");
}

static void test_no_call_without_room_for_its_event(void **state) {
    (void)state;
    struct wish wish = WISH;
    wish.target = LONG "CreateTrail";
    wish.body = "{\"Name\":\"one\",\"S3BucketName\":\"a-bucket\"}";
    room.has_room = false;
    expect(&wish, 400, GATEWAY_THROTTLED, "ThrottlingException");
    assert_int_equal(room.answer.retry_after_ms, 1000);
    assert_int_equal(fixture.changes, 0);
    // No event tells of it, so a note does.
    assert_int_equal(room.refusals, 1);
    assert_string_equal(room.refused, "ThrottlingException");
    // STS has a name of its own for it.
    wish.target = NULL;
    wish.type = "application/x-www-form-urlencoded";
    wish.service = "sts";
    wish.body = "Action=GetCallerIdentity";
    expect(&wish, 400, GATEWAY_THROTTLED, "<Type>Sender</Type><Code>Throttling</Code>");
    assert_int_equal(room.answer.retry_after_ms, 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_targets, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_a_change_through_the_gateway, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_who_is_not_let_in, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_what_is_no_call, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_the_query_form, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_rates, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_no_call_without_room_for_its_event, make_room,
                                        end_room),
    };
    return cases_run("gateway_test", tests, sizeof tests / sizeof tests[0]);
}
