#include "collector/notes/own_event.h"

#include "base/json.h"
#include "event/record.h"
#include "tests/kit/cases.h"

static const struct own_event_place PLACE = {"999999999999", "eu-central-1"};

struct room {
    struct arena *arena;
    struct json_reader *reader;
};

static int make_room(void **state) {
    static struct room room;
    room = (struct room){arena_create(4 << 20), json_reader_create()};
    *state = &room;
    return 0;
}

static int end_room(void **state) {
    struct room *room = *state;
    arena_destroy(room->arena);
    json_reader_destroy(room->reader);
    return 0;
}

static struct record read_record(struct room *room, struct span text) {
    struct record record;
    enum record_refusal refusal;
    struct fault fault = {0};
    assert_non_null(text.bytes);
    if (!record_read(room->reader, room->arena, text, &record, &refusal, &fault)) {
        fail_msg("%s in %.*s", fault.text, SPAN_PRINT(text));
    }
    return record;
}

static void test_is_a_record(void **state) {
    struct room *room = *state;
    const uint8_t id[OWN_EVENT_ID_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    const struct own_event_detail details[] = {
        {"agent", SPAN_LITERAL("spiffe://o/\"x\"\n\xff"), 0},
        {"count", {NULL, 0}, UINT64_MAX},
    };
    struct span text =
        own_event_print(&PLACE, "IdentityViolation", id, 1700000000, details, 2, room->arena);
    struct record record = read_record(room, text);
    assert_true(span_is(record.event_source, "orgtrail.local"));
    assert_true(span_is(record.event_name, "IdentityViolation"));
    assert_true(span_is(record.recipient_account, "999999999999"));
    assert_true(span_is(record.region, "eu-central-1"));
    assert_true(record.id_is_uuid);
    assert_memory_equal(record.id, id, sizeof id);
    assert_int_equal(record.event_time_s, 1700000000);
    assert_int_equal(record.category, RECORD_MANAGEMENT);

    const struct yyjson_val *root;
    struct fault fault = {0};
    assert_true(json_read(room->reader, text, &root, &fault));
    const struct yyjson_val *told = json_member(root, SPAN_LITERAL("serviceEventDetails"));
    assert_true(
        span_is(json_member_string(told, SPAN_LITERAL("agent")), "spiffe://o/\"x\"\n\xef\xbf\xbd"));
}

static void test_random_ids_are_version_4(void **state) {
    (void)state;
    uint64_t seed = 1;
    struct random random = random_seeded(&seed);
    uint8_t first[OWN_EVENT_ID_SIZE], second[OWN_EVENT_ID_SIZE];
    own_event_make_id(&random, first);
    own_event_make_id(&random, second);
    assert_memory_not_equal(first, second, sizeof first);
    assert_int_equal(first[6] >> 4, 4);
    assert_int_equal(first[8] >> 6, 2);
}

static struct batch_notice make_notice(void) {
    static const uint8_t sha256[32] = {0xab};
    return (struct batch_notice){
        .reason = SPAN_LITERAL("rotated_away"),
        .source = SPAN_LITERAL("app"),
        .place = SPAN_LITERAL("/var/log/a.json at 17"),
        .detail = SPAN_LITERAL("the file was gone"),
        .head = SPAN_LITERAL("{\"x\""),
        .sha256 = span_of(sha256, sizeof sha256),
        .size = 123,
        .time_ms = 1690000000999,
    };
}

static void test_notice_is_the_same_when_sent_again(void **state) {
    struct room *room = *state;
    struct batch_notice notice = make_notice();
    struct span uri = SPAN_LITERAL("spiffe://o/account/1");
    struct span bytes = SPAN_LITERAL("serialized");
    struct span first = own_event_print_notice(&PLACE, uri, bytes, &notice, room->arena);
    struct span again = own_event_print_notice(&PLACE, uri, bytes, &notice, room->arena);
    assert_true(span_equal(first, again));
    struct record record = read_record(room, first);
    assert_int_equal(record.event_time_s, 1690000000);
    assert_true(span_is(record.event_name, "AgentNotice"));
    assert_true(record.id_is_uuid);

    struct record other =
        read_record(room, own_event_print_notice(&PLACE, SPAN_LITERAL("spiffe://o/account/2"),
                                                 bytes, &notice, room->arena));
    assert_memory_not_equal(record.id, other.id, RECORD_ID_SIZE);
    other = read_record(room, own_event_print_notice(&PLACE, uri, SPAN_LITERAL("serialised"),
                                                     &notice, room->arena));
    assert_memory_not_equal(record.id, other.id, RECORD_ID_SIZE);
}

static void test_notice_with_huge_texts_stays_a_record(void **state) {
    struct room *room = *state;
    static char huge[1 << 20];
    memset(huge, 1, sizeof huge);
    struct batch_notice notice = make_notice();
    notice.reason = notice.place = notice.detail = notice.source = span_of(huge, sizeof huge);
    struct span text =
        own_event_print_notice(&PLACE, SPAN_LITERAL("u"), SPAN_LITERAL("n"), &notice, room->arena);
    (void)read_record(room, text);
    assert_true(text.size < 256 * 1024);
}

static void test_full_arena_gives_nothing(void **state) {
    (void)state;
    struct arena *small = arena_create(64);
    struct batch_notice notice = make_notice();
    struct span text =
        own_event_print_notice(&PLACE, SPAN_LITERAL("u"), SPAN_LITERAL("n"), &notice, small);
    assert_null(text.bytes);
    arena_destroy(small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_is_a_record, make_room, end_room),
        cmocka_unit_test(test_random_ids_are_version_4),
        cmocka_unit_test_setup_teardown(test_notice_is_the_same_when_sent_again, make_room,
                                        end_room),
        cmocka_unit_test_setup_teardown(test_notice_with_huge_texts_stays_a_record, make_room,
                                        end_room),
        cmocka_unit_test(test_full_arena_gives_nothing),
    };
    return cases_run("collector/own_event", tests, sizeof tests / sizeof tests[0]);
}
