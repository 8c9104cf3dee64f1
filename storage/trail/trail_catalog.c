#include "storage/trail/trail_catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum {
    STEP_BLOCKS = 64,     // blocks of one step of a search
    INSERTIONS_MAX = 64,  // new blocks that are put into an order one by one; more are sorted
    NUMBER_BITS = 40,
};

// The times of STEP_BLOCKS blocks of a day.
struct step {
    int64_t time_min_s;
    int64_t time_max_s;
};

struct day {
    int64_t day;
    uint32_t *indexes;
    struct step *steps;
    uint32_t count;
    uint32_t capacity;  // a multiple of STEP_BLOCKS
};

struct order {
    uint32_t *indexes;
    uint32_t count;  // of the blocks that are in it
    uint32_t capacity;
};

struct trail_catalog {
    struct trail_catalog_block *blocks;
    uint32_t count;
    uint32_t capacity;
    struct day *days;  // in order of day
    uint32_t days_count;
    uint32_t days_capacity;
    uint32_t *found;
    uint32_t found_capacity;
    struct order orders[2];
};

struct trail_catalog *trail_catalog_create(void) {
    return calloc(1, sizeof(struct trail_catalog));
}

void trail_catalog_destroy(struct trail_catalog *catalog) {
    if (catalog == NULL) return;
    for (uint32_t index = 0; index < catalog->days_count; index++) {
        free(catalog->days[index].indexes);
        free(catalog->days[index].steps);
    }
    free(catalog->days);
    free(catalog->blocks);
    free(catalog->found);
    free(catalog->orders[0].indexes);
    free(catalog->orders[1].indexes);
    free(catalog);
}

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for the list of blocks");
}

// Grows an array to hold one more item.
static bool reserve(void **items, uint32_t count, uint32_t *capacity, size_t item_size) {
    if (count < *capacity) return true;
    uint32_t larger = *capacity == 0 ? STEP_BLOCKS : *capacity * 2;
    void *grown = realloc(*items, larger * item_size);
    if (grown == NULL) return false;
    *items = grown;
    *capacity = larger;
    return true;
}

// The place of a day in the list, or where it belongs.
static uint32_t search_day(const struct trail_catalog *catalog, int64_t day) {
    uint32_t low = 0;
    uint32_t high = catalog->days_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (catalog->days[middle].day < day) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct day *make_day(struct trail_catalog *catalog, int64_t number) {
    uint32_t place = search_day(catalog, number);
    if (place < catalog->days_count && catalog->days[place].day == number)
        return &catalog->days[place];
    if (!reserve((void **)&catalog->days, catalog->days_count, &catalog->days_capacity,
                 sizeof *catalog->days)) {
        return NULL;
    }
    struct day *day = &catalog->days[place];
    memmove(day + 1, day, (catalog->days_count - place) * sizeof *day);
    *day = (struct day){.day = number};
    catalog->days_count++;
    return day;
}

static bool add_to_day(struct day *day, uint32_t index, const struct block_summary *summary) {
    if (day->count == day->capacity) {
        uint32_t capacity = day->capacity == 0 ? STEP_BLOCKS : day->capacity * 2;
        uint32_t *indexes = realloc(day->indexes, capacity * sizeof *indexes);
        if (indexes == NULL) return false;
        day->indexes = indexes;
        struct step *steps = realloc(day->steps, capacity / STEP_BLOCKS * sizeof *steps);
        if (steps == NULL) return false;
        day->steps = steps;
        day->capacity = capacity;
    }
    struct step *step = &day->steps[day->count / STEP_BLOCKS];
    if (day->count % STEP_BLOCKS == 0)
        *step = (struct step){summary->time_min_s, summary->time_max_s};
    if (summary->time_min_s < step->time_min_s) step->time_min_s = summary->time_min_s;
    if (summary->time_max_s > step->time_max_s) step->time_max_s = summary->time_max_s;
    day->indexes[day->count++] = index;
    return true;
}

bool trail_catalog_add(struct trail_catalog *catalog, uint64_t number,
                       const struct block_summary *summary, struct fault *fault) {
    assert(catalog->count == 0 || catalog->blocks[catalog->count - 1].number < number);
    if (!reserve((void **)&catalog->blocks, catalog->count, &catalog->capacity,
                 sizeof *catalog->blocks)) {
        return no_memory(fault);
    }
    struct day *day = make_day(catalog, time_day(summary->time_min_s));
    if (day == NULL || !add_to_day(day, catalog->count, summary)) return no_memory(fault);

    uint64_t reach = summary->sequence_last;
    if (catalog->count > 0 && catalog->blocks[catalog->count - 1].sequence_reach > reach)
        reach = catalog->blocks[catalog->count - 1].sequence_reach;
    catalog->blocks[catalog->count++] = (struct trail_catalog_block){
        .number = number,
        .summary = *summary,
        .sequence_reach = reach,
    };
    return true;
}

uint32_t trail_catalog_count(const struct trail_catalog *catalog) {
    return catalog->count;
}

bool trail_catalog_find_number(const struct trail_catalog *catalog, uint64_t number,
                               uint32_t *index) {
    uint32_t low = 0;
    uint32_t high = catalog->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (catalog->blocks[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == catalog->count || catalog->blocks[low].number != number) return false;
    *index = low;
    return !catalog->blocks[low].is_dropped;
}

uint32_t trail_catalog_days(const struct trail_catalog *catalog) {
    return catalog->days_count;
}

struct trail_catalog_day trail_catalog_day_at(const struct trail_catalog *catalog, uint32_t place) {
    assert(place < catalog->days_count);
    const struct day *day = &catalog->days[place];
    struct trail_catalog_day sum = {
        .day = day->day,
        .blocks = day->count,
        .time_min_s = INT64_MAX,
    };
    for (uint32_t at = 0; at < day->count; at++) {
        const struct block_summary *summary = &catalog->blocks[day->indexes[at]].summary;
        sum.rows += summary->rows;
        sum.size += summary->size;
        sum.text_size += summary->text_size;
        if (summary->sequence_last > sum.sequence_last) sum.sequence_last = summary->sequence_last;
        if (summary->time_min_s < sum.time_min_s) sum.time_min_s = summary->time_min_s;
    }
    return sum;
}

void trail_catalog_drop(struct trail_catalog *catalog, int64_t day_first) {
    uint32_t dropped = search_day(catalog, day_first);
    for (uint32_t place = 0; place < dropped; place++) {
        struct day *day = &catalog->days[place];
        for (uint32_t at = 0; at < day->count; at++)
            catalog->blocks[day->indexes[at]].is_dropped = true;
        free(day->indexes);
        free(day->steps);
    }
    catalog->days_count -= dropped;
    if (dropped > 0)
        memmove(catalog->days, catalog->days + dropped,
                catalog->days_count * sizeof *catalog->days);
}

struct trail_catalog_block *trail_catalog_at(const struct trail_catalog *catalog, uint32_t index) {
    assert(index < catalog->count);
    return &catalog->blocks[index];
}

uint64_t trail_catalog_key(const struct trail_catalog_block *block) {
    assert(block->number < (uint64_t)1 << NUMBER_BITS);
    return (uint64_t)time_day(block->summary.time_min_s) << NUMBER_BITS | block->number;
}

int64_t trail_catalog_key_day(uint64_t key) {
    return (int64_t)(key >> NUMBER_BITS);
}

uint64_t trail_catalog_key_number(uint64_t key) {
    return key & (((uint64_t)1 << NUMBER_BITS) - 1);
}

bool trail_catalog_find(struct trail_catalog *catalog, int64_t time_min_s, int64_t time_max_s,
                        const uint32_t **indexes, uint32_t *count, struct fault *fault) {
    assert(time_min_s <= time_max_s);
    assert(time_day(time_min_s) == time_day(time_max_s));
    uint32_t place = search_day(catalog, time_day(time_min_s));
    uint32_t found = 0;
    if (place < catalog->days_count && catalog->days[place].day == time_day(time_min_s)) {
        const struct day *day = &catalog->days[place];
        while (catalog->found_capacity < day->count) {
            if (!reserve((void **)&catalog->found, catalog->found_capacity,
                         &catalog->found_capacity, sizeof *catalog->found)) {
                return no_memory(fault);
            }
        }
        for (uint32_t at = 0; at < day->count; at++) {
            const struct step *step = &day->steps[at / STEP_BLOCKS];
            if (time_max_s < step->time_min_s || time_min_s > step->time_max_s) {
                at |= STEP_BLOCKS - 1;
                continue;
            }
            const struct block_summary *summary = &catalog->blocks[day->indexes[at]].summary;
            if (time_max_s >= summary->time_min_s && time_min_s <= summary->time_max_s)
                catalog->found[found++] = day->indexes[at];
        }
    }
    *indexes = catalog->found;
    *count = found;
    return true;
}

static int64_t time_of(const struct trail_catalog *catalog, uint32_t index, bool newest) {
    const struct block_summary *summary = &catalog->blocks[index].summary;
    return newest ? summary->time_max_s : summary->time_min_s;
}

struct sort_item {
    int64_t time_s;
    uint32_t index;
};

static int compare_items(const void *left, const void *right) {
    const struct sort_item *first = left;
    const struct sort_item *second = right;
    if (first->time_s != second->time_s) return first->time_s < second->time_s ? -1 : 1;
    return (first->index > second->index) - (first->index < second->index);
}

static bool sort_all(const struct trail_catalog *catalog, struct order *order, bool newest) {
    struct sort_item *items = malloc(catalog->count * sizeof *items);
    if (items == NULL) return false;
    for (uint32_t index = 0; index < catalog->count; index++)
        items[index] = (struct sort_item){time_of(catalog, index, newest), index};
    qsort(items, catalog->count, sizeof *items, compare_items);
    for (uint32_t index = 0; index < catalog->count; index++)
        order->indexes[index] = items[index].index;
    order->count = catalog->count;
    free(items);
    return true;
}

static void insert_last(const struct trail_catalog *catalog, struct order *order, bool newest) {
    uint32_t index = order->count;
    int64_t time_s = time_of(catalog, index, newest);
    uint32_t place = order->count++;
    while (place > 0 && time_of(catalog, order->indexes[place - 1], newest) > time_s) {
        order->indexes[place] = order->indexes[place - 1];
        place--;
    }
    order->indexes[place] = index;
}

bool trail_catalog_order(struct trail_catalog *catalog, bool newest, const uint32_t **indexes,
                         struct fault *fault) {
    struct order *order = &catalog->orders[newest ? 1 : 0];
    while (order->capacity < catalog->count) {
        if (!reserve((void **)&order->indexes, order->capacity, &order->capacity,
                     sizeof *order->indexes)) {
            return no_memory(fault);
        }
    }
    if (catalog->count - order->count > INSERTIONS_MAX) {
        if (!sort_all(catalog, order, newest)) return no_memory(fault);
    }
    while (order->count < catalog->count) insert_last(catalog, order, newest);
    *indexes = order->indexes;
    return true;
}

uint32_t trail_catalog_find_sequence(const struct trail_catalog *catalog, uint64_t sequence) {
    uint32_t low = 0;
    uint32_t high = catalog->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (catalog->blocks[middle].sequence_reach <= sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
