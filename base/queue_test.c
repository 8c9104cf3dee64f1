#include "base/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "tests/kit/cases.h"

enum { ITEMS_PER_THREAD = 50000, THREADS = 3 };

static int64_t read_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *number(uintptr_t value) {
    return (void *)value;
}

static void test_order_and_bounds(void **state) {
    (void)state;
    struct queue *queue = queue_create(3, 100);
    void *items[4];
    uint32_t count;
    uint64_t weight;
    // Around the ring several times.
    for (uintptr_t round = 0; round < 10; round++) {
        assert_true(queue_push(queue, number(round + 1), 10));
        assert_true(queue_push(queue, number(round + 2), 20));
        assert_true(queue_push(queue, number(round + 3), 30));
        assert_false(queue_push(queue, number(round + 4), 0));
        queue_measure(queue, &count, &weight);
        assert_int_equal(count, 3);
        assert_int_equal(weight, 60);
        assert_int_equal(queue_pop(queue, items, 2, 0), 2);
        assert_ptr_equal(items[0], number(round + 1));
        assert_ptr_equal(items[1], number(round + 2));
        assert_int_equal(queue_pop(queue, items, 4, 0), 1);
        assert_ptr_equal(items[0], number(round + 3));
        assert_int_equal(queue_pop(queue, items, 4, 0), 0);
    }
    assert_true(queue_push(queue, number(1), 60));
    assert_true(queue_push(queue, number(2), 40));
    assert_false(queue_push(queue, number(3), 1));
    assert_int_equal(queue_pop(queue, items, 4, 0), 2);
    // Heavier than all: only alone.
    assert_true(queue_push(queue, number(1), UINT64_MAX));
    assert_false(queue_push(queue, number(2), 1));
    assert_int_equal(queue_pop(queue, items, 4, 0), 1);
    assert_true(queue_push(queue, number(2), 1));
    assert_false(queue_push(queue, number(1), UINT64_MAX));
    assert_int_equal(queue_pop(queue, items, 4, 0), 1);
    queue_destroy(queue);
    queue_destroy(NULL);
}

static void test_waiting(void **state) {
    (void)state;
    struct queue *queue = queue_create(3, 100);
    void *items[4];
    int64_t began = read_ms();
    assert_int_equal(queue_pop(queue, items, 4, 50), 0);
    assert_true(read_ms() - began >= 49);
    assert_true(queue_push(queue, number(1), 1));
    began = read_ms();
    assert_int_equal(queue_pop(queue, items, 4, 60000), 1);
    assert_true(read_ms() - began < 10000);
    queue_destroy(queue);
}

static void *pop_one(void *context) {
    void *item = NULL;
    uint32_t count = queue_pop(context, &item, 1, 60000);
    return count == 0 ? NULL : item;
}

static void test_close_wakes_and_keeps_items(void **state) {
    (void)state;
    struct queue *queue = queue_create(3, 100);
    pthread_t threads[2];
    for (int index = 0; index < 2; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, pop_one, queue), 0);
    }
    assert_true(queue_push(queue, number(7), 1));
    assert_false(queue_is_closed(queue));
    queue_close(queue);
    assert_true(queue_is_closed(queue));
    assert_false(queue_push(queue, number(8), 1));
    uintptr_t sum = 0;
    for (int index = 0; index < 2; index++) {
        void *item;
        assert_int_equal(pthread_join(threads[index], &item), 0);
        sum += (uintptr_t)item;
    }
    assert_int_equal(sum, 7);
    queue_destroy(queue);
}

static void *push_many(void *context) {
    for (uintptr_t value = 1; value <= ITEMS_PER_THREAD; value++) {
        while (!queue_push(context, number(value), value % 7)) sched_yield();
    }
    return NULL;
}

static void *pop_many(void *context) {
    uint64_t *sum = calloc(1, sizeof *sum);
    void *items[5];
    for (;;) {
        uint32_t count = queue_pop(context, items, 5, 1000);
        if (count == 0 && queue_is_closed(context)) return sum;
        for (uint32_t index = 0; index < count; index++) *sum += (uintptr_t)items[index];
    }
}

static void test_threads_lose_and_repeat_nothing(void **state) {
    (void)state;
    struct queue *queue = queue_create(16, 40);
    pthread_t pushers[THREADS], poppers[THREADS];
    for (int index = 0; index < THREADS; index++) {
        assert_int_equal(pthread_create(&pushers[index], NULL, push_many, queue), 0);
        assert_int_equal(pthread_create(&poppers[index], NULL, pop_many, queue), 0);
    }
    for (int index = 0; index < THREADS; index++) pthread_join(pushers[index], NULL);
    queue_close(queue);
    uint64_t sum = 0;
    for (int index = 0; index < THREADS; index++) {
        void *part;
        pthread_join(poppers[index], &part);
        sum += *(uint64_t *)part;
        free(part);
    }
    assert_int_equal(sum, (uint64_t)THREADS * ITEMS_PER_THREAD * (ITEMS_PER_THREAD + 1) / 2);
    queue_destroy(queue);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_bounds),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_close_wakes_and_keeps_items),
        cmocka_unit_test(test_threads_lose_and_repeat_nothing),
    };
    return cases_run("queue_test", tests, sizeof tests / sizeof tests[0]);
}
