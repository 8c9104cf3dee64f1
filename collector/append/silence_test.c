#include "collector/append/silence.h"

#include <stdio.h>
#include <string.h>

#include "collector/append/test_trail.h"
#include "collector/metrics.h"
#include "tests/kit/cases.h"

enum {
    HEARTBEAT_MS = 15000,
    PATIENCE_MS = SILENCE_HEARTBEATS * HEARTBEAT_MS,
    REGION_MS = 24 * 3600 * 1000,
    SESSIONS = 64,
    MANY = 40,
};

// What silence looks at, and what it tells.
struct room {
    struct test_trail *trail;
    struct sessions *sessions;
    struct coverage *coverage;
    struct notes *notes;
    struct roster *roster;
    struct roster_live live;
    struct silence *silence;
};

static const char *const REGIONS[] = {"eu-west-1", "us-east-1"};

static void open_silence(struct room *room) {
    const struct silence_options options = {
        .trail = room->trail->trail,
        .sessions = room->sessions,
        .coverage = room->coverage,
        .notes = room->notes,
        .roster = &room->live,
        .clock = &room->trail->clock,
        .heartbeat_ms = HEARTBEAT_MS,
        .region_ms = REGION_MS,
    };
    room->silence = silence_create(&options);
    assert_non_null(room->silence);
}

static int make(void **state) {
    static struct room room;
    static const struct roster_account accounts[] = {
        {.id = "111111111111", .regions = REGIONS, .regions_count = 2}, {.id = "222222222222"}};
    struct fault fault = {0};
    void *trail;
    if (test_trail_make(&trail) != 0) return 1;
    room = (struct room){.trail = trail};
    room.sessions = sessions_create(SESSIONS);
    room.coverage = coverage_create();
    room.notes = notes_create();
    if (!roster_create(accounts, 2, ROSTER_UNKNOWN_DEFAULT, &room.roster, &fault)) return 1;
    roster_live_init(&room.live, room.roster);
    open_silence(&room);
    *state = &room;
    return 0;
}

static int end(void **state) {
    struct room *room = *state;
    silence_destroy(room->silence);
    notes_destroy(room->notes);
    coverage_destroy(room->coverage);
    sessions_destroy(room->sessions);
    roster_destroy(room->roster);
    void *trail = room->trail;
    return test_trail_end(&trail);
}

static void print_uri(uint32_t index, char uri[64]) {
    snprintf(uri, 64, "spiffe://o-abc/account/%012u", index);
}

// An agent that has brought something; its number.
static uint32_t add_agent(struct room *room, uint32_t index) {
    struct fault fault = {0};
    struct trail_stream stream = {.stream_id = {1}, .durable_seq = 1};
    char uri[64];
    print_uri(index, uri);
    test_trail_begin(room->trail);
    assert_true(trail_agent_number(room->trail->trail, span_text(uri), &stream.agent, &fault));
    assert_true(trail_stream_put(room->trail->trail, &stream, &fault));
    test_trail_commit(room->trail);
    return stream.agent;
}

// The agent has a stream from now on, whose owner is the room.
static void connect(struct room *room, uint32_t agent) {
    uint32_t slot = sessions_find_free(room->sessions);
    struct session *session = sessions_touch(room->sessions, slot);
    session->is_used = true;
    session->owner = room;
    session->stream.agent = agent;
    sessions_keep(room->sessions);
}

static void pass(struct room *room, int64_t ms) {
    room->trail->now_ms += ms;
    silence_check(room->silence);
}

// How often this was told since the last look; the others are forgotten.
static uint32_t count_told(struct room *room, const char *name) {
    uint32_t found = 0;
    for (;;) {
        uint32_t count = notes_choose(room->notes, room->trail->now_ms);
        if (count == 0) return found;
        for (uint32_t index = 0; index < count; index++) {
            found += strcmp(notes_get(room->notes, index)->name, name) == 0;
        }
        notes_keep(room->notes);
    }
}

static void save(struct room *room) {
    struct fault fault = {0};
    test_trail_begin(room->trail);
    assert_true(silence_save(room->silence, &fault));
    test_trail_commit(room->trail);
    silence_keep(room->silence);
}

// As a restart does.
static void reopen(struct room *room) {
    struct fault fault = {0};
    silence_destroy(room->silence);
    open_silence(room);
    struct trail_reader *reader = test_trail_read(room->trail);
    assert_true(silence_load(room->silence, reader, &fault));
    trail_reader_close(reader);
}

static int64_t gauge(enum metrics_index which) {
    return metric_get(&metrics_table[which], 0);
}

static void test_agent_falls_silent_and_is_heard_again(void **state) {
    struct room *room = *state;
    uint32_t agent = add_agent(room, 1);
    connect(room, agent);
    pass(room, 2 * PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 0);
    sessions_forget(room->sessions, room);
    silence_part(room->silence, agent, room->trail->now_ms, false);
    pass(room, PATIENCE_MS - 1000);
    assert_int_equal(count_told(room, "AgentSilent"), 0);
    pass(room, SILENCE_CHECK_MAX_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 1);
    assert_int_equal(gauge(METRICS_SILENT_AGENTS), 1);
    pass(room, 10 * PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 0);
    connect(room, agent);
    pass(room, SILENCE_CHECK_MAX_MS);
    assert_int_equal(count_told(room, "AgentHeard"), 1);
    assert_int_equal(gauge(METRICS_SILENT_AGENTS), 0);
}

// One that was there before the collector began, and does not come back, is missed too.
static void test_agent_that_never_returns_is_silent(void **state) {
    struct room *room = *state;
    add_agent(room, 1);
    pass(room, PATIENCE_MS - 1);
    assert_int_equal(count_told(room, "AgentSilent"), 0);
    pass(room, SILENCE_CHECK_MAX_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 1);
}

static void test_agent_that_said_goodbye_is_not(void **state) {
    struct room *room = *state;
    uint32_t agent = add_agent(room, 1);
    silence_part(room->silence, agent, room->trail->now_ms, true);
    pass(room, 10 * PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 0);
    // Over a restart as well.
    save(room);
    reopen(room);
    pass(room, 10 * PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 0);
    // It comes back, and counts from then on.
    connect(room, agent);
    pass(room, SILENCE_CHECK_MAX_MS);
    sessions_forget(room->sessions, room);
    silence_part(room->silence, agent, room->trail->now_ms, false);
    pass(room, PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 1);
}

static void test_operator_forgets_an_agent(void **state) {
    struct room *room = *state;
    struct fault fault = {0};
    char uri[64];
    uint32_t agent = add_agent(room, 1);
    pass(room, PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 1);
    print_uri(2, uri);
    assert_false(silence_forget(room->silence, span_text(uri), &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    print_uri(1, uri);
    connect(room, agent);
    assert_false(silence_forget(room->silence, span_text(uri), &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    sessions_forget(room->sessions, room);
    assert_true(silence_forget(room->silence, span_text(uri), &fault));
    assert_true(silence_is_due(room->silence));
    pass(room, 10 * PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 0);
    assert_int_equal(gauge(METRICS_SILENT_AGENTS), 0);
}

// A network that is down is told in a few own events, not in one for each agent.
static void test_many_are_told_together(void **state) {
    struct room *room = *state;
    for (uint32_t index = 0; index < MANY; index++) add_agent(room, index);
    pass(room, PATIENCE_MS);
    assert_int_equal(gauge(METRICS_SILENT_AGENTS), MANY);
    uint32_t alone = 0, together = 0, others = 0;
    uint32_t count = notes_choose(room->notes, room->trail->now_ms);
    for (uint32_t index = 0; index < count; index++) {
        const struct note *note = notes_get(room->notes, index);
        alone += strcmp(note->name, "AgentSilent") == 0;
        if (strcmp(note->name, "AgentsSilent") != 0) continue;
        together++;
        others = (uint32_t)note->details[0].number;
    }
    assert_int_equal(alone, SILENCE_TOLD_MAX);
    assert_int_equal(together, 1);
    assert_int_equal(others, MANY - SILENCE_TOLD_MAX);
}

// A restart says nothing twice, and a commit that fails saves nothing.
static void test_silence_is_kept(void **state) {
    struct room *room = *state;
    struct fault fault = {0};
    add_agent(room, 1);
    pass(room, PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 1);
    assert_true(silence_is_due(room->silence));
    test_trail_begin(room->trail);
    assert_true(silence_save(room->silence, &fault));
    trail_abort(room->trail->trail);
    silence_undo(room->silence);
    assert_true(silence_is_due(room->silence));
    save(room);
    assert_false(silence_is_due(room->silence));
    reopen(room);
    pass(room, 10 * PATIENCE_MS);
    assert_int_equal(count_told(room, "AgentSilent"), 0);
    assert_int_equal(gauge(METRICS_SILENT_AGENTS), 1);
}

static void hear(struct room *room, const char *account, const char *region) {
    const struct coverage_change change = {.stored = 1, .received_ms = room->trail->now_ms};
    coverage_note(room->coverage, span_text(account), region, &change);
    coverage_keep(room->coverage);
}

// Only where the roster expects events, and from then on.
static void test_region_falls_silent_and_is_heard_again(void **state) {
    struct room *room = *state;
    hear(room, "222222222222", "eu-west-1");
    hear(room, "111111111111", "eu-west-1");
    pass(room, SILENCE_CHECK_MAX_MS);
    assert_int_equal(gauge(METRICS_EXPECTED_REGIONS), 2);
    pass(room, REGION_MS / 2);
    hear(room, "111111111111", "eu-west-1");
    pass(room, REGION_MS / 2);
    assert_int_equal(count_told(room, "RegionSilent"), 1);
    assert_int_equal(gauge(METRICS_SILENT_REGIONS), 1);
    pass(room, REGION_MS);
    assert_int_equal(count_told(room, "RegionSilent"), 1);
    assert_int_equal(gauge(METRICS_SILENT_REGIONS), 2);
    hear(room, "111111111111", "us-east-1");
    pass(room, SILENCE_CHECK_MAX_MS);
    assert_int_equal(count_told(room, "RegionHeard"), 1);
    assert_int_equal(gauge(METRICS_SILENT_REGIONS), 1);
    // Silent since is a matter of the row, so that people see it.
    uint32_t row = coverage_find(room->coverage, SPAN_LITERAL("111111111111"), "eu-west-1");
    assert_true(coverage_get(room->coverage, row)->silent_ms != 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agent_falls_silent_and_is_heard_again, make, end),
        cmocka_unit_test_setup_teardown(test_agent_that_never_returns_is_silent, make, end),
        cmocka_unit_test_setup_teardown(test_agent_that_said_goodbye_is_not, make, end),
        cmocka_unit_test_setup_teardown(test_operator_forgets_an_agent, make, end),
        cmocka_unit_test_setup_teardown(test_many_are_told_together, make, end),
        cmocka_unit_test_setup_teardown(test_silence_is_kept, make, end),
        cmocka_unit_test_setup_teardown(test_region_falls_silent_and_is_heard_again, make, end),
    };
    metrics_start();
    return cases_run("silence_test", tests, sizeof tests / sizeof tests[0]);
}
