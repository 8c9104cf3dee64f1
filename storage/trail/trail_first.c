#include "storage/trail/trail_first.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/zstd.h"
#include "storage/block/block.h"
#include "storage/trail/trail_catalog.h"
#include "storage/trail/trail_dictionaries.h"
#include "storage/trail/trail_tail.h"

enum {
    ARENA_SIZE_MAX = 256 * 1024 * 1024,  // of one block's rows
};

// A block or a part of the tail of which events are due, or will be.
struct source {
    struct arena *arena;
    struct trail_first_row *rows;  // in order of sequence
    uint32_t count;
    uint32_t next;
};

// What is not opened yet.
struct waiting {
    uint64_t sequence_first;
    uint64_t key;  // of the block, or of the tail
    uint32_t epoch;
    bool is_tail;
};

struct trail_first {
    struct trail_environment *environment;
    MDB_txn *reading;
    bool is_reading;
    struct trail_format format;
    struct trail_head head;
    struct waiting *waiting;  // in order of sequence
    uint32_t waiting_count;
    uint32_t waiting_capacity;
    uint32_t waiting_next;
    struct source *sources;
    uint32_t sources_count;
    uint32_t sources_capacity;
    uint64_t sequence;  // of the next event
    struct dictionary *dictionary;
    struct block_scratch *scratch;
    struct zstd *zstd;
};

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for a store of format 1");
}

static bool add_waiting(struct trail_first *first, const struct waiting *waiting,
                        struct fault *fault) {
    if (first->waiting_count == first->waiting_capacity) {
        uint32_t capacity = first->waiting_capacity == 0 ? 256 : first->waiting_capacity * 2;
        struct waiting *grown = realloc(first->waiting, capacity * sizeof *grown);
        if (grown == NULL) return no_memory(fault);
        first->waiting = grown;
        first->waiting_capacity = capacity;
    }
    first->waiting[first->waiting_count++] = *waiting;
    return true;
}

static bool on_summary(void *user, struct span key, struct span value, struct fault *fault) {
    struct trail_first *first = user;
    struct block_summary summary;
    struct buffer sealed;
    buffer_init(&sealed, 1024);
    trail_codec_seal_first(&sealed, value);
    bool is_good = trail_codec_take_summary(buffer_span(&sealed), &summary, fault);
    buffer_done(&sealed);
    if (!is_good) return false;
    const struct trail_catalog_block block = {
        .number = trail_walk_number(key),
        .summary = summary,
    };
    const struct waiting waiting = {
        .sequence_first = summary.sequence_first,
        .key = trail_catalog_key(&block),
        .epoch = summary.epoch,
    };
    return add_waiting(first, &waiting, fault);
}

static bool on_chunk(void *user, struct span key, struct span value, struct fault *fault) {
    (void)value;
    const uint64_t number = trail_walk_number(key);
    const struct waiting waiting = {.sequence_first = number, .key = number, .is_tail = true};
    return add_waiting(user, &waiting, fault);
}

static int compare_waiting(const void *left, const void *right) {
    const struct waiting *first = left;
    const struct waiting *second = right;
    return (first->sequence_first > second->sequence_first) -
           (first->sequence_first < second->sequence_first);
}

static bool load_meta(struct trail_first *first, struct fault *fault) {
    bool has_format = false;
    bool has_head = false;
    struct span format;
    struct span head;
    if (!trail_environment_get(first->environment, first->reading, TRAIL_DATABASE_META,
                               SPAN_LITERAL("format"), &has_format, &format, fault) ||
        !trail_environment_get(first->environment, first->reading, TRAIL_DATABASE_META,
                               SPAN_LITERAL("head"), &has_head, &head, fault)) {
        return false;
    }
    if (!has_format || !has_head)
        return fault_set(fault, FAULT_CORRUPT, "trail: the format or the head is missing");
    return trail_codec_take_first(format, head, &first->format, &first->head, fault);
}

static bool open_all(struct trail_first *first, const char *directory, struct fault *fault) {
    const struct trail_environment_options options = {.directory = directory, .read_only = true};
    if (!trail_environment_open(&options, &first->environment, fault)) return false;
    first->scratch = block_scratch_create();
    first->zstd = zstd_create();
    if (first->scratch == NULL || first->zstd == NULL) return no_memory(fault);
    // Nobody writes: one snapshot may be held to the end.
    if (!trail_environment_begin(first->environment, &first->reading, fault)) return false;
    first->is_reading = true;
    if (!load_meta(first, fault)) return false;
    if (first->format.major == TRAIL_FORMAT_MAJOR) return true;
    if (!trail_first_walk(first, TRAIL_DATABASE_SUMMARY, on_summary, first, fault) ||
        !trail_first_walk(first, TRAIL_DATABASE_TAIL, on_chunk, first, fault)) {
        return false;
    }
    if (first->waiting_count > 0)
        qsort(first->waiting, first->waiting_count, sizeof *first->waiting, compare_waiting);
    first->sequence = 1;
    return true;
}

bool trail_first_open(const char *directory, struct trail_first **result, struct fault *fault) {
    struct trail_first *first = calloc(1, sizeof *first);
    if (first == NULL) return no_memory(fault);
    if (!open_all(first, directory, fault)) {
        trail_first_close(first);
        return false;
    }
    *result = first;
    if (first->format.major == TRAIL_FORMAT_MAJOR) {
        trail_first_close(first);
        *result = NULL;
    }
    return true;
}

void trail_first_close(struct trail_first *first) {
    if (first == NULL) return;
    if (first->is_reading) trail_environment_end(first->environment, first->reading);
    trail_environment_free(first->reading);
    trail_environment_close(first->environment);
    for (uint32_t index = 0; index < first->sources_count; index++)
        arena_destroy(first->sources[index].arena);
    free(first->sources);
    free(first->waiting);
    dictionary_destroy(first->dictionary);
    block_scratch_destroy(first->scratch);
    zstd_destroy(first->zstd);
    free(first);
}

const struct trail_format *trail_first_format(const struct trail_first *first) {
    return &first->format;
}

const struct trail_head *trail_first_head(const struct trail_first *first) {
    return &first->head;
}

bool trail_first_walk(struct trail_first *first, enum trail_database database,
                      bool (*on_value)(void *user, struct span key, struct span value,
                                       struct fault *fault),
                      void *user, struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(first->environment, first->reading, database, 0, &walk, fault))
        return false;
    bool is_good = true;
    bool found = true;
    while (is_good && found) {
        struct span key;
        struct span value;
        is_good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (is_good && found) is_good = on_value(user, key, value, fault);
    }
    trail_walk_end(&walk);
    return is_good;
}

// Loads the dictionary of an epoch in place of the one at hand: blocks come about in order of it.
static bool load_dictionary(struct trail_first *first, uint32_t epoch, struct fault *fault) {
    if (first->dictionary != NULL && dictionary_epoch(first->dictionary) == epoch) return true;
    dictionary_destroy(first->dictionary);
    first->dictionary = dictionary_create(epoch);
    if (first->dictionary == NULL) return no_memory(fault);
    for (uint32_t chunk = 0;; chunk++) {
        bool found = false;
        struct span value;
        if (!trail_environment_get_number(
                first->environment, first->reading, TRAIL_DATABASE_DICTIONARY,
                trail_dictionaries_key(epoch, chunk), &found, &value, fault)) {
            return false;
        }
        if (!found) return true;
        if (!dictionary_load_first(first->dictionary, value, fault))
            return fault_add(fault, "trail: chunk %" PRIu32 " of dictionary %" PRIu32, chunk,
                             epoch);
    }
}

static bool copy_row(struct source *source, const struct trail_first_row *row,
                     struct fault *fault) {
    struct trail_first_row *copy = &source->rows[source->count++];
    *copy = *row;
    if (!arena_copy(source->arena, row->text, &copy->text) ||
        !arena_copy(source->arena, row->account, &copy->account)) {
        return no_memory(fault);
    }
    return true;
}

static bool read_frame(struct trail_first *first, const struct block *block, uint32_t frame,
                       struct source *source, struct fault *fault) {
    struct block_columns columns;
    struct span texts[BLOCK_FRAME_ROWS];
    struct span accounts[BLOCK_FRAME_ROWS];
    uint64_t rows[2] = {0, 0};
    if (!block_read_columns(block, first->scratch, frame,
                            BLOCK_COLUMN_PROVENANCE | BLOCK_COLUMN_ACCOUNT, &columns, fault)) {
        return false;
    }
    // The texts use the columns' memory: what is needed of them comes first.
    struct trail_first_row kept[BLOCK_FRAME_ROWS];
    uint32_t count = columns.rows;
    for (uint32_t row = 0; row < count; row++) {
        rows[row / 64] |= (uint64_t)1 << (row % 64);
        kept[row] = (struct trail_first_row){
            .sequence = columns.sequence[row],
            .agent = columns.agent[row],
            .flags = columns.flags[row],
            .received_ms = columns.received_ms[row],
        };
    }
    if (!block_read_texts(block, first->scratch, first->dictionary, frame, rows, texts, accounts,
                          fault)) {
        return false;
    }
    for (uint32_t row = 0; row < count; row++) {
        kept[row].text = texts[row];
        kept[row].account = accounts[row];
        if (!copy_row(source, &kept[row], fault)) return false;
    }
    return true;
}

static bool read_block(struct trail_first *first, const struct waiting *waiting,
                       struct source *source, struct fault *fault) {
    bool found = false;
    struct span value;
    struct block block;
    if (!trail_environment_get_number(first->environment, first->reading, TRAIL_DATABASE_BLOCK,
                                      waiting->key, &found, &value, fault)) {
        return false;
    }
    if (!found) return fault_set(fault, FAULT_CORRUPT, "it is missing");
    if (!block_open_first(value, &block, fault) || !load_dictionary(first, waiting->epoch, fault)) {
        return false;
    }
    source->rows = arena_allocate_array(source->arena, block.summary.rows, sizeof *source->rows);
    if (source->rows == NULL) return no_memory(fault);
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        if (!read_frame(first, &block, frame, source, fault)) return false;
    }
    return true;
}

static bool read_chunk(struct trail_first *first, const struct waiting *waiting,
                       struct source *source, struct fault *fault) {
    bool found = false;
    struct span value;
    struct trail_tail_chunk *chunk = NULL;
    if (!trail_environment_get_number(first->environment, first->reading, TRAIL_DATABASE_TAIL,
                                      waiting->key, &found, &value, fault)) {
        return false;
    }
    if (!found) return fault_set(fault, FAULT_CORRUPT, "it is missing");
    if (!trail_tail_decode(first->zstd, waiting->key, value, &chunk, fault)) return false;
    source->rows = arena_allocate_array(source->arena, chunk->rows_count + 1, sizeof *source->rows);
    bool is_good = source->rows != NULL || no_memory(fault);
    for (uint32_t index = 0; is_good && index < chunk->rows_count; index++) {
        const struct trail_tail_row *from = &chunk->rows[index];
        const struct trail_first_row row = {
            .sequence = from->sequence,
            .agent = from->agent,
            .flags = from->flags,
            .received_ms = from->received_ms,
            .account = span_of(from->key.account, from->key.account_size),
            .text = from->text,
        };
        is_good = copy_row(source, &row, fault);
    }
    trail_tail_release(chunk);
    return is_good;
}

static int compare_rows(const void *left, const void *right) {
    const struct trail_first_row *first = left;
    const struct trail_first_row *second = right;
    return (first->sequence > second->sequence) - (first->sequence < second->sequence);
}

static bool open_next(struct trail_first *first, struct fault *fault) {
    const struct waiting *waiting = &first->waiting[first->waiting_next++];
    if (first->sources_count == first->sources_capacity) {
        uint32_t capacity = first->sources_capacity == 0 ? 16 : first->sources_capacity * 2;
        struct source *grown = realloc(first->sources, capacity * sizeof *grown);
        if (grown == NULL) return no_memory(fault);
        first->sources = grown;
        first->sources_capacity = capacity;
    }
    struct source source = {.arena = arena_create(ARENA_SIZE_MAX)};
    if (source.arena == NULL) return no_memory(fault);
    bool is_good = waiting->is_tail ? read_chunk(first, waiting, &source, fault)
                                    : read_block(first, waiting, &source, fault);
    if (!is_good) {
        arena_destroy(source.arena);
        return fault_add(fault,
                         waiting->is_tail ? "trail: tail chunk %" PRIu64 : "trail: block %" PRIu64,
                         waiting->is_tail ? waiting->key : trail_catalog_key_number(waiting->key));
    }
    qsort(source.rows, source.count, sizeof *source.rows, compare_rows);
    first->sources[first->sources_count++] = source;
    return true;
}

// Frees sources of which all has been given.
static void drop_empty(struct trail_first *first) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < first->sources_count; index++) {
        struct source *source = &first->sources[index];
        if (source->next < source->count) {
            first->sources[kept++] = *source;
        } else {
            arena_destroy(source->arena);
        }
    }
    first->sources_count = kept;
}

bool trail_first_next(struct trail_first *first, bool *found, struct trail_first_row *row,
                      struct fault *fault) {
    *found = first->sequence <= first->head.sequence_last;
    if (!*found) return true;
    drop_empty(first);
    while (first->waiting_next < first->waiting_count &&
           first->waiting[first->waiting_next].sequence_first <= first->sequence) {
        if (!open_next(first, fault)) return false;
    }
    for (uint32_t index = 0; index < first->sources_count; index++) {
        struct source *source = &first->sources[index];
        if (source->next == source->count ||
            source->rows[source->next].sequence != first->sequence) {
            continue;
        }
        *row = source->rows[source->next++];
        first->sequence++;
        return true;
    }
    return fault_set(fault, FAULT_CORRUPT, "trail: event %" PRIu64 " is missing", first->sequence);
}
