#include "base/queue.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct item {
    void *item;
    uint64_t weight;
};

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;  // signalled when an item comes or the queue is closed
    uint32_t items_max;
    uint64_t weight_max;
    // All below is guarded by the mutex.
    uint32_t first;  // index of the oldest item in the ring
    uint32_t count;
    uint64_t weight;
    bool closed;
    struct item ring[];  // items_max
};

// A mutex of ours fails only when it is used wrongly.
static void check(int status) {
    assert(status == 0);
}

static bool init_condition(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes) != 0) return false;
    // A jump of the wall clock must not stretch a wait.
    bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(condition, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    return made;
}

struct queue *queue_create(uint32_t items_max, uint64_t weight_max) {
    assert(items_max > 0);
    struct queue *queue = calloc(1, sizeof *queue + items_max * sizeof queue->ring[0]);
    if (queue == NULL) return NULL;
    queue->items_max = items_max;
    queue->weight_max = weight_max;
    if (pthread_mutex_init(&queue->mutex, NULL) != 0) {
        free(queue);
        return NULL;
    }
    if (!init_condition(&queue->arrived)) {
        pthread_mutex_destroy(&queue->mutex);
        free(queue);
        return NULL;
    }
    return queue;
}

void queue_destroy(struct queue *queue) {
    if (queue == NULL) return;
    assert(queue->count == 0);
    pthread_cond_destroy(&queue->arrived);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

bool queue_push(struct queue *queue, void *item, uint64_t weight) {
    check(pthread_mutex_lock(&queue->mutex));
    bool fits = !queue->closed && queue->count < queue->items_max &&
                (queue->count == 0 || (queue->weight <= queue->weight_max &&
                                       weight <= queue->weight_max - queue->weight));
    if (fits) {
        uint32_t index = (uint32_t)(((uint64_t)queue->first + queue->count) % queue->items_max);
        queue->ring[index] = (struct item){item, weight};
        queue->count++;
        queue->weight += weight;
        check(pthread_cond_signal(&queue->arrived));
    }
    check(pthread_mutex_unlock(&queue->mutex));
    return fits;
}

// Waits for an item or the end until the moment passes. The mutex is held.
static void wait_for_item(struct queue *queue, int64_t wait_ms) {
    struct timespec until;
    int status = clock_gettime(CLOCK_MONOTONIC, &until);
    assert(status == 0);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (queue->count == 0 && !queue->closed) {
        if (pthread_cond_timedwait(&queue->arrived, &queue->mutex, &until) != 0) break;
    }
}

uint32_t queue_pop(struct queue *queue, void **items, uint32_t items_max, int64_t wait_ms) {
    check(pthread_mutex_lock(&queue->mutex));
    if (queue->count == 0 && wait_ms > 0) wait_for_item(queue, wait_ms);
    uint32_t count = queue->count < items_max ? queue->count : items_max;
    for (uint32_t index = 0; index < count; index++) {
        struct item *item = &queue->ring[queue->first];
        items[index] = item->item;
        assert(queue->weight >= item->weight);
        queue->weight -= item->weight;
        queue->first = queue->first + 1 == queue->items_max ? 0 : queue->first + 1;
    }
    queue->count -= count;
    // Another waiter may have been signalled for an item that is still here.
    if (queue->count > 0) check(pthread_cond_signal(&queue->arrived));
    check(pthread_mutex_unlock(&queue->mutex));
    return count;
}

void queue_close(struct queue *queue) {
    check(pthread_mutex_lock(&queue->mutex));
    queue->closed = true;
    check(pthread_cond_broadcast(&queue->arrived));
    check(pthread_mutex_unlock(&queue->mutex));
}

bool queue_is_closed(struct queue *queue) {
    check(pthread_mutex_lock(&queue->mutex));
    bool closed = queue->closed;
    check(pthread_mutex_unlock(&queue->mutex));
    return closed;
}

void queue_measure(struct queue *queue, uint32_t *items, uint64_t *weight) {
    check(pthread_mutex_lock(&queue->mutex));
    *items = queue->count;
    *weight = queue->weight;
    check(pthread_mutex_unlock(&queue->mutex));
}
