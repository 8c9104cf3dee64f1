#include "collector/intake/vitals.h"

#include <stdio.h>
#include <string.h>

#include "proto/control.pb-c.h"
#include "tests/kit/cases.h"

enum { SOURCES = VITALS_SOURCES_MAX + 3 };

static const char URI[] = "spiffe://o-abc/account/111111111111";

// What was published last; NULL: nothing. The caller frees it.
static Orgtrail__V1__AgentLive *read_live(struct vitals *vitals) {
    struct buffer output;
    buffer_init(&output, 1 << 20);
    vitals_read(vitals, &output);
    Orgtrail__V1__AgentLive *live = NULL;
    if (output.size > 0) {
        live = orgtrail__v1__agent_live__unpack(NULL, output.size, output.bytes);
        assert_non_null(live);
    }
    buffer_done(&output);
    return live;
}

static void say_hello(struct vitals *vitals, const char *host, size_t sources_count) {
    static char names[SOURCES][32];
    Orgtrail__V1__SourceInfo sources[SOURCES], *list[SOURCES];
    for (size_t index = 0; index < sources_count; index++) {
        snprintf(names[index], sizeof names[index], "source %zu", index);
        orgtrail__v1__source_info__init(&sources[index]);
        sources[index].name = names[index];
        list[index] = &sources[index];
    }
    char version[] = "1.2.3";
    Orgtrail__V1__Hello hello = ORGTRAIL__V1__HELLO__INIT;
    hello.agent_version = version;
    hello.host_name = (char *)(uintptr_t)host;
    hello.sources = list;
    hello.n_sources = sources_count;
    vitals_note_hello(vitals, &hello);
}

static void beat(struct vitals *vitals, uint64_t spool_events, size_t sources_count,
                 const char *error) {
    Orgtrail__V1__SourceStatus statuses[SOURCES], *list[SOURCES];
    for (size_t index = 0; index < sources_count; index++) {
        orgtrail__v1__source_status__init(&statuses[index]);
        statuses[index].source = (uint32_t)index;
        statuses[index].state = ORGTRAIL__V1__SOURCE_STATUS__STATE__DEGRADED;
        statuses[index].events_read = 10 * index;
        statuses[index].errors = index;
        statuses[index].bytes_behind = 100 * index;
        statuses[index].last_error = (char *)(uintptr_t)error;
        list[index] = &statuses[index];
    }
    Orgtrail__V1__Heartbeat heartbeat = ORGTRAIL__V1__HEARTBEAT__INIT;
    heartbeat.sent_at_ms = 5000;
    heartbeat.spool_events = spool_events;
    heartbeat.spool_bytes = 77;
    heartbeat.oldest_unacked_ms = 88;
    heartbeat.rss_bytes = 99;
    heartbeat.cpu_ms = 111;
    heartbeat.sources = list;
    heartbeat.n_sources = sources_count;
    vitals_note_heartbeat(vitals, span_text(URI), &heartbeat, 6000, -70000);
}

static void test_heartbeat_is_published(void **state) {
    (void)state;
    struct vitals *vitals = vitals_create();
    assert_null(read_live(vitals));
    say_hello(vitals, "box", 2);
    // Hello alone says nothing of how it is.
    assert_null(read_live(vitals));
    beat(vitals, 42, 2, "late");
    // Whoever asks again before the next heartbeat is told the same.
    for (int round = 0; round < 2; round++) {
        Orgtrail__V1__AgentLive *live = read_live(vitals);
        assert_non_null(live);
        assert_string_equal(live->agent, URI);
        assert_string_equal(live->version, "1.2.3");
        assert_string_equal(live->host, "box");
        assert_int_equal(live->heard_ms, 6000);
        assert_int_equal(live->sent_ms, 5000);
        assert_int_equal(live->spool_events, 42);
        assert_int_equal(live->spool_bytes, 77);
        assert_int_equal(live->oldest_unacked_ms, 88);
        assert_int_equal(live->rss_bytes, 99);
        assert_int_equal(live->cpu_ms, 111);
        assert_int_equal(live->skew_ms, -70000);
        assert_int_equal(live->n_sources, 2);
        assert_string_equal(live->sources[1]->name, "source 1");
        assert_int_equal(live->sources[1]->state, ORGTRAIL__V1__SOURCE_STATUS__STATE__DEGRADED);
        assert_int_equal(live->sources[1]->records, 10);
        assert_int_equal(live->sources[1]->errors, 1);
        assert_int_equal(live->sources[1]->bytes_behind, 100);
        assert_string_equal(live->sources[1]->last_error, "late");
        orgtrail__v1__agent_live__free_unpacked(live, NULL);
    }
    beat(vitals, 43, 0, "");
    Orgtrail__V1__AgentLive *live = read_live(vitals);
    assert_int_equal(live->spool_events, 43);
    assert_int_equal(live->n_sources, 0);
    orgtrail__v1__agent_live__free_unpacked(live, NULL);
    vitals_destroy(vitals);
    vitals_destroy(NULL);
}

// More sources than fit are left out, in Hello and after it.
static void test_sources_beyond_are_left_out(void **state) {
    (void)state;
    struct vitals *vitals = vitals_create();
    say_hello(vitals, "box", SOURCES);
    beat(vitals, 1, SOURCES, "");
    Orgtrail__V1__AgentLive *live = read_live(vitals);
    assert_int_equal(live->n_sources, VITALS_SOURCES_MAX);
    assert_string_equal(live->sources[VITALS_SOURCES_MAX - 1]->name, "source 15");
    orgtrail__v1__agent_live__free_unpacked(live, NULL);
    vitals_destroy(vitals);
}

// A source that Hello did not name has no name.
static void test_unknown_source_has_no_name(void **state) {
    (void)state;
    struct vitals *vitals = vitals_create();
    say_hello(vitals, "box", 1);
    beat(vitals, 1, 2, "");
    Orgtrail__V1__AgentLive *live = read_live(vitals);
    assert_string_equal(live->sources[0]->name, "source 0");
    assert_string_equal(live->sources[1]->name, "");
    orgtrail__v1__agent_live__free_unpacked(live, NULL);

    Orgtrail__V1__SourceStatus status = ORGTRAIL__V1__SOURCE_STATUS__INIT, *list = &status;
    status.source = UINT32_MAX;
    Orgtrail__V1__Heartbeat heartbeat = ORGTRAIL__V1__HEARTBEAT__INIT;
    heartbeat.sources = &list;
    heartbeat.n_sources = 1;
    vitals_note_heartbeat(vitals, span_text(URI), &heartbeat, 1, 0);
    live = read_live(vitals);
    assert_string_equal(live->sources[0]->name, "");
    orgtrail__v1__agent_live__free_unpacked(live, NULL);
    vitals_destroy(vitals);
}

// Long texts are cut where a character begins.
static void test_long_texts_are_cut(void **state) {
    (void)state;
    char text[2 * VITALS_TEXT_SIZE] = "";
    struct vitals *vitals = vitals_create();
    for (size_t at = 0; at + 2 < sizeof text; at += 2) memcpy(text + at, "\xc3\xa4", 2);
    say_hello(vitals, text, 1);
    beat(vitals, 1, 1, text);
    Orgtrail__V1__AgentLive *live = read_live(vitals);
    // 199 bytes would end in half a character.
    assert_int_equal(strlen(live->host), VITALS_TEXT_SIZE - 2);
    assert_int_equal(strlen(live->sources[0]->last_error), VITALS_TEXT_SIZE - 2);
    assert_memory_equal(live->host, text, VITALS_TEXT_SIZE - 2);
    orgtrail__v1__agent_live__free_unpacked(live, NULL);
    vitals_destroy(vitals);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heartbeat_is_published),
        cmocka_unit_test(test_sources_beyond_are_left_out),
        cmocka_unit_test(test_unknown_source_has_no_name),
        cmocka_unit_test(test_long_texts_are_cut),
    };
    return cases_run("vitals_test", tests, sizeof tests / sizeof tests[0]);
}
