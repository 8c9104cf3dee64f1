// What a commit writes. Rows of a day go straight into a block when the commit alone has enough of
// them, or when they and what waits in the tail are enough; the rest waits in the tail. Whenever a
// block of a day is written, the day's waiting rows go along. When the tail as a whole is too long
// (or too old), all of it is written. Everything is made in memory first and then put in one
// transaction, so that a full map only repeats the puts; memory of the trail changes after that.

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "storage/trail/trail_internal.h"
#include "storage/trail/trail_tail.h"

// A day that has rows in this commit or in the tail.
struct day {
    int64_t day;
    uint32_t first;  // of its rows in plan.order
    uint32_t count;
    uint32_t waiting;  // rows in the tail
    bool to_blocks;
};

// A block of this commit, before it stands in the catalog.
struct made_block {
    struct block_summary summary;
    size_t offset;  // in trail->values
};

struct plan {
    uint32_t *order;  // rows of the commit by day, in order of sequence within
    struct day *days;
    uint32_t days_count;
    struct made_block *blocks;
    uint32_t blocks_count;
    uint32_t blocks_capacity;
    struct block_row *batch;   // rows of one day on their way into blocks or tail
    struct dictionary *fresh;  // of a new epoch; NULL: the present one goes on
    struct trail_head head;
};

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for a commit");
}

static struct trail_change *new_change(struct trail *trail, enum trail_database database,
                                       struct span key, struct fault *fault) {
    if (trail->changes_count == trail->changes_capacity) {
        uint32_t capacity = trail->changes_capacity == 0 ? 64 : trail->changes_capacity * 2;
        struct trail_change *grown = realloc(trail->changes, capacity * sizeof *grown);
        if (grown == NULL) {
            no_memory(fault);
            return NULL;
        }
        trail->changes = grown;
        trail->changes_capacity = capacity;
    }
    assert(key.size > 0 && key.size <= TRAIL_KEY_SIZE_MAX);
    struct trail_change *change = &trail->changes[trail->changes_count++];
    *change = (struct trail_change){.database = database, .key_size = (uint32_t)key.size};
    memcpy(change->key, key.bytes, key.size);
    return change;
}

bool trail_add_change(struct trail *trail, enum trail_database database, struct span key,
                      size_t value_offset, bool is_append, struct fault *fault) {
    if (buffer_overflowed(&trail->values))
        return fault_set(fault, FAULT_FULL, "trail: too much for one commit");
    struct trail_change *change = new_change(trail, database, key, fault);
    if (change == NULL) return false;
    change->value_offset = value_offset;
    change->value_size = trail->values.size - value_offset;
    change->is_append = is_append;
    return true;
}

bool trail_add_delete(struct trail *trail, enum trail_database database, struct span key,
                      struct fault *fault) {
    struct trail_change *change = new_change(trail, database, key, fault);
    if (change == NULL) return false;
    change->is_delete = true;
    return true;
}

static bool add_number_change(struct trail *trail, enum trail_database database, uint64_t number,
                              size_t value_offset, bool is_append, struct fault *fault) {
    return trail_add_change(trail, database, span_of(&number, sizeof number), value_offset,
                            is_append, fault);
}

// A row's day and its index, in one number that sorts as both.
static int compare_numbers(const void *left, const void *right) {
    const uint64_t *first = left;
    const uint64_t *second = right;
    return (*first > *second) - (*first < *second);
}

static bool order_rows(struct trail *trail, struct plan *plan) {
    uint32_t count = trail->rows_count;
    plan->order = arena_allocate_array(trail->arena, count + 1, sizeof *plan->order);
    uint64_t *keys = arena_allocate_array(trail->arena, count + 1, sizeof *keys);
    if (plan->order == NULL || keys == NULL) return false;
    bool sorted = true;
    for (uint32_t index = 0; index < count; index++) {
        uint64_t day = (uint64_t)time_day(trail->rows[index].key.event_time_s);
        keys[index] = day << 32 | index;
        if (index > 0 && keys[index] < keys[index - 1]) sorted = false;
    }
    if (!sorted) qsort(keys, count, sizeof *keys, compare_numbers);
    for (uint32_t index = 0; index < count; index++) plan->order[index] = (uint32_t)keys[index];
    return true;
}

static struct day *find_day(struct plan *plan, int64_t number) {
    for (uint32_t index = 0; index < plan->days_count; index++) {
        if (plan->days[index].day == number) return &plan->days[index];
    }
    return NULL;
}

// Lists the days of the commit and of the tail, with their rows.
static bool list_days(struct trail *trail, struct plan *plan) {
    uint32_t most = trail->rows_count + trail->tail.chunks_count + 1;
    plan->days = arena_allocate_array(trail->arena, most, sizeof *plan->days);
    if (plan->days == NULL || !order_rows(trail, plan)) return false;
    struct day *last = NULL;
    for (uint32_t at = 0; at < trail->rows_count; at++) {
        int64_t number = time_day(trail->rows[plan->order[at]].key.event_time_s);
        if (last == NULL || last->day != number) {
            last = &plan->days[plan->days_count++];
            *last = (struct day){.day = number, .first = at};
        }
        last->count++;
    }
    last = NULL;
    for (uint32_t index = 0; index < trail->tail.chunks_count; index++) {
        const struct trail_waiting *chunk = &trail->tail.chunks[index];
        if (chunk->day < trail_first_day(trail)) continue;
        if (last == NULL || last->day != chunk->day) last = find_day(plan, chunk->day);
        if (last == NULL) {
            last = &plan->days[plan->days_count++];
            *last = (struct day){.day = chunk->day};
        }
        last->waiting += chunk->rows_count;
    }
    return true;
}

// Bytes of the rows that would wait in the tail after this commit.
static size_t measure_waiting(const struct trail *trail, const struct plan *plan) {
    size_t size = trail->tail.text_size;
    for (uint32_t index = 0; index < plan->days_count; index++) {
        const struct day *day = &plan->days[index];
        if (day->to_blocks) continue;
        for (uint32_t at = day->first; at < day->first + day->count; at++)
            size += trail->rows[plan->order[at]].text.size;
    }
    return size;
}

static void decide_days(const struct trail *trail, struct plan *plan, bool flush_tail) {
    uint32_t rows_max = trail->options.tail_rows_max;
    uint32_t waiting = 0;
    for (uint32_t index = 0; index < plan->days_count; index++) {
        struct day *day = &plan->days[index];
        day->to_blocks = flush_tail || day->count >= trail->options.block_rows_min ||
                         day->count + day->waiting >= rows_max;
        if (!day->to_blocks) waiting += day->count + day->waiting;
    }
    if (waiting < rows_max && measure_waiting(trail, plan) < TRAIL_TAIL_SIZE_MAX) return;
    for (uint32_t index = 0; index < plan->days_count; index++) plan->days[index].to_blocks = true;
}

static struct dictionary *current_dictionary(const struct trail *trail, const struct plan *plan) {
    return plan->fresh != NULL ? plan->fresh : trail->dictionary;
}

// Opens the block of a number, which stands in the catalog, is one of this commit, or was dropped:
// then it has no frames.
static bool open_member(struct trail *trail, const struct plan *plan, uint64_t number,
                        struct block *block, struct fault *fault) {
    if (number < trail->head.block_next) {
        uint32_t index = 0;
        *block = (struct block){.frames = 0};
        if (!trail_catalog_find_number(trail->catalog, number, &index)) return true;
        return trail_open_block(trail, index, block, fault);
    }
    const struct made_block *made = &plan->blocks[number - trail->head.block_next];
    struct span value = span_of(trail->values.bytes + made->offset, made->summary.size);
    return block_open(value, false, block, fault);
}

// Merges what leads to attributes in a group's blocks into trail->bytes.
static bool merge_group(struct trail *trail, const struct plan *plan, uint64_t first,
                        struct fault *fault) {
    struct block *blocks = arena_allocate_array(trail->arena, TRAIL_GROUP_BLOCKS, sizeof *blocks);
    if (blocks == NULL) return no_memory(fault);
    for (uint32_t index = 0; index < TRAIL_GROUP_BLOCKS; index++) {
        if (!open_member(trail, plan, first + index, &blocks[index], fault)) return false;
    }
    // Blocks lie in `values`, which may move as it grows: the table is made beside it.
    buffer_reset(&trail->bytes);
    return block_group_encode(blocks, TRAIL_GROUP_BLOCKS, &trail->bytes, fault);
}

// Writes the group table when the last block of a group has been made.
static bool make_group(struct trail *trail, const struct plan *plan, uint64_t last,
                       struct fault *fault) {
    struct fault reason;
    if (!merge_group(trail, plan, last - (TRAIL_GROUP_BLOCKS - 1), &reason)) {
        // A damaged block costs its group the table, which readers do without, and no more.
        if (reason.kind == FAULT_CORRUPT) return true;
        return fault_set(fault, reason.kind, "%s", reason.text);
    }
    size_t offset = trail->values.size;
    buffer_append(&trail->values, buffer_span(&trail->bytes));
    return add_number_change(trail, TRAIL_DATABASE_GROUP, last / TRAIL_GROUP_BLOCKS, offset, true,
                             fault);
}

static bool make_block(struct trail *trail, struct plan *plan, const struct block_row *rows,
                       uint32_t rows_count, struct fault *fault) {
    if (plan->blocks_count == plan->blocks_capacity) {
        uint32_t capacity = plan->blocks_capacity == 0 ? 16 : plan->blocks_capacity * 2;
        struct made_block *grown = realloc(plan->blocks, capacity * sizeof *grown);
        if (grown == NULL) return no_memory(fault);
        plan->blocks = grown;
        plan->blocks_capacity = capacity;
    }
    struct made_block made = {.offset = trail->values.size};
    if (!block_encode(trail->scratch, current_dictionary(trail, plan), trail->format.secret, rows,
                      rows_count, &trail->values, &made.summary, fault)) {
        return fault_add(fault, "trail: block %" PRIu64, plan->head.block_next);
    }
    made.summary.size = trail->values.size - made.offset;
    struct trail_catalog_block entry = {.number = plan->head.block_next, .summary = made.summary};
    if (!add_number_change(trail, TRAIL_DATABASE_BLOCK, trail_catalog_key(&entry), made.offset,
                           false, fault)) {
        return false;
    }
    size_t offset = trail->values.size;
    trail_codec_append_summary(&trail->values, &made.summary);
    if (!add_number_change(trail, TRAIL_DATABASE_SUMMARY, entry.number, offset, true, fault))
        return false;
    plan->blocks[plan->blocks_count++] = made;
    plan->head.block_next++;
    plan->head.blocks++;
    plan->head.block_rows += made.summary.rows;
    plan->head.block_size += made.summary.size;
    plan->head.text_size += made.summary.text_size;
    if (plan->head.block_next % TRAIL_GROUP_BLOCKS != 0) return true;
    return make_group(trail, plan, entry.number, fault);
}

// Collects the rows of a day: those that wait, then those of the commit.
static uint32_t collect_day(const struct trail *trail, const struct plan *plan,
                            const struct day *day, struct block_row *batch) {
    uint32_t count = 0;
    for (uint32_t index = 0; day->waiting > 0 && index < trail->tail.chunks_count; index++) {
        const struct trail_waiting *chunk = &trail->tail.chunks[index];
        if (chunk->day != day->day) continue;
        memcpy(&batch[count], chunk->rows, chunk->rows_count * sizeof *batch);
        count += chunk->rows_count;
    }
    for (uint32_t at = day->first; at < day->first + day->count; at++)
        batch[count++] = trail->rows[plan->order[at]];
    return count;
}

// How many of the rows, from the first on, go into the next block.
static uint32_t cut_block(const struct block_row *rows, uint32_t rows_count) {
    // Even parts, instead of a full block and a small rest.
    uint32_t parts = (rows_count + BLOCK_ROWS_MAX - 1) / BLOCK_ROWS_MAX;
    uint32_t most = (rows_count + parts - 1) / parts;
    size_t size = 0;
    uint32_t count = 0;
    while (count < most && (count == 0 || size + rows[count].text.size <= TRAIL_BLOCK_TEXT_SIZE)) {
        size += rows[count].text.size;
        count++;
    }
    return count;
}

static bool write_day_blocks(struct trail *trail, struct plan *plan, const struct day *day,
                             struct fault *fault) {
    uint32_t count = collect_day(trail, plan, day, plan->batch);
    for (uint32_t done = 0; done < count;) {
        uint32_t part = cut_block(plan->batch + done, count - done);
        if (!make_block(trail, plan, plan->batch + done, part, fault)) return false;
        done += part;
    }
    if (day->waiting == 0) return true;
    for (uint32_t index = 0; index < trail->tail.chunks_count; index++) {
        const struct trail_waiting *chunk = &trail->tail.chunks[index];
        if (chunk->day != day->day) continue;
        if (!trail_add_delete(trail, TRAIL_DATABASE_TAIL, span_of(&chunk->key, sizeof chunk->key),
                              fault)) {
            return false;
        }
    }
    return true;
}

static bool write_day_tail(struct trail *trail, struct plan *plan, const struct day *day,
                           struct fault *fault) {
    if (day->count == 0) return true;
    for (uint32_t at = 0; at < day->count; at++)
        plan->batch[at] = trail->rows[plan->order[day->first + at]];
    size_t offset = trail->values.size;
    if (!trail_tail_encode(trail->zstd, trail->format.secret, plan->batch, day->count,
                           &trail->bytes, &trail->values, fault)) {
        return false;
    }
    return add_number_change(trail, TRAIL_DATABASE_TAIL, plan->batch[0].sequence, offset, false,
                             fault);
}

// Begins a new epoch when the dictionary is full and this commit makes blocks.
static bool choose_dictionary(struct trail *trail, struct plan *plan, struct fault *fault) {
    bool any = false;
    for (uint32_t index = 0; index < plan->days_count; index++) any |= plan->days[index].to_blocks;
    if (!any || !dictionary_is_full(trail->dictionary)) return true;
    plan->fresh = dictionary_create(trail->head.dictionary_epoch + 1);
    if (plan->fresh == NULL) return no_memory(fault);
    plan->head.dictionary_epoch++;
    plan->head.dictionary_chunk = 0;
    return true;
}

static bool write_dictionary(struct trail *trail, struct plan *plan, struct fault *fault) {
    size_t offset = trail->values.size;
    if (!dictionary_take_pending(current_dictionary(trail, plan), &trail->values, fault))
        return fault_add(fault, "trail: dictionary");
    if (trail->values.size == offset) return true;
    uint64_t key = trail_dictionaries_key(plan->head.dictionary_epoch, plan->head.dictionary_chunk);
    plan->head.dictionary_chunk++;
    return add_number_change(trail, TRAIL_DATABASE_DICTIONARY, key, offset, true, fault);
}

static void count_rows(const struct trail *trail, struct plan *plan) {
    struct trail_head *head = &plan->head;
    for (uint32_t index = 0; index < trail->rows_count; index++) {
        int64_t time_s = trail->rows[index].key.event_time_s;
        if (head->events == 0 || time_s < head->time_min_s) head->time_min_s = time_s;
        if (head->events == 0 || time_s > head->time_max_s) head->time_max_s = time_s;
        head->events++;
    }
    head->sequence_last += trail->rows_count;
}

static bool make_changes(struct trail *trail, struct plan *plan, bool flush_tail,
                         struct fault *fault) {
    if (!list_days(trail, plan)) return no_memory(fault);
    decide_days(trail, plan, flush_tail);
    plan->batch = malloc((trail->rows_count + trail->tail.rows_count + 1) * sizeof *plan->batch);
    if (plan->batch == NULL) return no_memory(fault);
    if (!choose_dictionary(trail, plan, fault)) return false;
    for (uint32_t index = 0; index < plan->days_count; index++) {
        const struct day *day = &plan->days[index];
        bool written = day->to_blocks ? write_day_blocks(trail, plan, day, fault)
                                      : write_day_tail(trail, plan, day, fault);
        if (!written) return false;
    }
    if (plan->blocks_count > 0 && !write_dictionary(trail, plan, fault)) return false;
    if (!trail_retention_write(trail, &plan->head, fault)) return false;
    if (!trail_followers_write(trail, fault)) return false;
    count_rows(trail, plan);
    if (!trail_state_write(trail, &plan->head, fault) || !trail_documents_write(trail, fault))
        return false;
    size_t offset = trail->values.size;
    trail_codec_append_head(&trail->values, &plan->head);
    return trail_add_change(trail, TRAIL_DATABASE_META, SPAN_LITERAL("head"), offset, false, fault);
}

// Rows that did not go into a block join the mirror of the tail; what did leaves it.
static bool move_tail(struct trail *trail, struct plan *plan, struct fault *fault) {
    bool moved = false;
    for (uint32_t index = 0; index < plan->days_count; index++) {
        const struct day *day = &plan->days[index];
        if (day->to_blocks) {
            for (uint32_t at = 0; day->waiting > 0 && at < trail->tail.chunks_count; at++) {
                if (trail->tail.chunks[at].day != day->day || trail->tail.chunks[at].rows == NULL)
                    continue;
                trail_mirror_remove(&trail->tail, at);
                moved = true;
            }
        } else if (day->count > 0) {
            for (uint32_t at = 0; at < day->count; at++)
                plan->batch[at] = trail->rows[plan->order[day->first + at]];
            if (!trail_mirror_add(&trail->tail, plan->batch, day->count, fault)) return false;
        }
    }
    if (moved) trail_mirror_close_up(&trail->tail);
    return true;
}

// The commit is on the disk: memory follows. When it cannot, the process must begin anew.
static bool adopt(struct trail *trail, struct plan *plan, struct fault *fault) {
    uint32_t known = trail_catalog_count(trail->catalog);
    bool adopted = true;
    for (uint32_t index = 0; index < plan->blocks_count && adopted; index++) {
        adopted = trail_catalog_add(trail->catalog, trail->head.block_next + index,
                                    &plan->blocks[index].summary, fault);
        // All rows of the block are in the younger generation: this commit's, and the tail's.
        if (adopted) {
            struct trail_catalog_block *entry = trail_catalog_at(trail->catalog, known + index);
            entry->generation = trail_window_generation(trail->window);
            entry->is_checked = true;
        }
    }
    trail_retention_adopt(trail);
    adopted = adopted && move_tail(trail, plan, fault);
    if (!adopted) {
        fault->kind = FAULT_IO;
        return fault_add(fault, "trail: after the commit");
    }
    if (plan->fresh != NULL) {
        dictionary_destroy(trail->dictionary);
        trail->dictionary = plan->fresh;
        plan->fresh = NULL;
    }
    dictionary_keep(trail->dictionary);
    trail->head = plan->head;
    return true;
}

static void done(struct plan *plan) {
    free(plan->blocks);
    free(plan->batch);
    dictionary_destroy(plan->fresh);
}

bool trail_write_commit(struct trail *trail, bool flush_tail, struct fault *fault) {
    struct plan plan = {.head = trail->head};
    trail->changes_count = 0;
    buffer_reset(&trail->values);
    for (uint32_t index = 0; index < trail->rows_count; index++)
        trail->rows[index].sequence = trail->head.sequence_last + 1 + index;

    bool made = make_changes(trail, &plan, flush_tail, fault);
    // The map can only grow while this process reads nothing.
    trail_end_reading(trail);
    bool written =
        made && trail_environment_commit(trail->environment, trail->changes, trail->changes_count,
                                         buffer_span(&trail->values), trail->uses_reserve, fault);
    if (!written) {
        trail->sweep.was_refused = fault->kind == FAULT_FULL;
        dictionary_rollback(trail->dictionary);
        done(&plan);
        return false;
    }
    if (!trail->uses_reserve) trail->sweep.was_refused = false;
    trail->sweep.is_unused = false;
    bool adopted = adopt(trail, &plan, fault);
    done(&plan);
    return adopted;
}
