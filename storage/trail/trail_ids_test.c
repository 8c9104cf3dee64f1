#include "storage/trail/trail_ids.h"

#include <stdlib.h>

#include "base/random.h"
#include "tests/kit/cases.h"

enum { ROWS = 4096, BLOCKS = 64 };

static uint32_t hash_of(uint64_t number) {
    uint64_t state = number;
    return (uint32_t)random_splitmix64(&state);
}

static void fill(struct trail_ids *ids, uint32_t group) {
    static uint32_t hashes[ROWS];
    assert_true(trail_ids_begin(ids, group));
    for (uint32_t block = 0; block < BLOCKS; block++) {
        for (uint32_t row = 0; row < ROWS; row++) {
            hashes[row] = hash_of((uint64_t)group << 32 | block * ROWS | row) >> 12;
        }
        trail_ids_add(ids, block, hashes, ROWS);
    }
    trail_ids_end(ids);
}

static void test_every_id_is_found(void **state) {
    (void)state;
    struct trail_ids *ids = trail_ids_create();
    uint64_t blocks = 0;
    assert_false(trail_ids_find(ids, 3, 0, &blocks));
    fill(ids, 3);
    for (uint32_t number = 0; number < BLOCKS * ROWS; number++) {
        assert_true(trail_ids_find(ids, 3, hash_of((uint64_t)3 << 32 | number), &blocks));
        assert_true((blocks >> (number / ROWS) & 1) != 0);
    }
    assert_false(trail_ids_find(ids, 4, 0, &blocks));
    trail_ids_destroy(ids);
}

static void test_few_others_are(void **state) {
    (void)state;
    struct trail_ids *ids = trail_ids_create();
    fill(ids, 0);
    uint64_t found = 0;
    for (uint32_t number = 0; number < 10000; number++) {
        uint64_t blocks = 0;
        assert_true(trail_ids_find(ids, 0, hash_of((uint64_t)1 << 50 | number), &blocks));
        found += (uint64_t)__builtin_popcountll(blocks);
    }
    // One block in 18.
    assert_in_range(found, 1, 10000 * BLOCKS / 16);
    trail_ids_destroy(ids);
}

static void test_a_newer_group_takes_the_place(void **state) {
    (void)state;
    struct trail_ids *ids = trail_ids_create();
    uint64_t blocks = 0;
    fill(ids, 5);
    fill(ids, 5 + TRAIL_IDS_GROUPS);
    assert_false(trail_ids_find(ids, 5, 0, &blocks));
    assert_true(trail_ids_find(ids, 5 + TRAIL_IDS_GROUPS, 0, &blocks));
    assert_false(trail_ids_begin(ids, 5));
    assert_true(trail_ids_find(ids, 5 + TRAIL_IDS_GROUPS, 0, &blocks));
    trail_ids_destroy(ids);
}

static void test_a_block_that_may_hold_any(void **state) {
    (void)state;
    struct trail_ids *ids = trail_ids_create();
    uint64_t blocks = 0;
    const uint32_t hash = 0xABCDE;
    assert_true(trail_ids_begin(ids, 0));
    trail_ids_add(ids, 7, NULL, 0);
    trail_ids_add(ids, 9, &hash, 1);
    // Nobody asks what is not whole.
    assert_false(trail_ids_find(ids, 0, 0, &blocks));
    trail_ids_end(ids);
    assert_true(trail_ids_find(ids, 0, 0, &blocks));
    assert_int_equal(blocks, 1 << 7);
    assert_true(trail_ids_find(ids, 0, 0xABCDE123, &blocks));
    assert_int_equal(blocks, 1 << 7 | 1 << 9);
    trail_ids_destroy(ids);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_id_is_found),
        cmocka_unit_test(test_few_others_are),
        cmocka_unit_test(test_a_newer_group_takes_the_place),
        cmocka_unit_test(test_a_block_that_may_hold_any),
    };
    return cases_run("trail_ids_test", tests, sizeof tests / sizeof tests[0]);
}
