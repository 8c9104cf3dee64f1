#include "collector/api/api.h"

#include <stdio.h>

#include "base/json.h"
#include "collector/api/api_fixture.h"
#include "event/record.h"
#include "tests/kit/cases.h"

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

static void test_operations_that_are_not_offered(void **state) {
    (void)state;
    assert_string_equal(
        api_fixture_call(&fixture, "EnableFederation", "{}"),
        "{\"__type\":\"UnsupportedOperationException\",\"message\":\"orgtrail does not offer "
        "EnableFederation. docs/api.md lists what it answers.\"}");
    assert_int_equal(fixture.answer.status, 400);
    (void)api_fixture_refused(&fixture, "UnknownOperationException", "DropTables", "{}");
    // An operation of another service is none of this one.
    (void)api_fixture_refused(&fixture, "UnknownOperationException", "GetCallerIdentity", "{}");
}

static void test_input_that_is_no_structure(void **state) {
    (void)state;
    const char *inputs[] = {"[]", "7", "{", "{\"a\":1,\"a\":2}", "{} x", "{\"a\":\"\xff\"}"};
    for (size_t index = 0; index < sizeof inputs / sizeof inputs[0]; index++) {
        (void)api_fixture_refused(&fixture, "SerializationException", "ListTrails", inputs[index]);
    }
}

static void test_event_of_a_call(void **state) {
    (void)state;
    (void)api_fixture_call(&fixture, "EnableFederation",
                           "{\"EventDataStore\":\"x\",\"List\":[{\"Key\":1.50}]}");
    const char *parts[] = {
        "\"eventSource\":\"orgtrail.local\",\"eventName\":\"EnableFederation\"",
        "\"eventTime\":\"2025-10-09T08:53:20Z\"",
        "\"arn\":\"arn:aws:iam::111111111111:user/tester\"",
        "\"sourceIPAddress\":\"192.0.2.1\",\"userAgent\":\"test/1.0\"",
        "\"errorCode\":\"UnsupportedOperationException\"",
        "\"requestParameters\":{\"eventDataStore\":\"x\",\"list\":[{\"key\":1.5}]}",
        "\"responseElements\":null",
        "\"requestID\":\"11111111-2222-4333-8444-555555555555\"",
        "\"recipientAccountId\":\"111111111111\"",
    };
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++) {
        if (strstr(fixture.event, parts[index]) == NULL) {
            fail_msg("%s is not in %s", parts[index], fixture.event);
        }
    }
}

// Whatever a client sends as parameters, the event is a record that can be stored.
static void test_event_of_odd_parameters(void **state) {
    (void)state;
    const char *inputs[] = {
        "{\"Name\":1,\"name\":2}",
        "{\"\":1}",
        "{\"Big\":18446744073709551616,\"Tiny\":1e-400,\"Text\":\"\\u0000\\ud83d\\ude00\"}",
        "{\"Deep\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}",
        "",
    };
    struct json_reader *reader = json_reader_create();
    struct arena *arena = arena_create(1 << 22);
    for (size_t index = 0; index < sizeof inputs / sizeof inputs[0]; index++) {
        struct record record;
        enum record_refusal refusal;
        struct fault fault = {0};
        (void)api_fixture_call(&fixture, "EnableFederation", inputs[index]);
        assert_string_equal(fixture.answer.code, "UnsupportedOperationException");
        if (!record_read(reader, arena, span_text(fixture.event), &record, &refusal, &fault)) {
            fail_msg("%s: %s", fault.text, fixture.event);
        }
    }
    arena_destroy(arena);
    json_reader_destroy(reader);
    (void)api_fixture_refused(
        &fixture, "SerializationException", "EnableFederation",
        "{\"Deep\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}");
}

static void test_event_of_large_parameters(void **state) {
    (void)state;
    static char input[API_INPUT_SIZE_MAX];
    size_t size = (size_t)snprintf(input, sizeof input, "{\"Text\":\"");
    memset(input + size, 'x', sizeof input - size);
    memcpy(input + sizeof input - 3, "\"}", 3);
    (void)api_fixture_call(&fixture, "EnableFederation", input);
    assert_non_null(strstr(fixture.event,
                           "\"requestParameters\":{\"reason\":\"requestParameters too "
                           "large\",\"omitted\":true,\"originalSize\":"));
}

// ---- how documents change

// Counts in a document, and tells it.
static bool run_count(struct api_call *call) {
    struct span value;
    bool refuses = false;
    if (!api_bool(call, call->input, "Refuse", &refuses)) return false;
    if (!api_get(call, SPAN_LITERAL("test/count"), &value)) return false;
    char *more = arena_print(call->arena, "%.*s+", SPAN_PRINT(value));
    assert_non_null(more);
    if (!api_put(call, SPAN_LITERAL("test/count"), span_text(more))) return false;
    if (!api_get(call, SPAN_LITERAL("test/count"), &value)) return false;
    json_write_string(call->output, "Count", value);
    return !refuses || api_refuse(call, "ConflictException", "count %d", 7);
}

static const struct operation COUNT = {"cloudtrail", "StartLogging", true, run_count};

static void test_a_change_is_one_commit_with_its_event(void **state) {
    (void)state;
    fixture.operation = &COUNT;
    assert_string_equal(api_fixture_call(&fixture, "StartLogging", "{}"), "{\"Count\":\"+\"}");
    assert_int_equal(fixture.answer.status, 200);
    assert_int_equal(fixture.answer.event.size, 0);
    assert_non_null(strstr(fixture.event, "\"responseElements\":{\"count\":\"+\"}"));
    assert_non_null(strstr(fixture.event, "\"readOnly\":false"));
    assert_string_equal(api_fixture_get(&fixture, "test/count"), "+");
    assert_string_equal(api_fixture_call(&fixture, "StartLogging", ""), "{\"Count\":\"++\"}");
    assert_int_equal(fixture.changes, 2);
}

static void test_what_is_refused_changes_nothing(void **state) {
    (void)state;
    fixture.operation = &COUNT;
    const char *message =
        api_fixture_refused(&fixture, "ConflictException", "StartLogging", "{\"Refuse\":true}");
    assert_string_equal(message, "count 7");
    assert_int_equal(fixture.changes, 0);
    assert_null(api_fixture_get(&fixture, "test/count"));
    assert_non_null(strstr(fixture.event, "\"errorMessage\":\"count 7\""));
    (void)api_fixture_refused(&fixture, "SerializationException", "StartLogging",
                              "{\"Refuse\":\"yes\"}");
    fixture.caller.role = API_READ;
    (void)api_fixture_refused(&fixture, "AccessDeniedException", "StartLogging", "{}");
    assert_int_equal(fixture.changes, 0);
}

static void change_once(struct api_fixture *changed) {
    changed->before_change = NULL;
    api_fixture_put(changed, "test/count", "++++");
}

static void change_always(struct api_fixture *changed) {
    const char *value = api_fixture_get(changed, "test/count");
    api_fixture_put(changed, "test/count", value == NULL || value[1] == 0 ? "++" : "+");
}

static void test_another_change_in_between(void **state) {
    (void)state;
    fixture.operation = &COUNT;
    fixture.before_change = change_once;
    assert_string_equal(api_fixture_call(&fixture, "StartLogging", "{}"), "{\"Count\":\"+++++\"}");
    assert_int_equal(fixture.changes, 1);
    fixture.before_change = change_always;
    (void)api_fixture_refused(&fixture, "ConflictException", "StartLogging", "{}");
    assert_int_equal(fixture.changes, 1);
}

static void test_faults_of_the_store(void **state) {
    (void)state;
    fixture.operation = &COUNT;
    fixture.change_fault = FAULT_FULL;
    (void)api_fixture_refused(&fixture, "ServiceUnavailableException", "StartLogging", "{}");
    assert_int_equal(fixture.answer.status, 503);
    fixture.change_fault = FAULT_CORRUPT;
    const char *message =
        api_fixture_refused(&fixture, "InternalFailureException", "StartLogging", "{}");
    assert_int_equal(fixture.answer.status, 500);
    assert_null(strstr(message, "fault of the test"));
}

static bool run_sees(struct api_call *call) {
    bool sees = false;
    if (!api_sees_organization(call, &sees)) return false;
    json_write_bool(call->output, "Sees", sees);
    return true;
}

static void test_who_sees_the_organization(void **state) {
    (void)state;
    static const struct operation SEES = {"cloudtrail", "ListTrails", false, run_sees};
    fixture.operation = &SEES;
    const struct span accounts[] = {SPAN_LITERAL("222222222222")};
    assert_string_equal(api_fixture_call(&fixture, "ListTrails", "{}"), "{\"Sees\":true}");
    fixture.caller.accounts = accounts;
    fixture.caller.accounts_count = 1;
    assert_string_equal(api_fixture_call(&fixture, "ListTrails", "{}"), "{\"Sees\":false}");
    fixture.caller.accounts_count = 0;
    fixture.caller.account = SPAN_LITERAL("222222222222");
    assert_string_equal(api_fixture_call(&fixture, "ListTrails", "{}"), "{\"Sees\":false}");
    api_fixture_put(&fixture, API_DELEGATES, "[\"333333333333\",\"222222222222\"]");
    assert_string_equal(api_fixture_call(&fixture, "ListTrails", "{}"), "{\"Sees\":true}");
    api_fixture_put(&fixture, API_DELEGATES, "[");
    (void)api_fixture_refused(&fixture, "InternalFailureException", "ListTrails", "{}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_operations_that_are_not_offered, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_input_that_is_no_structure, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_event_of_a_call, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_event_of_odd_parameters, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_event_of_large_parameters, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_a_change_is_one_commit_with_its_event, make_room,
                                        end_room),
        cmocka_unit_test_setup_teardown(test_what_is_refused_changes_nothing, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_another_change_in_between, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_faults_of_the_store, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_who_sees_the_organization, make_room, end_room),
    };
    return cases_run("api_test", tests, sizeof tests / sizeof tests[0]);
}
