// The dedupe window alone: what it holds, for how long, and when hashes collide.

#include "storage/trail/trail_window.h"

#include <stdlib.h>

#include "base/random.h"
#include "tests/kit/cases.h"

enum { KEYS = 300000 };

static bool has(struct trail_window *window, uint64_t key, uint64_t value) {
    struct trail_window_walk walk = {0};
    for (;;) {
        const uint64_t *found = trail_window_next(window, key, &walk);
        if (found == NULL) return false;
        if (*found == value) return true;
    }
}

// Inserts many keys, rotating when it is time, and checks what must be there by its generation.
static void test_slides(void **state) {
    (void)state;
    struct trail_window *window = trail_window_create(400000, 100, 0);
    assert_non_null(window);
    uint64_t random = 3;
    uint64_t *keys = malloc(KEYS * sizeof *keys);
    uint64_t *generations = malloc(KEYS * sizeof *generations);
    assert_non_null(keys);
    assert_non_null(generations);
    for (uint32_t index = 0; index < KEYS; index++) {
        if (!trail_window_has_room(window, 1)) trail_window_rotate(window);
        keys[index] = random_splitmix64(&random);
        generations[index] = trail_window_generation(window);
        trail_window_insert(window, keys[index], trail_window_content(index));
        // Generations double: the newer half of all is always there, while the window grows.
        uint32_t half = index / 2 + 1;
        if (half <= index) assert_true(has(window, keys[half], trail_window_content(half)));
    }
    assert_true(trail_window_generation(window) > 3);
    uint32_t held = 0;
    for (uint32_t index = 0; index < KEYS; index++) {
        bool expected = trail_window_holds(window, generations[index]);
        assert_int_equal(has(window, keys[index], trail_window_content(index)), expected);
        held += expected;
        assert_false(has(window, keys[index] + 1, trail_window_content(index)));
    }
    assert_true(held >= KEYS / 2);
    free(keys);
    free(generations);
    trail_window_destroy(window);
}

static void test_keeps_all_entries_of_a_key(void **state) {
    (void)state;
    struct trail_window *window = trail_window_create(1000, 10, 0);
    assert_non_null(window);
    uint64_t *values[200];
    for (uint32_t index = 0; index < 200; index++)
        values[index] = trail_window_insert(window, index % 3, trail_window_content(index));
    for (uint32_t index = 0; index < 200; index += 2) trail_window_remove(values[index]);
    for (uint32_t index = 0; index < 200; index++) {
        assert_int_equal(has(window, index % 3, trail_window_content(index)), index % 2);
        assert_false(has(window, index % 3 + 3, trail_window_content(index)));
    }
    trail_window_destroy(window);
}

static void test_tells_values_apart(void **state) {
    (void)state;
    uint64_t place = trail_window_place(123456789, 63);
    assert_true(trail_window_is_place(place));
    assert_int_equal(trail_window_place_block(place), 123456789);
    assert_int_equal(trail_window_place_frame(place), 63);
    assert_true(trail_window_is_place(trail_window_place(0, 0)));
    assert_false(trail_window_is_place(trail_window_content(0)));
    assert_false(trail_window_is_place(trail_window_content(UINT64_MAX)));
}

// What was dropped is recalled for as many keys as there are traces, and what never came is not.
static void test_leaves_traces(void **state) {
    (void)state;
    enum { TRACES = 80000, FOREIGN = 100000 };
    struct trail_window *window = trail_window_create(20000, 100, TRACES);
    assert_non_null(window);
    uint64_t *generations = malloc(KEYS * sizeof *generations);
    uint64_t *keys = malloc(KEYS * sizeof *keys);
    assert_non_null(generations);
    assert_non_null(keys);
    uint64_t random = 5;
    for (uint32_t index = 0; index < KEYS; index++) {
        if (!trail_window_has_room(window, 1)) trail_window_rotate(window);
        generations[index] = trail_window_generation(window);
        keys[index] = random_splitmix64(&random);
        uint64_t *value = trail_window_insert(window, keys[index], trail_window_content(index));
        // One that was taken back leaves none, and a second entry is no second trace.
        if (index % 1000 == 0) trail_window_remove(value);
        if (index % 1000 == 1)
            trail_window_insert(window, keys[index], trail_window_content(index + 1));
    }
    uint32_t recalled = 0, oldest = KEYS;
    for (uint32_t index = KEYS; index-- > 0;) {
        bool is_held = trail_window_holds(window, generations[index]);
        bool is_recalled = trail_window_recalls(window, generations[index]);
        assert_false(is_held && is_recalled);
        if (!is_recalled) continue;
        if (index % 1000 != 0) assert_true(trail_window_may_recall(window, keys[index]));
        recalled++;
        // No generation is left out between the oldest and those that are held.
        assert_true(oldest == KEYS || oldest == index + 1);
        oldest = index;
    }
    assert_in_range(recalled, TRACES / 4 * 3 - 10000, TRACES);
    uint32_t mistaken = 0;
    for (uint32_t index = 0; index < FOREIGN; index++)
        mistaken += trail_window_may_recall(window, random_splitmix64(&random));
    assert_in_range(mistaken, 0, FOREIGN / 500);
    // A generation that never was in it, as that of a block from before.
    assert_false(trail_window_recalls(window, 0));
    free(generations);
    free(keys);
    trail_window_destroy(window);
}

static void test_takes_the_extra_ones(void **state) {
    (void)state;
    struct trail_window *window = trail_window_create(0, 500, 0);
    assert_non_null(window);
    assert_false(trail_window_is_due(window));
    for (uint32_t turn = 0; turn < 5; turn++) {
        trail_window_rotate(window);
        for (uint32_t index = 0; index < 500; index++)
            trail_window_insert(window, turn * 1000 + index, trail_window_content(index));
        assert_true(trail_window_is_due(window));
    }
    assert_true(has(window, 4499, trail_window_content(499)));
    assert_true(has(window, 3000, trail_window_content(0)));
    assert_false(has(window, 2000, trail_window_content(0)));
    trail_window_destroy(window);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slides),
        cmocka_unit_test(test_keeps_all_entries_of_a_key),
        cmocka_unit_test(test_tells_values_apart),
        cmocka_unit_test(test_leaves_traces),
        cmocka_unit_test(test_takes_the_extra_ones),
    };
    return cases_run("trail_window", tests, sizeof tests / sizeof tests[0]);
}
