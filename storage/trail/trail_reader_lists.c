// The trail's lists for readers (streams, gaps, quarantine), and the scan of columns. Callbacks are
// called while a snapshot is open; it is renewed between pairs or blocks.

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "storage/trail/trail_reader_internal.h"

// Damage is kept for the end, the first of it, and all else is given.
static bool pass_over(const struct fault *reason, struct fault *damage, struct fault *fault) {
    if (reason->kind != FAULT_CORRUPT) return fault_set(fault, reason->kind, "%s", reason->text);
    if (damage->kind == FAULT_NONE) *damage = *reason;
    return true;
}

// A walk over one database that calls `give` for each pair until it sets *more false.
struct listing {
    struct trail_reader *reader;
    bool (*give)(struct listing *listing, struct span key, struct span value, bool *more,
                 struct fault *fault);
    union {
        bool (*stream)(void *user, const struct trail_stream *stream);
        bool (*gap)(void *user, const struct trail_gap *gap);
        bool (*quarantined)(void *user, const struct trail_quarantined *entry);
        bool (*follower)(void *user, const struct trail_follower *follower);
    } on;
    void *user;
};

// Where a listing has come to.
struct place {
    uint8_t key[TRAIL_KEY_SIZE_MAX];
    size_t size;     // 0: at the beginning
    bool is_behind;  // the key itself has been given
    bool is_end;
};

// Gives pairs from a place on, until the end or until the snapshot should be renewed.
static bool walk_some(struct listing *listing, enum trail_database database, struct place *place,
                      struct fault *damage, struct fault *fault) {
    struct trail_reader *reader = listing->reader;
    struct trail_walk walk;
    if (!trail_environment_walk_after(reader->environment, reader->reading, database,
                                      span_of(place->key, place->size), place->is_behind, &walk,
                                      fault)) {
        return false;
    }
    bool good = true;
    bool more = true;
    do {
        struct span key;
        struct span value;
        struct fault reason;
        good = trail_walk_next(&walk, &more, &key, &value, fault);
        if (!good || !more) break;
        assert(key.size <= sizeof place->key);
        memcpy(place->key, key.bytes, key.size);
        place->size = key.size;
        place->is_behind = true;
        if (!listing->give(listing, key, value, &more, &reason))
            good = pass_over(&reason, damage, fault);
    } while (good && more && !trail_reader_is_due(reader));
    trail_walk_end(&walk);
    place->is_end = !more;
    return good;
}

// Lists a database from the first key that is not before `from` on.
static bool list_from(struct listing *listing, enum trail_database database, struct span from,
                      struct fault *fault) {
    struct trail_reader *reader = listing->reader;
    struct fault damage = {.kind = FAULT_NONE};
    struct place place = {.size = from.size < TRAIL_KEY_SIZE_MAX ? from.size : TRAIL_KEY_SIZE_MAX};
    if (place.size > 0) memcpy(place.key, from.bytes, place.size);
    if (!trail_reader_enter(reader, fault)) return false;
    bool good = true;
    while (good && !place.is_end) {
        good = trail_reader_renew(reader, fault) &&
               walk_some(listing, database, &place, &damage, fault);
    }
    if (reader->is_reading) trail_reader_leave(reader);
    if (!good || damage.kind == FAULT_NONE) return good;
    return fault_set(fault, damage.kind, "%s", damage.text);
}

static bool list(struct listing *listing, enum trail_database database, struct fault *fault) {
    return list_from(listing, database, span_of(NULL, 0), fault);
}

static bool give_stream(struct listing *listing, struct span key, struct span value, bool *more,
                        struct fault *fault) {
    struct trail_stream stream;
    if (!trail_codec_take_stream(key, value, &stream, fault)) return false;
    *more = listing->on.stream(listing->user, &stream);
    return true;
}

bool trail_reader_streams(struct trail_reader *reader,
                          bool (*on_stream)(void *user, const struct trail_stream *), void *user,
                          struct fault *fault) {
    struct listing listing = {reader, give_stream, {.stream = on_stream}, user};
    return list(&listing, TRAIL_DATABASE_STREAM, fault);
}

static bool give_gap(struct listing *listing, struct span key, struct span value, bool *more,
                     struct fault *fault) {
    struct trail_gap gap;
    if (!trail_codec_take_gap(key, value, &gap, fault)) return false;
    *more = listing->on.gap(listing->user, &gap);
    return true;
}

bool trail_reader_gaps(struct trail_reader *reader,
                       bool (*on_gap)(void *user, const struct trail_gap *), void *user,
                       struct fault *fault) {
    struct listing listing = {reader, give_gap, {.gap = on_gap}, user};
    return list(&listing, TRAIL_DATABASE_GAP, fault);
}

static bool give_quarantined(struct listing *listing, struct span key, struct span value,
                             bool *more, struct fault *fault) {
    if (key.size == TRAIL_QUARANTINE_KEY_SIZE && key.bytes[key.size - 1] != TRAIL_QUARANTINE_ENTRY)
        return true;
    struct trail_reader *reader = listing->reader;
    struct trail_quarantined entry;
    if (!trail_codec_take_quarantined(key, value, &entry, fault)) return false;
    uint8_t bytes_key[TRAIL_QUARANTINE_KEY_SIZE];
    memcpy(bytes_key, key.bytes, sizeof bytes_key);
    bytes_key[TRAIL_QUARANTINE_KEY_SIZE - 1] = TRAIL_QUARANTINE_BYTES;
    bool found = false;
    if (!trail_environment_get(reader->environment, reader->reading, TRAIL_DATABASE_QUARANTINE,
                               span_of(bytes_key, sizeof bytes_key), &found, &entry.bytes, fault)) {
        return false;
    }
    if (!found) return fault_set(fault, FAULT_CORRUPT, "trail: quarantined bytes are missing");
    *more = listing->on.quarantined(listing->user, &entry);
    return true;
}

bool trail_reader_quarantine(struct trail_reader *reader,
                             bool (*on_entry)(void *user, const struct trail_quarantined *),
                             void *user, struct fault *fault) {
    struct listing listing = {reader, give_quarantined, {.quarantined = on_entry}, user};
    return list(&listing, TRAIL_DATABASE_QUARANTINE, fault);
}

// The documents of a prefix, on their way through a walk.
struct named {
    struct span prefix;
    bool (*on_document)(void *user, struct span name, struct span value);
    void *user;
};

static bool give_document(struct listing *listing, struct span key, struct span value, bool *more,
                          struct fault *fault) {
    (void)fault;
    const struct named *named = listing->user;
    // Those of a prefix lie side by side.
    *more = span_starts(key, named->prefix) && named->on_document(named->user, key, value);
    return true;
}

bool trail_reader_documents(struct trail_reader *reader, struct span prefix,
                            bool (*on_document)(void *user, struct span name, struct span value),
                            void *user, struct fault *fault) {
    struct named named = {prefix, on_document, user};
    struct listing listing = {.reader = reader, .give = give_document, .user = &named};
    return list_from(&listing, TRAIL_DATABASE_DOCUMENT, prefix, fault);
}

static bool give_follower(struct listing *listing, struct span key, struct span value, bool *more,
                          struct fault *fault) {
    struct trail_follower follower;
    if (!trail_codec_is_follower(key)) return true;
    if (!trail_codec_take_follower(key, value, &follower, fault)) return false;
    *more = listing->on.follower(listing->user, &follower);
    return true;
}

bool trail_reader_followers(struct trail_reader *reader,
                            bool (*on_follower)(void *user, const struct trail_follower *),
                            void *user, struct fault *fault) {
    struct listing listing = {reader, give_follower, {.follower = on_follower}, user};
    return list(&listing, TRAIL_DATABASE_META, fault);
}

// Rows of the tail of one day.
static uint64_t count_waiting(const struct trail_reader *reader, int64_t day) {
    uint64_t count = 0;
    for (uint32_t at = 0; at < reader->chunks_count; at++) {
        const struct trail_tail_chunk *chunk = reader->chunks[at];
        bool is_of_day = chunk->rows_count > 0 && time_day(chunk->rows[0].key.event_time_s) == day;
        if (is_of_day) count += chunk->rows_count;
    }
    return count;
}

// The first day after one that has rows in the tail.
static int64_t next_waiting(const struct trail_reader *reader, int64_t day) {
    int64_t next = INT64_MAX;
    for (uint32_t at = 0; at < reader->chunks_count; at++) {
        const struct trail_tail_chunk *chunk = reader->chunks[at];
        if (chunk->rows_count == 0) continue;
        int64_t other = time_day(chunk->rows[0].key.event_time_s);
        if (other > day && other < next) next = other;
    }
    return next;
}

bool trail_reader_days(struct trail_reader *reader,
                       bool (*on_day)(void *user, const struct trail_day_facts *), void *user,
                       struct fault *fault) {
    if (!trail_reader_enter(reader, fault)) return false;
    trail_reader_leave(reader);
    uint32_t place = 0;
    int64_t done = INT64_MIN;
    bool more = true;
    while (more) {
        bool has_blocks = place < trail_catalog_days(reader->catalog);
        struct trail_catalog_day blocks = {.day = INT64_MAX};
        if (has_blocks) blocks = trail_catalog_day_at(reader->catalog, place);
        int64_t waiting = next_waiting(reader, done);
        struct trail_day_facts facts = {.day = waiting < blocks.day ? waiting : blocks.day};
        if (facts.day == INT64_MAX) break;
        if (facts.day == blocks.day) {
            facts.events = blocks.rows;
            facts.size = blocks.size;
            facts.text_size = blocks.text_size;
            place++;
        }
        facts.events += count_waiting(reader, facts.day);
        done = facts.day;
        more = on_day(user, &facts);
    }
    return true;
}

// A scan of columns on its way.
struct scan {
    struct trail_reader *reader;
    int64_t time_min_s;
    int64_t time_max_s;
    uint32_t which;
    bool (*on_columns)(void *user, const struct block_columns *columns);
    // Or, for one kind alone:
    enum attribute_kind kind;
    bool (*on_kind)(void *user, const struct block_columns *columns, const struct block_kind *kind);
    void *user;
};

// Gives one frame of a block.
static bool give_frame(const struct scan *scan, const struct block *block, uint32_t frame,
                       bool *more, struct fault *fault) {
    struct block_scratch *scratch = scan->reader->scratch;
    struct block_columns columns;
    struct block_kind kind;
    if (!block_read_columns(block, scratch, frame, scan->which, &columns, fault)) return false;
    if (scan->on_kind == NULL) {
        *more = scan->on_columns(scan->user, &columns);
        return true;
    }
    if (!block_read_kind(block, scratch, frame, scan->kind, &kind, fault)) return false;
    *more = scan->on_kind(scan->user, &columns, &kind);
    return true;
}

static bool scan_block(const struct scan *scan, uint32_t index, bool *more, struct fault *fault) {
    struct trail_reader *reader = scan->reader;
    bool found = false;
    struct block block;
    if (!trail_reader_open_block(reader, index, &found, &block, fault)) return false;
    for (uint32_t frame = 0; found && *more && frame < block.frames; frame++) {
        int64_t time_min_s = 0;
        int64_t time_max_s = 0;
        block_frame_times(&block, frame, &time_min_s, &time_max_s);
        if (time_max_s < scan->time_min_s || time_min_s > scan->time_max_s) continue;
        if (!give_frame(scan, &block, frame, more, fault))
            return trail_reader_blame(reader, index, fault);
    }
    return true;
}

// The columns of rows of the tail, as if they were a frame.
struct tail_columns {
    int64_t *time_s;
    uint8_t (*id)[RECORD_ID_SIZE];
    uint64_t *sequence;
    uint32_t *agent;
    uint32_t *flags;
    int64_t *received_ms;
    struct span *account;
    uint32_t *attribute_end;
};

static bool reserve_columns(struct arena *arena, uint32_t rows, struct tail_columns *columns) {
    arena_reset(arena);
    columns->time_s = arena_allocate(arena, rows * sizeof *columns->time_s);
    columns->id = arena_allocate(arena, rows * sizeof *columns->id);
    columns->sequence = arena_allocate(arena, rows * sizeof *columns->sequence);
    columns->agent = arena_allocate(arena, rows * sizeof *columns->agent);
    columns->flags = arena_allocate(arena, rows * sizeof *columns->flags);
    columns->received_ms = arena_allocate(arena, rows * sizeof *columns->received_ms);
    columns->account = arena_allocate(arena, rows * sizeof *columns->account);
    columns->attribute_end = arena_allocate(arena, rows * sizeof *columns->attribute_end);
    return columns->attribute_end != NULL && columns->account != NULL &&
           columns->received_ms != NULL && columns->flags != NULL && columns->agent != NULL &&
           columns->sequence != NULL && columns->id != NULL && columns->time_s != NULL;
}

// Gives rows of the tail; for one kind alone its hashes are picked out.
static bool give_rows(const struct scan *scan, const struct block_columns *columns, bool *more,
                      struct fault *fault) {
    if (scan->on_kind == NULL) {
        *more = scan->on_columns(scan->user, columns);
        return true;
    }
    uint32_t all = columns->attribute_end[columns->rows - 1];
    uint32_t *end = arena_allocate(scan->reader->arena, columns->rows * sizeof *end);
    uint32_t *hash = arena_allocate(scan->reader->arena, all * sizeof *hash);
    if (end == NULL || hash == NULL)
        return fault_set(fault, FAULT_FULL, "trail: out of memory for the tail's columns");
    uint32_t count = 0;
    uint32_t at = 0;
    for (uint32_t row = 0; row < columns->rows; row++) {
        for (; at < columns->attribute_end[row]; at++) {
            if (columns->attribute_kind[at] == (uint8_t)scan->kind)
                hash[count++] = columns->attribute_hash[at];
        }
        end[row] = count;
    }
    const struct block_kind kind = {.rows = columns->rows, .end = end, .hash = hash};
    *more = scan->on_kind(scan->user, columns, &kind);
    return true;
}

static bool scan_rows(const struct scan *scan, const struct trail_tail_chunk *chunk, uint32_t first,
                      uint32_t count, bool *more, struct fault *fault) {
    struct tail_columns to;
    if (!reserve_columns(scan->reader->arena, count, &to))
        return fault_set(fault, FAULT_FULL, "trail: out of memory for the tail's columns");
    bool any = false;
    uint32_t attributes = chunk->rows[first].attribute_first;
    for (uint32_t index = 0; index < count; index++) {
        const struct trail_tail_row *row = &chunk->rows[first + index];
        to.time_s[index] = row->key.event_time_s;
        memcpy(to.id[index], row->key.id, RECORD_ID_SIZE);
        to.sequence[index] = row->sequence;
        to.agent[index] = row->agent;
        to.flags[index] = row->flags;
        to.received_ms[index] = row->received_ms;
        to.account[index] = span_of(row->key.account, row->key.account_size);
        to.attribute_end[index] = row->attribute_end - attributes;
        any = any || (row->key.event_time_s >= scan->time_min_s &&
                      row->key.event_time_s <= scan->time_max_s);
    }
    if (!any) return true;
    const struct block_columns columns = {
        .rows = count,
        .time_s = to.time_s,
        .id = (const uint8_t(*)[RECORD_ID_SIZE])to.id,
        .sequence = to.sequence,
        .agent = to.agent,
        .flags = to.flags,
        .received_ms = to.received_ms,
        .account = to.account,
        .attribute_end = to.attribute_end,
        .attribute_hash = chunk->attribute_hash + attributes,
        .attribute_kind = chunk->attribute_kind + attributes,
    };
    return give_rows(scan, &columns, more, fault);
}

// Gives a chunk in parts that are no longer than a frame.
static bool scan_chunk(const struct scan *scan, const struct trail_tail_chunk *chunk, bool *more,
                       struct fault *fault) {
    for (uint32_t first = 0; *more && first < chunk->rows_count; first += BLOCK_FRAME_ROWS) {
        uint32_t count = chunk->rows_count - first;
        if (count > BLOCK_FRAME_ROWS) count = BLOCK_FRAME_ROWS;
        if (!scan_rows(scan, chunk, first, count, more, fault)) return false;
    }
    return true;
}

static bool scan_all(const struct scan *scan, struct fault *damage, struct fault *fault) {
    struct trail_reader *reader = scan->reader;
    struct fault reason;
    bool more = true;
    for (uint32_t index = 0; more && index < reader->chunks_count; index++) {
        if (reader->chunks[index]->is_damaged) {
            fault_set(&reason, FAULT_CORRUPT, "trail: tail chunk %" PRIu64 " is damaged",
                      reader->chunks[index]->key);
            if (!pass_over(&reason, damage, fault)) return false;
        }
        if (!scan_chunk(scan, reader->chunks[index], &more, fault)) return false;
    }
    // Blocks that are written meanwhile hold rows of the tail given above, or newer ones.
    uint32_t count = trail_catalog_count(reader->catalog);
    for (uint32_t index = 0; more && index < count; index++) {
        const struct trail_catalog_block *block = trail_catalog_at(reader->catalog, index);
        const struct block_summary *summary = &block->summary;
        if (block->is_dropped) continue;
        if (summary->time_max_s < scan->time_min_s || summary->time_min_s > scan->time_max_s)
            continue;
        if (!trail_reader_renew(reader, fault)) return false;
        if (!scan_block(scan, index, &more, &reason) && !pass_over(&reason, damage, fault))
            return false;
    }
    return true;
}

static bool run_scan(const struct scan *scan, struct fault *fault) {
    if (!trail_reader_enter(scan->reader, fault)) return false;
    struct fault damage = {.kind = FAULT_NONE};
    bool good = scan_all(scan, &damage, fault);
    if (scan->reader->is_reading) trail_reader_leave(scan->reader);
    if (!good || damage.kind == FAULT_NONE) return good;
    return fault_set(fault, damage.kind, "%s", damage.text);
}

bool trail_reader_scan(struct trail_reader *reader, int64_t time_min_s, int64_t time_max_s,
                       uint32_t which, bool (*on_columns)(void *user, const struct block_columns *),
                       void *user, struct fault *fault) {
    const struct scan scan = {
        .reader = reader,
        .time_min_s = time_min_s,
        .time_max_s = time_max_s,
        .which = which,
        .on_columns = on_columns,
        .user = user,
    };
    return run_scan(&scan, fault);
}

bool trail_reader_scan_kind(struct trail_reader *reader, int64_t time_min_s, int64_t time_max_s,
                            enum attribute_kind kind,
                            bool (*on_kind)(void *user, const struct block_columns *columns,
                                            const struct block_kind *kind),
                            void *user, struct fault *fault) {
    const struct scan scan = {
        .reader = reader,
        .time_min_s = time_min_s,
        .time_max_s = time_max_s,
        .kind = kind,
        .on_kind = on_kind,
        .user = user,
    };
    return run_scan(&scan, fault);
}
