#include "storage/trail/trail_expect.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/block/block_asked.h"
#include "storage/trail/trail_internal.h"

enum {
    EXPECTED_MAX = TRAIL_COMMIT_ROWS_MAX,
    SLOT_BITS = 14,  // of a table twice as large
    SLOTS = 1 << SLOT_BITS,
    DAYS_MAX = 8,  // of a commit that are looked at before it is clear that blocks must be asked
    HITS_CHECKED_MAX = 64,  // of one block; chance gives 8 at the most
    SINGLE_ROWS = 10,       // asking for one hash takes as long as walking by so many fingerprints
};

struct expected {
    struct key key;
    uint64_t hash;
    uint32_t id_hash;         // 0: not known yet
    uint32_t suspects;        // the last one of its list
    uint32_t suspects_count;  // TRAIL_SUSPECTS_MAX + 1: more than are kept
    uint32_t damaged;         // the first block of its time that cannot be read
    bool is_recalled;         // its trace is there: blocks that left theirs may hold it
};

// A block that holds the id, and the one found before it for the same key.
struct suspect {
    uint32_t index;
    uint32_t before;
};

static const uint32_t none = UINT32_MAX;

// Expected keys by time.
struct moment {
    int64_t time_s;
    uint32_t which;
};

struct line {
    struct moment moments[EXPECTED_MAX];
    uint32_t count;
    bool is_sorted;
};

struct trail_expect {
    struct expected expected[EXPECTED_MAX];
    uint16_t slots[SLOTS];  // by hash: which, plus 1
    uint32_t count;
    uint32_t settled;  // so many of them
    struct suspect *suspects;
    uint32_t suspects_count;
    uint32_t suspects_capacity;

    // Of those that are being settled:
    struct line all;
    struct line recalled;
    struct block_asked *asked;  // their hashes, once has_asked
    uint64_t by_hash[EXPECTED_MAX];
    uint32_t hashes[EXPECTED_MAX];
    bool has_asked;
    uint32_t hits[EXPECTED_MAX];
};

struct trail_expect *trail_expect_create(void) {
    struct trail_expect *expect = calloc(1, sizeof *expect);
    if (expect == NULL) return NULL;
    expect->asked = block_asked_create(EXPECTED_MAX);
    if (expect->asked != NULL) return expect;
    trail_expect_destroy(expect);
    return NULL;
}

void trail_expect_destroy(struct trail_expect *expect) {
    if (expect == NULL) return;
    block_asked_destroy(expect->asked);
    free(expect->suspects);
    free(expect);
}

void trail_expect_clear(struct trail_expect *expect) {
    if (expect->count > 0) memset(expect->slots, 0, sizeof expect->slots);
    expect->count = 0;
    expect->settled = 0;
    expect->suspects_count = 0;
}

void trail_expect_add(struct trail_expect *expect, const struct key *key) {
    if (expect->count == EXPECTED_MAX) return;
    expect->expected[expect->count++] = (struct expected){
        .key = *key,
        .suspects = none,
        .damaged = none,
    };
}

// The slot of a key, or the empty one where it would be.
static uint16_t *find_slot(struct trail_expect *expect, const struct key *key, uint64_t hash) {
    uint32_t at = (uint32_t)(hash * 0x9E3779B97F4A7C15u >> (64 - SLOT_BITS));
    for (; expect->slots[at] != 0; at = (at + 1) % SLOTS) {
        const struct expected *expected = &expect->expected[expect->slots[at] - 1];
        if (expected->hash == hash && key_equal(&expected->key, key)) break;
    }
    return &expect->slots[at];
}

static void add_moment(struct line *line, int64_t time_s, uint32_t which) {
    const struct moment *last = line->count > 0 ? &line->moments[line->count - 1] : NULL;
    if (last != NULL && last->time_s > time_s) line->is_sorted = false;
    line->moments[line->count++] = (struct moment){time_s, which};
}

static int compare_moments(const void *left, const void *right) {
    const struct moment *first = left;
    const struct moment *second = right;
    return (first->time_s > second->time_s) - (first->time_s < second->time_s);
}

static void sort_line(struct line *line) {
    if (!line->is_sorted) qsort(line->moments, line->count, sizeof *line->moments, compare_moments);
    line->is_sorted = true;
}

// The first of a sorted line that is not before this time.
static uint32_t find_moment(const struct line *line, int64_t time_s) {
    uint32_t low = 0;
    uint32_t high = line->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (line->moments[middle].time_s < time_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// Finds the hashes and traces of what is to be settled. Of a key that comes again the first counts.
static void begin_lines(struct trail *trail) {
    struct trail_expect *expect = trail->expect;
    expect->all.count = expect->recalled.count = 0;
    expect->all.is_sorted = expect->recalled.is_sorted = true;
    expect->has_asked = false;
    for (uint32_t which = expect->settled; which < expect->count; which++) {
        struct expected *expected = &expect->expected[which];
        expected->hash = trail_hash_key(trail, &expected->key);
        trail_window_prefetch_traces(trail->window, expected->hash);
    }
    for (uint32_t which = expect->settled; which < expect->count; which++) {
        struct expected *expected = &expect->expected[which];
        uint16_t *slot = find_slot(expect, &expected->key, expected->hash);
        if (*slot != 0) continue;
        *slot = (uint16_t)(which + 1);
        expected->is_recalled = trail_window_may_recall(trail->window, expected->hash);
        int64_t time_s = expected->key.event_time_s;
        add_moment(&expect->all, time_s, which);
        if (expected->is_recalled) add_moment(&expect->recalled, time_s, which);
    }
}

static uint32_t id_hash_of(const struct trail *trail, struct expected *expected) {
    if (expected->id_hash == 0)
        expected->id_hash = block_id_hash(trail->format.secret, expected->key.id);
    return expected->id_hash;
}

static int compare_numbers(const void *left, const void *right) {
    const uint64_t *first = left;
    const uint64_t *second = right;
    return (*first > *second) - (*first < *second);
}

// Sorts the hashes of all that are being settled, if that has not been done.
static void sort_hashes(struct trail *trail) {
    struct trail_expect *expect = trail->expect;
    if (expect->has_asked) return;
    uint32_t count = expect->all.count;
    for (uint32_t at = 0; at < count; at++) {
        uint32_t which = expect->all.moments[at].which;
        expect->by_hash[at] = (uint64_t)id_hash_of(trail, &expect->expected[which]) << 32 | which;
    }
    qsort(expect->by_hash, count, sizeof *expect->by_hash, compare_numbers);
    for (uint32_t at = 0; at < count; at++)
        expect->hashes[at] = (uint32_t)(expect->by_hash[at] >> 32);
    block_asked_set(expect->asked, expect->hashes, count);
    expect->has_asked = true;
}

// Which of the line's moments, from first on and before end, the block may hold. Returns how many
// are in expect->hits.
static uint32_t find_hits(struct trail *trail, const struct block *block, const struct line *line,
                          uint32_t first, uint32_t end) {
    struct trail_expect *expect = trail->expect;
    uint32_t count = 0;
    if ((end - first) * SINGLE_ROWS < block->summary.rows) {
        for (uint32_t at = first; at < end; at++) {
            uint32_t which = line->moments[at].which;
            if (block_may_hold_id(block, id_hash_of(trail, &expect->expected[which])))
                expect->hits[count++] = which;
        }
        return count;
    }
    sort_hashes(trail);
    uint32_t found = block_asked_find(expect->asked, block, expect->hits);
    for (uint32_t at = 0; at < found; at++) {
        uint32_t which = (uint32_t)expect->by_hash[expect->hits[at]];
        const struct expected *expected = &expect->expected[which];
        int64_t time_s = expected->key.event_time_s;
        if (time_s < line->moments[first].time_s || time_s > line->moments[end - 1].time_s)
            continue;
        if (line == &expect->all || expected->is_recalled) expect->hits[count++] = which;
    }
    return count;
}

// Leaves of the hits those whose id is really in the block. The others are chance: one key in 1,024
// has the fingerprint of a row. Of many hits nearly all are no chance and need no look.
static uint32_t keep_held(struct trail_expect *expect, const struct block *block, uint32_t count) {
    if (count > HITS_CHECKED_MAX) return count;
    uint32_t kept = 0;
    for (uint32_t at = 0; at < count; at++) {
        const struct expected *expected = &expect->expected[expect->hits[at]];
        if (expected->suspects_count > TRAIL_SUSPECTS_MAX) continue;
        if (block_holds_id(block, expected->key.id, expected->key.event_time_s))
            expect->hits[kept++] = expect->hits[at];
    }
    return kept;
}

static bool add_suspects(struct trail_expect *expect, uint32_t index, uint32_t count,
                         struct fault *fault) {
    uint32_t capacity = expect->suspects_capacity == 0 ? 1024 : expect->suspects_capacity;
    while (capacity - expect->suspects_count < count) capacity *= 2;
    if (capacity != expect->suspects_capacity) {
        struct suspect *grown = realloc(expect->suspects, capacity * sizeof *grown);
        if (grown == NULL) return fault_set(fault, FAULT_FULL, "trail: out of memory for suspects");
        expect->suspects = grown;
        expect->suspects_capacity = capacity;
    }
    for (uint32_t at = 0; at < count; at++) {
        struct expected *expected = &expect->expected[expect->hits[at]];
        if (++expected->suspects_count > TRAIL_SUSPECTS_MAX) continue;
        expect->suspects[expect->suspects_count] = (struct suspect){index, expected->suspects};
        expected->suspects = expect->suspects_count++;
    }
    return true;
}

// Notes that a block cannot be read: whoever needs it is told when its event comes.
static void note_damaged(struct trail_expect *expect, uint32_t index, const struct line *line,
                         uint32_t first, uint32_t end) {
    for (uint32_t at = first; at < end; at++) {
        struct expected *expected = &expect->expected[line->moments[at].which];
        if (expected->damaged == none) expected->damaged = index;
    }
}

// Asks a block for the keys of its time. One that has left its traces is only asked for what they
// do not exclude.
static bool ask_block(struct trail *trail, uint32_t index, struct fault *fault) {
    struct trail_expect *expect = trail->expect;
    const struct trail_catalog_block *entry = trail_catalog_at(trail->catalog, index);
    if (trail_window_holds(trail->window, entry->generation)) return true;
    bool has_traces = trail_window_recalls(trail->window, entry->generation);
    struct line *line = has_traces ? &expect->recalled : &expect->all;
    sort_line(line);
    uint32_t first = find_moment(line, entry->summary.time_min_s);
    uint32_t end = find_moment(line, entry->summary.time_max_s + 1);
    if (first == end) return true;
    struct block block;
    trail->asked++;
    if (!trail_open_block(trail, index, &block, fault)) {
        if (fault->kind != FAULT_CORRUPT) return false;
        note_damaged(expect, index, line, first, end);
        return true;
    }
    uint32_t count = find_hits(trail, &block, line, first, end);
    count = keep_held(expect, &block, count);
    if (count == 0) return true;
    bool is_taken = false;
    if (!trail_take_in_if_due(trail, index, &block, count, &is_taken, fault)) {
        if (fault->kind != FAULT_CORRUPT) return false;
        note_damaged(expect, index, line, first, end);
        return true;
    }
    return is_taken || add_suspects(expect, index, count, fault);
}

// Asks the blocks of one day, of which all from time_min_s to time_max_s are expected.
static bool ask_day(struct trail *trail, int64_t time_min_s, int64_t time_max_s,
                    struct fault *fault) {
    const uint32_t *indexes = NULL;
    uint32_t count = 0;
    if (!trail_catalog_find(trail->catalog, time_min_s, time_max_s, &indexes, &count, fault))
        return false;
    for (uint32_t at = 0; at < count; at++) {
        if (!ask_block(trail, indexes[at], fault)) return false;
    }
    return true;
}

// The times of a day of which something is expected.
struct day_times {
    int64_t time_min_s;
    int64_t time_max_s;
};

// Whether a block of these times neither is in the window nor has left its traces.
static bool find_crowd(struct trail *trail, const struct day_times *times, bool *is_crowded,
                       struct fault *fault) {
    const uint32_t *indexes = NULL;
    uint32_t count = 0;
    if (!trail_catalog_find(trail->catalog, times->time_min_s, times->time_max_s, &indexes, &count,
                            fault)) {
        return false;
    }
    for (uint32_t at = 0; at < count && !*is_crowded; at++) {
        uint64_t generation = trail_catalog_at(trail->catalog, indexes[at])->generation;
        *is_crowded = !trail_window_holds(trail->window, generation) &&
                      !trail_window_recalls(trail->window, generation);
    }
    return true;
}

// Whether blocks have to be asked for more than the few keys about which traces are wrong. If not,
// as it is nearly always, each event is looked for alone, which is cheaper.
static bool are_many(struct trail *trail, bool *is_crowded, struct fault *fault) {
    const struct trail_expect *expect = trail->expect;
    struct day_times days[DAYS_MAX];
    uint32_t count = 0;
    *is_crowded = false;
    for (uint32_t which = expect->settled; which < expect->count; which++) {
        int64_t time_s = expect->expected[which].key.event_time_s;
        uint32_t at = 0;
        while (at < count && time_day(days[at].time_min_s) != time_day(time_s)) at++;
        if (at == DAYS_MAX) {
            *is_crowded = true;
            return true;
        }
        if (at == count) days[count++] = (struct day_times){time_s, time_s};
        if (time_s < days[at].time_min_s) days[at].time_min_s = time_s;
        if (time_s > days[at].time_max_s) days[at].time_max_s = time_s;
    }
    for (uint32_t at = 0; at < count && !*is_crowded; at++) {
        if (!find_crowd(trail, &days[at], is_crowded, fault)) return false;
    }
    return true;
}

// Asks the blocks of all times that are being settled.
static bool ask_days(struct trail *trail, struct fault *fault) {
    struct line *all = &trail->expect->all;
    sort_line(all);
    for (uint32_t begin = 0, end; begin < all->count; begin = end) {
        int64_t day = time_day(all->moments[begin].time_s);
        for (end = begin + 1; end < all->count; end++) {
            if (time_day(all->moments[end].time_s) != day) break;
        }
        if (!ask_day(trail, all->moments[begin].time_s, all->moments[end - 1].time_s, fault))
            return false;
    }
    return true;
}

bool trail_expect_settle(struct trail *trail, struct fault *fault) {
    struct trail_expect *expect = trail->expect;
    if (expect->settled == expect->count) return true;
    bool is_crowded;
    if (!are_many(trail, &is_crowded, fault)) return false;
    if (!is_crowded) {
        expect->count = expect->settled;
        return true;
    }
    begin_lines(trail);
    if (!ask_days(trail, fault)) {
        // What was asked about in part must not pass for settled.
        trail_expect_clear(expect);
        return false;
    }
    expect->settled = expect->count;
    return true;
}

bool trail_expect_find(struct trail *trail, const struct key *key, uint64_t hash, bool *is_settled,
                       struct trail_suspects *suspects, struct fault *fault) {
    struct trail_expect *expect = trail->expect;
    *is_settled = false;
    uint16_t slot = expect->count == 0 ? 0 : *find_slot(expect, key, hash);
    if (slot == 0 || slot > expect->settled) return true;
    const struct expected *expected = &expect->expected[slot - 1];
    if (expected->damaged != none) {
        // As whoever comes unexpected. Should it be good after all, he is one.
        struct block block;
        return trail_open_block(trail, expected->damaged, &block, fault);
    }
    suspects->are_more = expected->suspects_count > TRAIL_SUSPECTS_MAX;
    for (uint32_t at = expected->suspects; at != none; at = expect->suspects[at].before)
        suspects->indexes[suspects->count++] = expect->suspects[at].index;
    *is_settled = true;
    return true;
}
