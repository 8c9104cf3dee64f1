#include "storage/trail/trail_heap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void trail_heap_done(struct trail_heap *heap) {
    free(heap->items);
    *heap = (struct trail_heap){0};
}

bool trail_heap_before(const struct trail_heap_item *first, const struct trail_heap_item *second) {
    if (first->rank != second->rank) return first->rank > second->rank;
    bool first_opens = trail_heap_opens(first->level);
    bool second_opens = trail_heap_opens(second->level);
    if (first_opens != second_opens) return first_opens;
    if (first->id_high != second->id_high) return first->id_high > second->id_high;
    return first->id_low > second->id_low;
}

static bool reserve(struct trail_heap *heap, uint32_t capacity) {
    struct trail_heap_item *grown = realloc(heap->items, capacity * sizeof *grown);
    if (grown == NULL) return false;
    heap->items = grown;
    heap->capacity = capacity;
    return true;
}

// Puts an item where one is missing, or below.
static void sink(struct trail_heap *heap, uint32_t at, const struct trail_heap_item *item) {
    for (;;) {
        uint32_t below = at * 2 + 1;
        if (below >= heap->count) break;
        if (below + 1 < heap->count &&
            trail_heap_before(&heap->items[below + 1], &heap->items[below])) {
            below++;
        }
        if (!trail_heap_before(&heap->items[below], item)) break;
        heap->items[at] = heap->items[below];
        at = below;
    }
    heap->items[at] = *item;
}

bool trail_heap_fill(struct trail_heap *heap, const struct trail_heap_item *items, uint32_t count) {
    if (count > heap->capacity && !reserve(heap, count)) return false;
    if (count > 0) memcpy(heap->items, items, count * sizeof *items);
    heap->count = count;
    for (uint32_t at = count / 2; at > 0; at--) {
        const struct trail_heap_item item = heap->items[at - 1];
        sink(heap, at - 1, &item);
    }
    return true;
}

bool trail_heap_push(struct trail_heap *heap, const struct trail_heap_item *item) {
    if (heap->count == heap->capacity &&
        !reserve(heap, heap->capacity == 0 ? 256 : heap->capacity * 2)) {
        return false;
    }
    uint32_t at = heap->count++;
    while (at > 0) {
        uint32_t above = (at - 1) / 2;
        if (!trail_heap_before(item, &heap->items[above])) break;
        heap->items[at] = heap->items[above];
        at = above;
    }
    heap->items[at] = *item;
    return true;
}

const struct trail_heap_item *trail_heap_top(const struct trail_heap *heap) {
    assert(heap->count > 0);
    return &heap->items[0];
}

struct trail_heap_item trail_heap_pop(struct trail_heap *heap) {
    assert(heap->count > 0);
    struct trail_heap_item top = heap->items[0];
    struct trail_heap_item last = heap->items[--heap->count];
    if (heap->count > 0) sink(heap, 0, &last);
    return top;
}
