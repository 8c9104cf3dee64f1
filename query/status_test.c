#include "query/status.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "query/refused.h"
#include "tests/kit/cases.h"
#include "tests/kit/program.h"
#include "tests/kit/sample.h"

enum { NOW_S = 1700000000 };

static char store[4096];

static struct trail_reader *reader;
static struct trail_reader *fresh;
static struct arena *arena;
static struct status status;
static struct buffer text;

static const char *finish(void) {
    buffer_append_byte(&text, 0);
    assert_false(buffer_overflowed(&text));
    return (const char *)text.bytes;
}

static void test_agents_are_summed_and_balanced(void **state) {
    (void)state;
    assert_int_equal(status.agents_count, 2);
    const struct status_agent *one = &status.agents[0];
    const struct status_agent *two = &status.agents[1];
    assert_string_equal(one->uri, "spiffe://o-x/account/1");
    assert_int_equal(one->streams, 2);
    assert_int_equal(one->stored, 300);
    assert_int_equal(one->received, 308);
    assert_int_equal(one->durable_seq, 209);
    assert_int_equal(one->last_seen_ms, (NOW_S - 38) * INT64_C(1000));
    assert_int_equal(one->first_seen_ms, (NOW_S - 5002) * INT64_C(1000));
    assert_true(one->is_balanced);
    assert_string_equal(two->uri, "spiffe://o-x/account/2/agent/b");
    assert_false(two->is_balanced);
    assert_int_equal(status.total.stored, 350);
    assert_false(status.total.is_balanced);
    struct fault fault;
    assert_false(status_check(&status, &fault));
    assert_int_equal(fault.kind, FAULT_CORRUPT);
    assert_string_equal(fault.text,
                        "spiffe://o-x/account/2/agent/b: received 61, but 54 are accounted for: 7 "
                        "too few");
    assert_int_equal(status.reasons_count, 2);
    assert_int_equal(status.facts.quarantined, 3);
    assert_int_equal(status.gaps_count, STATUS_GAPS_MAX);
    assert_int_equal(status.facts.gaps, 30);
}

static void test_it_reads_well(void **state) {
    (void)state;
    buffer_reset(&text);
    status_print(&status, 200, &text);
    const char *shown = finish();
    assert_true(program_has(shown, "quarantine   3 entries for 4 refusals"));
    assert_true(program_has(shown,
                            "received 369 = stored 350 + duplicates 3 + variants 3 + "
                            "quarantined 3 + expired 3: DOES NOT BALANCE"));
    assert_true(program_has(shown, "invalid_json                2        3"));
    assert_true(program_has(shown, "     38 s      2 h"));
    assert_true(program_has(shown, "spool_corrupt spiffe://o-x/account/1"));
}

static void test_names_stay_apart(void **state) {
    (void)state;
    struct status_connected connected[] = {
        {.agent = "spiffe://o-example/account/222222222222/region/eu-west-1"},
        {.agent = "spiffe://o-example/account/222222222222/region/eu-west-2/agent/"
                  "a-name-that-is-longer-than-a-narrow-terminal-has-room"},
        {.agent = "spiffe://o-other/account/222222222222/region/eu-west-1"},
    };
    buffer_reset(&text);
    status_agents_print(connected, 2, NOW_S, 60, false, &text);
    const char *shown = finish();
    assert_true(program_has(shown, "\nAGENT spiffe://o-example/... "));
    assert_true(program_has(shown, "\naccount/222222222222/region/eu-west-1  "));
    assert_true(program_has(shown,
                            "/eu-west-2/agent/a-name-that-is-longer-than-a-narrow-terminal-"
                            "has-room "));
    assert_null(strchr(shown, '~'));
    // Nothing is left out that differs, or where no terminal is.
    buffer_reset(&text);
    status_agents_print(connected, 3, NOW_S, 60, false, &text);
    assert_true(program_has(finish(), "\nspiffe://o-other/account/222222222222/region/eu-west-1 "));
    buffer_reset(&text);
    status_agents_print(connected, 2, NOW_S, STATUS_WIDTH_FULL, false, &text);
    assert_true(
        program_has(finish(), "\nspiffe://o-example/account/222222222222/region/eu-west-1 "));
}

static void test_json_says_the_same(void **state) {
    (void)state;
    struct fault fault = {0};
    const struct yyjson_val *root;
    struct json_reader *json = json_reader_create();
    buffer_reset(&text);
    status_print_json(&status, &text);
    if (!json_read(json, buffer_span(&text), &root, &fault)) fail_msg("%s", fault.text);
    yyjson_val *agents = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("agents"));
    yyjson_val *agent = yyjson_arr_get(agents, 1);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(agent, "stored")), 50);
    assert_false(yyjson_get_bool(yyjson_obj_get(agent, "balanced")));
    yyjson_val *reasons = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("quarantine"));
    yyjson_val *reason = yyjson_obj_get(reasons, "invalid_json");
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(reason, "refusals")), 3);
    json_reader_destroy(json);
}

static uint32_t count_lines(const char *shown) {
    uint32_t count = 0;
    for (; *shown != 0; shown++) count += *shown == '\n';
    return count;
}

// A thousand agents, each of an account with 17 regions: what is bad is on the first screen, and
// the rest is counted.
static void test_a_thousand_agents_fit_on_a_screen(void **state) {
    (void)state;
    enum { AGENTS = 1000, REGIONS = 17, SILENT = 700, LOSER = 300, UNBALANCED = 999 };
    static struct status_agent agents[AGENTS];
    static struct coverage_row rows[AGENTS * REGIONS];
    static char uris[AGENTS][64];
    struct status many = {.now_ms = NOW_S * INT64_C(1000), .agents = agents};
    for (uint32_t index = 0; index < AGENTS; index++) {
        snprintf(uris[index], sizeof uris[index], "spiffe://o-x/account/%012u", index);
        agents[index] = (struct status_agent){.uri = uris[index], .is_balanced = true};
        agents[index].last_seen_ms = many.now_ms - 1000;
    }
    many.agents_count = AGENTS;
    many.total = (struct status_agent){.uri = "total", .is_balanced = false};
    agents[SILENT].silent_ms = many.now_ms - 3600000;
    agents[LOSER].gap_numbers = 5;
    agents[UNBALANCED].is_balanced = false;
    many.coverage = (struct status_coverage){.rows = rows, .rows_count = AGENTS * REGIONS};
    buffer_reset(&text);
    status_print(&many, 200, &text);
    const char *shown = finish();
    assert_in_range(count_lines(shown), 2 * STATUS_LINES_SHOWN, 60);
    const char *unbalanced = strstr(shown, "000000000999");
    const char *silent = strstr(shown, "000000000700");
    const char *loser = strstr(shown, "000000000300");
    assert_true(unbalanced != NULL && silent > unbalanced && loser > silent);
    assert_true(program_has(shown, "\n... and 980 agents more: --all\n"));
    assert_true(program_has(shown, "\n... and 16980 regions more: --coverage\n"));
    // What stands below one another does so beside the longest name, too.
    snprintf(rows[1].region, sizeof rows[1].region, "apgov-northsouth-2r");
    buffer_reset(&text);
    status_print(&many, 200, &text);
    shown = finish();
    assert_true(program_has(shown, "REGION                   LAG"));
    assert_true(program_has(shown, " apgov-northsouth-2r    never"));
    many.is_whole = true;
    buffer_reset(&text);
    status_print(&many, 200, &text);
    assert_in_range(count_lines(finish()), AGENTS * (REGIONS + 1), AGENTS * (REGIONS + 1) + 60);
}

static bool on_entry(void *user, const struct trail_quarantined *entry) {
    (void)user;
    struct span agent;
    struct fault fault = {0};
    // Asking for a name from within the list, with a reader that has not named anybody yet.
    assert_true(trail_reader_agent(fresh, entry->agent, &agent, &fault));
    assert_true(span_starts(agent, SPAN_LITERAL("spiffe://o-x/account/")));
    refused_print_line(entry, agent, &text);
    refused_print_whole(entry, agent, 4, &text);
    refused_print_json(entry, agent, &text);
    return true;
}

static void test_refused_bytes_do_not_steer(void **state) {
    (void)state;
    struct fault fault = {0};
    buffer_reset(&text);
    assert_true(trail_reader_open(store, &fresh, &fault));
    assert_true(trail_reader_quarantine(fresh, on_entry, NULL, &fault));
    trail_reader_close(fresh);
    const char *shown = finish();
    assert_null(strchr(shown, '\x1b'));
    assert_true(program_has(shown, "line 1: \\u{1b}[2J"));
    assert_true(program_has(shown, "bytes   6, the first ones:\n{\"a\"\n"));
    assert_true(program_has(shown, "\"reason\":\"no_event_time\""));
}

static bool on_sample_day(void *user, const struct trail_day_facts *facts) {
    int64_t *last = user;
    *last = facts->day;
    return true;
}

// A week of the sample's days, and what is left of the disk at their rate.
static void test_it_says_when_the_disk_is_full(void **state) {
    (void)state;
    struct fault fault = {0};
    struct sample sample;
    struct status_upkeep upkeep;
    struct trail_reader *full;
    struct trail_facts facts;
    char directory[4096];
    snprintf(directory, sizeof directory, "%s/days", program_folder());
    assert_int_equal(mkdir(directory, 0700), 0);
    sample_create(&sample, 1, 6000);
    sample_append(&sample, directory, 0, 6000, NULL, 6000);
    sample_destroy(&sample);
    assert_true(trail_reader_open(directory, &full, &fault));
    assert_true(trail_reader_facts(full, &facts, &fault));
    int64_t day = 0;
    assert_true(trail_reader_days(full, on_sample_day, &day, &fault));
    int64_t now_ms = (day + 1) * INT64_C(86400000) + 1000;
    assert_true(status_upkeep_collect(full, &facts, now_ms, &upkeep, &fault));
    // Three days of events, all before today.
    assert_true(upkeep.day_size > facts.block_size / 4 && upkeep.day_size < facts.file_size / 2);
    assert_int_equal(upkeep.days_left, (upkeep.free_size - upkeep.free_min) / upkeep.day_size);
    buffer_reset(&text);
    status_upkeep_print(&upkeep, &facts, now_ms, &text);
    assert_true(program_has(finish(), " days\n"));
    // What the collector keeps free counts, and is kept where nothing is known.
    int64_t days_left = upkeep.days_left;
    status_upkeep_set_free_min(&upkeep, upkeep.free_size - 7 * upkeep.day_size);
    assert_int_equal(upkeep.days_left, 7);
    assert_true(days_left != 7);
    status_upkeep_set_free_min(&upkeep, upkeep.free_size + 1);
    assert_int_equal(upkeep.days_left, 0);
    // Long after the last event nothing is known.
    assert_true(status_upkeep_collect(full, &facts, now_ms + INT64_C(864000000), &upkeep, &fault));
    assert_int_equal(upkeep.days_left, -1);
    status_upkeep_set_free_min(&upkeep, 1);
    assert_int_equal(upkeep.days_left, -1);
    trail_reader_close(full);
}

// What the collector tells of the store's upkeep, as somebody at a terminal sees it.
static void test_upkeep_has_its_alarms(void **state) {
    (void)state;
    const int64_t now_ms = INT64_C(1000) * NOW_S;
    const int64_t day_ms = INT64_C(86400000);
    const struct trail_facts facts = {.sequence_last = 100};
    struct status_upkeep upkeep = {.days_left = -1};
    upkeep.followers[0] =
        (struct trail_follower){.name = "deliver", .sequence = 40, .moved_ms = now_ms - 3 * day_ms};
    // These two move, or have nothing to do.
    upkeep.followers[1] =
        (struct trail_follower){.name = "watch", .sequence = 40, .moved_ms = now_ms - day_ms / 2};
    upkeep.followers[2] =
        (struct trail_follower){.name = "rules", .sequence = 100, .moved_ms = now_ms - 9 * day_ms};
    upkeep.followers_count = 3;
    upkeep.readers[0] = (struct trail_reading){.process = 4711, .behind = 5000};
    upkeep.readers_count = 1;
    buffer_reset(&text);
    status_upkeep_print_alarms(&upkeep, &facts, now_ms, &text);
    status_upkeep_print(&upkeep, &facts, now_ms, &text);
    const char *shown = finish();
    assert_true(program_has(shown, "ALARM        follower deliver has not moved for 3 days"));
    assert_false(program_has(shown, "follower watch has not moved"));
    assert_false(program_has(shown, "follower rules has not moved"));
    assert_false(program_has(shown, "another time"));
    assert_true(program_has(shown, "READER       process 4711 holds the store's room: 5000 "));
    upkeep = (struct status_upkeep){.has_scan = true, .conflicts = 1};
    buffer_reset(&text);
    status_upkeep_print_alarms(&upkeep, &facts, now_ms, &text);
    assert_true(program_has(finish(), "ALARM        1 event has the id of another and another"));
}

int main(void) {
    struct fault fault = {0};
    snprintf(store, sizeof store, "%s", program_folder());
    sample_make_troubled(store, NOW_S);
    buffer_init(&text, 8 << 20);
    arena = arena_create(STATUS_ARENA_SIZE);
    if (!trail_reader_open(store, &reader, &fault) ||
        !status_collect(reader, NOW_S * INT64_C(1000), arena, &status, &fault)) {
        fprintf(stderr, "%s\n", fault.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agents_are_summed_and_balanced),
        cmocka_unit_test(test_it_reads_well),
        cmocka_unit_test(test_names_stay_apart),
        cmocka_unit_test(test_json_says_the_same),
        cmocka_unit_test(test_a_thousand_agents_fit_on_a_screen),
        cmocka_unit_test(test_it_says_when_the_disk_is_full),
        cmocka_unit_test(test_upkeep_has_its_alarms),
        cmocka_unit_test(test_refused_bytes_do_not_steer),
    };
    int code = cases_run("status_test", tests, sizeof tests / sizeof tests[0]);
    trail_reader_close(reader);
    arena_destroy(arena);
    buffer_done(&text);
    return code;
}
