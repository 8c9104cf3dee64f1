#include "storage/trail/trail_scan.h"

#include <stdlib.h>
#include <string.h>

#include "storage/trail/trail_reader_internal.h"

enum {
    SLOTS = 2 * TRAIL_SCAN_IDS_MAX,  // a power of two
};

// An id of the round.
struct mark {
    uint8_t id[RECORD_ID_SIZE];
    uint64_t sequence;
    int64_t time_s;
};

enum phase { IDLE, COLLECTING, COMPARING };

struct trail_scan {
    struct trail_reader *reader;
    enum phase phase;
    uint64_t scanned;
    uint64_t through;      // the last event of the round
    uint32_t block_next;   // index in the catalog
    uint32_t block_count;  // when the round began
    struct mark *marks;
    uint32_t marks_count;
    uint32_t *slots;  // open addressing by id: index in marks + 1
    struct trail_scan_state found;
};

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for the scan of ids");
}

bool trail_scan_open(const char *directory, uint64_t scanned, struct trail_scan **result,
                     struct fault *fault) {
    struct trail_scan *scan = calloc(1, sizeof *scan);
    if (scan == NULL) return no_memory(fault);
    scan->scanned = scanned;
    if (!trail_reader_open(directory, &scan->reader, fault)) {
        trail_scan_close(scan);
        return false;
    }
    *result = scan;
    return true;
}

static void end_round(struct trail_scan *scan) {
    free(scan->marks);
    free(scan->slots);
    scan->marks = NULL;
    scan->slots = NULL;
    scan->marks_count = 0;
    scan->phase = IDLE;
}

void trail_scan_close(struct trail_scan *scan) {
    if (scan == NULL) return;
    end_round(scan);
    trail_reader_close(scan->reader);
    free(scan);
}

// Ids are random or hashes, and senders may choose them: hashed under the store's secret.
static uint32_t first_slot(const struct trail_scan *scan, const uint8_t id[RECORD_ID_SIZE]) {
    return block_id_hash(scan->reader->format.secret, id) & (SLOTS - 1);
}

static void add_mark(struct trail_scan *scan, const uint8_t id[RECORD_ID_SIZE], uint64_t sequence,
                     int64_t time_s) {
    if (sequence <= scan->scanned || sequence > scan->through) return;
    // Of numbers that stand twice in a damaged trail.
    if (scan->marks_count == TRAIL_SCAN_IDS_MAX) return;
    struct mark *mark = &scan->marks[scan->marks_count++];
    *mark = (struct mark){.sequence = sequence, .time_s = time_s};
    memcpy(mark->id, id, RECORD_ID_SIZE);
    uint32_t slot = first_slot(scan, id);
    while (scan->slots[slot] != 0) slot = (slot + 1) & (SLOTS - 1);
    scan->slots[slot] = scan->marks_count;
}

static void keep_found(struct trail_scan *scan, const struct trail_scan_found *found) {
    struct trail_scan_state *state = &scan->found;
    state->count++;
    if (state->found_count < TRAIL_SCAN_FOUND_MAX) state->found[state->found_count++] = *found;
}

// What is known of one event of an id.
struct copy {
    struct key key;
    uint64_t sequence;
};

enum { COPIES_MAX = 64 };  // of one id that are compared with one another

// Reads all events of an id: they are what decides.
static bool read_copies(struct trail_scan *scan, const uint8_t id[RECORD_ID_SIZE],
                        struct copy copies[COPIES_MAX], uint32_t *count, struct fault *fault) {
    const struct trail_query query = {
        .id = id,
        .time_min_s = INT64_MIN,
        .time_max_s = INT64_MAX,
    };
    struct trail_cursor *cursor = NULL;
    if (!trail_cursor_open(scan->reader, &query, &cursor, fault)) return false;
    bool good = true;
    bool found = true;
    *count = 0;
    while (good && found && *count < COPIES_MAX) {
        struct trail_row row;
        good = trail_cursor_next(cursor, &found, &row, fault);
        if (good && found) copies[(*count)++] = (struct copy){row.key, row.sequence};
    }
    trail_cursor_close(cursor);
    return good;
}

static bool is_same_account(const struct key *left, const struct key *right) {
    return left->account_size == right->account_size &&
           memcmp(left->account, right->account, left->account_size) == 0;
}

// Looks at the events of an id that stands twice, and reports the one that is of this mark.
static bool confirm(struct trail_scan *scan, const struct mark *mark, struct fault *fault) {
    struct copy copies[COPIES_MAX];
    uint32_t count = 0;
    if (!read_copies(scan, mark->id, copies, &count, fault)) return fault->kind == FAULT_CORRUPT;
    const struct copy *own = NULL;
    const struct copy *oldest = NULL;
    for (uint32_t index = 0; index < count; index++) {
        if (copies[index].sequence == mark->sequence) own = &copies[index];
    }
    for (uint32_t index = 0; own != NULL && index < count; index++) {
        const struct copy *copy = &copies[index];
        if (copy->sequence >= own->sequence || !is_same_account(&copy->key, &own->key)) continue;
        if (copy->key.event_time_s == own->key.event_time_s) continue;
        if (oldest == NULL || copy->sequence < oldest->sequence) oldest = copy;
    }
    if (oldest == NULL) return true;
    const struct trail_scan_found found = {own->key, oldest->key, own->sequence, oldest->sequence};
    keep_found(scan, &found);
    return true;
}

// Compares one event with the marks: those of its id that came later, at another time.
static bool compare(struct trail_scan *scan, const uint8_t id[RECORD_ID_SIZE], uint64_t sequence,
                    int64_t time_s, struct fault *fault) {
    uint32_t slot = first_slot(scan, id);
    for (; scan->slots[slot] != 0; slot = (slot + 1) & (SLOTS - 1)) {
        struct mark *mark = &scan->marks[scan->slots[slot] - 1];
        if (mark->sequence <= sequence || mark->time_s == time_s) continue;
        if (memcmp(mark->id, id, RECORD_ID_SIZE) != 0) continue;
        struct mark asked = *mark;
        // Once a round is enough, however often its id comes.
        mark->sequence = 0;
        if (!confirm(scan, &asked, fault)) return false;
    }
    return true;
}

static bool use_event(struct trail_scan *scan, const uint8_t id[RECORD_ID_SIZE], uint64_t sequence,
                      int64_t time_s, struct fault *fault) {
    if (scan->phase == COMPARING) return compare(scan, id, sequence, time_s, fault);
    add_mark(scan, id, sequence, time_s);
    return true;
}

// The events of a block, copied: what is done with them may read elsewhere.
struct events {
    uint32_t count;
    struct mark items[BLOCK_ROWS_MAX];
};

static bool read_block(struct trail_scan *scan, uint32_t index, struct events *events,
                       struct fault *fault) {
    struct trail_reader *reader = scan->reader;
    struct block block;
    bool found = false;
    events->count = 0;
    if (!trail_reader_open_block(reader, index, &found, &block, fault)) return false;
    for (uint32_t frame = 0; found && frame < block.frames; frame++) {
        struct block_columns columns;
        if (!block_read_columns(&block, reader->scratch, frame, BLOCK_COLUMN_PROVENANCE, &columns,
                                fault)) {
            return false;
        }
        for (uint32_t row = 0; row < columns.rows; row++) {
            struct mark *event = &events->items[events->count++];
            event->sequence = columns.sequence[row];
            event->time_s = columns.time_s[row];
            memcpy(event->id, columns.id[row], RECORD_ID_SIZE);
        }
    }
    return true;
}

static bool use_block(struct trail_scan *scan, uint32_t index, struct fault *fault) {
    struct events *events = malloc(sizeof *events);
    if (events == NULL) return no_memory(fault);
    if (!trail_reader_enter(scan->reader, fault)) {
        free(events);
        return false;
    }
    struct fault reason;
    bool good = read_block(scan, index, events, &reason);
    trail_reader_leave(scan->reader);
    // What is damaged tells nothing; `store check` says where.
    if (!good && reason.kind == FAULT_CORRUPT) good = true;
    if (!good) fault_set(fault, reason.kind, "%s", reason.text);
    for (uint32_t at = 0; good && at < events->count; at++) {
        const struct mark *event = &events->items[at];
        good = use_event(scan, event->id, event->sequence, event->time_s, fault);
    }
    free(events);
    return good;
}

// The events of the tail, as it is in the reader's lists.
static bool use_tail(struct trail_scan *scan, struct fault *fault) {
    struct trail_reader *reader = scan->reader;
    uint32_t count = 0;
    for (uint32_t at = 0; at < reader->chunks_count; at++) count += reader->chunks[at]->rows_count;
    struct mark *events = malloc((count + 1) * sizeof *events);
    if (events == NULL) return no_memory(fault);
    count = 0;
    for (uint32_t at = 0; at < reader->chunks_count; at++) {
        const struct trail_tail_chunk *chunk = reader->chunks[at];
        for (uint32_t index = 0; index < chunk->rows_count; index++) {
            const struct trail_tail_row *row = &chunk->rows[index];
            events[count] =
                (struct mark){.sequence = row->sequence, .time_s = row->key.event_time_s};
            memcpy(events[count++].id, row->key.id, RECORD_ID_SIZE);
        }
    }
    bool good = true;
    for (uint32_t at = 0; good && at < count; at++)
        good = use_event(scan, events[at].id, events[at].sequence, events[at].time_s, fault);
    free(events);
    return good;
}

static bool begin_round(struct trail_scan *scan, struct fault *fault) {
    struct trail_reader *reader = scan->reader;
    if (!trail_reader_enter(reader, fault)) return false;
    trail_reader_leave(reader);
    uint64_t last = reader->head.sequence_last;
    if (last <= scan->scanned) return true;
    scan->through = last;
    if (last - scan->scanned > TRAIL_SCAN_IDS_MAX)
        scan->through = scan->scanned + TRAIL_SCAN_IDS_MAX;
    scan->marks = malloc(TRAIL_SCAN_IDS_MAX * sizeof *scan->marks);
    scan->slots = calloc(SLOTS, sizeof *scan->slots);
    if (scan->marks == NULL || scan->slots == NULL) {
        end_round(scan);
        return no_memory(fault);
    }
    // Blocks and tail of one snapshot: together they have every event.
    scan->phase = COLLECTING;
    scan->found = (struct trail_scan_state){0};
    scan->block_count = trail_catalog_count(reader->catalog);
    scan->block_next = trail_catalog_find_sequence(reader->catalog, scan->scanned);
    return use_tail(scan, fault);
}

// The next block that matters: while ids are collected, those that may have some of the round.
static bool choose_block(struct trail_scan *scan, uint32_t *index) {
    const struct trail_catalog *catalog = scan->reader->catalog;
    for (; scan->block_next < scan->block_count; scan->block_next++) {
        const struct trail_catalog_block *block = trail_catalog_at(catalog, scan->block_next);
        const struct block_summary *summary = &block->summary;
        if (block->is_dropped || summary->sequence_first > scan->through) continue;
        if (scan->phase == COLLECTING && summary->sequence_last <= scan->scanned) continue;
        *index = scan->block_next++;
        return true;
    }
    return false;
}

static void fill_state(const struct trail_scan *scan, struct trail_scan_state *state) {
    uint64_t last = scan->reader->head.sequence_last;
    state->scanned = scan->scanned;
    state->waiting = last > scan->scanned ? last - scan->scanned : 0;
    state->is_in_round = scan->phase != IDLE;
}

// No block is left in this phase: the next one, or the end of the round.
static bool end_phase(struct trail_scan *scan, struct trail_scan_state *state,
                      struct fault *fault) {
    if (scan->phase == COLLECTING) {
        // What was in the tail then may be in blocks now: again of one snapshot.
        if (!trail_reader_enter(scan->reader, fault)) return false;
        trail_reader_leave(scan->reader);
        scan->phase = COMPARING;
        scan->block_next = 0;
        scan->block_count = trail_catalog_count(scan->reader->catalog);
        return use_tail(scan, fault);
    }
    *state = scan->found;
    state->has_ended = true;
    scan->scanned = scan->through;
    end_round(scan);
    return true;
}

bool trail_scan_step(struct trail_scan *scan, struct trail_scan_state *state, struct fault *fault) {
    uint32_t index = 0;
    bool good = true;
    *state = (struct trail_scan_state){0};
    if (scan->phase == IDLE) {
        good = begin_round(scan, fault);
    } else if (choose_block(scan, &index)) {
        good = use_block(scan, index, fault);
    } else {
        good = end_phase(scan, state, fault);
    }
    if (!good) {
        // Another round begins where this one did.
        end_round(scan);
        return false;
    }
    fill_state(scan, state);
    return true;
}

bool trail_scan_measure(struct trail_scan *scan, struct trail_scan_state *state,
                        struct fault *fault) {
    if (!trail_reader_enter(scan->reader, fault)) return false;
    trail_reader_leave(scan->reader);
    *state = (struct trail_scan_state){0};
    fill_state(scan, state);
    return true;
}
