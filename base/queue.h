// queue.h: the one way threads talk: a bounded queue of pointers with a weight each.
//
// What is pushed belongs to the queue until it is popped. Bounds: a number of items, and a sum of
// weights (bytes). Any thread may call anything but create and destroy.

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct queue;

// An empty queue; items_max is at least 1. NULL if memory runs out.
struct queue *queue_create(uint32_t items_max, uint64_t weight_max);

// Frees it. The queue must be empty, and no thread in it. NULL is allowed.
void queue_destroy(struct queue *queue);

// Adds an item if it fits. An item heavier than weight_max fits into an empty queue. False if the
// queue is full or closed; the item stays the caller's.
bool queue_push(struct queue *queue, void *item, uint64_t weight);

// Takes up to items_max items in order, waits up to wait_ms for the first (0: not at all). Returns
// how many. 0 and closed: nothing will come any more.
uint32_t queue_pop(struct queue *queue, void **items, uint32_t items_max, int64_t wait_ms);

// No push succeeds any more; waiting pops return at once.
void queue_close(struct queue *queue);

// Whether queue_close was called. Items may still be in it.
bool queue_is_closed(struct queue *queue);

// Items and weight in it now.
void queue_measure(struct queue *queue, uint32_t *items, uint64_t *weight);
