#include "collector/notes/notes.h"

#include <stdio.h>
#include <string.h>

#include "collector/metrics.h"
#include "tests/kit/cases.h"

static void add(struct notes *notes, const char *name, const char *subject, uint64_t number) {
    const struct own_event_detail details[] = {
        {"agent", span_text(subject), 0},
        {"number", {NULL, 0}, number},
    };
    assert_true(notes_add(notes, name, span_text(subject), details, 2));
}

static void expect(const struct notes *notes, uint32_t index, const char *name, uint64_t number,
                   uint64_t count) {
    const struct note *note = notes_get(notes, index);
    assert_string_equal(note->name, name);
    assert_string_equal(note->details[1].name, "number");
    assert_int_equal(note->details[1].number, number);
    assert_int_equal(note->details_count, count == 0 ? 2 : 3);
    if (count == 0) return;
    assert_string_equal(note->details[2].name, "count");
    assert_int_equal(note->details[2].number, count);
}

static void test_first_at_once_then_one_a_minute(void **state) {
    (void)state;
    struct notes *notes = notes_create();
    assert_false(notes_are_due(notes, 1000));
    add(notes, "Throttled", "a", 1);
    add(notes, "Throttled", "b", 2);
    add(notes, "Other", "a", 3);
    assert_true(notes_are_due(notes, 1000));
    assert_int_equal(notes_choose(notes, 1000), 3);
    expect(notes, 0, "Throttled", 1, 0);
    expect(notes, 1, "Throttled", 2, 0);
    expect(notes, 2, "Other", 3, 0);
    notes_keep(notes);
    for (uint64_t number = 10; number < 20; number++) add(notes, "Throttled", "a", number);
    assert_false(notes_are_due(notes, 1001));
    assert_false(notes_are_due(notes, 1000 + NOTES_INTERVAL_MS - 1));
    // The timer alone brings the last one with the count.
    assert_true(notes_are_due(notes, 1000 + NOTES_INTERVAL_MS));
    assert_int_equal(notes_choose(notes, 1000 + NOTES_INTERVAL_MS), 1);
    expect(notes, 0, "Throttled", 19, 10);
    notes_keep(notes);
    add(notes, "Throttled", "a", 30);
    assert_false(notes_are_due(notes, 1000 + 2 * NOTES_INTERVAL_MS - 1));
    assert_true(notes_are_due(notes, 1000 + 2 * NOTES_INTERVAL_MS));
    notes_destroy(notes);
}

static void test_nothing_waits_at_the_end(void **state) {
    (void)state;
    struct notes *notes = notes_create();
    for (uint64_t number = 0; number < 5; number++) add(notes, "Throttled", "a", number);
    assert_int_equal(notes_choose(notes, 1000), 1);
    notes_keep(notes);
    add(notes, "Throttled", "a", 5);
    notes_hurry(notes);
    assert_int_equal(notes_choose(notes, 1001), 1);
    expect(notes, 0, "Throttled", 5, 5);
    notes_keep(notes);
    notes_hurry(notes);
    assert_false(notes_are_due(notes, 1002));
    notes_destroy(notes);
}

static void test_what_a_person_did_is_never_held_back(void **state) {
    (void)state;
    struct notes *notes = notes_create();
    for (uint64_t number = 0; number < NOTES_COMMIT_MAX + 5; number++) {
        add(notes, "Discarded", "", number);
    }
    assert_int_equal(notes_choose(notes, 1), NOTES_COMMIT_MAX);
    notes_undo(notes);
    assert_int_equal(notes_choose(notes, 1), NOTES_COMMIT_MAX);
    expect(notes, 0, "Discarded", 0, 0);
    notes_keep(notes);
    assert_int_equal(notes_choose(notes, 1), 5);
    expect(notes, 4, "Discarded", NOTES_COMMIT_MAX + 4, 0);
    notes_keep(notes);
    assert_false(notes_are_due(notes, 1));
    add(notes, "Discarded", "", 99);
    assert_true(notes_are_due(notes, 1));
    notes_destroy(notes);
}

static void expect_lost(const struct notes *notes, uint32_t index, uint64_t count) {
    const struct note *note = notes_get(notes, index);
    assert_string_equal(note->name, "OwnEventsLost");
    assert_int_equal(note->details_count, 1);
    assert_string_equal(note->details[0].name, "count");
    assert_int_equal(note->details[0].number, count);
}

static void test_a_full_queue_is_counted(void **state) {
    (void)state;
    struct notes *notes = notes_create();
    int64_t lost = metric_get(&metrics_table[METRICS_LOST_NOTES], 0);
    for (uint32_t index = 0; index < NOTES_QUEUE_MAX; index++) {
        assert_true(notes_add(notes, "X", SPAN_LITERAL("s"), NULL, 0));
    }
    assert_false(notes_add(notes, "X", SPAN_LITERAL("s"), NULL, 0));
    assert_int_equal(metric_get(&metrics_table[METRICS_LOST_NOTES], 0), lost + 1);
    assert_int_equal(notes_choose(notes, 5), 2);
    expect_lost(notes, 1, 1);
    notes_keep(notes);
    assert_int_equal(notes_choose(notes, 5 + NOTES_INTERVAL_MS), 1);
    assert_int_equal(notes_get(notes, 0)->details[0].number, NOTES_QUEUE_MAX - 1);
    notes_keep(notes);
    notes_destroy(notes);
}

static void test_losses_are_told_once_a_minute(void **state) {
    (void)state;
    struct notes *notes = notes_create();
    for (uint32_t round = 0; round < 3; round++) {
        while (notes_add(notes, "X", SPAN_LITERAL("s"), NULL, 0)) continue;
        // The first at once, the others together a minute later.
        assert_int_equal(notes_choose(notes, 1 + round), round == 0 ? 2 : 0);
        notes_keep(notes);
    }
    assert_int_equal(notes_choose(notes, 1 + NOTES_INTERVAL_MS), 2);
    expect_lost(notes, 1, 2);
    notes_keep(notes);
    notes_destroy(notes);
}

static void add_round(struct notes *notes, uint32_t round, uint32_t *added) {
    char subject[32];
    for (uint32_t number = 0; number < NOTES_QUEUE_MAX / 2; number++) {
        snprintf(subject, sizeof subject, "%u %u", (unsigned)round, (unsigned)number);
        if (notes_add(notes, "X", span_text(subject), NULL, 0)) (*added)++;
    }
}

// Subjects that are always others come faster than commits take them: some are refused, and all are
// told or counted.
static void test_what_is_taken_has_a_bound(void **state) {
    (void)state;
    enum { ROUNDS = 20, ALL = ROUNDS * (NOTES_QUEUE_MAX / 2) };
    struct notes *notes = notes_create();
    int64_t lost = metric_get(&metrics_table[METRICS_LOST_NOTES], 0);
    uint32_t added = 0, told = 0, count;
    uint64_t told_lost = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        add_round(notes, round, &added);
        assert_true(notes_are_due(notes, 1));
    }
    assert_int_equal(added, 2 * NOTES_QUEUE_MAX);
    assert_int_equal(metric_get(&metrics_table[METRICS_LOST_NOTES], 0) - lost, ALL - added);
    while ((count = notes_choose(notes, 1 + NOTES_INTERVAL_MS)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            const struct note *note = notes_get(notes, index);
            bool is_lost = strcmp(note->name, "OwnEventsLost") == 0;
            told += is_lost ? 0 : 1;
            told_lost += is_lost ? note->details[0].number : 0;
        }
        notes_keep(notes);
    }
    assert_int_equal(told, added);
    assert_int_equal(told_lost, ALL - added);
    notes_destroy(notes);
}

// What repeats waits on where it is while there is no room for it, and loses none of its count.
static void test_what_repeats_waits_for_room(void **state) {
    (void)state;
    struct notes *notes = notes_create();
    uint32_t added = 0, count;
    uint64_t repeated = 0;
    add(notes, "Throttled", "a", 1);
    assert_int_equal(notes_choose(notes, 1), 1);
    notes_keep(notes);
    for (uint64_t number = 0; number < 5; number++) add(notes, "Throttled", "a", number);
    add_round(notes, 0, &added);
    add_round(notes, 1, &added);
    assert_true(notes_are_due(notes, 2));
    add_round(notes, 2, &added);
    assert_true(notes_are_due(notes, 2));
    add(notes, "Throttled", "a", 5);
    notes_hurry(notes);
    while ((count = notes_choose(notes, 1 + NOTES_INTERVAL_MS)) > 0) {
        for (uint32_t index = 0; index < count; index++) {
            const struct note *note = notes_get(notes, index);
            if (note->details_count == 3) repeated += note->details[2].number;
            if (note->details_count == 2) repeated++;
            if (note->details_count == 0) added--;
        }
        notes_keep(notes);
    }
    assert_int_equal(added, 0);
    assert_int_equal(repeated, 6);
    notes_destroy(notes);
}

static void test_documents_go_along_and_are_never_held_back(void **state) {
    (void)state;
    struct notes *notes = notes_create();
    const struct own_event_detail details[] = {{"agent", SPAN_LITERAL("a"), 0}};
    const struct note_document first = {SPAN_LITERAL("x/1"), SPAN_LITERAL("one")};
    const struct note_document gone = {SPAN_LITERAL("x/1"), {NULL, 0}};
    assert_true(notes_add_kept(notes, "Seen", details, 1, &first));
    assert_true(notes_add_kept(notes, "Seen", details, 1, &first));
    assert_true(notes_add_kept(notes, NULL, NULL, 0, &gone));
    assert_int_equal(notes_choose(notes, 1000), 3);
    const struct note *note = notes_get(notes, 1);
    assert_string_equal(note->name, "Seen");
    assert_true(span_is(note->document.name, "x/1"));
    assert_true(span_is(note->document.value, "one"));
    assert_true(span_is(note->details[0].text, "a"));
    note = notes_get(notes, 2);
    assert_string_equal(note->name, "");
    assert_true(span_is(note->document.name, "x/1"));
    assert_int_equal(note->document.value.size, 0);
    // What has no document has none.
    notes_keep(notes);
    add(notes, "Throttled", "a", 1);
    assert_int_equal(notes_choose(notes, 1000), 1);
    assert_int_equal(notes_get(notes, 0)->document.name.size, 0);
    notes_destroy(notes);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_go_along_and_are_never_held_back),
        cmocka_unit_test(test_first_at_once_then_one_a_minute),
        cmocka_unit_test(test_nothing_waits_at_the_end),
        cmocka_unit_test(test_what_a_person_did_is_never_held_back),
        cmocka_unit_test(test_a_full_queue_is_counted),
        cmocka_unit_test(test_losses_are_told_once_a_minute),
        cmocka_unit_test(test_what_is_taken_has_a_bound),
        cmocka_unit_test(test_what_repeats_waits_for_room),
    };
    return cases_run("notes", tests, sizeof tests / sizeof tests[0]);
}
