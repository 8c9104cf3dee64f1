#include "collector/intake/batch.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/queue.h"

enum {
    SMALL_MESSAGE_SIZE_MAX = 24 * 1024,  // so much fits into a batch that was kept
    KEPT_READER_SIZE_MAX = 1 << 20,  // a reader that once held more gives that back: 80 KB of text
    KEPT_READERS_MAX = 4,            // as many as threads read
};

struct batch_pool {
    struct queue *free;
    struct queue *readers;
    atomic_ullong weight;
};

static void destroy_batch(struct batch *batch) {
    arena_destroy(batch->arena);
    free(batch);
}

struct batch_pool *batch_pool_create(void) {
    struct batch_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL) return NULL;
    pool->free = queue_create(BATCH_POOL_MAX, BATCH_POOL_MAX * BATCH_KEPT_SIZE_MAX);
    pool->readers = queue_create(KEPT_READERS_MAX, KEPT_READERS_MAX);
    if (pool->free != NULL && pool->readers != NULL) return pool;
    batch_pool_destroy(pool);
    return NULL;
}

void batch_pool_destroy(struct batch_pool *pool) {
    if (pool == NULL) return;
    void *item = NULL;
    while (pool->free != NULL && queue_pop(pool->free, &item, 1, 0) == 1) destroy_batch(item);
    while (pool->readers != NULL && queue_pop(pool->readers, &item, 1, 0) == 1) {
        json_reader_destroy(item);
    }
    if (pool->free != NULL) queue_destroy(pool->free);
    if (pool->readers != NULL) queue_destroy(pool->readers);
    free(pool);
}

// A batch of its own size for a large message: reused ones would soon all be large, and a thousand
// small messages wait in them.
struct batch *batch_take(struct batch_pool *pool, size_t size) {
    void *item = NULL;
    bool is_small = size <= SMALL_MESSAGE_SIZE_MAX;
    if (is_small && queue_pop(pool->free, &item, 1, 0) == 1) return item;
    struct batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL) return NULL;
    batch->arena = arena_create(BATCH_ARENA_SIZE_MAX);
    if (batch->arena == NULL) {
        free(batch);
        return NULL;
    }
    // The message's copy and what is read from it: 1.5 times its size where records are usual.
    arena_expect(batch->arena, size + size * 3 / 4);
    return batch;
}

void batch_weigh(struct batch_pool *pool, struct batch *batch) {
    assert(batch->weight == 0);
    batch->weight = sizeof *batch + arena_kept(batch->arena);
    atomic_fetch_add(&pool->weight, batch->weight);
}

void batch_give(struct batch_pool *pool, struct batch *batch) {
    assert(batch != NULL);
    struct arena *arena = batch->arena;
    uint64_t before = atomic_fetch_sub(&pool->weight, batch->weight);
    assert(before >= batch->weight);
    *batch = (struct batch){.arena = arena};
    arena_reset(arena);
    size_t size = sizeof *batch + arena_kept(arena);
    if (size > BATCH_KEPT_SIZE_MAX || !queue_push(pool->free, batch, size)) destroy_batch(batch);
}

struct json_reader *batch_take_reader(struct batch_pool *pool) {
    void *item = NULL;
    if (queue_pop(pool->readers, &item, 1, 0) == 1) return item;
    return json_reader_create();
}

void batch_give_reader(struct batch_pool *pool, struct json_reader *reader) {
    assert(reader != NULL);
    json_reader_trim(reader, KEPT_READER_SIZE_MAX);
    if (!queue_push(pool->readers, reader, 1)) json_reader_destroy(reader);
}

uint64_t batch_pool_weight(const struct batch_pool *pool) {
    return atomic_load(&pool->weight);
}

uint64_t batch_pool_size(struct batch_pool *pool) {
    uint32_t count;
    uint64_t size;
    queue_measure(pool->free, &count, &size);
    return size;
}
