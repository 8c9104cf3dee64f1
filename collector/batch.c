#include "collector/batch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/queue.h"

enum {
    // A batch that once held more than this is freed, so that one huge message does not stay in
    // memory BATCH_POOL_MAX times.
    KEPT_ARENA_SIZE_MAX = 4 << 20,
    KEPT_SIZE_MAX = 640 * 1024 + BATCH_WEIGHT,
};

struct batch_pool {
    struct queue *free;
};

static void destroy_batch(struct batch *batch) {
    arena_destroy(batch->arena);
    json_reader_destroy(batch->reader);
    free(batch);
}

struct batch_pool *batch_pool_create(void) {
    struct batch_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) return NULL;
    pool->free = queue_create(BATCH_POOL_MAX, BATCH_POOL_MAX);
    if (pool->free == NULL) {
        free(pool);
        return NULL;
    }
    return pool;
}

void batch_pool_destroy(struct batch_pool *pool) {
    if (pool == NULL) return;
    void *item = NULL;
    while (queue_pop(pool->free, &item, 1, 0) == 1) destroy_batch(item);
    queue_destroy(pool->free);
    free(pool);
}

struct batch *batch_take(struct batch_pool *pool) {
    void *item = NULL;
    if (queue_pop(pool->free, &item, 1, 0) == 1) return item;
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return NULL;
    batch->arena = arena_create(BATCH_ARENA_SIZE_MAX);
    batch->reader = json_reader_create();
    if (batch->arena == NULL || batch->reader == NULL) {
        destroy_batch(batch);
        return NULL;
    }
    return batch;
}

void batch_give(struct batch_pool *pool, struct batch *batch) {
    assert(batch != NULL);
    bool is_large = arena_size(batch->arena) > KEPT_ARENA_SIZE_MAX || batch->size > KEPT_SIZE_MAX;
    struct arena *arena = batch->arena;
    struct json_reader *reader = batch->reader;
    *batch = (struct batch){.arena = arena, .reader = reader};
    arena_reset(arena);
    if (is_large || !queue_push(pool->free, batch, 1)) destroy_batch(batch);
}
