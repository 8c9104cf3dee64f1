#include "storage/trail/trail_heap.h"

#include <assert.h>
#include <stdlib.h>

void trail_heap_done(struct trail_heap *heap) {
    free(heap->items);
    *heap = (struct trail_heap){0};
}

bool trail_heap_before(const struct trail_heap_item *first, const struct trail_heap_item *second) {
    if (first->rank != second->rank) return first->rank > second->rank;
    bool first_opens = first->level == TRAIL_HEAP_FRAME;
    bool second_opens = second->level == TRAIL_HEAP_FRAME;
    if (first_opens != second_opens) return first_opens;
    if (first->id_high != second->id_high) return first->id_high > second->id_high;
    return first->id_low > second->id_low;
}

bool trail_heap_push(struct trail_heap *heap, const struct trail_heap_item *item) {
    if (heap->count == heap->capacity) {
        uint32_t capacity = heap->capacity == 0 ? 256 : heap->capacity * 2;
        struct trail_heap_item *grown = realloc(heap->items, capacity * sizeof *grown);
        if (grown == NULL) return false;
        heap->items = grown;
        heap->capacity = capacity;
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
    uint32_t at = 0;
    for (;;) {
        uint32_t below = at * 2 + 1;
        if (below >= heap->count) break;
        if (below + 1 < heap->count &&
            trail_heap_before(&heap->items[below + 1], &heap->items[below])) {
            below++;
        }
        if (!trail_heap_before(&heap->items[below], &last)) break;
        heap->items[at] = heap->items[below];
        at = below;
    }
    if (heap->count > 0) heap->items[at] = last;
    return top;
}
