// A cursor merges blocks, frames and rows through one heap: a block or frame is opened only when
// the foremost row it may hold is not behind the foremost row at hand. So a page of the newest rows
// opens few blocks, however late events came; and what is not opened costs nothing.

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "storage/trail/trail_cursor_internal.h"

enum {
    PART_ROWS = 16,     // of a frame at a time when very many rows are at hand
    AHEAD_FIRST = 16,   // rows looked for at a time when nobody said how many are wanted; each
    AHEAD_MAX = 1024,   // time twice as many
    WHOLE_AFTER = 256,  // rows given out that show that this is no page: whole frames are rebuilt
};

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for a query");
}

static bool add_candidates(struct trail_cursor *cursor, struct fault *fault) {
    struct trail_catalog *catalog = cursor->reader->catalog;
    const struct trail_query *query = &cursor->query;
    uint32_t count = trail_catalog_count(catalog);
    const uint32_t *order = NULL;
    if (!trail_catalog_order(catalog, query->newest_first, &order, fault)) return false;
    cursor->candidates = malloc((count + 1) * sizeof *cursor->candidates);
    if (cursor->candidates == NULL) return no_memory(fault);
    for (uint32_t at = 0; at < count; at++) {
        uint32_t index = query->newest_first ? order[count - 1 - at] : order[at];
        const struct trail_catalog_block *block = trail_catalog_at(catalog, index);
        const struct block_summary *summary = &block->summary;
        if (block->is_dropped) continue;
        if (summary->time_max_s < query->time_min_s || summary->time_min_s > query->time_max_s)
            continue;
        if (summary->sequence_first > query->sequence_max) continue;
        cursor->candidates[cursor->candidates_count++] = index;
    }
    return true;
}

struct candidate {
    uint64_t sequence_first;
    uint32_t index;
};

static int compare_candidates(const void *left, const void *right) {
    const struct candidate *first = left;
    const struct candidate *second = right;
    return (first->sequence_first > second->sequence_first) -
           (first->sequence_first < second->sequence_first);
}

static bool add_candidates_by_sequence(struct trail_cursor *cursor, struct fault *fault) {
    const struct trail_catalog *catalog = cursor->reader->catalog;
    uint32_t first = trail_catalog_find_sequence(catalog, cursor->sequence_after);
    uint32_t count = trail_catalog_count(catalog) - first;
    struct candidate *found = malloc((count + 1) * sizeof *found);
    cursor->candidates = malloc((count + 1) * sizeof *cursor->candidates);
    if (found == NULL || cursor->candidates == NULL) {
        free(found);
        return no_memory(fault);
    }
    uint32_t kept = 0;
    for (uint32_t index = first; index < first + count; index++) {
        const struct trail_catalog_block *block = trail_catalog_at(catalog, index);
        const struct block_summary *summary = &block->summary;
        if (block->is_dropped || summary->sequence_last <= cursor->sequence_after) continue;
        found[kept++] = (struct candidate){summary->sequence_first, index};
    }
    qsort(found, kept, sizeof *found, compare_candidates);
    for (uint32_t at = 0; at < kept; at++) cursor->candidates[at] = found[at].index;
    cursor->candidates_count = kept;
    free(found);
    return true;
}

static bool add_tail_row(struct trail_cursor *cursor, struct trail_tail_chunk *chunk,
                         const struct trail_tail_row *row, struct fault *fault) {
    if (cursor->tail_count == cursor->tail_capacity) {
        uint32_t capacity = cursor->tail_capacity == 0 ? 256 : cursor->tail_capacity * 2;
        struct trail_cursor_tail *grown = realloc(cursor->tail, capacity * sizeof *grown);
        if (grown == NULL) return no_memory(fault);
        cursor->tail = grown;
        cursor->tail_capacity = capacity;
    }
    struct trail_heap_item item = {
        .block_index = cursor->tail_count,
        .level = TRAIL_HEAP_TAIL_ROW,
    };
    if (row != NULL) {
        trail_cursor_rank(cursor, &row->key, row->sequence, &item);
    } else {
        // Its rows may be anywhere: before all others. A follower hears of it in their place.
        item.rank = cursor->by_sequence ? -(int64_t)chunk->key : INT64_MAX;
        item.id_high = cursor->by_sequence ? 0 : chunk->key;
    }
    if (!trail_heap_push(&cursor->heap, &item)) return no_memory(fault);
    cursor->tail[cursor->tail_count++] = (struct trail_cursor_tail){trail_tail_share(chunk), row};
    return true;
}

static bool add_tail(struct trail_cursor *cursor, struct fault *fault) {
    struct trail_reader *reader = cursor->reader;
    for (uint32_t at = 0; at < reader->chunks_count; at++) {
        struct trail_tail_chunk *chunk = reader->chunks[at];
        bool is_wanted =
            chunk->key > cursor->sequence_after && chunk->key <= cursor->query.sequence_max;
        if (chunk->is_damaged && is_wanted && !add_tail_row(cursor, chunk, NULL, fault))
            return false;
        for (uint32_t index = 0; index < chunk->rows_count; index++) {
            const struct trail_tail_row *row = &chunk->rows[index];
            if (!trail_cursor_wants_tail_row(cursor, chunk, row)) continue;
            if (!add_tail_row(cursor, chunk, row, fault)) return false;
        }
    }
    return true;
}

// Binds the cursor to what the reader's lists hold now. From here on blocks that are written from
// rows of the tail are not looked at: those rows are in the cursor's list.
static bool bind(struct trail_cursor *cursor, struct fault *fault) {
    struct trail_reader *reader = cursor->reader;
    struct trail_query *query = &cursor->query;
    if (!query->has_sequence_max || query->sequence_max > reader->head.sequence_last)
        query->sequence_max = reader->head.sequence_last;
    for (uint32_t index = 0; index < query->attributes_count; index++) {
        cursor->hashes[index] =
            block_attribute_hash(reader->format.secret, &query->attributes[index]);
    }
    if (query->id != NULL) {
        cursor->id_hash = block_id_hash(reader->format.secret, query->id);
        reader->id_queries++;
    }
    if (query->attributes_count > 0 || query->id != NULL) {
        cursor->groups_count = (uint32_t)(reader->head.block_next / TRAIL_GROUP_BLOCKS);
        cursor->groups = calloc(cursor->groups_count + 1, sizeof *cursor->groups);
        if (cursor->groups == NULL) return no_memory(fault);
    }
    bool added = cursor->by_sequence ? add_candidates_by_sequence(cursor, fault)
                                     : add_candidates(cursor, fault);
    return added && add_tail(cursor, fault);
}

// A follower hears of what is damaged in its place, and takes whole frames anyhow.
static uint32_t choose_ahead(const struct trail_query *query, bool by_sequence) {
    if (by_sequence) return 1;
    if (query->rows_hint == 0) return AHEAD_FIRST;
    return query->rows_hint < AHEAD_MAX ? query->rows_hint : AHEAD_MAX;
}

static bool open_cursor(struct trail_reader *reader, const struct trail_query *query,
                        bool by_sequence, uint64_t sequence_after, struct trail_cursor **result,
                        struct fault *fault) {
    if (query->attributes_count > TRAIL_QUERY_ATTRIBUTES_MAX) {
        return fault_set(fault, FAULT_INPUT, "trail: a query has %u attributes, at most %d allowed",
                         (unsigned)query->attributes_count, TRAIL_QUERY_ATTRIBUTES_MAX);
    }
    struct trail_cursor *cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL) return no_memory(fault);
    cursor->reader = reader;
    cursor->query = *query;
    cursor->by_sequence = by_sequence;
    cursor->sequence_after = sequence_after;
    cursor->may_learn = true;
    cursor->ahead = choose_ahead(query, by_sequence);
    cursor->frames = trail_frames_create();
    if (!by_sequence && query->has_after) {
        int64_t time_s = query->after.event_time_s;
        if (query->newest_first && time_s < query->time_max_s) cursor->query.time_max_s = time_s;
        if (!query->newest_first && time_s > query->time_min_s) cursor->query.time_min_s = time_s;
    }
    bool bound = cursor->frames != NULL || no_memory(fault);
    if (bound) {
        bound = trail_reader_enter(reader, fault);
        if (bound) {
            bound = bind(cursor, fault);
            trail_reader_leave(reader);
        }
    }
    if (!bound) {
        trail_cursor_close(cursor);
        return false;
    }
    *result = cursor;
    return true;
}

bool trail_cursor_open(struct trail_reader *reader, const struct trail_query *query,
                       struct trail_cursor **cursor, struct fault *fault) {
    return open_cursor(reader, query, false, 0, cursor, fault);
}

void trail_cursor_close(struct trail_cursor *cursor) {
    if (cursor == NULL) return;
    for (uint32_t index = 0; index < cursor->tail_count; index++)
        trail_tail_release(cursor->tail[index].chunk);
    free(cursor->tail);
    free(cursor->candidates);
    free(cursor->groups);
    free(cursor->next);
    trail_cursor_free_runs(cursor);
    trail_heap_done(&cursor->heap);
    trail_frames_destroy(cursor->frames);
    free(cursor);
}

uint64_t trail_cursor_sequence_max(const struct trail_cursor *cursor) {
    return cursor->query.sequence_max;
}

static int64_t block_rank(const struct trail_cursor *cursor, uint32_t block_index) {
    const struct block_summary *summary =
        &trail_catalog_at(cursor->reader->catalog, block_index)->summary;
    if (cursor->by_sequence) return -(int64_t)summary->sequence_first;
    return cursor->query.newest_first ? summary->time_max_s : -summary->time_min_s;
}

static bool push(struct trail_cursor *cursor, const struct trail_heap_item *item,
                 struct fault *fault) {
    return trail_heap_push(&cursor->heap, item) || no_memory(fault);
}

// Takes the rows of a frame that were not taken before: when very many are at hand already, only
// the foremost, and the frame again for the rest.
static bool expand_frame(struct trail_cursor *cursor, const struct block *block,
                         uint32_t block_index, uint32_t frame, uint32_t taken,
                         struct fault *fault) {
    struct trail_cursor_rows rows;
    if (!trail_cursor_find_rows(cursor, block, block_index, frame, &rows, fault)) return false;
    if (rows.count <= taken) return true;
    bool is_part = !cursor->by_sequence && cursor->rows_count > cursor->reader->cursor_rows_max &&
                   rows.count > taken + PART_ROWS;
    uint32_t end = is_part ? taken + PART_ROWS : rows.count;
    if (taken > 0 || is_part) trail_cursor_sort_rows(&rows);
    if (!trail_cursor_add_run(cursor, rows.items + taken, end - taken, fault)) return false;
    if (!is_part) return true;
    struct trail_heap_item rest = {
        .rank = rows.items[end].rank,
        .block_index = block_index,
        .frame = (uint8_t)frame,
        .row = (uint8_t)end,
        .level = TRAIL_HEAP_FRAME,
    };
    return push(cursor, &rest, fault);
}

static bool expand_block(struct trail_cursor *cursor, uint32_t block_index, struct fault *fault) {
    bool found = false;
    struct block block;
    if (!trail_reader_open_block(cursor->reader, block_index, &found, &block, fault)) return false;
    uint64_t frames = found ? trail_cursor_find_frames(cursor, &block) : 0;
    for (uint32_t frame = 0; frame < BLOCK_FRAMES_MAX && frames >> frame != 0; frame++) {
        if ((frames >> frame & 1) == 0) continue;
        int64_t time_min_s = 0;
        int64_t time_max_s = 0;
        block_frame_times(&block, frame, &time_min_s, &time_max_s);
        if (time_max_s < cursor->query.time_min_s || time_min_s > cursor->query.time_max_s)
            continue;
        // Frames are in no order of sequence: for a follower all are opened with their block.
        if (cursor->by_sequence) {
            if (!expand_frame(cursor, &block, block_index, frame, 0, fault)) return false;
            continue;
        }
        bool is_cut = cursor->query.newest_first ? time_max_s > cursor->query.time_max_s
                                                 : time_min_s < cursor->query.time_min_s;
        struct trail_heap_item item = {
            .rank = cursor->query.newest_first ? time_max_s : -time_min_s,
            .block_index = block_index,
            .frame = (uint8_t)frame,
            .level = is_cut ? TRAIL_HEAP_CUT : TRAIL_HEAP_FRAME,
        };
        if (!push(cursor, &item, fault)) return false;
    }
    return true;
}

// Puts a frame that goes on beyond the query's times to where its foremost row within them is, so
// that it is searched only if that is reached: blocks hold late events, so that many reach over any
// moment, most of them with rows that come long after a page.
static bool place_frame(struct trail_cursor *cursor, const struct block *block,
                        struct trail_heap_item *item, struct fault *fault) {
    bool found = false;
    if (!trail_cursor_find_first(cursor, block, item, &found, fault)) return false;
    item->level = TRAIL_HEAP_FRAME;
    return !found || push(cursor, item, fault);
}

static bool enter(struct trail_cursor *cursor, struct fault *fault) {
    if (cursor->reader->is_reading) return trail_reader_renew(cursor->reader, fault);
    return trail_reader_enter(cursor->reader, fault);
}

// Opens what may hold a row before the foremost row at hand. Afterwards a row is foremost, or
// nothing is left. A block that cannot be read is behind the cursor when it says so.
static bool advance(struct trail_cursor *cursor, struct fault *fault) {
    for (;;) {
        bool has_top = cursor->heap.count > 0;
        if (cursor->candidates_next < cursor->candidates_count) {
            uint32_t index = cursor->candidates[cursor->candidates_next];
            if (trail_cursor_is_ruled_out(cursor, index)) {
                cursor->candidates_next++;
                continue;
            }
            if (!has_top || block_rank(cursor, index) >= trail_heap_top(&cursor->heap)->rank) {
                bool wanted = false;
                if (!enter(cursor, fault)) return false;
                cursor->candidates_next++;
                cursor->steps++;
                if (!trail_cursor_wants_block(cursor, index, &wanted, fault)) return false;
                if (wanted && !expand_block(cursor, index, fault)) return false;
                continue;
            }
        }
        if (!has_top || !trail_heap_opens(trail_heap_top(&cursor->heap)->level)) return true;
        struct trail_heap_item item = trail_heap_pop(&cursor->heap);
        cursor->steps++;
        bool found = false;
        struct block block;
        if (!enter(cursor, fault)) return false;
        if (!trail_reader_open_block(cursor->reader, item.block_index, &found, &block, fault)) {
            return false;
        }
        if (!found) continue;
        bool done = item.level == TRAIL_HEAP_CUT ? place_frame(cursor, &block, &item, fault)
                                                 : expand_frame(cursor, &block, item.block_index,
                                                                item.frame, item.row, fault);
        if (!done) return false;
    }
}

static void add_bit(uint64_t bits[2], uint32_t row) {
    bits[row / 64] |= (uint64_t)1 << row % 64;
}

// Which rows of a row's frame to rebuild with it: all that come next, so that a page inflates each
// frame once.
static void choose_rows(const struct trail_cursor *cursor, const struct trail_heap_item *item,
                        uint64_t bits[2]) {
    for (uint32_t index = cursor->next_given; index < cursor->next_count; index++) {
        const struct trail_heap_item *next = &cursor->next[index].item;
        bool is_same = next->level == TRAIL_HEAP_ROW && next->block_index == item->block_index &&
                       next->frame == item->frame;
        if (is_same) add_bit(bits, next->row);
    }
    if (cursor->by_sequence || cursor->given >= WHOLE_AFTER)
        trail_cursor_find_later(cursor, item, bits);
}

// Rebuilds a row of a block, and some that come after it in its frame.
static bool load_row(struct trail_cursor *cursor, const struct trail_heap_item *item, bool *found,
                     const struct trail_row **row, struct fault *fault) {
    *row = trail_frames_find(cursor->frames, item->block_index, item->frame, item->row);
    *found = true;
    if (*row != NULL) return true;
    struct block block;
    if (!enter(cursor, fault)) return false;
    if (!trail_reader_open_block(cursor->reader, item->block_index, found, &block, fault))
        return false;
    if (!*found) return true;
    uint64_t alone[2] = {0, 0};
    add_bit(alone, item->row);
    uint64_t bits[2] = {alone[0], alone[1]};
    choose_rows(cursor, item, bits);
    bool is_bare = cursor->query.is_bare;
    bool loaded = trail_frames_load(cursor->frames, cursor->reader, &block, item->block_index,
                                    item->frame, bits, is_bare, fault);
    // What another row of the frame refers to may be damaged: that is for that row to say.
    if (!loaded && fault->kind == FAULT_CORRUPT)
        loaded = trail_frames_load(cursor->frames, cursor->reader, &block, item->block_index,
                                   item->frame, alone, is_bare, fault);
    if (!loaded) return false;
    *row = trail_frames_find(cursor->frames, item->block_index, item->frame, item->row);
    assert(*row != NULL);
    return true;
}

static bool add_next(struct trail_cursor *cursor, const struct trail_heap_item *item,
                     struct fault *fault) {
    if (cursor->next_count == cursor->next_capacity) {
        uint32_t capacity = cursor->next_capacity == 0 ? 64 : cursor->next_capacity * 2;
        struct trail_cursor_next *grown = realloc(cursor->next, capacity * sizeof *grown);
        if (grown == NULL) return no_memory(fault);
        cursor->next = grown;
        cursor->next_capacity = capacity;
    }
    cursor->next[cursor->next_count++] = (struct trail_cursor_next){.item = *item};
    return true;
}

static int compare_keys(const void *left, const void *right) {
    return key_compare(&((const struct trail_cursor_next *)left)->key,
                       &((const struct trail_cursor_next *)right)->key);
}

static int compare_keys_reversed(const void *left, const void *right) {
    return compare_keys(right, left);
}

// Sorts rows of one time and id, from `begin` on, by account, which only the rows themselves tell.
static bool order_ties(struct trail_cursor *cursor, uint32_t begin, struct fault *fault) {
    for (uint32_t index = begin; index < cursor->next_count; index++) {
        struct trail_cursor_next *tie = &cursor->next[index];
        if (tie->item.level == TRAIL_HEAP_TAIL_ROW) {
            tie->key = cursor->tail[tie->item.block_index].row->key;
            continue;
        }
        bool found = false;
        const struct trail_row *row = NULL;
        if (!load_row(cursor, &tie->item, &found, &row, fault)) return false;
        if (found) tie->key = row->key;
    }
    qsort(cursor->next + begin, cursor->next_count - begin, sizeof *cursor->next,
          cursor->query.newest_first ? compare_keys_reversed : compare_keys);
    return true;
}

// Takes the foremost row, and those that only their account tells from it.
static bool take_ties(struct trail_cursor *cursor, struct fault *fault) {
    uint32_t begin = cursor->next_count;
    struct trail_heap_item first;
    if (!trail_cursor_take_row(cursor, &first, fault)) return false;
    if (!add_next(cursor, &first, fault)) return false;
    while (cursor->heap.count > 0) {
        const struct trail_heap_item *top = trail_heap_top(&cursor->heap);
        if (top->rank != first.rank || top->id_high != first.id_high ||
            top->id_low != first.id_low || trail_heap_opens(top->level)) {
            break;
        }
        struct trail_heap_item next;
        if (!trail_cursor_take_row(cursor, &next, fault)) return false;
        if (!add_next(cursor, &next, fault)) return false;
    }
    return cursor->next_count == begin + 1 || order_ties(cursor, begin, fault);
}

// Looks for the rows that come next. What fails is told behind those that come before it.
static void look_ahead(struct trail_cursor *cursor) {
    cursor->next_count = 0;
    cursor->next_given = 0;
    while (!cursor->has_failed && cursor->next_count < cursor->ahead) {
        cursor->next_failed = cursor->next_count;
        cursor->has_failed = !advance(cursor, &cursor->failure);
        if (cursor->has_failed || cursor->heap.count == 0) break;
        cursor->has_failed = !take_ties(cursor, &cursor->failure);
    }
    if (cursor->by_sequence) return;
    cursor->ahead = cursor->ahead < AHEAD_FIRST ? AHEAD_FIRST : cursor->ahead * 2;
    if (cursor->ahead > AHEAD_MAX) cursor->ahead = AHEAD_MAX;
}

static bool find_next(struct trail_cursor *cursor, bool *found, struct trail_row *row,
                      struct fault *fault) {
    for (;;) {
        if (cursor->next_given == cursor->next_count && !cursor->has_failed) look_ahead(cursor);
        if (cursor->has_failed && cursor->next_given == cursor->next_failed) {
            cursor->has_failed = false;
            *fault = cursor->failure;
            return false;
        }
        if (cursor->next_given == cursor->next_count) {
            *found = false;
            return true;
        }
        const struct trail_heap_item *item = &cursor->next[cursor->next_given++].item;
        cursor->steps++;
        struct trail_row next;
        if (item->level == TRAIL_HEAP_TAIL_ROW) {
            const struct trail_cursor_tail *tail = &cursor->tail[item->block_index];
            if (tail->row == NULL) {
                return fault_set(fault, FAULT_CORRUPT, "trail: tail chunk %" PRIu64 " is damaged",
                                 tail->chunk->key);
            }
            next = trail_reader_tail_row(tail->row);
            if (cursor->query.is_bare)
                next = (struct trail_row){.key = next.key, .text = next.text};
        } else {
            bool there = false;
            const struct trail_row *loaded = NULL;
            if (!load_row(cursor, item, &there, &loaded, fault)) return false;
            if (!there) continue;
            next = *loaded;
        }
        bool matches = false;
        if (!trail_cursor_verify(cursor, &next, &matches, fault)) return false;
        if (!matches) continue;
        cursor->given++;
        *row = next;
        *found = true;
        return true;
    }
}

bool trail_cursor_next(struct trail_cursor *cursor, bool *found, struct trail_row *row,
                       struct fault *fault) {
    bool good = find_next(cursor, found, row, fault);
    if (cursor->reader->is_reading) trail_reader_leave(cursor->reader);
    return good;
}

const struct record *trail_cursor_record(const struct trail_cursor *cursor) {
    return cursor->has_record ? &cursor->record : NULL;
}

// A follower's way over what is there.
struct following {
    uint64_t given;       // the last sequence given, or behind which it began
    bool is_damaged;      // something could not be read since then
    struct fault reason;  // that
};

// Says which events are missing before the next that can be read. Returns false.
static bool set_missing(const struct following *following, uint64_t next, struct fault *fault) {
    return fault_set(fault, FAULT_CORRUPT, "trail: events %" PRIu64 " to %" PRIu64 ": %s",
                     following->given + 1, next - 1, following->reason.text);
}

// The next row that can be read. Sequences have no holes: what is missing shows at the next one.
static bool find_readable(struct trail_cursor *cursor, struct following *following, bool *found,
                          struct trail_row *row, struct fault *fault) {
    struct fault reason;
    for (;;) {
        uint64_t steps = cursor->steps;
        if (trail_cursor_next(cursor, found, row, &reason)) break;
        // What is damaged is behind the cursor then. If nothing is, it is the trail as a whole.
        if (reason.kind != FAULT_CORRUPT || steps == cursor->steps)
            return fault_set(fault, reason.kind, "%s", reason.text);
        if (!following->is_damaged) following->reason = reason;
        following->is_damaged = true;
    }
    return true;
}

bool trail_reader_follow(struct trail_reader *reader, uint64_t after,
                         bool (*on_row)(void *user, const struct trail_row *row), void *user,
                         uint64_t *last, struct fault *fault) {
    const struct trail_query all = {.time_min_s = INT64_MIN, .time_max_s = INT64_MAX};
    struct trail_cursor *cursor = NULL;
    if (!open_cursor(reader, &all, true, after, &cursor, fault)) return false;
    struct following following = {.given = after};
    bool more = true;
    bool good = true;
    while (good && more) {
        struct trail_row row;
        bool found = false;
        good = find_readable(cursor, &following, &found, &row, fault);
        if (!good) break;
        uint64_t next = found ? row.sequence : trail_cursor_sequence_max(cursor) + 1;
        if (following.is_damaged && next > following.given + 1) {
            // The next call goes on behind them.
            good = set_missing(&following, next, fault);
            following.given = next - 1;
        } else if (found) {
            following.given = row.sequence;
            more = on_row(user, &row);
        } else {
            more = false;
        }
    }
    trail_cursor_close(cursor);
    // What was given has been given, also when a later block is damaged.
    *last = following.given;
    return good;
}
