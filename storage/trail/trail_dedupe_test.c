// What it costs to tell copies apart, counted in what is no longer told apart.

#include <stdlib.h>
#include <string.h>

#include "storage/trail/trail_fixture.h"
#include "tests/kit/cases.h"

enum { LARGE_SIZE = 1000000, OFFERS = 200 };

// A record with blanks before its end, so that a short one can hold the same values.
static char *pad(const char *text, size_t size) {
    size_t length = strlen(text);
    char *padded = malloc(size + 1);
    assert_non_null(padded);
    memcpy(padded, text, length - 1);
    memset(padded + length - 1, ' ', size - length);
    memcpy(padded + size - 1, "}", 2);
    return padded;
}

// One megabyte is stored; small records of the same key may not each cost a look at all of it.
static void check_small_against_large(bool is_in_block) {
    struct fixture fixture;
    fixture_init(&fixture);
    fixture.options.tail_rows_max = is_in_block ? 1 : 0;
    fixture_open(&fixture);
    char *small = fixture_make_record(1, 0, 0);
    char *other = fixture_make_record(2, 1, 0);
    char *large = pad(small, LARGE_SIZE);
    char *other_variant = pad(other, strlen(other) + 1);
    fixture_begin(&fixture);
    fixture_store(&fixture, large);
    fixture_store(&fixture, other);
    fixture_commit(&fixture);

    for (uint32_t commit = 0; commit < 2; commit++) {
        uint32_t variants = 0;
        uint32_t conflicts = 0;
        fixture_begin(&fixture);
        for (uint32_t turn = 0; turn < OFFERS; turn++) {
            enum trail_outcome outcome = fixture_add(&fixture, small);
            variants += outcome == TRAIL_VARIANT;
            conflicts += outcome == TRAIL_CONFLICT;
        }
        // Some are compared in each commit; of the rest the bytes are kept.
        assert_true(variants > 0 && variants < 30);
        assert_int_equal(variants + conflicts, OFFERS);
        // Nobody else pays for it.
        assert_int_equal(fixture_add(&fixture, large), TRAIL_DUPLICATE);
        assert_int_equal(fixture_add(&fixture, other), TRAIL_DUPLICATE);
        assert_int_equal(fixture_add(&fixture, other_variant), TRAIL_VARIANT);
        fixture_commit(&fixture);
    }
    free(small);
    free(other);
    free(large);
    free(other_variant);
    fixture_done(&fixture);
}

static void test_small_against_large_in_tail(void **state) {
    (void)state;
    check_small_against_large(false);
}

static void test_small_against_large_in_block(void **state) {
    (void)state;
    check_small_against_large(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_against_large_in_tail),
        cmocka_unit_test(test_small_against_large_in_block),
    };
    return cases_run("trail_dedupe", tests, sizeof tests / sizeof tests[0]);
}
