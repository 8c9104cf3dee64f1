#include "collector/server/expiry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector/metrics.h"
#include "tests/kit/cases.h"

enum { NOW = 1800000000, DAY = CERTIFICATE_DAY_S };

// What was told since the last look, and what is kept.
struct room {
    struct expiry *expiry;
    struct notes *notes;
    int64_t now_ms;
};

static int begin(void **state) {
    static struct room room;
    room = (struct room){.notes = notes_create()};
    room.expiry = expiry_create(room.notes);
    *state = &room;
    return room.notes == NULL || room.expiry == NULL;
}

static int end(void **state) {
    struct room *room = *state;
    expiry_destroy(room->expiry);
    notes_destroy(room->notes);
    return 0;
}

// What is told by now.
static uint32_t look(struct room *room) {
    return notes_choose(room->notes, room->now_ms);
}

static void clear(struct room *room) {
    (void)look(room);
    notes_keep(room->notes);
}

static struct certificate_facts make_facts(const char *uri, const char *serial, int64_t days) {
    struct certificate_facts facts = {.not_after_s = NOW + days * DAY};
    snprintf(facts.uri, sizeof facts.uri, "%s", uri);
    snprintf(facts.common_name, sizeof facts.common_name, "%s", uri);
    snprintf(facts.serial, sizeof facts.serial, "%s", serial);
    snprintf((char *)facts.fingerprint, sizeof facts.fingerprint, "%s", serial);
    return facts;
}

static const struct own_event_detail *find_detail(const struct note *note, const char *name) {
    for (uint32_t index = 0; index < note->details_count; index++) {
        if (strcmp(note->details[index].name, name) == 0) return &note->details[index];
    }
    return NULL;
}

static void assert_detail(const struct note *note, const char *name, const char *text) {
    const struct own_event_detail *detail = find_detail(note, name);
    assert_non_null(detail);
    assert_true(span_is(detail->text, text));
}

static void see(struct room *room, const char *serial, int64_t days, int64_t monotonic_ms) {
    struct certificate_facts facts = make_facts("spiffe://o-abc/account/1", serial, days);
    expiry_see_agent(room->expiry, &facts, monotonic_ms);
}

static void test_another_certificate_is_told(void **state) {
    struct room *room = *state;
    see(room, "aa", 397, 1000);
    assert_int_equal(look(room), 1);
    assert_string_equal(notes_get(room->notes, 0)->name, "");  // the first one is kept
    assert_true(notes_get(room->notes, 0)->document.value.size > 0);
    // The same again changes nothing.
    see(room, "aa", 397, 2000);
    assert_int_equal(look(room), 1);
    see(room, "bb", 400, 3000);
    assert_int_equal(look(room), 2);
    assert_string_equal(notes_get(room->notes, 1)->name, "CertificateChanged");
    assert_detail(notes_get(room->notes, 1), "change", "agent");
    assert_detail(notes_get(room->notes, 1), "subject", "spiffe://o-abc/account/1");
    assert_detail(notes_get(room->notes, 1), "serial", "bb");
    assert_detail(notes_get(room->notes, 1), "serialBefore", "aa");
    // To and fro within a minute: kept, not told.
    see(room, "aa", 397, 4000);
    assert_int_equal(look(room), 3);
    assert_string_equal(notes_get(room->notes, 2)->name, "");
    see(room, "bb", 400, 3000 + EXPIRY_CHANGE_MS);
    assert_int_equal(look(room), 4);
    assert_string_equal(notes_get(room->notes, 3)->name, "CertificateChanged");
}

// Passes a day and expects a warning for so many days, or none (-1).
static void assert_told(struct room *room, int64_t now_s, int days) {
    clear(room);
    expiry_step(room->expiry, now_s);
    assert_int_equal(look(room), days < 0 ? 0 : 1);
    if (days < 0) return;
    assert_string_equal(notes_get(room->notes, 0)->name, "CertificateExpires");
    assert_int_equal(find_detail(notes_get(room->notes, 0), "daysBefore")->number, days);
    struct seen seen;
    struct fault fault;
    assert_true(seen_parse(notes_get(room->notes, 0)->document.value, &seen, &fault));
    assert_int_equal(seen.told_days, days);
}

static void test_ends_are_told_once_each(void **state) {
    struct room *room = *state;
    see(room, "aa", 40, 0);
    assert_told(room, NOW, -1);
    assert_told(room, NOW + 10 * DAY - 1, -1);
    assert_told(room, NOW + 10 * DAY, 30);
    assert_told(room, NOW + 11 * DAY, -1);
    assert_told(room, NOW + 33 * DAY, 7);
    assert_told(room, NOW + 39 * DAY, 1);
    assert_told(room, NOW + 39 * DAY + 3600, -1);
    assert_told(room, NOW + 40 * DAY, 0);
    assert_told(room, NOW + 50 * DAY, -1);
    struct metric *gauge = &metrics_table[METRICS_CERTIFICATE_LEFT];
    uint32_t label = metric_label(gauge, SPAN_LITERAL("spiffe://o-abc/account/1"));
    assert_int_equal(metric_get(gauge, label), -10 * DAY);
    // A new one begins anew; one that skips marks is told of the nearest alone.
    see(room, "bb", 56, 0);
    assert_told(room, NOW + 50 * DAY, 7);
    // Gone for good.
    assert_told(room, NOW + 56 * DAY, 0);
    clear(room);
    expiry_step(room->expiry, NOW + (57 + EXPIRY_FORGET_DAYS) * DAY);
    assert_int_equal(look(room), 1);
    assert_string_equal(notes_get(room->notes, 0)->name, "");
    assert_int_equal(notes_get(room->notes, 0)->document.value.size, 0);
}

static void test_cas_come_and_go(void **state) {
    struct room *room = *state;
    struct certificate_facts own = make_facts("collector", "01", 397);
    struct certificate_facts cas[2] = {make_facts("old CA", "0a", 20), make_facts("CA", "0b", 900)};
    expiry_see_own(room->expiry, &own, cas, 2);
    assert_int_equal(look(room), 3);
    assert_string_equal(notes_get(room->notes, 1)->name, "");
    assert_told(room, NOW, 30);
    assert_detail(notes_get(room->notes, 0), "subject", "old CA 0a");
    assert_detail(notes_get(room->notes, 0), "kind", "ca");
    struct metric *gauge = &metrics_table[METRICS_CERTIFICATE_LEFT];
    uint32_t label = metric_label(gauge, SPAN_LITERAL("ca"));
    assert_int_equal(metric_get(gauge, label), 20 * DAY);
    // The old one is replaced: nothing is told of its end any more.
    clear(room);
    expiry_see_own(room->expiry, &own, &cas[1], 1);
    assert_int_equal(look(room), 1);
    assert_string_equal(notes_get(room->notes, 0)->name, "");
    assert_int_equal(notes_get(room->notes, 0)->document.value.size, 0);
    assert_told(room, NOW + 19 * DAY, -1);
    assert_int_equal(metric_get(gauge, label), 881 * DAY);
}

static void test_what_is_kept_reads_back(void **state) {
    (void)state;
    struct seen seen = {SEEN_AGENT, "spiffe://o-abc/account/1", "0a", "ff", NOW, 7};
    struct seen read;
    struct fault fault;
    struct buffer value;
    buffer_init(&value, 4096);
    seen_print(&seen, &value);
    assert_true(seen_parse(buffer_span(&value), &read, &fault));
    assert_memory_equal(&seen, &read, sizeof seen);
    for (size_t size = 0; size < value.size; size++) {
        assert_false(seen_parse(span_of(value.bytes, size), &read, &fault));
        assert_int_equal(fault.kind, FAULT_CORRUPT);
    }
    char name[SEEN_NAME_SIZE];
    seen_print_name(&seen, name);
    assert_int_equal(strncmp(name, SEEN_PREFIX "agent/", strlen(SEEN_PREFIX "agent/")), 0);
    buffer_done(&value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_another_certificate_is_told, begin, end),
        cmocka_unit_test_setup_teardown(test_ends_are_told_once_each, begin, end),
        cmocka_unit_test_setup_teardown(test_cas_come_and_go, begin, end),
        cmocka_unit_test(test_what_is_kept_reads_back),
    };
    metrics_start();
    return cases_run("collector/expiry", tests, sizeof tests / sizeof tests[0]);
}
