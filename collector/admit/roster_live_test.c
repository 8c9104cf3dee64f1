#include "collector/admit/roster_live.h"

#include <pthread.h>
#include <sched.h>

#include "tests/kit/cases.h"

enum { READERS = 3, ROUNDS = 300 };

struct stage {
    struct roster_live live;
    atomic_bool is_over;
    atomic_uint reads;
};

// Each roster lists one account; what is found is always whole.
static void *read_all(void *argument) {
    struct stage *stage = argument;
    while (!atomic_load(&stage->is_over)) {
        uint32_t place;
        const struct roster *roster = roster_live_enter(&stage->live, &place);
        const struct roster_account *one = roster_find(roster, SPAN_LITERAL("111111111111"));
        assert_non_null(one);
        assert_int_equal(one->regions_count, 0);
        roster_live_leave(&stage->live, place);
        atomic_fetch_add(&stage->reads, 1);
    }
    return NULL;
}

static void test_replaced_while_it_is_read(void **state) {
    (void)state;
    static const struct roster_account account = {.id = "111111111111"};
    struct stage stage = {0};
    struct fault fault;
    struct roster *roster = NULL;
    assert_true(roster_create(&account, 1, ROSTER_UNKNOWN_DEFAULT, &roster, &fault));
    roster_live_init(&stage.live, roster);
    pthread_t threads[READERS];
    for (int index = 0; index < READERS; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, read_all, &stage), 0);
    }
    while (atomic_load(&stage.reads) == 0) sched_yield();
    for (int round = 0; round < ROUNDS; round++) {
        struct roster *next = NULL;
        assert_true(roster_create(&account, 1, ROSTER_UNKNOWN_DEFAULT, &next, &fault));
        assert_ptr_equal(roster_live_replace(&stage.live, next), roster);
        // Nobody reads it any more: a tool that watches memory would tell.
        roster_destroy(roster);
        roster = next;
    }
    atomic_store(&stage.is_over, true);
    for (int index = 0; index < READERS; index++) pthread_join(threads[index], NULL);
    roster_destroy(roster);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_replaced_while_it_is_read)};
    return cases_run("roster_live", tests, sizeof tests / sizeof tests[0]);
}
