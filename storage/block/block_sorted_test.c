#include "storage/block/block_sorted.h"

#include <stdlib.h>

#include "base/random.h"
#include "storage/block/block_sort.h"
#include "tests/kit/cases.h"

enum { COUNT_MAX = 5000, ROUNDS = 300 };

struct numbers {
    uint32_t count;
    uint32_t width;
    uint32_t values[COUNT_MAX];
    struct buffer bytes;
    struct sorted sorted;
};

// Makes and opens that many numbers, spread over all of the width or crowded at its beginning.
static void make(struct numbers *numbers, const struct random *random, uint32_t count,
                 uint32_t width, bool crowded) {
    static uint64_t wide[2 * COUNT_MAX];
    uint64_t limit = (uint64_t)1 << width;
    if (crowded) limit = limit / 16 + 1;
    for (uint32_t index = 0; index < count; index++) wide[index] = random_below(random, limit);
    block_sort(wide, wide + COUNT_MAX, count);
    for (uint32_t index = 0; index < count; index++) numbers->values[index] = (uint32_t)wide[index];
    numbers->count = count;
    numbers->width = width;
    buffer_reset(&numbers->bytes);
    sorted_append(&numbers->bytes, numbers->values, count, width);
    assert_int_equal(numbers->bytes.size, sorted_size(count, width));
    assert_true(sorted_open(buffer_span(&numbers->bytes), count, width, &numbers->sorted));
}

static void check_walk(const struct numbers *numbers) {
    struct sorted_walk walk = sorted_walk_of(&numbers->sorted);
    for (uint32_t index = 0; index < numbers->count; index++) {
        uint32_t bucket = sorted_walk_next(&walk);
        assert_int_equal(sorted_number(&numbers->sorted, index, bucket), numbers->values[index]);
    }
    assert_false(walk.bad);
}

// The first number that is equal, by looking at all.
static bool find_slowly(const struct numbers *numbers, uint32_t wanted, uint32_t *index) {
    for (*index = 0; *index < numbers->count; ++*index) {
        if (numbers->values[*index] == wanted) return true;
    }
    return false;
}

static void check_find(const struct numbers *numbers, uint32_t wanted) {
    uint32_t index, expected;
    bool found = sorted_find(&numbers->sorted, wanted, &index);
    assert_int_equal(found, find_slowly(numbers, wanted, &expected));
    if (found) assert_int_equal(index, expected);
}

static void test_against_brute_force(void **state) {
    static struct numbers numbers;
    uint64_t seed = 7;
    (void)state;
    struct random random = random_seeded(&seed);
    buffer_init(&numbers.bytes, SIZE_MAX);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t width = (uint32_t)random_below(&random, 33);
        uint32_t count = 1 + (uint32_t)random_below(&random, round % 10 == 0 ? COUNT_MAX : 300);
        make(&numbers, &random, count, width, round % 3 == 0);
        check_walk(&numbers);
        for (uint32_t probe = 0; probe < 200; probe++) {
            uint32_t near = numbers.values[random_below(&random, count)];
            check_find(&numbers, near);
            check_find(&numbers, near + 1);
            check_find(&numbers, (uint32_t)random_below(&random, (uint64_t)1 << width));
        }
    }
    buffer_done(&numbers.bytes);
}

// 2 bits above the logarithm of the mean distance, and what searching takes.
static void test_size(void **state) {
    (void)state;
    assert_true(sorted_size(4096, 27) * 8 <= 4096 * (15 + 2) + 16 * 32);
    assert_true(sorted_size(4000, 22) * 8 <= 4000 * 12.6);
    assert_int_equal(sorted_size(1, 27), 8 + 4);
}

// Damage gives wrong answers, but none outside of the bytes and of the numbers.
static void test_damage(void **state) {
    static struct numbers numbers;
    uint64_t seed = 8;
    (void)state;
    struct random random = random_seeded(&seed);
    buffer_init(&numbers.bytes, SIZE_MAX);
    make(&numbers, &random, 700, 27, false);
    size_t size = numbers.bytes.size;
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    struct sorted sorted;
    uint32_t ends = 0;
    assert_false(sorted_open(span_of(copy, size - 1), 700, 27, &sorted));
    assert_false(sorted_open(span_of(copy, size), 0, 27, &sorted));
    for (uint32_t round = 0; round < 2000; round++) {
        memcpy(copy, numbers.bytes.bytes, size);
        for (uint32_t change = 0; change < 1 + round % 40; change++) {
            copy[random_below(&random, size)] = (uint8_t)random_below(&random, 256);
        }
        if (round % 100 == 0) memset(copy, round % 200 == 0 ? 0 : 0xff, size);
        assert_true(sorted_open(span_of(copy, size), 700, 27, &sorted));
        for (uint32_t probe = 0; probe < 50; probe++) {
            uint32_t index;
            if (sorted_find(&sorted, (uint32_t)random_below(&random, (uint64_t)1 << 32), &index)) {
                assert_true(index < 700);
            }
        }
        struct sorted_walk walk = sorted_walk_of(&sorted);
        uint32_t bits = 0;
        for (uint32_t index = 0; index < 700 && !walk.bad; index++) {
            (void)sorted_number(&sorted, index, sorted_walk_next(&walk));
            bits++;
        }
        ends += walk.bad;
        assert_true(walk.bad || bits == 700);
    }
    assert_true(ends > 0);
    free(copy);
    buffer_done(&numbers.bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_brute_force),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_damage),
    };
    return cases_run("block_sorted_test", tests, sizeof tests / sizeof tests[0]);
}
