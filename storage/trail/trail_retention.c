#include "storage/trail/trail_retention.h"

#include <assert.h>
#include <inttypes.h>
#include <stdint.h>

#include "base/clock.h"
#include "storage/trail/trail_internal.h"

enum {
    SWEEP_GROUPS_LOOKED_AT = 64,
    SWEEP_EPOCHS_LOOKED_AT = 16,
    SWEEP_STEPS_REFUSED = 16,  // at once, after a commit was refused
    // What commits may take before the next step: at a limit none of it can come from growth.
    SWEEP_ROOM = 2 * TRAIL_COMMIT_SIZE_MAX,
    PAUSE_MS_MAX = 60 * 1000,
    PAUSE_END_MS = 1000,  // between the last steps, when the blocks are gone
    DAY_MS = 24 * 60 * 60 * 1000,
    HOUR_MS = 60 * 60 * 1000,
};

// What a step gives back: the pages of each block, counted from anywhere, and the blocks' epochs.
struct freed {
    struct {
        uintptr_t first;
        uintptr_t end;
    } pages[TRAIL_SWEEP_BLOCKS];
    uint32_t count;
    uint32_t epoch_first;
    uint32_t epoch_last;
};

bool trail_is_expired(const struct trail *trail, int64_t time_s) {
    return time_s < trail->head.retained_from_s || time_s < trail->retain_from_s;
}

int64_t trail_first_day(const struct trail *trail) {
    int64_t from_s = trail->head.retained_from_s;
    if (trail->retain_from_s > from_s) from_s = trail->retain_from_s;
    return from_s == 0 ? INT64_MIN : time_day(from_s);
}

int64_t trail_retained_from(const struct trail *trail) {
    return trail->head.retained_from_s;
}

int64_t trail_newest_received_s(const struct trail *trail) {
    return trail_state_newest_s(trail->state);
}

// Adds the rows that wait in the tail of one day.
static void add_waiting(const struct trail *trail, struct trail_day *day) {
    for (uint32_t at = 0; at < trail->tail.chunks_count; at++) {
        const struct trail_waiting *chunk = &trail->tail.chunks[at];
        if (chunk->day != time_day(day->from_s)) continue;
        day->events += chunk->rows_count;
        uint64_t last = chunk->rows[chunk->rows_count - 1].sequence;
        if (last > day->sequence_last) day->sequence_last = last;
    }
}

bool trail_retention_oldest(const struct trail *trail, struct trail_day *day) {
    bool has_blocks = trail_catalog_days(trail->catalog) > 0;
    struct trail_catalog_day first = {0};
    if (has_blocks) first = trail_catalog_day_at(trail->catalog, 0);
    int64_t number = has_blocks ? first.day : INT64_MAX;
    for (uint32_t at = 0; at < trail->tail.chunks_count; at++) {
        if (trail->tail.chunks[at].day < number) number = trail->tail.chunks[at].day;
    }
    if (number == INT64_MAX) return false;
    *day = (struct trail_day){.from_s = number * TRAIL_DAY_S};
    if (has_blocks && first.day == number) {
        day->events = first.rows;
        day->blocks = first.blocks;
        day->size = first.size;
        day->sequence_last = first.sequence_last;
    }
    add_waiting(trail, day);
    return true;
}

const struct trail_follower *trail_retention_holder(const struct trail *trail,
                                                    const struct trail_day *day) {
    const struct trail_follower *holder = NULL;
    for (uint32_t index = 0; index < trail->followers.staged_count; index++) {
        const struct trail_follower *follower = &trail->followers.staged[index];
        if (follower->sequence >= day->sequence_last) continue;
        if (holder == NULL || follower->sequence < holder->sequence) holder = follower;
    }
    return holder;
}

// The largest sequence of all days before one.
static uint64_t find_last(const struct trail *trail, int64_t day_first) {
    struct trail_day all = {0};
    for (uint32_t place = 0; place < trail_catalog_days(trail->catalog); place++) {
        struct trail_catalog_day day = trail_catalog_day_at(trail->catalog, place);
        if (day.day >= day_first) break;
        if (day.sequence_last > all.sequence_last) all.sequence_last = day.sequence_last;
    }
    for (uint32_t at = 0; at < trail->tail.chunks_count; at++) {
        const struct trail_waiting *chunk = &trail->tail.chunks[at];
        uint64_t last = chunk->rows[chunk->rows_count - 1].sequence;
        if (chunk->day < day_first && last > all.sequence_last) all.sequence_last = last;
    }
    return all.sequence_last;
}

bool trail_retain(struct trail *trail, int64_t from_s, struct fault *fault) {
    assert(trail->is_committing);
    assert(trail->offered == 0);
    assert(from_s % TRAIL_DAY_S == 0);
    if (from_s <= trail->head.retained_from_s) return true;
    const struct trail_day all = {.sequence_last = find_last(trail, time_day(from_s))};
    const struct trail_follower *holder = trail_retention_holder(trail, &all);
    if (holder != NULL) {
        return fault_set(fault, FAULT_RETRY,
                         "trail: follower %s has read up to event %" PRIu64
                         " and needs the days that are to go (up to event %" PRIu64 ")",
                         holder->name, holder->sequence, all.sequence_last);
    }
    trail->retain_from_s = from_s;
    return true;
}

static void subtract_blocks(const struct trail *trail, struct trail_head *head) {
    for (uint32_t place = 0; place < trail_catalog_days(trail->catalog); place++) {
        struct trail_catalog_day day = trail_catalog_day_at(trail->catalog, place);
        if (day.day >= trail_first_day(trail)) {
            head->time_min_s = day.time_min_s;
            return;
        }
        head->blocks -= day.blocks;
        head->events -= day.rows;
        head->block_rows -= day.rows;
        head->block_size -= day.size;
        head->text_size -= day.text_size;
        head->dropped += day.rows;
    }
    head->time_min_s = head->time_max_s;
}

// Before this comes the hook of the integrity tree: the leaf hashes of subtrees that hold events of
// other days too have to be stored before a day's records can no longer be read.
bool trail_retention_write(struct trail *trail, struct trail_head *head, struct fault *fault) {
    if (trail->retain_from_s == 0) return true;
    int64_t first = trail_first_day(trail);
    head->retained_from_s = trail->retain_from_s;
    subtract_blocks(trail, head);
    for (uint32_t at = 0; at < trail->tail.chunks_count; at++) {
        const struct trail_waiting *chunk = &trail->tail.chunks[at];
        if (chunk->day < first) {
            head->events -= chunk->rows_count;
            head->dropped += chunk->rows_count;
            if (!trail_add_delete(trail, TRAIL_DATABASE_TAIL,
                                  span_of(&chunk->key, sizeof chunk->key), fault)) {
                return false;
            }
            continue;
        }
        for (uint32_t row = 0; row < chunk->rows_count; row++) {
            int64_t time_s = chunk->rows[row].key.event_time_s;
            if (time_s < head->time_min_s) head->time_min_s = time_s;
        }
    }
    return true;
}

void trail_retention_adopt(struct trail *trail) {
    if (trail->retain_from_s == 0) return;
    int64_t first = trail_first_day(trail);
    trail_catalog_drop(trail->catalog, first);
    for (uint32_t at = 0; at < trail->tail.chunks_count; at++) {
        if (trail->tail.chunks[at].day < first) trail_mirror_remove(&trail->tail, at);
    }
    trail_mirror_close_up(&trail->tail);
    trail->sweep.phase = SWEEP_BLOCKS;
    trail->sweep.waiting = 0;
    trail->sweep.size = trail_environment_size(trail->environment);
}

static bool add_delete(struct trail *trail, enum trail_database database, uint64_t number,
                       struct fault *fault) {
    return trail_add_delete(trail, database, span_of(&number, sizeof number), fault);
}

static uintptr_t find_first_page(struct span value) {
    return (uintptr_t)value.bytes / TRAIL_PAGE_SIZE;
}

static uintptr_t find_end_page(struct span value) {
    return ((uintptr_t)value.bytes + value.size + TRAIL_PAGE_SIZE - 1) / TRAIL_PAGE_SIZE;
}

static void note_freed(struct freed *freed, struct span value) {
    struct block block;
    struct fault ignored;
    if (!block_open(value, false, &block, &ignored)) return;
    if (freed->count == 0 || block.summary.epoch < freed->epoch_first)
        freed->epoch_first = block.summary.epoch;
    if (freed->count == 0 || block.summary.epoch > freed->epoch_last)
        freed->epoch_last = block.summary.epoch;
    freed->pages[freed->count].first = find_first_page(value);
    freed->pages[freed->count].end = find_end_page(value);
    freed->count++;
}

static bool is_beside(const struct freed *freed, struct span value) {
    for (uint32_t index = 0; index < freed->count; index++) {
        if (freed->pages[index].first == find_end_page(value)) return true;
        if (freed->pages[index].end == find_first_page(value)) return true;
    }
    return false;
}

// A chunk of a dictionary lies between the blocks that were written with it. When those go and it
// stays, it is put again, which LMDB does elsewhere: else the room of each block would be a hole of
// its own, too small for a larger one.
static bool move_chunks(struct trail *trail, const struct freed *freed, struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(trail->environment, trail->reading, TRAIL_DATABASE_DICTIONARY,
                                (uint64_t)freed->epoch_first << 32, &walk, fault)) {
        return false;
    }
    bool found = true;
    bool good = true;
    while (good && found) {
        struct span key;
        struct span value;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found || trail_walk_number(key) >> 32 > freed->epoch_last) break;
        if (!is_beside(freed, value)) continue;
        size_t offset = trail->values.size;
        buffer_append(&trail->values, value);
        good = trail_add_change(trail, TRAIL_DATABASE_DICTIONARY, key, offset, false, fault);
    }
    trail_walk_end(&walk);
    return good;
}

// Blocks stand in order of day: what is left of dropped days is in front.
static bool sweep_blocks(struct trail *trail, struct fault *fault) {
    struct freed freed = {.count = 0};
    struct trail_walk walk;
    if (!trail_environment_walk(trail->environment, trail->reading, TRAIL_DATABASE_BLOCK, 0, &walk,
                                fault)) {
        return false;
    }
    uint32_t count = 0;
    bool found = true;
    bool good = true;
    trail->sweep.is_behind = false;
    while (good && found && count < trail->sweep.changes) {
        struct span key;
        struct span value;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found) break;
        uint64_t number = trail_walk_number(key);
        found = trail_catalog_key_day(number) < trail_first_day(trail);
        if (!found) break;
        if (trail_catalog_key_day(number) + 1 < trail_first_day(trail))
            trail->sweep.is_behind = true;
        good = add_delete(trail, TRAIL_DATABASE_BLOCK, number, fault) &&
               add_delete(trail, TRAIL_DATABASE_SUMMARY, trail_catalog_key_number(number), fault);
        note_freed(&freed, value);
        trail->sweep.returned += value.size;
        count++;
    }
    trail_walk_end(&walk);
    if (good && !found) trail->sweep.phase = SWEEP_GROUPS;
    // While there is no room, none is taken.
    if (!good || freed.count == 0 || trail->sweep.changes < TRAIL_SWEEP_BLOCKS) return good;
    return move_chunks(trail, &freed, fault);
}

static bool is_group_used(const struct trail *trail, uint64_t group) {
    uint64_t first = group * TRAIL_GROUP_BLOCKS;
    uint32_t index = 0;
    for (uint64_t number = first; number < first + TRAIL_GROUP_BLOCKS; number++) {
        if (trail_catalog_find_number(trail->catalog, number, &index)) return true;
    }
    return false;
}

// Tables of groups all of whose blocks are gone.
static bool sweep_groups(struct trail *trail, struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(trail->environment, trail->reading, TRAIL_DATABASE_GROUP,
                                trail->sweep.next, &walk, fault)) {
        return false;
    }
    bool found = true;
    bool good = true;
    for (uint32_t count = 0; good && found && count < SWEEP_GROUPS_LOOKED_AT; count++) {
        struct span key;
        struct span value;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found) break;
        uint64_t group = trail_walk_number(key);
        trail->sweep.next = group + 1;
        if (!is_group_used(trail, group))
            good = add_delete(trail, TRAIL_DATABASE_GROUP, group, fault);
    }
    trail_walk_end(&walk);
    if (good && !found) trail->sweep.phase = SWEEP_DICTIONARIES;
    return good;
}

static bool is_epoch_used(const struct trail *trail, uint32_t epoch) {
    if (epoch >= trail->head.dictionary_epoch) return true;
    for (uint32_t index = 0; index < trail_catalog_count(trail->catalog); index++) {
        const struct trail_catalog_block *block = trail_catalog_at(trail->catalog, index);
        if (!block->is_dropped && block->summary.epoch == epoch) return true;
    }
    return false;
}

// The first chunk at or after a key; *found false at the end.
static bool find_chunk(struct trail *trail, uint64_t from, bool *found, uint64_t *key,
                       struct fault *fault) {
    struct trail_walk walk;
    struct span at;
    struct span value;
    if (!trail_environment_walk(trail->environment, trail->reading, TRAIL_DATABASE_DICTIONARY, from,
                                &walk, fault)) {
        return false;
    }
    bool good = trail_walk_next(&walk, found, &at, &value, fault);
    if (good && *found) *key = trail_walk_number(at);
    trail_walk_end(&walk);
    return good;
}

// Chunks of dictionaries that no block refers to any more.
static bool sweep_dictionaries(struct trail *trail, struct fault *fault) {
    uint64_t from = trail->sweep.next << 32;
    uint64_t unused = UINT64_MAX;  // the epoch found so
    for (uint32_t looked = 0; looked < SWEEP_EPOCHS_LOOKED_AT;) {
        bool found = false;
        uint64_t key = 0;
        if (trail->changes_count >= trail->sweep.changes) return true;
        if (!find_chunk(trail, from, &found, &key, fault)) return false;
        if (!found) {
            trail->sweep.phase = SWEEP_DONE;
            return true;
        }
        trail->sweep.next = key >> 32;
        if (trail->sweep.next == unused || !is_epoch_used(trail, (uint32_t)trail->sweep.next)) {
            unused = trail->sweep.next;
            if (!add_delete(trail, TRAIL_DATABASE_DICTIONARY, key, fault)) return false;
            from = key + 1;
        } else {
            trail->sweep.next++;
            from = trail->sweep.next << 32;
            looked++;
        }
    }
    return true;
}

static bool sweep_phase(struct trail *trail, struct fault *fault) {
    switch (trail->sweep.phase) {
        case SWEEP_BLOCKS:
            trail->sweep.next = 0;
            return sweep_blocks(trail, fault);
        case SWEEP_GROUPS:
            return sweep_groups(trail, fault);
        default:
            return sweep_dictionaries(trail, fault);
    }
}

bool trail_needs_room(const struct trail *trail) {
    if (trail->sweep.phase == SWEEP_DONE) return trail->sweep.was_refused && trail->sweep.is_unused;
    return trail->sweep.was_refused ||
           trail_environment_size(trail->environment) > trail->sweep.size ||
           trail_environment_room(trail->environment) < SWEEP_ROOM;
}

int64_t trail_sweep_pause_ms(const struct trail *trail) {
    const struct trail_sweep *state = &trail->sweep;
    if (state->phase != SWEEP_BLOCKS) return PAUSE_END_MS;
    int64_t within_ms = state->is_behind ? HOUR_MS : DAY_MS;
    int64_t pause_ms = within_ms / (int64_t)(state->waiting / TRAIL_SWEEP_BLOCKS + 1);
    return pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX;
}

static void count_waiting(struct trail *trail) {
    uint64_t blocks =
        trail_environment_count(trail->environment, trail->reading, TRAIL_DATABASE_BLOCK);
    if (blocks > trail->head.blocks) trail->sweep.waiting = blocks - trail->head.blocks;
}

static bool sweep_step(struct trail *trail, bool *more, struct fault *fault) {
    struct trail_sweep *state = &trail->sweep;
    *more = false;
    if (state->phase == SWEEP_DONE) return true;
    if (state->changes == 0) state->changes = TRAIL_SWEEP_BLOCKS;
    const struct trail_sweep before = *state;
    trail->changes_count = 0;
    buffer_reset(&trail->values);
    if (!trail_begin_reading(trail, fault)) return false;
    if (state->waiting == 0) count_waiting(trail);
    bool good = sweep_phase(trail, fault);
    trail_end_reading(trail);
    if (good && trail->changes_count > 0) {
        good = trail_environment_commit(trail->environment, trail->changes, trail->changes_count,
                                        buffer_span(&trail->values), true, fault);
        state->is_unused = true;
    }
    if (!good) *state = before;
    state->size = trail_environment_size(trail->environment);
    if (good) {
        if (state->changes < TRAIL_SWEEP_BLOCKS) state->changes++;
        // Groups begin anew at the first of them.
        if (state->phase != before.phase) state->next = 0;
        *more = state->phase != SWEEP_DONE;
        return true;
    }
    if (fault->kind != FAULT_FULL || state->changes == 1) return false;
    // A smaller step needs less room to begin with.
    state->changes /= 2;
    state->size = 0;
    *more = true;
    return true;
}

// A commit that changes nothing: the one after it can use what the last step gave back.
static bool pass_turn(struct trail *trail, struct fault *fault) {
    trail->changes_count = 0;
    buffer_reset(&trail->values);
    trail_codec_append_head(&trail->values, &trail->head);
    if (!trail_add_change(trail, TRAIL_DATABASE_META, SPAN_LITERAL("head"), 0, false, fault) ||
        !trail_environment_commit(trail->environment, trail->changes, trail->changes_count,
                                  buffer_span(&trail->values), true, fault)) {
        return false;
    }
    trail->sweep.is_unused = false;
    return true;
}

bool trail_sweep(struct trail *trail, bool *more, struct fault *fault) {
    assert(!trail->is_committing);
    bool was_refused = trail->sweep.was_refused;
    uint32_t steps = was_refused ? SWEEP_STEPS_REFUSED : 1;
    trail->sweep.was_refused = false;
    *more = true;
    for (; *more && steps > 0; steps--) {
        if (!sweep_step(trail, more, fault)) return false;
    }
    return *more || !was_refused || !trail->sweep.is_unused || pass_turn(trail, fault);
}
