#include "collector/api/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/cases.h"

static const struct answers_call call = {
    .key_id = {(const uint8_t *)"AKIA1", 5},
    .region = {(const uint8_t *)"eu-west-1", 9},
    .body = {(const uint8_t *)"{\"MaxResults\":5}", 16},
};

static bool finds(struct answers *answers, uint64_t commit, const struct answers_call *asked,
                  const char *expected) {
    struct span answer;
    if (!answers_find(answers, commit, asked, &answer)) return false;
    assert_true(span_is(answer, expected));
    return true;
}

static void test_an_answer_lives_until_the_next_commit(void **state) {
    (void)state;
    struct answers *answers = answers_create();
    assert_false(finds(answers, 7, &call, ""));
    answers_keep(answers, 7, &call, SPAN_LITERAL("seven"));
    assert_true(finds(answers, 7, &call, "seven"));
    assert_true(finds(answers, 7, &call, "seven"));
    assert_false(finds(answers, 8, &call, ""));
    // Nor does it come back, should numbers ever.
    assert_false(finds(answers, 7, &call, ""));
    answers_keep(answers, 8, &call, SPAN_LITERAL("eight"));
    answers_keep(answers, 9, &call, SPAN_LITERAL("nine"));
    assert_true(finds(answers, 9, &call, "nine"));
    answers_destroy(answers);
}

static void test_an_answer_is_of_one_call(void **state) {
    (void)state;
    struct answers *answers = answers_create();
    answers_keep(answers, 1, &call, SPAN_LITERAL("mine"));
    struct answers_call other = call;
    other.key_id = SPAN_LITERAL("AKIA2");
    assert_false(finds(answers, 1, &other, ""));
    other = call;
    other.region = SPAN_LITERAL("eu-west-2");
    assert_false(finds(answers, 1, &other, ""));
    other = call;
    other.body = SPAN_LITERAL("{\"MaxResults\":6}");
    assert_false(finds(answers, 1, &other, ""));
    // The same bytes, cut in another place.
    other = (struct answers_call){SPAN_LITERAL("AKIA1e"), SPAN_LITERAL("u-west-1"), call.body};
    assert_false(finds(answers, 1, &other, ""));
    assert_true(finds(answers, 1, &call, "mine"));
    answers_destroy(answers);
}

static void test_the_first_makes_room(void **state) {
    (void)state;
    struct answers *answers = answers_create();
    char bodies[ANSWERS_MAX + 1][16];
    for (uint32_t index = 0; index <= ANSWERS_MAX; index++) {
        struct answers_call one = call;
        snprintf(bodies[index], sizeof bodies[index], "%u", index);
        one.body = span_text(bodies[index]);
        answers_keep(answers, 1, &one, one.body);
    }
    for (uint32_t index = 0; index <= ANSWERS_MAX; index++) {
        struct answers_call one = call;
        one.body = span_text(bodies[index]);
        assert_int_equal(finds(answers, 1, &one, bodies[index]), index > 0);
    }
    answers_destroy(answers);
}

static void test_what_is_too_large_is_not_kept(void **state) {
    (void)state;
    struct answers *answers = answers_create();
    size_t size = ANSWERS_SIZE_MAX + 1;
    uint8_t *bytes = calloc(size, 1);
    assert_non_null(bytes);
    answers_keep(answers, 1, &call, span_of(bytes, size));
    assert_false(finds(answers, 1, &call, ""));
    struct answers_call large = call;
    large.body = span_of(bytes, ANSWERS_KEY_SIZE_MAX);
    answers_keep(answers, 1, &large, SPAN_LITERAL("small"));
    assert_false(finds(answers, 1, &large, ""));
    answers_keep(answers, 1, &call, span_of(bytes, size - 1));
    struct span answer;
    assert_true(answers_find(answers, 1, &call, &answer));
    assert_int_equal(answer.size, size - 1);
    free(bytes);
    answers_destroy(answers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_lives_until_the_next_commit),
        cmocka_unit_test(test_an_answer_is_of_one_call),
        cmocka_unit_test(test_the_first_makes_room),
        cmocka_unit_test(test_what_is_too_large_is_not_kept),
    };
    return cases_run("answers_test", tests, sizeof tests / sizeof tests[0]);
}
