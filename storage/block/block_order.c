#include <assert.h>
#include <stdlib.h>

#include "storage/block/block_internal.h"
#include "storage/block/block_sort.h"

enum {
    SLOTS = 2 * BLOCK_ROWS_MAX,
    INDEX_BITS = 13,
    TIME_BITS = 35,  // seconds before the newest row, or as many as fit: a thousand years
    RANK_SHIFT = INDEX_BITS + TIME_BITS,
};

static_assert(BLOCK_ROWS_MAX <= 1 << INDEX_BITS, "row indexes do not fit their bits");

// The rows of one account and user.
struct block_group {
    struct span account;
    struct span user;
    uint32_t hash;
    uint32_t rank;  // in order of account and user
};

static int compare_groups(const void *left_pointer, const void *right_pointer) {
    const struct block_group *left = *(const struct block_group *const *)left_pointer;
    const struct block_group *right = *(const struct block_group *const *)right_pointer;
    int order = span_compare(left->account, right->account);
    return order != 0 ? order : span_compare(left->user, right->user);
}

// The index of a row's group, a new one if need be. slots hold index + 1.
static uint32_t find_group(struct block_group *groups, uint32_t *count, uint16_t *slots,
                           const struct block_row *row) {
    struct span account = span_of(row->key.account, row->key.account_size);
    uint64_t hash = hash_plain(account) * 31 + hash_plain(row->user);
    for (uint32_t slot = (uint32_t)hash & (SLOTS - 1);; slot = (slot + 1) & (SLOTS - 1)) {
        if (slots[slot] == 0) {
            slots[slot] = (uint16_t)(*count + 1);
            groups[*count] = (struct block_group){account, row->user, (uint32_t)(hash >> 32), 0};
            return (*count)++;
        }
        struct block_group *group = &groups[slots[slot] - 1];
        if (group->hash == (uint32_t)(hash >> 32) && span_equal(group->account, account) &&
            span_equal(group->user, row->user)) {
            return slots[slot] - 1u;
        }
    }
}

// Gives the groups their ranks.
static void rank_groups(struct block_group *groups, struct block_group **sorted, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) sorted[index] = &groups[index];
    qsort(sorted, count, sizeof *sorted, compare_groups);
    for (uint32_t rank = 0; rank < count; rank++) sorted[rank]->rank = rank;
}

// The newest first: a page mostly wants those of a user, and passes over what stands before them.
static bool stands_before(const struct block_row *left, const struct block_row *right) {
    if (left->key.event_time_s != right->key.event_time_s) {
        return left->key.event_time_s > right->key.event_time_s;
    }
    int order = memcmp(left->key.id, right->key.id, RECORD_ID_SIZE);
    return order != 0 ? order < 0 : left->sequence < right->sequence;
}

// Sorts rows of one group and (as far as the keys tell) one time.
static void order_ties(const struct block_row **rows, uint32_t count) {
    for (uint32_t index = 1; index < count; index++) {
        const struct block_row *row = rows[index];
        uint32_t place = index;
        for (; place > 0 && stands_before(row, rows[place - 1]); place--) {
            rows[place] = rows[place - 1];
        }
        rows[place] = row;
    }
}

static bool make_room(struct block_scratch *scratch) {
    if (scratch->groups != NULL) return true;
    scratch->groups = malloc(BLOCK_ROWS_MAX * sizeof *scratch->groups);
    return scratch->groups != NULL;
}

bool block_order_rows(struct block_scratch *scratch, const struct block_row *rows, uint32_t count) {
    if (!make_room(scratch)) return false;
    int64_t time_max_s = rows[0].key.event_time_s;
    for (uint32_t row = 1; row < count; row++) {
        if (rows[row].key.event_time_s > time_max_s) time_max_s = rows[row].key.event_time_s;
    }
    uint16_t slots[SLOTS] = {0};
    uint32_t groups = 0;
    uint32_t *group_of = scratch->places;  // free at this time
    for (uint32_t row = 0; row < count; row++) {
        group_of[row] = find_group(scratch->groups, &groups, slots, &rows[row]);
    }
    rank_groups(scratch->groups, (struct block_group **)(void *)scratch->ordered, groups);

    const uint64_t time_most = ((uint64_t)1 << TIME_BITS) - 1;
    for (uint32_t row = 0; row < count; row++) {
        uint64_t time = (uint64_t)time_max_s - (uint64_t)rows[row].key.event_time_s;
        if (time > time_most) time = time_most;
        uint64_t rank = scratch->groups[group_of[row]].rank;
        scratch->sorting[row] = rank << RANK_SHIFT | time << INDEX_BITS | row;
    }
    block_sort(scratch->sorting, scratch->sorting + BLOCK_ROWS_MAX, count);
    uint32_t begin = 0;
    for (uint32_t index = 0; index < count; index++) {
        uint64_t key = scratch->sorting[index];
        scratch->ordered[index] = &rows[key & ((1 << INDEX_BITS) - 1)];
        bool ends =
            index + 1 == count || scratch->sorting[index + 1] >> INDEX_BITS != key >> INDEX_BITS;
        if (!ends) continue;
        if (index > begin) order_ties(&scratch->ordered[begin], index + 1 - begin);
        begin = index + 1;
    }
    return true;
}
