// What a cursor's query asks of blocks, frames and rows, from the cheapest question to the last.

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/block/bytes.h"
#include "storage/trail/trail_cursor_internal.h"

static uint64_t load_big_endian(const uint8_t *bytes) {
    return __builtin_bswap64(bytes_get_64(bytes));
}

void trail_cursor_rank(const struct trail_cursor *cursor, const struct key *key, uint64_t sequence,
                       struct trail_heap_item *item) {
    if (cursor->by_sequence) {
        item->rank = -(int64_t)sequence;
        item->id_high = 0;
        item->id_low = 0;
        return;
    }
    item->rank = key->event_time_s;
    item->id_high = load_big_endian(key->id);
    item->id_low = load_big_endian(key->id + 8);
    if (cursor->query.newest_first) return;
    item->rank = -item->rank;
    item->id_high = ~item->id_high;
    item->id_low = ~item->id_low;
}

// Asks the group's tables once which of its blocks may hold all that is asked for. Blocks of a
// group that is not complete yet have no table: all of them may, as where the table is damaged.
static bool load_group(struct trail_cursor *cursor, uint32_t group, struct fault *fault) {
    struct trail_reader *reader = cursor->reader;
    bool found = false;
    struct span table;
    if (!trail_reader_group(reader, group, &found, &table, fault)) return false;
    uint64_t blocks = UINT64_MAX;
    for (uint32_t index = 0; found && index < cursor->query.attributes_count && blocks != 0;
         index++) {
        uint64_t holders = 0;
        struct fault ignored;
        if (!block_group_find(table, cursor->hashes[index], &holders, &ignored))
            holders = UINT64_MAX;
        blocks &= holders;
    }
    if (cursor->query.id != NULL && blocks != 0) {
        uint64_t holders = 0;
        if (!trail_reader_find_id(reader, group, cursor->id_hash, &cursor->may_learn, &holders,
                                  fault)) {
            return false;
        }
        blocks &= holders;
    }
    cursor->groups[group] = (struct trail_cursor_group){true, blocks};
    return true;
}

bool trail_cursor_is_ruled_out(const struct trail_cursor *cursor, uint32_t block_index) {
    if (cursor->groups == NULL) return false;
    uint64_t number = trail_catalog_at(cursor->reader->catalog, block_index)->number;
    uint64_t group = number / TRAIL_GROUP_BLOCKS;
    return group < cursor->groups_count && cursor->groups[group].is_known &&
           (cursor->groups[group].blocks >> (number % TRAIL_GROUP_BLOCKS) & 1) == 0;
}

bool trail_cursor_wants_block(struct trail_cursor *cursor, uint32_t block_index, bool *wanted,
                              struct fault *fault) {
    *wanted = true;
    if (cursor->query.attributes_count == 0 && cursor->query.id == NULL) return true;
    uint64_t number = trail_catalog_at(cursor->reader->catalog, block_index)->number;
    uint32_t group = (uint32_t)(number / TRAIL_GROUP_BLOCKS);
    if (group >= cursor->groups_count) return true;
    if (!cursor->groups[group].is_known && !load_group(cursor, group, fault)) return false;
    *wanted = (cursor->groups[group].blocks >> (number % TRAIL_GROUP_BLOCKS) & 1) != 0;
    return true;
}

// The frames that hold the id. If one of the block is damaged, all: it says so when it is read.
static uint64_t find_id(const struct trail_cursor *cursor, const struct block *block) {
    struct block_place places[BLOCK_FRAMES_MAX];
    struct fault ignored;
    if (!block_may_hold_id(block, cursor->id_hash)) return 0;
    if (!block_check_ids(block, &ignored)) return UINT64_MAX;
    uint32_t count = block_find_id(block, cursor->query.id, places, BLOCK_FRAMES_MAX);
    if (count > BLOCK_FRAMES_MAX) return UINT64_MAX;
    uint64_t frames = 0;
    for (uint32_t at = 0; at < count; at++) frames |= (uint64_t)1 << places[at].frame;
    return frames;
}

uint64_t trail_cursor_find_frames(const struct trail_cursor *cursor, const struct block *block) {
    uint64_t frames = block->frames == 64 ? UINT64_MAX : ((uint64_t)1 << block->frames) - 1;
    if (cursor->query.id != NULL) frames &= find_id(cursor, block);
    for (uint32_t index = 0; index < cursor->query.attributes_count && frames != 0; index++)
        frames &= block_find_attribute(block, cursor->hashes[index]);
    return frames;
}

// A frame's rows are taken in parts, each after sorting anew: rows that differ in account alone,
// which is not known here, need an order that is the same every time.
static int compare_items(const void *left, const void *right) {
    if (trail_heap_before(left, right)) return -1;
    if (trail_heap_before(right, left)) return 1;
    const struct trail_heap_item *first = left;
    const struct trail_heap_item *second = right;
    return (first->row > second->row) - (first->row < second->row);
}

static bool is_in_time(const struct trail_query *query, int64_t time_s) {
    return time_s >= query->time_min_s && time_s <= query->time_max_s;
}

bool trail_cursor_find_first(struct trail_cursor *cursor, const struct block *block,
                             struct trail_heap_item *item, bool *found, struct fault *fault) {
    const struct trail_query *query = &cursor->query;
    int64_t times_s[BLOCK_FRAME_ROWS];
    uint32_t rows = block_frame_rows(block, item->frame);
    if (!block_read_times(block, item->frame, times_s, fault))
        return trail_reader_blame(cursor->reader, item->block_index, fault);
    // Without branches: hundreds of frames may be cut by a moment.
    int64_t first_s = INT64_MAX;
    int64_t last_s = INT64_MIN;
    for (uint32_t row = 0; row < rows; row++) {
        bool is_in = (times_s[row] >= query->time_min_s) & (times_s[row] <= query->time_max_s);
        int64_t low_s = is_in ? times_s[row] : INT64_MAX;
        int64_t high_s = is_in ? times_s[row] : INT64_MIN;
        first_s = low_s < first_s ? low_s : first_s;
        last_s = high_s > last_s ? high_s : last_s;
    }
    *found = first_s <= last_s;
    item->rank = query->newest_first ? last_s : -first_s;
    return true;
}

// What is behind the `after` position or at it; accounts are compared when a row is given out.
static bool is_behind(const struct trail_cursor *cursor, const struct trail_heap_item *item) {
    if (cursor->by_sequence || !cursor->query.has_after) return true;
    struct trail_heap_item after = {.level = TRAIL_HEAP_ROW};
    trail_cursor_rank(cursor, &cursor->query.after, 0, &after);
    return !trail_heap_before(item, &after);
}

static bool is_in_sequence(const struct trail_cursor *cursor, uint64_t sequence) {
    return sequence > cursor->sequence_after && sequence <= cursor->query.sequence_max;
}

static bool matches_columns(const struct trail_cursor *cursor, const struct block_columns *columns,
                            uint32_t row) {
    const struct trail_query *query = &cursor->query;
    if (!is_in_time(query, columns->time_s[row])) return false;
    if (query->id != NULL && memcmp(columns->id[row], query->id, RECORD_ID_SIZE) != 0) return false;
    return columns->sequence == NULL || is_in_sequence(cursor, columns->sequence[row]);
}

// The first bit that is set, from one on; 128 if there is none.
static uint32_t next_bit(const uint64_t bits[2], uint32_t from) {
    for (uint32_t word = from / 64; word < 2; word++, from = word * 64) {
        uint64_t left = bits[word] >> from % 64;
        if (left != 0) return from + (uint32_t)__builtin_ctzll(left);
    }
    return 128;
}

bool trail_cursor_find_rows(struct trail_cursor *cursor, const struct block *block,
                            uint32_t block_index, uint32_t frame, struct trail_cursor_rows *rows,
                            struct fault *fault) {
    struct trail_reader *reader = cursor->reader;
    uint64_t bits[2] = {UINT64_MAX, UINT64_MAX};
    rows->count = 0;
    uint32_t count = cursor->query.attributes_count;
    if (count > 0 && !block_find_rows(block, frame, cursor->hashes, count, bits, fault))
        return trail_reader_blame(reader, block_index, fault);
    if ((bits[0] | bits[1]) == 0) return true;
    // Sequences only matter where a block reaches over the cursor's bounds.
    bool needs_sequence =
        cursor->by_sequence || block->summary.sequence_last > cursor->query.sequence_max;
    struct block_columns columns;
    if (!block_read_columns(block, reader->scratch, frame,
                            needs_sequence ? BLOCK_COLUMN_PROVENANCE : 0, &columns, fault)) {
        return trail_reader_blame(reader, block_index, fault);
    }
    for (uint32_t row = next_bit(bits, 0); row < columns.rows; row = next_bit(bits, row + 1)) {
        if (!matches_columns(cursor, &columns, row)) continue;
        struct trail_heap_item *item = &rows->items[rows->count];
        *item = (struct trail_heap_item){
            .block_index = block_index,
            .frame = (uint8_t)frame,
            .row = (uint8_t)row,
            .level = TRAIL_HEAP_ROW,
        };
        struct key key = {.event_time_s = columns.time_s[row]};
        memcpy(key.id, columns.id[row], RECORD_ID_SIZE);
        trail_cursor_rank(cursor, &key, columns.sequence == NULL ? 0 : columns.sequence[row], item);
        if (is_behind(cursor, item)) rows->count++;
    }
    return true;
}

void trail_cursor_sort_rows(struct trail_cursor_rows *rows) {
    qsort(rows->items, rows->count, sizeof rows->items[0], compare_items);
}

bool trail_cursor_wants_tail_row(const struct trail_cursor *cursor,
                                 const struct trail_tail_chunk *chunk,
                                 const struct trail_tail_row *row) {
    const struct trail_query *query = &cursor->query;
    if (!is_in_time(query, row->key.event_time_s)) return false;
    if (!is_in_sequence(cursor, row->sequence)) return false;
    if (query->id != NULL && memcmp(row->key.id, query->id, RECORD_ID_SIZE) != 0) return false;
    for (uint32_t index = 0; index < query->attributes_count; index++) {
        bool has = false;
        for (uint32_t at = row->attribute_first; at < row->attribute_end && !has; at++) {
            has = chunk->attribute_hash[at] == cursor->hashes[index] &&
                  chunk->attribute_kind[at] == (uint8_t)query->attributes[index].kind;
        }
        if (!has) return false;
    }
    struct trail_heap_item item = {.level = TRAIL_HEAP_TAIL_ROW};
    trail_cursor_rank(cursor, &row->key, row->sequence, &item);
    return is_behind(cursor, &item);
}

bool trail_cursor_verify(struct trail_cursor *cursor, const struct trail_row *row, bool *matches,
                         struct fault *fault) {
    const struct trail_query *query = &cursor->query;
    *matches = true;
    cursor->has_record = false;
    if (!cursor->by_sequence && query->has_after) {
        int order = key_compare(&row->key, &query->after);
        *matches = query->newest_first ? order < 0 : order > 0;
    }
    if (!*matches || query->attributes_count == 0) return true;

    struct trail_reader *reader = cursor->reader;
    struct record *record = &cursor->record;
    enum record_refusal refusal = RECORD_GOOD;
    arena_reset(reader->arena);
    if (!record_read(reader->json, reader->arena, row->text, record, &refusal, fault)) {
        if (fault->kind == FAULT_INPUT) fault->kind = FAULT_CORRUPT;
        char id[RECORD_UUID_TEXT_SIZE];
        record_print_uuid(row->key.id, id);
        return fault_add(fault, "trail: event %s", id);
    }
    cursor->has_record = true;
    struct span account = span_of(row->key.account, row->key.account_size);
    for (uint32_t index = 0; index < query->attributes_count && *matches; index++)
        *matches = attribute_matches(record, account, &query->attributes[index]);
    return true;
}
