// Verifies a whole trail: every checksum, every record, every number and every index. It reads what
// was there when it began, and needs 40 bytes of memory an event to tell that keys are unique and
// numbers dense.

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "event/record.h"
#include "storage/trail/trail_reader_internal.h"

enum {
    PROGRESS_BLOCKS = 16,
    SEED_KEY = 1003,  // apart from the writer's, and from attribute kinds
};

// Enough of every event to find two that are the same, or a number that is missing.
struct seen {
    uint64_t key_hash;
    uint64_t sequence;
};

struct check {
    struct trail_reader *reader;
    void (*on_fault)(void *user, const struct fault *found);
    void (*on_progress)(void *user, uint64_t done, uint64_t all);
    void *user;
    struct trail_check result;
    struct trail_head head;
    struct seen *seen;
    uint64_t seen_count;
    uint64_t seen_capacity;
    bool is_comparable;  // what was seen are all events there were
};

static void report(struct check *check, const struct fault *found) {
    check->result.faults++;
    check->on_fault(check->user, found);
}

// Reports something wrong with a row of a block or (block_index UINT32_MAX) of the tail.
static void report_row(struct check *check, uint32_t block_index, uint64_t sequence,
                       const char *what) {
    struct fault found;
    fault_set(&found, FAULT_CORRUPT, "event %" PRIu64 ": %s", sequence, what);
    if (block_index == UINT32_MAX) {
        fault_add(&found, "trail: tail");
    } else {
        trail_reader_blame(check->reader, block_index, &found);
    }
    report(check, &found);
}

// Under the store's secret: nobody outside can make two keys look the same.
static uint64_t hash_key(const struct check *check, const struct key *key) {
    uint8_t bytes[RECORD_ID_SIZE + sizeof key->event_time_s + KEY_ACCOUNT_SIZE_MAX];
    memcpy(bytes, key->id, RECORD_ID_SIZE);
    memcpy(bytes + RECORD_ID_SIZE, &key->event_time_s, sizeof key->event_time_s);
    size_t size = RECORD_ID_SIZE + sizeof key->event_time_s;
    memcpy(bytes + size, key->account, key->account_size);
    uint64_t hash = hash_keyed(check->reader->format.secret, SEED_KEY,
                               span_of(bytes, size + key->account_size));
    uint32_t bits = check->result.hash_bits;
    return bits == 0 ? hash : hash & (((uint64_t)1 << bits) - 1);
}

static bool see(struct check *check, const struct key *key, uint64_t sequence,
                struct fault *fault) {
    if (check->seen_count == check->seen_capacity) {
        uint64_t capacity = check->seen_capacity == 0 ? 65536 : check->seen_capacity * 2;
        struct seen *grown = realloc(check->seen, capacity * sizeof *grown);
        if (grown == NULL) return fault_set(fault, FAULT_FULL, "trail: out of memory for a check");
        check->seen = grown;
        check->seen_capacity = capacity;
    }
    check->seen[check->seen_count++] = (struct seen){hash_key(check, key), sequence};
    check->result.events++;
    return true;
}

// Reads a record again. *record is valid if true.
static bool reread(struct check *check, struct span text, struct record *record) {
    struct fault ignored;
    enum record_refusal refusal = RECORD_GOOD;
    arena_reset(check->reader->arena);
    return record_read(check->reader->json, check->reader->arena, text, record, &refusal, &ignored);
}

// Whether the hashes are exactly those of the record's attributes.
static bool has_attributes(const struct check *check, const struct attribute *attributes,
                           uint32_t attributes_count, const uint32_t *hashes,
                           uint32_t hashes_count) {
    if (attributes_count != hashes_count) return false;
    for (uint32_t index = 0; index < attributes_count; index++) {
        uint32_t hash = block_attribute_hash(check->reader->format.secret, &attributes[index]);
        bool found = false;
        for (uint32_t at = 0; at < hashes_count && !found; at++) found = hashes[at] == hash;
        if (!found) return false;
    }
    return true;
}

// One row as a block or the tail gives it.
struct checked_row {
    uint32_t block_index;
    uint64_t sequence;
    struct key key;
    struct span text;
    const uint32_t *hashes;
    uint32_t hashes_count;
};

static bool check_row(struct check *check, const struct checked_row *row,
                      const struct attribute **attributes, uint32_t *attributes_count,
                      struct fault *fault) {
    *attributes_count = 0;
    if (!see(check, &row->key, row->sequence, fault)) return false;
    struct record record;
    if (!reread(check, row->text, &record)) {
        report_row(check, row->block_index, row->sequence, "its text is no record");
        return true;
    }
    struct span account = span_of(row->key.account, row->key.account_size);
    struct key key = key_of(&record, account);
    if (!key_equal(&key, &row->key)) {
        report_row(check, row->block_index, row->sequence,
                   "its text has another id or time than its columns");
    }
    *attributes = attribute_extract(&record, account, check->reader->arena, attributes_count);
    if (*attributes == NULL)
        return fault_set(fault, FAULT_FULL, "trail: out of memory for attributes");
    if (has_attributes(check, *attributes, *attributes_count, row->hashes, row->hashes_count)) {
        return true;
    }
    // Stored before subjects were looked at, it is found without them.
    record.subjects_count = 0;
    *attributes = attribute_extract(&record, account, check->reader->arena, attributes_count);
    if (*attributes == NULL)
        return fault_set(fault, FAULT_FULL, "trail: out of memory for attributes");
    if (!has_attributes(check, *attributes, *attributes_count, row->hashes, row->hashes_count)) {
        report_row(check, row->block_index, row->sequence,
                   "its attributes are not those of its text");
    }
    return true;
}

// Whether the block's indexes lead to a row.
static void check_indexes(struct check *check, const struct block *block,
                          const struct checked_row *row, uint32_t frame,
                          const struct attribute *attributes, uint32_t attributes_count) {
    const uint8_t *secret = check->reader->format.secret;
    for (uint32_t index = 0; index < attributes_count; index++) {
        uint64_t frames =
            block_find_attribute(block, block_attribute_hash(secret, &attributes[index]));
        if ((frames >> frame & 1) == 0) {
            report_row(check, row->block_index, row->sequence,
                       "the posting table does not lead to it");
            break;
        }
    }
    if (!block_may_hold_id(block, block_id_hash(secret, row->key.id)))
        report_row(check, row->block_index, row->sequence, "the fingerprints do not lead to it");
}

static bool check_frame(struct check *check, const struct block *block, uint32_t block_index,
                        uint32_t frame, struct fault *fault) {
    struct trail_reader *reader = check->reader;
    struct block_columns columns;
    struct span texts[BLOCK_FRAME_ROWS];
    struct span accounts[BLOCK_FRAME_ROWS];
    struct fault found;
    uint64_t rows[2] = {0, 0};
    uint32_t which = BLOCK_COLUMN_PROVENANCE | BLOCK_COLUMN_ATTRIBUTES | BLOCK_COLUMN_ACCOUNT;
    uint32_t count = block_frame_rows(block, frame);
    for (uint32_t row = 0; row < count; row++) rows[row / 64] |= (uint64_t)1 << (row % 64);
    if (!block_read_columns(block, reader->scratch, frame, which, &columns, &found) ||
        !trail_reader_read_texts(reader, block, frame, rows, texts, accounts, &found)) {
        fault_add(&found, "frame %" PRIu32, frame);
        trail_reader_blame(reader, block_index, &found);
        report(check, &found);
        return true;
    }
    const struct block_summary *summary = &trail_catalog_at(reader->catalog, block_index)->summary;
    for (uint32_t index = 0; index < columns.rows; index++) {
        uint32_t first = index == 0 ? 0 : columns.attribute_end[index - 1];
        struct checked_row row = {
            .block_index = block_index,
            .sequence = columns.sequence[index],
            .key = {.event_time_s = columns.time_s[index]},
            .text = texts[index],
            .hashes = columns.attribute_hash + first,
            .hashes_count = columns.attribute_end[index] - first,
        };
        memcpy(row.key.id, columns.id[index], RECORD_ID_SIZE);
        size_t size = accounts[index].size;
        if (size > KEY_ACCOUNT_SIZE_MAX) size = KEY_ACCOUNT_SIZE_MAX;
        row.key.account_size = (uint8_t)size;
        if (size > 0) memcpy(row.key.account, accounts[index].bytes, size);
        if (row.key.event_time_s < summary->time_min_s ||
            row.key.event_time_s > summary->time_max_s || row.sequence < summary->sequence_first ||
            row.sequence > summary->sequence_last) {
            report_row(check, block_index, row.sequence, "the block's summary excludes it");
        }
        const struct attribute *attributes = NULL;
        uint32_t attributes_count = 0;
        if (!check_row(check, &row, &attributes, &attributes_count, fault)) return false;
        check_indexes(check, block, &row, frame, attributes, attributes_count);
    }
    return true;
}

static bool check_block(struct check *check, uint32_t index, struct fault *fault) {
    struct trail_reader *reader = check->reader;
    struct fault found;
    bool there = false;
    struct block block;
    check->result.blocks++;
    trail_catalog_at(reader->catalog, index)->is_checked = false;
    trail_catalog_at(reader->catalog, index)->good_frames = 0;
    bool good = trail_reader_open_block(reader, index, &there, &block, &found);
    if (good && there && !block_open(block.bytes, true, &block, &found))
        good = trail_reader_blame(reader, index, &found);
    struct trail_head now;
    if (good && !there && !trail_reader_load_head(reader, &now, fault)) return false;
    const struct block_summary *summary = &trail_catalog_at(reader->catalog, index)->summary;
    // Its day went while this was going on.
    if (good && !there && summary->time_min_s < now.retained_from_s) return true;
    if (good && !there) {
        good = fault_set(&found, FAULT_CORRUPT, "it is missing");
        trail_reader_blame(reader, index, &found);
    }
    if (good && (block.summary.rows != summary->rows ||
                 block.summary.sequence_first != summary->sequence_first ||
                 block.summary.sequence_last != summary->sequence_last ||
                 block.summary.time_min_s != summary->time_min_s ||
                 block.summary.time_max_s != summary->time_max_s ||
                 block.summary.epoch != summary->epoch)) {
        good = fault_set(&found, FAULT_CORRUPT, "its summary is not true");
        trail_reader_blame(reader, index, &found);
    }
    if (!good) {
        report(check, &found);
        return true;
    }
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        if (!check_frame(check, &block, index, frame, fault)) return false;
    }
    return true;
}

static bool check_tail(struct check *check, struct fault *fault) {
    const struct trail_reader *reader = check->reader;
    for (uint32_t at = 0; at < reader->chunks_count; at++) {
        const struct trail_tail_chunk *chunk = reader->chunks[at];
        if (chunk->is_damaged) {
            struct fault found;
            fault_set(&found, FAULT_CORRUPT, "trail: tail chunk %" PRIu64 " is damaged",
                      chunk->key);
            report(check, &found);
        }
        for (uint32_t index = 0; index < chunk->rows_count; index++) {
            const struct trail_tail_row *from = &chunk->rows[index];
            const struct checked_row row = {
                .block_index = UINT32_MAX,
                .sequence = from->sequence,
                .key = from->key,
                .text = from->text,
                .hashes = chunk->attribute_hash + from->attribute_first,
                .hashes_count = from->attribute_end - from->attribute_first,
            };
            const struct attribute *attributes = NULL;
            uint32_t attributes_count = 0;
            if (!check_row(check, &row, &attributes, &attributes_count, fault)) return false;
        }
    }
    return true;
}

// Whether the group has a block that was not dropped with its day.
static bool is_group_used(const struct trail_reader *reader, uint64_t group) {
    uint32_t at = 0;
    uint64_t first = group * TRAIL_GROUP_BLOCKS;
    for (uint64_t number = first; number < first + TRAIL_GROUP_BLOCKS; number++) {
        if (trail_catalog_find_number(reader->catalog, number, &at)) return true;
    }
    return false;
}

// The group table must lead to every block that has the attribute.
static bool check_group(struct check *check, uint64_t group, struct fault *fault) {
    struct trail_reader *reader = check->reader;
    bool found = false;
    struct span table;
    if (!trail_environment_get_number(reader->environment, reader->reading, TRAIL_DATABASE_GROUP,
                                      group, &found, &table, fault)) {
        return false;
    }
    struct fault problem;
    if (!found && !is_group_used(reader, group)) return true;
    bool good =
        found || fault_set(&problem, FAULT_CORRUPT, "trail: group %" PRIu64 " is missing", group);
    if (good && !block_group_check(table, &problem))
        good = fault_add(&problem, "trail: group %" PRIu64, group);
    // The first attribute of every frame of every block stands for all: they are made by one merge.
    for (uint32_t index = 0; good && index < TRAIL_GROUP_BLOCKS; index++) {
        uint32_t at = 0;
        bool there = false;
        uint64_t number = group * TRAIL_GROUP_BLOCKS + index;
        if (!trail_catalog_find_number(reader->catalog, number, &at)) continue;
        struct block block;
        struct block_columns columns;
        if (!trail_reader_open_block(reader, at, &there, &block, &problem) || !there) continue;
        for (uint32_t frame = 0; good && frame < block.frames; frame++) {
            if (!block_read_columns(&block, reader->scratch, frame, BLOCK_COLUMN_ATTRIBUTES,
                                    &columns, &problem)) {
                break;
            }
            uint64_t blocks = 0;
            if (columns.rows == 0 || columns.attribute_end[0] == 0) continue;
            good = block_group_find(table, columns.attribute_hash[0], &blocks, &problem);
            if (good && (blocks >> index & 1) == 0) {
                good = fault_set(&problem, FAULT_CORRUPT,
                                 "trail: group %" PRIu64 " does not lead to its block %" PRIu32,
                                 group, index);
            }
        }
    }
    if (!good) report(check, &problem);
    return true;
}

static bool is_epoch_used(const struct check *check, uint32_t epoch) {
    const struct trail_catalog *catalog = check->reader->catalog;
    for (uint32_t index = 0; index < trail_catalog_count(catalog); index++) {
        const struct trail_catalog_block *block = trail_catalog_at(catalog, index);
        if (!block->is_dropped && block->summary.epoch == epoch) return true;
    }
    return epoch == check->head.dictionary_epoch;
}

// Every chunk of a dictionary.
static bool check_dictionary(struct check *check, uint32_t epoch, struct fault *fault) {
    // That of dropped days may be there in part.
    if (!is_epoch_used(check, epoch)) return true;
    struct dictionary *dictionary = dictionary_create(epoch);
    if (dictionary == NULL) return fault_set(fault, FAULT_FULL, "trail: out of memory for a check");
    struct fault found;
    uint32_t chunks = 0;
    bool good = trail_dictionaries_load(check->reader->environment, check->reader->reading,
                                        dictionary, &chunks, &found);
    dictionary_destroy(dictionary);
    if (good && epoch == check->head.dictionary_epoch && chunks < check->head.dictionary_chunk) {
        good = fault_set(&found, FAULT_CORRUPT,
                         "trail: chunk %" PRIu32 " of dictionary %" PRIu32 " is missing", chunks,
                         epoch);
    }
    if (good) return true;
    if (found.kind != FAULT_CORRUPT) return fault_set(fault, found.kind, "%s", found.text);
    report(check, &found);
    return true;
}

static int compare_keys(const void *left, const void *right) {
    const struct seen *first = left;
    const struct seen *second = right;
    return (first->key_hash > second->key_hash) - (first->key_hash < second->key_hash);
}

static int compare_sequences(const void *left, const void *right) {
    const struct seen *first = left;
    const struct seen *second = right;
    return (first->sequence > second->sequence) - (first->sequence < second->sequence);
}

static bool copy_key(void *user, const struct trail_row *row) {
    *(struct key *)user = row->key;
    return false;
}

// Whether two events whose keys have the same hash have the same key. What cannot be read has been
// reported already.
static bool have_one_key(const struct check *check, uint64_t first, uint64_t second) {
    const uint64_t sequences[2] = {first, second};
    struct key keys[2];
    for (uint32_t index = 0; index < 2; index++) {
        uint64_t last = 0;
        struct fault ignored;
        if (!trail_reader_follow(check->reader, sequences[index] - 1, copy_key, &keys[index], &last,
                                 &ignored) ||
            last != sequences[index]) {
            return false;
        }
    }
    return key_equal(&keys[0], &keys[1]);
}

static void check_keys(struct check *check) {
    struct fault found;
    qsort(check->seen, check->seen_count, sizeof *check->seen, compare_keys);
    for (uint64_t index = 1; index < check->seen_count; index++) {
        const struct seen *seen = &check->seen[index];
        for (uint64_t other = index; other > 0; other--) {
            const struct seen *before = &check->seen[other - 1];
            if (before->key_hash != seen->key_hash) break;
            if (!have_one_key(check, before->sequence, seen->sequence)) continue;
            fault_set(&found, FAULT_CORRUPT,
                      "trail: events %" PRIu64 " and %" PRIu64 " have the same key",
                      before->sequence, seen->sequence);
            report(check, &found);
        }
    }
}

static void check_all_seen(struct check *check) {
    struct fault found;
    if (check->seen_count == 0 && check->head.dropped == 0) return;
    if (check->seen_count > 0) {
        check_keys(check);
        qsort(check->seen, check->seen_count, sizeof *check->seen, compare_sequences);
    }
    uint64_t missing = check->head.sequence_last - check->seen_count;
    if (check->head.dropped > 0 && missing == check->head.dropped) return;
    if (check->head.dropped > 0) {
        fault_set(&found, FAULT_CORRUPT,
                  "trail: of %" PRIu64 " events %" PRIu64 " are not there, %" PRIu64
                  " of them with days that were dropped",
                  check->head.sequence_last, missing, check->head.dropped);
        report(check, &found);
        return;
    }
    uint64_t expected = 1;
    for (uint64_t index = 0; index < check->seen_count; index++) {
        uint64_t sequence = check->seen[index].sequence;
        if (sequence != expected) {
            fault_set(&found, FAULT_CORRUPT,
                      sequence > expected ? "trail: events %" PRIu64 " to %" PRIu64 " are missing"
                                          : "trail: after event %" PRIu64 ": number %" PRIu64
                                            " stands twice",
                      expected, sequence > expected ? sequence - 1 : sequence);
            report(check, &found);
        }
        expected = sequence + 1;
    }
    if (expected - 1 != check->head.sequence_last) {
        fault_set(&found, FAULT_CORRUPT,
                  "trail: the last event is %" PRIu64 ", the head says %" PRIu64, expected - 1,
                  check->head.sequence_last);
        report(check, &found);
    }
}

static void on_damage(void *user, const struct fault *found) {
    report(user, found);
}

// Every summary as it is stored: a reader has those of damaged ones from their blocks.
static bool check_summaries(struct check *check, struct fault *fault) {
    struct trail_reader *reader = check->reader;
    struct trail_catalog *catalog = trail_catalog_create();
    bool good = catalog != NULL || fault_set(fault, FAULT_FULL, "trail: out of memory for a check");
    const struct trail_summaries wanted = {0, check->head.retained_from_s, on_damage, check};
    good =
        good && trail_summaries_load(reader->environment, reader->reading, &wanted, catalog, fault);
    trail_catalog_destroy(catalog);
    return good;
}

static bool check_everything(struct check *check, struct fault *fault) {
    struct trail_reader *reader = check->reader;
    check->head = reader->head;
    if (!check_tail(check, fault) || !check_summaries(check, fault)) return false;
    uint32_t count = trail_catalog_count(reader->catalog);
    for (uint32_t index = 0; index < count; index++) {
        if (trail_catalog_at(reader->catalog, index)->is_dropped) continue;
        if (!trail_reader_renew(reader, fault)) return false;
        if (!check_block(check, index, fault)) return false;
        if (index % PROGRESS_BLOCKS == 0) check->on_progress(check->user, index, count);
    }
    for (uint64_t group = 0; group < check->head.block_next / TRAIL_GROUP_BLOCKS; group++) {
        if (!trail_reader_renew(reader, fault)) return false;
        if (!check_group(check, group, fault)) return false;
    }
    for (uint32_t epoch = 1; epoch <= check->head.dictionary_epoch; epoch++) {
        if (!trail_reader_renew(reader, fault)) return false;
        if (!check_dictionary(check, epoch, fault)) return false;
    }
    if (!trail_check_lists(reader, on_damage, check, fault)) return false;
    check->on_progress(check->user, count, count);
    struct trail_head now;
    if (!trail_reader_load_head(reader, &now, fault)) return false;
    // Of days that went meanwhile some blocks were seen and some were not.
    check->is_comparable = now.retained_from_s == check->head.retained_from_s;
    return true;
}

bool trail_reader_check(struct trail_reader *reader,
                        void (*on_fault)(void *user, const struct fault *found),
                        void (*on_progress)(void *user, uint64_t done, uint64_t all), void *user,
                        struct trail_check *result, struct fault *fault) {
    struct check check = {
        .reader = reader,
        .on_fault = on_fault,
        .on_progress = on_progress,
        .user = user,
        .result = {.hash_bits = result->hash_bits},
    };
    if (!trail_reader_enter(reader, fault)) return false;
    bool good = check_everything(&check, fault);
    if (reader->is_reading) trail_reader_leave(reader);
    if (good && check.is_comparable) check_all_seen(&check);
    free(check.seen);
    if (good) *result = check.result;
    return good;
}
