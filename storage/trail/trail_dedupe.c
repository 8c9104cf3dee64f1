// Whether an event is stored already, exactly, whatever order events come in.
//
// A stored event lies in a block or in the tail (or came earlier in this commit). The window has
// the keys of the tail, of this commit and of blocks written lately, and traces of those before;
// blocks whose times include the event's and of which the window does not know that they lack it
// are searched by fingerprint: for all events of the commit together (trail_expect), or for one
// that nobody expected alone. A block in which much is found is taken into the window. An entry of
// the window knows either the hash of the bytes or the frame where they are: then the hashes of
// that whole frame are learnt, as a repeated import asks for all of its rows. Equal key and equal
// content hash (127 bits under the store's secret) is a duplicate; everything else is decided on
// the stored bytes.

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "storage/trail/trail_internal.h"

enum {
    LOPSIDED_TIMES = 8,             // a stored record so many times as large as the one offered
    LOPSIDED_SIZE_MIN = 64 * 1024,  // bytes; below it a comparison costs little
    LOPSIDED_SPENT_MAX = 16 << 20,  // bytes of stored records parsed for such, of one commit
    PROBES_MAX = 256,               // 0.3 us each, against 80 us for taking a block in
    HIT_PROBES = 16,                // what a probe counts that finds the fingerprint
    PLACES_MAX = 64,                // rows of one id in one block
};

bool trail_open_block(struct trail *trail, uint32_t index, struct block *block,
                      struct fault *fault) {
    struct trail_catalog_block *entry = trail_catalog_at(trail->catalog, index);
    bool found = false;
    struct span value;
    if (!trail_environment_get_number(trail->environment, trail->reading, TRAIL_DATABASE_BLOCK,
                                      trail_catalog_key(entry), &found, &value, fault)) {
        return false;
    }
    if (!found)
        return fault_set(fault, FAULT_CORRUPT, "trail: block %" PRIu64 " is missing",
                         entry->number);
    if (!block_open(value, false, block, fault) ||
        (!entry->is_checked &&
         (!block_check_index(block, fault) || !block_check_ids(block, fault)))) {
        return fault_add(fault, "trail: block %" PRIu64, entry->number);
    }
    entry->is_checked = true;
    return true;
}

static struct key key_from_columns(const struct block_columns *columns, uint32_t row) {
    struct key key = {.event_time_s = columns->time_s[row]};
    memcpy(key.id, columns->id[row], sizeof key.id);
    size_t size = columns->account[row].size;
    if (size > KEY_ACCOUNT_SIZE_MAX) size = KEY_ACCOUNT_SIZE_MAX;
    key.account_size = (uint8_t)size;
    if (size > 0) memcpy(key.account, columns->account[row].bytes, size);
    return key;
}

// Takes all keys of a block into the window.
static bool take_in(struct trail *trail, uint32_t index, const struct block *block,
                    struct fault *fault) {
    struct trail_catalog_block *entry = trail_catalog_at(trail->catalog, index);
    for (uint32_t frame = 0; frame < block->frames; frame++) {
        struct block_columns columns;
        if (!block_read_columns(block, trail->scratch, frame, BLOCK_COLUMN_ACCOUNT, &columns,
                                fault)) {
            return fault_add(fault, "trail: block %" PRIu64, entry->number);
        }
        for (uint32_t row = 0; row < columns.rows; row++) {
            struct key key = key_from_columns(&columns, row);
            trail_window_insert(trail->window, trail_hash_key(trail, &key),
                                trail_window_place(index, frame));
        }
    }
    entry->generation = trail_window_generation(trail->window);
    entry->probes = 0;
    return true;
}

bool trail_take_in_if_due(struct trail *trail, uint32_t index, const struct block *block,
                          uint32_t hits, bool *is_taken, struct fault *fault) {
    struct trail_catalog_block *entry = trail_catalog_at(trail->catalog, index);
    entry->probes += hits * HIT_PROBES;
    *is_taken =
        entry->probes > PROBES_MAX && trail_window_has_room(trail->window, entry->summary.rows);
    return !*is_taken || take_in(trail, index, block, fault);
}

// Looks at one block of the right time that is not in the window. One that has left its traces is
// only asked for what they do not exclude: what counts there is what it is likely to hold, as all
// of them would be taken in for the few keys about which the traces are wrong.
static bool probe(struct trail *trail, uint32_t index, uint32_t id_hash, bool has_traces,
                  struct trail_suspects *suspects, struct fault *fault) {
    struct trail_catalog_block *entry = trail_catalog_at(trail->catalog, index);
    struct block block;
    trail->asked++;
    if (!trail_open_block(trail, index, &block, fault)) return false;
    bool is_hit = block_may_hold_id(&block, id_hash);
    if (is_hit || !has_traces) entry->probes += is_hit ? HIT_PROBES : 1;
    if (entry->probes > PROBES_MAX && trail_window_has_room(trail->window, entry->summary.rows)) {
        suspects->is_taken = true;
        return take_in(trail, index, &block, fault);
    }
    if (!is_hit) return true;
    if (suspects->count == TRAIL_SUSPECTS_MAX) {
        suspects->are_more = true;
    } else {
        suspects->indexes[suspects->count++] = index;
    }
    return true;
}

// Makes sure that every block of that time is in the window, among the suspects, or without the
// key.
static bool cover(struct trail *trail, const struct key *key, uint64_t hash,
                  struct trail_suspects *suspects, struct fault *fault) {
    bool is_settled;
    if (!trail_expect_find(trail, key, hash, &is_settled, suspects, fault)) return false;
    if (is_settled) return true;
    uint64_t generation = trail_window_generation(trail->window);
    struct trail_memo *memo = &trail->memos[(uint64_t)key->event_time_s % TRAIL_MEMO_COUNT];
    bool is_known = memo->time_s == key->event_time_s && memo->generation == generation;
    if (is_known && !memo->has_traces) return true;
    bool is_recalled = trail_window_may_recall(trail->window, hash);
    if (is_known && !is_recalled) return true;

    const uint32_t *indexes = NULL;
    uint32_t count = 0;
    if (!trail_catalog_find(trail->catalog, key->event_time_s, key->event_time_s, &indexes, &count,
                            fault))
        return false;
    bool all = true, any_traces = false;
    uint32_t id_hash = block_id_hash(trail->format.secret, key->id);
    for (uint32_t at = 0; at < count; at++) {
        const struct trail_catalog_block *entry = trail_catalog_at(trail->catalog, indexes[at]);
        if (trail_window_holds(trail->window, entry->generation)) continue;
        bool has_traces = trail_window_recalls(trail->window, entry->generation);
        any_traces = any_traces || has_traces;
        if (has_traces && !is_recalled) continue;
        if (!probe(trail, indexes[at], id_hash, has_traces, suspects, fault)) return false;
        if (!has_traces && !trail_window_holds(trail->window, entry->generation)) all = false;
    }
    if (all) *memo = (struct trail_memo){key->event_time_s, generation, any_traces};
    return true;
}

static bool read_texts(struct trail *trail, const struct block *block, uint32_t frame,
                       const uint64_t rows[2], struct span texts[BLOCK_FRAME_ROWS],
                       struct span accounts[BLOCK_FRAME_ROWS], struct fault *fault) {
    const struct dictionary *dictionary = trail->dictionary;
    bool is_own = dictionary_epoch(dictionary) == block->summary.epoch;
    if (!is_own && !trail_dictionaries_get(trail->dictionaries, trail->reading,
                                           block->summary.epoch, &dictionary, fault)) {
        return false;
    }
    bool is_good =
        block_read_texts(block, trail->scratch, dictionary, frame, rows, texts, accounts, fault);
    if (!is_own) trail_dictionaries_put(trail->dictionaries);
    return is_good;
}

// Replaces the places of a frame's rows by the hashes of their contents.
static bool learn_frame(struct trail *trail, uint64_t place, struct fault *fault) {
    uint32_t index = (uint32_t)trail_window_place_block(place);
    uint32_t frame = trail_window_place_frame(place);
    struct block block;
    struct block_columns columns;
    struct span texts[BLOCK_FRAME_ROWS];
    struct span accounts[BLOCK_FRAME_ROWS];
    if (!trail_open_block(trail, index, &block, fault)) return false;
    uint64_t number = trail_catalog_at(trail->catalog, index)->number;
    if (!block_read_columns(&block, trail->scratch, frame, BLOCK_COLUMN_ACCOUNT, &columns, fault))
        return fault_add(fault, "trail: block %" PRIu64, number);
    uint64_t keys[BLOCK_FRAME_ROWS];
    uint64_t rows[2] = {0, 0};
    for (uint32_t row = 0; row < columns.rows; row++) {
        struct key key = key_from_columns(&columns, row);
        keys[row] = trail_hash_key(trail, &key);
        rows[row / 64] |= (uint64_t)1 << (row % 64);
    }
    uint32_t count = columns.rows;
    if (!read_texts(trail, &block, frame, rows, texts, accounts, fault))
        return fault_add(fault, "trail: block %" PRIu64, number);
    for (uint32_t row = 0; row < count; row++) {
        struct trail_window_walk walk = {0};
        uint64_t *value = NULL;
        do {
            value = trail_window_next(trail->window, keys[row], &walk);
        } while (value != NULL && *value != place);
        if (value != NULL) *value = trail_hash_content(trail, texts[row]);
    }
    return true;
}

static bool is_lopsided(size_t stored_size, size_t offered_size) {
    return stored_size >= LOPSIDED_SIZE_MIN && stored_size / LOPSIDED_TIMES >= offered_size;
}

// Whether a small record whose key is that of a large one is called a conflict unseen, which keeps
// its bytes: the commit has done enough of this, and others wait for it. Equal values of such
// unequal size take a record made of blanks or escapes.
static bool is_given_up(const struct trail *trail, const struct key *key, uint64_t hash,
                        size_t offered_size) {
    const struct trail_lopsided *lopsided = &trail->lopsided;
    if (lopsided->spent < LOPSIDED_SPENT_MAX) return false;
    uint64_t at = hash % TRAIL_LOPSIDED_KEYS;
    return lopsided->large[at].size > 0 && key_equal(&lopsided->large[at].key, key) &&
           is_lopsided(lopsided->large[at].size, offered_size);
}

// Whether comparing with so large a stored record is within what a commit may spend. Notes it.
static bool may_compare(struct trail *trail, const struct key *key, uint64_t hash,
                        size_t stored_size, size_t offered_size) {
    if (!is_lopsided(stored_size, offered_size)) return true;
    struct trail_lopsided *lopsided = &trail->lopsided;
    uint64_t at = hash % TRAIL_LOPSIDED_KEYS;
    lopsided->large[at].key = *key;
    lopsided->large[at].size = stored_size;
    if (lopsided->spent >= LOPSIDED_SPENT_MAX) return false;
    lopsided->spent += stored_size;
    return true;
}

// Compares with the bytes stored under the same key.
static bool compare(struct trail *trail, struct span stored, struct span offered,
                    enum trail_outcome *outcome, struct fault *fault) {
    if (span_equal(stored, offered)) {
        *outcome = TRAIL_DUPLICATE;
        return true;
    }
    const struct yyjson_val *roots[2];
    if (!json_read(trail->json[0], stored, &roots[0], fault)) {
        if (fault->kind == FAULT_INPUT) fault->kind = FAULT_CORRUPT;
        return fault_add(fault, "trail: a stored record");
    }
    if (!json_read(trail->json[1], offered, &roots[1], fault)) return false;
    *outcome = json_equal(roots[0], roots[1]) ? TRAIL_VARIANT : TRAIL_CONFLICT;
    return true;
}

// Looks for the key in this commit and in the tail, on the rows themselves.
static const struct block_row *find_row(const struct trail *trail, const struct key *key) {
    for (uint32_t index = 0; index < trail->rows_count; index++) {
        if (key_equal(&trail->rows[index].key, key)) return &trail->rows[index];
    }
    int64_t day = time_day(key->event_time_s);
    for (uint32_t at = 0; at < trail->tail.chunks_count; at++) {
        const struct trail_waiting *chunk = &trail->tail.chunks[at];
        if (chunk->day != day) continue;
        for (uint32_t index = 0; index < chunk->rows_count; index++) {
            if (key_equal(&chunk->rows[index].key, key)) return &chunk->rows[index];
        }
    }
    return NULL;
}

// Looks for the key in one block; *found with its text, in the scratch.
static bool search_block(struct trail *trail, uint32_t index, const struct key *key, bool *found,
                         struct span *text, struct fault *fault) {
    struct block block;
    if (!trail_open_block(trail, index, &block, fault)) return false;
    // More rows with one id than this differ in account or second: then every frame is looked at.
    struct block_place places[PLACES_MAX];
    uint32_t count = block_find_id(&block, key->id, places, PLACES_MAX);
    bool every = count > PLACES_MAX;
    uint32_t steps = every ? block.frames : count;
    for (uint32_t step = 0; step < steps; step++) {
        uint32_t frame = every ? step : places[step].frame;
        if (!every && step > 0 && places[step - 1].frame == frame) continue;
        struct block_columns columns;
        if (!block_read_columns(&block, trail->scratch, frame, BLOCK_COLUMN_ACCOUNT, &columns,
                                fault)) {
            return false;
        }
        for (uint32_t row = 0; row < columns.rows; row++) {
            struct key other = key_from_columns(&columns, row);
            if (!key_equal(&other, key)) continue;
            uint64_t rows[2] = {0, 0};
            rows[row / 64] = (uint64_t)1 << (row % 64);
            struct span texts[BLOCK_FRAME_ROWS];
            struct span accounts[BLOCK_FRAME_ROWS];
            if (!read_texts(trail, &block, frame, rows, texts, accounts, fault)) return false;
            *found = true;
            *text = texts[row];
            return true;
        }
    }
    *found = false;
    return true;
}

static bool is_suspect(const struct trail_suspects *suspects, uint32_t index) {
    for (uint32_t at = 0; at < suspects->count; at++) {
        if (suspects->indexes[at] == index) return true;
    }
    return false;
}

// Looks into blocks of the key's time: into those suspected, and if the window has an entry that
// may be the key's into those whose keys it holds. More suspects than fit: into all.
static bool search_blocks(struct trail *trail, const struct key *key,
                          const struct trail_suspects *suspects, bool has_entry, bool *found,
                          struct span *text, struct fault *fault) {
    const uint32_t *indexes = suspects->indexes;
    uint32_t count = suspects->count;
    if (has_entry || suspects->are_more) {
        if (!trail_catalog_find(trail->catalog, key->event_time_s, key->event_time_s, &indexes,
                                &count, fault))
            return false;
    }
    uint32_t id_hash = block_id_hash(trail->format.secret, key->id);
    *found = false;
    for (uint32_t at = 0; at < count && !*found; at++) {
        struct block block;
        const struct trail_catalog_block *entry = trail_catalog_at(trail->catalog, indexes[at]);
        if (!suspects->are_more && !trail_window_holds(trail->window, entry->generation) &&
            !is_suspect(suspects, indexes[at])) {
            continue;
        }
        if (!trail_open_block(trail, indexes[at], &block, fault)) return false;
        if (!block_may_hold_id(&block, id_hash)) continue;
        if (!search_block(trail, indexes[at], key, found, text, fault))
            return fault_add(fault, "trail: block %" PRIu64, entry->number);
    }
    return true;
}

// What the window knows of a key.
struct knowledge {
    bool has_same;   // an entry with these bytes
    bool has_other;  // an entry with other bytes, or of another key with this hash
};

// Whether a place is in a block of a dropped day, which an entry may still name: its event is
// expired, so that this key is another with the same hash.
static bool is_dropped(const struct trail *trail, uint64_t place) {
    uint32_t index = (uint32_t)trail_window_place_block(place);
    return trail_catalog_at(trail->catalog, index)->is_dropped;
}

static bool ask_window(struct trail *trail, uint64_t hash, uint64_t content,
                       struct knowledge *knowledge, struct fault *fault) {
    // Learning a frame turns all its places into contents, so each turn leaves fewer places. One
    // that stays (the frame has no such row any more) tells nothing: then the blocks are asked.
    uint64_t learnt = 0;
    for (;;) {
        struct trail_window_walk walk = {0};
        uint64_t place = 0;
        *knowledge = (struct knowledge){0};
        for (;;) {
            const uint64_t *value = trail_window_next(trail->window, hash, &walk);
            if (value == NULL) break;
            if (*value == content) {
                knowledge->has_same = true;
                return true;
            }
            if (trail_window_is_place(*value) && !is_dropped(trail, *value)) {
                place = *value;
            } else {
                knowledge->has_other = true;
            }
        }
        if (place == 0) return true;
        if (place == learnt) {
            knowledge->has_other = true;
            return true;
        }
        if (!learn_frame(trail, place, fault)) return false;
        learnt = place;
    }
}

bool trail_dedupe(struct trail *trail, const struct key *key, uint64_t hash, uint64_t content,
                  struct span text, enum trail_outcome *outcome, struct fault *fault) {
    struct trail_suspects suspects = {.count = 0};
    struct knowledge knowledge;
    if (is_given_up(trail, key, hash, text.size)) {
        *outcome = TRAIL_CONFLICT;
        return true;
    }
    if (!ask_window(trail, hash, content, &knowledge, fault)) return false;
    if (!knowledge.has_same) {
        if (!cover(trail, key, hash, &suspects, fault)) return false;
        bool is_newer = suspects.is_taken;
        if (is_newer && !ask_window(trail, hash, content, &knowledge, fault)) return false;
    }
    if (knowledge.has_same) {
        *outcome = TRAIL_DUPLICATE;
        return true;
    }
    if (!knowledge.has_other && suspects.count == 0) {
        *outcome = TRAIL_STORED;
        return true;
    }
    const struct block_row *row = knowledge.has_other ? find_row(trail, key) : NULL;
    bool found = row != NULL;
    struct span stored = found ? row->text : (struct span){NULL, 0};
    if (!found &&
        !search_blocks(trail, key, &suspects, knowledge.has_other, &found, &stored, fault)) {
        return false;
    }
    if (!found) {
        *outcome = TRAIL_STORED;
    } else if (!may_compare(trail, key, hash, stored.size, text.size)) {
        *outcome = TRAIL_CONFLICT;
    } else {
        return compare(trail, stored, text, outcome, fault);
    }
    return true;
}
