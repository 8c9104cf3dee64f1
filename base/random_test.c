#include "base/random.h"

#include <string.h>

#include "tests/kit/cases.h"

static void test_seeded_can_be_repeated(void **state) {
    (void)state;
    uint64_t one_state = 1234567, other_state = 1234567;
    struct random one = random_seeded(&one_state), other = random_seeded(&other_state);
    uint8_t left[21], right[21];
    random_fill(&one, left, sizeof left);
    random_fill(&other, right, sizeof right);
    assert_memory_equal(left, right, sizeof left);
    random_fill(&other, right, sizeof right);
    assert_memory_not_equal(left, right, sizeof left);
    // The first value that splitmix64's authors publish for this seed.
    one_state = 1234567;
    assert_true(random_splitmix64(&one_state) == 6457827717110365317u);
}

static void test_below(void **state) {
    (void)state;
    uint64_t seed = 1;
    struct random random = random_seeded(&seed);
    int counts[7] = {0};
    for (int index = 0; index < 7000; index++) counts[random_below(&random, 7)]++;
    for (int index = 0; index < 7; index++) assert_in_range(counts[index], 850, 1150);
    assert_int_equal(random_below(&random, 1), 0);
}

static void test_system(void **state) {
    (void)state;
    uint8_t left[300] = {0}, right[300] = {0};
    random_fill(random_system(), left, sizeof left);
    random_fill(random_system(), right, sizeof right);
    assert_memory_not_equal(left, right, sizeof left);
    random_fill(random_system(), left, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeded_can_be_repeated),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_system),
    };
    return cases_run("random_test", tests, sizeof tests / sizeof tests[0]);
}
