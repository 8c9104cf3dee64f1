#include "collector/intake/batch.h"

#include <string.h>

#include "tests/kit/cases.h"

enum { COUNT = 2 * BATCH_POOL_MAX };

// Takes many batches, uses so much of each, and gives all back.
static void use_many(struct batch_pool *pool, size_t size) {
    struct batch *batches[COUNT];
    for (int index = 0; index < COUNT; index++) {
        batches[index] = batch_take(pool, size);
        batches[index]->id = 7;
        assert_non_null(arena_allocate(batches[index]->arena, size));
        batch_weigh(pool, batches[index]);
        assert_in_range(batches[index]->weight, size, 2 * size + BATCH_WEIGHT_MIN + 1024);
    }
    assert_in_range(batch_pool_weight(pool), COUNT * size, 4 * COUNT * (size + BATCH_WEIGHT_MIN));
    for (int index = 0; index < COUNT; index++) batch_give(pool, batches[index]);
    assert_int_equal(batch_pool_weight(pool), 0);
}

// After a burst of large batches none is kept: small messages would wait in them.
static void test_burst_is_given_back(void **state) {
    (void)state;
    struct batch_pool *pool = batch_pool_create();
    assert_int_equal(batch_pool_size(pool), 0);
    use_many(pool, 1 << 20);
    assert_int_equal(batch_pool_size(pool), 0);
    batch_pool_destroy(pool);
}

static void test_small_batches_are_kept(void **state) {
    (void)state;
    struct batch_pool *pool = batch_pool_create();
    use_many(pool, 1000);
    assert_in_range(batch_pool_size(pool), BATCH_POOL_MAX * 1000, BATCH_POOL_MAX * 20000);
    // Nothing of its last use is left.
    struct batch *again = batch_take(pool, 100);
    assert_int_equal(again->id, 0);
    assert_int_equal(arena_size(again->arena), 0);
    batch_give(pool, again);
    batch_pool_destroy(pool);
}

static void test_huge_batch_is_freed(void **state) {
    (void)state;
    struct batch_pool *pool = batch_pool_create();
    struct batch *batch = batch_take(pool, 100);
    assert_non_null(arena_allocate(batch->arena, 8 << 20));
    batch_give(pool, batch);
    assert_int_equal(batch_pool_size(pool), 0);
    batch_pool_destroy(pool);
}

static void test_readers(void **state) {
    (void)state;
    static char text[200 * 1024];
    struct batch_pool *pool = batch_pool_create();
    const struct yyjson_val *root;
    struct fault fault;
    struct json_reader *reader = batch_take_reader(pool);
    assert_true(json_read(reader, SPAN_LITERAL("{}"), &root, &fault));
    batch_give_reader(pool, reader);
    assert_ptr_equal(batch_take_reader(pool), reader);
    // One that has read a large record does not keep 13 times its size.
    memset(text, ' ', sizeof text);
    text[0] = '1';
    assert_true(json_read(reader, span_of(text, sizeof text), &root, &fault));
    assert_true(json_reader_size(reader) > sizeof text);
    batch_give_reader(pool, reader);
    reader = batch_take_reader(pool);
    assert_int_equal(json_reader_size(reader), 0);
    batch_give_reader(pool, reader);
    batch_pool_destroy(pool);
    batch_pool_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_is_given_back),
        cmocka_unit_test(test_small_batches_are_kept),
        cmocka_unit_test(test_huge_batch_is_freed),
        cmocka_unit_test(test_readers),
    };
    return cases_run("batch_test", tests, sizeof tests / sizeof tests[0]);
}
