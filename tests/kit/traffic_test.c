#include "tests/kit/traffic.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "tests/kit/cases.h"

enum { EVENTS = 20000 };

static struct traffic *create(int32_t account, int32_t region, uint64_t seed, bool repeats) {
    struct traffic_options options = {
        .directory = "tests/data",
        .seed = seed,
        .start_s = 1767225600,
        .rate = 100,
        .account = account,
        .region = region,
        .repeats = repeats,
    };
    struct traffic *traffic = NULL;
    struct fault fault = {.kind = FAULT_NONE};
    if (!traffic_create(&options, &traffic, &fault)) fail_msg("%s", fault.text);
    return traffic;
}

static uint64_t hash_of(struct span text) {
    uint64_t hash = 1469598103934665603U;
    for (size_t index = 0; index < text.size; index++) {
        hash = (hash ^ text.bytes[index]) * 1099511628211U;
    }
    return hash;
}

static void test_same_seed_same_records(void **state) {
    (void)state;
    struct traffic *left = create(-1, -1, 7, true);
    struct traffic *right = create(-1, -1, 7, true);
    struct traffic *other = create(-1, -1, 8, true);
    uint32_t different = 0;
    for (uint32_t index = 0; index < EVENTS; index++) {
        struct traffic_event one, two, three;
        traffic_next(left, &one);
        traffic_next(right, &two);
        traffic_next(other, &three);
        assert_true(span_equal(one.record, two.record));
        different += !span_equal(one.record, three.record);
    }
    assert_true(different > EVENTS * 9 / 10);
    traffic_destroy(left);
    traffic_destroy(right);
    traffic_destroy(other);
}

static void test_records_read_and_say_what_the_event_says(void **state) {
    (void)state;
    struct traffic *traffic = create(-1, -1, 0, true);
    struct json_reader *reader = json_reader_create();
    assert_non_null(reader);
    uint32_t repeats = 0, global = 0;
    for (uint32_t index = 0; index < EVENTS; index++) {
        struct traffic_event event;
        struct fault fault;
        const struct yyjson_val *root = NULL;
        traffic_next(traffic, &event);
        if (!json_read(reader, event.record, &root, &fault)) {
            fail_msg("%s in %.*s", fault.text, SPAN_PRINT(event.record));
        }
        struct span account = json_member_string(root, SPAN_LITERAL("recipientAccountId"));
        struct span region = json_member_string(root, SPAN_LITERAL("awsRegion"));
        if (account.bytes != NULL) assert_true(span_equal(account, event.account));
        assert_true(span_equal(region, event.region));
        assert_true(memchr(event.record.bytes, 1, event.record.size) == NULL);
        if (!event.is_global) assert_true(span_equal(event.region, event.agent_region));
        repeats += event.is_repeat;
        global += event.is_global;
    }
    // Copies of global events are on average 2.65 of 1, resends 2 %.
    assert_in_range(repeats, EVENTS / 20, EVENTS / 3);
    assert_in_range(global, EVENTS / 20, EVENTS / 2);
    json_reader_destroy(reader);
    traffic_destroy(traffic);
}

static void test_a_shard_alone_gives_what_it_gives_among_all(void **state) {
    (void)state;
    struct traffic *all = create(-1, -1, 0, false);
    struct traffic_event event;
    traffic_next(all, &event);
    uint32_t account = event.account_index, region = event.agent_region_index;
    // Event times differ: a shard's rate is its share, whether it runs alone or not.
    struct traffic *shard = create((int32_t)account, (int32_t)region, 0, false);
    uint32_t compared = 0;
    for (uint32_t index = 0; index < EVENTS; index++) {
        if (event.account_index == account && event.agent_region_index == region) {
            struct traffic_event alone;
            traffic_next(shard, &alone);
            assert_true(span_equal(alone.record, event.record));
            compared++;
        }
        traffic_next(all, &event);
    }
    assert_true(compared > 100);
    traffic_destroy(all);
    traffic_destroy(shard);
}

static void test_repeats_are_copies_of_what_came_before(void **state) {
    (void)state;
    struct traffic *traffic = create(-1, -1, 3, true);
    enum { SLOTS = 1 << 17 };
    static uint64_t seen[SLOTS];
    uint32_t unknown = 0, unmarked = 0;
    for (uint32_t index = 0; index < EVENTS; index++) {
        struct traffic_event event;
        traffic_next(traffic, &event);
        uint64_t hash = hash_of(event.record);
        size_t slot = hash % SLOTS;
        while (seen[slot] != 0 && seen[slot] != hash) slot = (slot + 1) % SLOTS;
        bool before = seen[slot] == hash;
        seen[slot] = hash;
        unknown += event.is_repeat && !before;
        unmarked += !event.is_repeat && before;
    }
    assert_int_equal(unknown, 0);
    assert_int_equal(unmarked, 0);
    traffic_destroy(traffic);
}

static void test_times_follow_the_rate(void **state) {
    (void)state;
    struct traffic *traffic = create(-1, -1, 0, false);
    uint32_t late = 0;
    for (uint32_t index = 0; index < EVENTS; index++) {
        struct traffic_event event;
        traffic_next(traffic, &event);
        double expected = 1767225600 + index / 100.0;
        late += (double)event.event_time_s < expected - 30;
        assert_true((double)event.event_time_s < expected + 30);
    }
    assert_in_range(late, EVENTS / 100, EVENTS / 25);
    traffic_destroy(traffic);
}

static void test_missing_data_is_named(void **state) {
    (void)state;
    struct traffic_options options = {.directory = "tests/nowhere", .account = -1, .region = -1};
    struct traffic *traffic = NULL;
    struct fault fault = {.kind = FAULT_NONE};
    assert_false(traffic_create(&options, &traffic, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "tests/nowhere"));
    assert_null(traffic);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_seed_same_records),
        cmocka_unit_test(test_records_read_and_say_what_the_event_says),
        cmocka_unit_test(test_a_shard_alone_gives_what_it_gives_among_all),
        cmocka_unit_test(test_repeats_are_copies_of_what_came_before),
        cmocka_unit_test(test_times_follow_the_rate),
        cmocka_unit_test(test_missing_data_is_named),
    };
    return cases_run("traffic", tests, sizeof tests / sizeof tests[0]);
}
