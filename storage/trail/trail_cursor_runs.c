// Rows of open frames: of each frame only the foremost lies on the cursor's heap, the others behind
// it in a run of their own, so that opening a frame costs little for each row that a page does not
// come to.

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/trail/trail_cursor_internal.h"

enum { NO_RUN = UINT32_MAX };

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for a query");
}

// The number of a run that is not in use, NO_RUN if memory runs out.
static uint32_t get_run(struct trail_cursor *cursor) {
    if (cursor->runs_free > 0) {
        uint32_t number = cursor->runs_free - 1;
        cursor->runs_free = cursor->runs[number].next_free;
        return number;
    }
    if (cursor->runs_count == cursor->runs_capacity) {
        uint32_t capacity = cursor->runs_capacity == 0 ? 64 : cursor->runs_capacity * 2;
        struct trail_cursor_run *grown = realloc(cursor->runs, capacity * sizeof *grown);
        if (grown == NULL) return NO_RUN;
        cursor->runs = grown;
        cursor->runs_capacity = capacity;
    }
    cursor->runs[cursor->runs_count] = (struct trail_cursor_run){0};
    return cursor->runs_count++;
}

// Puts the next row of a run on the heap. A run that has none is free again.
static bool push_next(struct trail_cursor *cursor, uint32_t number, struct fault *fault) {
    struct trail_cursor_run *run = &cursor->runs[number];
    run->is_used = run->rows.count > 0;
    if (!run->is_used) {
        run->next_free = cursor->runs_free;
        cursor->runs_free = number + 1;
        return true;
    }
    struct trail_heap_item next = trail_heap_pop(&run->rows);
    cursor->rows_count--;
    run->first = next.row;
    return trail_heap_push(&cursor->heap, &next) || no_memory(fault);
}

bool trail_cursor_add_run(struct trail_cursor *cursor, struct trail_heap_item *items,
                          uint32_t count, struct fault *fault) {
    assert(count > 0);
    uint32_t number = get_run(cursor);
    if (number == NO_RUN) return no_memory(fault);
    for (uint32_t at = 0; at < count; at++) items[at].run = number;
    struct trail_cursor_run *run = &cursor->runs[number];
    run->block_index = items[0].block_index;
    run->frame = items[0].frame;
    if (!trail_heap_fill(&run->rows, items, count)) return no_memory(fault);
    cursor->rows_count += count;
    return push_next(cursor, number, fault);
}

bool trail_cursor_take_row(struct trail_cursor *cursor, struct trail_heap_item *item,
                           struct fault *fault) {
    cursor->steps++;
    *item = trail_heap_pop(&cursor->heap);
    assert(!trail_heap_opens(item->level));
    return item->level != TRAIL_HEAP_ROW || push_next(cursor, item->run, fault);
}

void trail_cursor_find_later(const struct trail_cursor *cursor, const struct trail_heap_item *item,
                             uint64_t bits[2]) {
    const struct trail_cursor_run *run = &cursor->runs[item->run];
    // The run may have gone on to its end since, and to another frame.
    bool is_same = run->block_index == item->block_index && run->frame == item->frame;
    if (!is_same || !run->is_used) return;
    bits[run->first / 64] |= (uint64_t)1 << run->first % 64;
    for (uint32_t index = 0; index < run->rows.count; index++) {
        uint32_t row = run->rows.items[index].row;
        bits[row / 64] |= (uint64_t)1 << row % 64;
    }
}

void trail_cursor_free_runs(struct trail_cursor *cursor) {
    for (uint32_t number = 0; number < cursor->runs_count; number++)
        trail_heap_done(&cursor->runs[number].rows);
    free(cursor->runs);
}
