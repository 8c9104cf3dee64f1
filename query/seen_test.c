#include <string.h>

#include "query/seen_table.h"
#include "tests/kit/cases.h"

enum { NOW = 1800000000, DAY = 86400 };

static struct seen entries[] = {
    {SEEN_AGENT, "spiffe://o-abc/account/1", "0a", "f1", NOW - 2 * 3600 - 1, 0},
    {SEEN_AGENT, "spiffe://o-abc/account/2", "0b", "f2", NOW + 90, 1},
    {SEEN_COLLECTOR, "collector", "0c", "f3", NOW + 30 * DAY, 30},
    {SEEN_CA, "orgtrail CA 0d", "0d", "f4", NOW + 30 * DAY + 1, -1},
};

static void test_what_people_see(void **state) {
    (void)state;
    struct seen_table table = {entries, 4};
    struct buffer text;
    buffer_init(&text, 64 * 1024);
    seen_table_print(&table, NOW, &text);
    buffer_append_byte(&text, 0);
    assert_string_equal((char *)text.bytes,
                        "certificates 4 known, the first ended 2 h ago\n"
                        "  ALARM      spiffe://o-abc/account/1 ended 2 h ago, serial 0a\n"
                        "  ALARM      spiffe://o-abc/account/2 ends in 90 s, serial 0b\n"
                        "  WARNING    collector ends in 30 d, serial 0c\n");
    buffer_reset(&text);
    table.count = 0;
    seen_table_print(&table, NOW, &text);
    assert_int_equal(text.size, 0);
    buffer_done(&text);
}

static void test_what_programs_see(void **state) {
    (void)state;
    const struct seen_table table = {entries + 2, 2};
    struct buffer text;
    buffer_init(&text, 64 * 1024);
    seen_table_print_json(&table, NOW, &text);
    buffer_append_byte(&text, 0);
    assert_string_equal((char *)text.bytes,
                        "[{\"kind\":\"collector\",\"subject\":\"collector\",\"serial\":\"0c\","
                        "\"fingerprint\":\"f3\",\"not_after\":\"2027-02-14T08:00:00Z\","
                        "\"seconds_left\":2592000},"
                        "{\"kind\":\"ca\",\"subject\":\"orgtrail CA 0d\",\"serial\":\"0d\","
                        "\"fingerprint\":\"f4\",\"not_after\":\"2027-02-14T08:00:01Z\","
                        "\"seconds_left\":2592001}]");
    buffer_done(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_people_see),
        cmocka_unit_test(test_what_programs_see),
    };
    return cases_run("query/seen", tests, sizeof tests / sizeof tests[0]);
}
