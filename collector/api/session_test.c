#include "collector/api/session.h"

#include <string.h>

#include "collector/api/api_fixture.h"
#include "tests/kit/cases.h"

static struct api_fixture fixture;
static struct arena *arena;
static struct keys_facts key;  // the caller's

static void put_key(bool is_disabled) {
    struct fault fault;
    struct buffer document;
    buffer_init(&document, KEYS_DOCUMENT_SIZE_MAX);
    key.is_disabled = is_disabled;
    assert_true(keys_print(fixture.keys, &key, &fixture.random, &document, &fault));
    assert_true(keys_take(fixture.keys, key.id, buffer_span(&document), &fault));
    buffer_done(&document);
}

static int make_room(void **state) {
    (void)state;
    struct fault fault;
    api_fixture_init(&fixture);
    arena = arena_create(1 << 20);
    key = (struct keys_facts){.name = SPAN_LITERAL("tester"),
                              .account = SPAN_LITERAL("222222222222"),
                              .role = API_READ,
                              .creator = SPAN_LITERAL("test")};
    assert_true(keys_make(&fixture.random, arena, &key, &fault));
    put_key(false);
    fixture.caller.key_id = key.id;
    fixture.caller.account = key.account;
    fixture.caller.role = key.role;
    return 0;
}

static int end_room(void **state) {
    (void)state;
    arena_destroy(arena);
    api_fixture_done(&fixture);
    return 0;
}

// A member of the credentials in the last answer.
static struct span get(const char *name) {
    struct fault fault;
    struct span copy;
    const struct yyjson_val *root;
    assert_true(json_read_into(arena, span_text(fixture.body), &root, &fault));
    root = json_member(root, SPAN_LITERAL("Credentials"));
    assert_true(arena_copy(arena, json_member_string(root, span_text(name)), &copy));
    return copy;
}

static struct sigv4_claim ask(const char *input) {
    api_fixture_call_of(&fixture, "sts", "GetSessionToken", input);
    if (fixture.answer.code != NULL) fail_msg("%s", fixture.answer.message);
    return (struct sigv4_claim){.key_id = get("AccessKeyId"), .token = get("SessionToken")};
}

static enum session_verdict find(const struct sigv4_claim *claim, int64_t later_ms,
                                 struct keys_facts *found) {
    struct fault fault;
    int64_t issued_ms = -1;
    enum session_verdict verdict = session_find(fixture.keys, claim, fixture.now_ms + later_ms,
                                                arena, found, &issued_ms, &fault);
    if (verdict == SESSION_GOOD) {
        assert_int_equal(issued_ms, claim->token.bytes == NULL ? 0 : fixture.now_ms);
    }
    return verdict;
}

static void test_a_session_is_of_its_key(void **state) {
    (void)state;
    struct keys_facts found;
    struct sigv4_claim claim = ask("{}");
    assert_true(span_starts(claim.key_id, SPAN_LITERAL("ASIA")));
    assert_int_equal(claim.key_id.size, KEYS_ID_SIZE);
    assert_int_equal(claim.token.size, SESSION_TOKEN_SIZE);
    assert_true(span_is(get("Expiration"), "2025-10-09T20:53:20Z"));  // 12 hours later
    assert_int_equal(find(&claim, 0, &found), SESSION_GOOD);
    assert_true(span_equal(found.id, key.id));
    assert_true(span_equal(found.account, key.account));
    assert_int_equal(found.role, API_READ);
    assert_true(span_equal(found.secret, get("SecretAccessKey")));
    assert_false(span_equal(found.secret, key.secret));
    // Neither secret nor token stands in the call's event.
    assert_null(strstr(fixture.event, "responseElements\":{"));
    // Without a token it is no key, and the key itself is one as before.
    struct sigv4_claim bare = {.key_id = claim.key_id};
    assert_int_equal(find(&bare, 0, &found), SESSION_UNKNOWN);
    bare.key_id = key.id;
    assert_int_equal(find(&bare, 0, &found), SESSION_GOOD);
    assert_true(span_equal(found.secret, key.secret));
}

static void test_a_session_ends(void **state) {
    (void)state;
    struct keys_facts found;
    struct fault fault;
    struct sigv4_claim claim = ask("{\"DurationSeconds\":\"900\"}");
    assert_int_equal(find(&claim, 899999, &found), SESSION_GOOD);
    assert_int_equal(find(&claim, 900000, &found), SESSION_EXPIRED);
    put_key(true);
    assert_int_equal(find(&claim, 0, &found), SESSION_GOOD);
    assert_true(found.is_disabled);
    assert_true(keys_take(fixture.keys, key.id, (struct span){NULL, 0}, &fault));
    assert_int_equal(find(&claim, 0, &found), SESSION_UNKNOWN);
}

static void test_a_changed_token_is_none(void **state) {
    (void)state;
    struct keys_facts found;
    struct sigv4_claim claim = ask("{}");
    struct sigv4_claim other = ask("{}");
    assert_false(span_equal(claim.key_id, other.key_id));
    struct sigv4_claim mixed = {.key_id = claim.key_id, .token = other.token};
    assert_int_equal(find(&mixed, 0, &found), SESSION_UNKNOWN);
    mixed = (struct sigv4_claim){.key_id = key.id, .token = claim.token};
    assert_int_equal(find(&mixed, 0, &found), SESSION_UNKNOWN);
    for (size_t at = 0; at < SESSION_TOKEN_SIZE; at++) {
        char text[SESSION_TOKEN_SIZE];
        memcpy(text, claim.token.bytes, sizeof text);
        text[at] = text[at] == '0' ? '1' : '0';
        mixed = (struct sigv4_claim){.key_id = claim.key_id, .token = span_of(text, sizeof text)};
        assert_int_equal(find(&mixed, 0, &found), SESSION_UNKNOWN);
    }
    const char *wrong[] = {"", "x", "00"};
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        mixed.token = span_text(wrong[index]);
        assert_int_equal(find(&mixed, 0, &found), SESSION_UNKNOWN);
    }
}

static void expect_refused(const char *code, const char *input) {
    api_fixture_call_of(&fixture, "sts", "GetSessionToken", input);
    if (fixture.answer.code == NULL) fail_msg("not refused: %s", input);
    assert_string_equal(fixture.answer.code, code);
}

static void test_what_is_refused(void **state) {
    (void)state;
    const char *wrong[] = {"899", "129601", "", "x", "-900", "900.0", "99999999999999999999"};
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        char input[128];
        snprintf(input, sizeof input, "{\"DurationSeconds\":\"%s\"}", wrong[index]);
        expect_refused("ValidationError", input);
    }
    (void)ask("{\"DurationSeconds\":\"129600\"}");
    expect_refused("AccessDenied", "{\"SerialNumber\":\"x\",\"TokenCode\":\"123456\"}");
    fixture.caller.session_id = SPAN_LITERAL("ASIAORGTRAILTESTKEY1");
    fixture.caller.session_issued_ms = fixture.now_ms;
    expect_refused("AccessDenied", "{}");
    assert_int_equal(fixture.answer.status, 403);
    // The session stands in the event, and the key that it came from.
    char part[256];
    snprintf(part, sizeof part, "\"principalId\":\"%.*s\"", SPAN_PRINT(key.id));
    assert_non_null(strstr(fixture.event, part));
    assert_non_null(strstr(fixture.event, "\"accessKeyId\":\"ASIAORGTRAILTESTKEY1\""));
    assert_non_null(strstr(fixture.event, "\"creationDate\":\"2025-10-09T08:53:20Z\""));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_session_is_of_its_key, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_a_session_ends, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_a_changed_token_is_none, make_room, end_room),
        cmocka_unit_test_setup_teardown(test_what_is_refused, make_room, end_room),
    };
    return cases_run("session_test", tests, sizeof tests / sizeof tests[0]);
}
