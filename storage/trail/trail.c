#include "storage/trail/trail.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "storage/trail/trail_internal.h"
#include "storage/trail/trail_lock.h"
#include "storage/trail/trail_tail.h"

enum {
    TAIL_ROWS_DEFAULT = 4096,
    // Waiting in the tail costs 3 to 4 us an event (it is compressed twice), a quarter of all; a
    // block of 1,000 rows takes 12 % more room than one of 4,000, of 500 rows 20 %. Measured: below
    // 1,000 room counts more (an idle collector has the time), above it time does.
    BLOCK_ROWS_DEFAULT = 1024,
    ROOM_INSIDE_MIN = 4 * 1024 * 1024,  // bytes of free pages that let commits go on
    TRACES_DEFAULT = 8 * 1024 * 1024,   // of ids, as are those of the window
    WINDOW_DEFAULT = 512 * 1024,
    TAIL_AGE_MS = 24 * 60 * 60 * 1000,
    ARENA_SIZE_MAX = 1024 * 1024 * 1024,
    RECORD_ARENA_SIZE_MAX = 64 * 1024 * 1024,
    PATH_SIZE = 4096,
    SEED_KEY = 1001,  // apart from those of blocks, which are attribute kinds
    SEED_CONTENT = 1002,
};

static const char agent_own[] = "orgtrail.local";

uint64_t trail_hash_key(const struct trail *trail, const struct key *key) {
    uint8_t bytes[RECORD_ID_SIZE + sizeof key->event_time_s + KEY_ACCOUNT_SIZE_MAX];
    memcpy(bytes, key->id, RECORD_ID_SIZE);
    memcpy(bytes + RECORD_ID_SIZE, &key->event_time_s, sizeof key->event_time_s);
    size_t size = RECORD_ID_SIZE + sizeof key->event_time_s;
    memcpy(bytes + size, key->account, key->account_size);
    uint64_t hash = hash_with_key(&trail->key_hash, span_of(bytes, size + key->account_size));
    uint32_t bits = trail->options.window_bits;
    return bits == 0 || bits >= 64 ? hash : hash >> (64 - bits);
}

uint64_t trail_hash_content(const struct trail *trail, struct span text) {
    return trail_window_content(hash_with_key(&trail->content_hash, text));
}

void trail_end_reading(struct trail *trail) {
    if (!trail->is_reading) return;
    trail_environment_end(trail->environment, trail->reading);
    trail->is_reading = false;
}

bool trail_begin_reading(struct trail *trail, struct fault *fault) {
    assert(!trail->is_reading);
    if (!trail_environment_begin(trail->environment, &trail->reading, fault)) return false;
    trail->is_reading = true;
    return true;
}

// A directory with files that are not ours is not made a trail.
static bool check_directory(const char *directory, struct fault *fault) {
    static const char *const ours[] = {".",        "..",           "writer.lock", "lock.mdb",
                                       "data.mdb", "control.sock", "deny.txt"};
    DIR *listing = opendir(directory);
    if (listing == NULL)
        return fault_set_errno(fault, FAULT_IO, errno, "trail: read %s", directory);
    bool has_data = false;
    char other[256] = "";
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        bool known = false;
        for (size_t index = 0; index < sizeof ours / sizeof ours[0]; index++)
            known = known || strcmp(entry->d_name, ours[index]) == 0;
        if (strcmp(entry->d_name, "data.mdb") == 0) has_data = true;
        if (!known) snprintf(other, sizeof other, "%s", entry->d_name);
    }
    closedir(listing);
    if (has_data || other[0] == '\0') return true;
    if (strcmp(other, "restoring") == 0 || strcmp(other, "migrating") == 0 ||
        strncmp(other, "before-", 7) == 0) {
        return fault_set(fault, FAULT_CORRUPT,
                         "trail in %s: a restore or migration was cut short before it put the "
                         "store in place: run the same orgtrail command again",
                         directory);
    }
    return fault_set(fault, FAULT_CORRUPT,
                     "trail in %s: the directory holds something else (%s): give an empty one",
                     directory, other);
}

static bool put_first(struct trail *trail, struct fault *fault) {
    size_t offset = trail->values.size;
    trail_codec_append_format(&trail->values, &trail->format);
    if (!trail_add_change(trail, TRAIL_DATABASE_META, SPAN_LITERAL("format"), offset, false,
                          fault)) {
        return false;
    }
    offset = trail->values.size;
    trail_codec_append_head(&trail->values, &trail->head);
    if (!trail_add_change(trail, TRAIL_DATABASE_META, SPAN_LITERAL("head"), offset, false, fault))
        return false;
    offset = trail->values.size;
    const struct trail_agent own = {.uri = span_text(agent_own)};
    trail_codec_append_agent(&trail->values, &own);
    uint64_t number = TRAIL_AGENT_OWN;
    return trail_add_change(trail, TRAIL_DATABASE_AGENT, span_of(&number, sizeof number), offset,
                            false, fault);
}

static bool make_store(struct trail *trail, struct fault *fault) {
    trail->format = (struct trail_format){
        .major = TRAIL_FORMAT_MAJOR,
        .minor = TRAIL_FORMAT_MINOR,
        .created_ms = trail->options.clock->now_ms(trail->options.clock->context),
    };
    random_fill(trail->options.random, trail->format.epoch, sizeof trail->format.epoch);
    random_fill(trail->options.random, trail->format.secret, sizeof trail->format.secret);
    trail->head = (struct trail_head){.dictionary_epoch = 1};
    trail->changes_count = 0;
    buffer_reset(&trail->values);
    return put_first(trail, fault) &&
           trail_environment_commit(trail->environment, trail->changes, trail->changes_count,
                                    buffer_span(&trail->values), false, fault);
}

// Reads what was fixed when the store was made; *found false if there is nothing at all.
static bool load_meta(struct trail *trail, bool *found, struct fault *fault) {
    struct span value;
    if (!trail_environment_get(trail->environment, trail->reading, TRAIL_DATABASE_META,
                               SPAN_LITERAL("format"), found, &value, fault)) {
        return false;
    }
    if (!*found) return true;
    if (!trail_codec_take_format(value, &trail->format, fault)) return false;
    bool has_head = false;
    if (!trail_environment_get(trail->environment, trail->reading, TRAIL_DATABASE_META,
                               SPAN_LITERAL("head"), &has_head, &value, fault)) {
        return false;
    }
    if (!has_head) return fault_set(fault, FAULT_CORRUPT, "trail: the head is missing");
    return trail_codec_take_head(value, &trail->head, fault);
}

static void note_damage(void *user, const struct fault *damage) {
    struct fault ignored;
    bool passed = trail_pass_over(user, damage, &ignored);
    assert(passed);
}

static bool load_catalog(struct trail *trail, struct fault *fault) {
    const struct trail_summaries wanted = {0, trail->head.retained_from_s, note_damage, trail};
    if (!trail_summaries_load(trail->environment, trail->reading, &wanted, trail->catalog, fault))
        return false;
    if (trail_catalog_count(trail->catalog) != trail->head.blocks)
        return fault_set(fault, FAULT_CORRUPT, "trail: a block's summary is missing");
    return true;
}

// Reads a row of the tail again, for its attributes.
static bool reread_row(struct trail *trail, const struct trail_tail_row *row,
                       struct block_row *result, struct fault *fault) {
    struct record record;
    enum record_refusal refusal = RECORD_GOOD;
    arena_reset(trail->record_arena);
    if (!record_read(trail->json[0], trail->record_arena, row->text, &record, &refusal, fault)) {
        if (fault->kind == FAULT_INPUT) fault->kind = FAULT_CORRUPT;
        return fault_add(fault, "trail: tail row %" PRIu64, row->sequence);
    }
    const struct trail_entry entry = {
        .record = &record,
        .account = span_of(row->key.account, row->key.account_size),
        .agent = row->agent,
        .received_ms = row->received_ms,
    };
    if (!trail_make_row(trail->arena, &entry, &row->key, result, fault)) return false;
    result->sequence = row->sequence;
    result->flags = row->flags;
    return true;
}

static bool load_chunk(struct trail *trail, const struct trail_tail_chunk *chunk,
                       struct fault *fault) {
    arena_reset(trail->arena);
    struct block_row *rows = arena_allocate_array(trail->arena, chunk->rows_count, sizeof *rows);
    if (rows == NULL) return fault_set(fault, FAULT_FULL, "trail: out of memory for the tail");
    for (uint32_t index = 0; index < chunk->rows_count; index++) {
        if (!reread_row(trail, &chunk->rows[index], &rows[index], fault)) return false;
    }
    return trail_mirror_add(&trail->tail, rows, chunk->rows_count, fault);
}

bool trail_pass_over(struct trail *trail, const struct fault *reason, struct fault *fault) {
    if (reason->kind != FAULT_CORRUPT) return fault_set(fault, reason->kind, "%s", reason->text);
    if (trail->damages == 0) trail->damage = *reason;
    trail->damages++;
    return true;
}

uint64_t trail_sequence_last(const struct trail *trail) {
    return trail->head.sequence_last;
}

bool trail_is_damaged(const struct trail *trail, struct fault *damage) {
    if (trail->damages == 0) return false;
    fault_set(damage, FAULT_CORRUPT, "%s (%" PRIu32 " damaged in all): run orgtrail store check",
              trail->damage.text, trail->damages);
    return true;
}

uint32_t trail_damages(const struct trail *trail) {
    return trail->damages;
}

uint64_t trail_mismatches(const struct trail *trail) {
    return block_scratch_mismatches(trail->scratch);
}

uint64_t trail_asked_blocks(const struct trail *trail) {
    return trail->asked;
}

// What cannot be read stays where it is: its sequences are its own, and it may be mended.
static bool load_tail(struct trail *trail, struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(trail->environment, trail->reading, TRAIL_DATABASE_TAIL, 0, &walk,
                                fault)) {
        return false;
    }
    bool found = true;
    bool good = true;
    while (good && found) {
        struct span key;
        struct span value;
        struct trail_tail_chunk *chunk = NULL;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found) break;
        struct fault reason;
        if (!trail_tail_decode(trail->zstd, trail_walk_number(key), value, &chunk, &reason) ||
            !load_chunk(trail, chunk, &reason)) {
            good = trail_pass_over(trail, &reason, fault);
        }
        trail_tail_release(chunk);
    }
    trail_walk_end(&walk);
    return good;
}

// The tail has no summaries to search by: all its rows are always in the younger generation.
static void insert_tail(struct trail *trail) {
    for (uint32_t at = 0; at < trail->tail.chunks_count; at++) {
        const struct trail_waiting *chunk = &trail->tail.chunks[at];
        for (uint32_t index = 0; index < chunk->rows_count; index++) {
            const struct block_row *row = &chunk->rows[index];
            trail_window_insert(trail->window, trail_hash_key(trail, &row->key),
                                trail_hash_content(trail, row->text));
        }
    }
}

// The tail may be longer than the options allow now: they may have been others when it was written.
static bool make_window(struct trail *trail, struct fault *fault) {
    uint32_t tail_rows = trail->tail.rows_count;
    if (tail_rows < trail->options.tail_rows_max) tail_rows = trail->options.tail_rows_max;
    trail->window =
        trail_window_create(trail->options.window_ids, 3 * TRAIL_COMMIT_ROWS_MAX + tail_rows,
                            trail->options.window_traces);
    return trail->window != NULL || fault_set(fault, FAULT_FULL, "trail: out of memory");
}

static bool create_parts(struct trail *trail, struct fault *fault) {
    buffer_init(&trail->values, TRAIL_VALUES_SIZE_MAX);
    buffer_init(&trail->bytes, TRAIL_CHUNK_SIZE_MAX);
    trail->catalog = trail_catalog_create();
    // Its own: it waits for no reader.
    trail->dictionaries = trail_dictionaries_create(trail->environment, false);
    if (trail->dictionaries != NULL)
        trail_dictionaries_limit(trail->dictionaries, TRAIL_WRITER_DICTIONARIES_SIZE_MAX);
    trail->scratch = block_scratch_create();
    trail->zstd = zstd_create();
    trail->json[0] = json_reader_create();
    trail->json[1] = json_reader_create();
    trail->record_arena = arena_create(RECORD_ARENA_SIZE_MAX);
    trail->arena = arena_create(ARENA_SIZE_MAX);
    trail->expect = trail_expect_create();
    trail->rows = calloc(TRAIL_COMMIT_ROWS_MAX, sizeof *trail->rows);
    trail->window_values = calloc(TRAIL_COMMIT_ROWS_MAX, sizeof *trail->window_values);
    if (trail->catalog == NULL || trail->dictionaries == NULL || trail->scratch == NULL ||
        trail->zstd == NULL || trail->json[0] == NULL || trail->json[1] == NULL ||
        trail->record_arena == NULL || trail->arena == NULL || trail->expect == NULL ||
        trail->rows == NULL || trail->window_values == NULL) {
        return fault_set(fault, FAULT_FULL, "trail: out of memory");
    }
    return true;
}

// A dictionary that cannot be read to its end is given up for a new one.
static bool load_dictionary(struct trail *trail, struct fault *fault) {
    trail->dictionary = dictionary_create(trail->head.dictionary_epoch);
    if (trail->dictionary == NULL)
        return fault_set(fault, FAULT_FULL, "trail: out of memory for a dictionary");
    struct fault reason;
    uint32_t chunk = 0;
    bool loaded = trail_dictionaries_load(trail->environment, trail->reading, trail->dictionary,
                                          &chunk, &reason);
    if (loaded && chunk != trail->head.dictionary_chunk) {
        loaded = fault_set(&reason, FAULT_CORRUPT,
                           "trail: chunk %" PRIu32 " of dictionary %" PRIu32 " is missing", chunk,
                           trail->head.dictionary_epoch);
    }
    if (loaded) return true;
    if (!trail_pass_over(trail, &reason, fault)) return false;
    dictionary_destroy(trail->dictionary);
    trail->head.dictionary_epoch++;
    trail->head.dictionary_chunk = 0;
    trail->dictionary = dictionary_create(trail->head.dictionary_epoch);
    return trail->dictionary != NULL ||
           fault_set(fault, FAULT_FULL, "trail: out of memory for a dictionary");
}

static bool load_all(struct trail *trail, struct fault *fault) {
    bool found = false;
    if (!load_meta(trail, &found, fault)) return false;
    if (!found) {
        trail_end_reading(trail);
        if (!make_store(trail, fault) || !trail_begin_reading(trail, fault)) return false;
    }
    hash_key_make(trail->format.secret, SEED_KEY, &trail->key_hash);
    hash_key_make(trail->format.secret, SEED_CONTENT, &trail->content_hash);
    if (!load_dictionary(trail, fault)) return false;
    if (!load_catalog(trail, fault) || !load_tail(trail, fault)) return false;
    if (!make_window(trail, fault)) return false;
    insert_tail(trail);
    // The last process may have left room to give back.
    if (trail->head.retained_from_s == 0) trail->sweep.phase = SWEEP_DONE;
    return trail_state_open(trail, fault) && trail_followers_open(trail, fault) &&
           trail_origin_open(trail, fault);
}

static bool open_all(struct trail *trail, struct fault *fault) {
    if (!trail_lock_take(trail->options.directory, &trail->lock, fault)) return false;
    if (!check_directory(trail->options.directory, fault)) return false;
    const struct trail_environment_options options = {
        .directory = trail->options.directory,
        .map_size = trail->options.map_size,
        .size_max = trail->options.size_max,
        .no_sync = trail->options.no_sync,
    };
    if (!trail_environment_open(&options, &trail->environment, fault)) return false;
    if (!create_parts(trail, fault) || !trail_begin_reading(trail, fault)) return false;
    bool loaded = load_all(trail, fault);
    trail_end_reading(trail);
    return loaded;
}

bool trail_open(const struct trail_options *options, struct trail **result, struct fault *fault) {
    struct trail *trail = calloc(1, sizeof *trail);
    if (trail == NULL) return fault_set(fault, FAULT_FULL, "trail: out of memory");
    trail->options = *options;
    trail->lock = -1;
    if (trail->options.tail_rows_max == 0) trail->options.tail_rows_max = TAIL_ROWS_DEFAULT;
    if (trail->options.block_rows_min == 0) trail->options.block_rows_min = BLOCK_ROWS_DEFAULT;
    if (trail->options.window_ids == 0) trail->options.window_ids = WINDOW_DEFAULT;
    if (trail->options.window_traces == 0) trail->options.window_traces = TRACES_DEFAULT;
    trail->options.directory = strdup(options->directory);
    if (trail->options.directory == NULL || !open_all(trail, fault)) {
        if (trail->options.directory == NULL) fault_set(fault, FAULT_FULL, "trail: out of memory");
        trail_close(trail);
        return false;
    }
    *result = trail;
    return true;
}

void trail_close(struct trail *trail) {
    if (trail == NULL) return;
    trail_end_reading(trail);
    trail_environment_free(trail->reading);
    trail_dictionaries_destroy(trail->dictionaries);
    // While the lock is held: nobody else may be writing.
    if (trail->environment != NULL) trail_environment_trim(trail->environment);
    trail_environment_close(trail->environment);
    if (trail->lock >= 0) close(trail->lock);
    trail_state_close(trail->state);
    free(trail->documents);
    trail_mirror_done(&trail->tail);
    trail_catalog_destroy(trail->catalog);
    trail_window_destroy(trail->window);
    trail_expect_destroy(trail->expect);
    dictionary_destroy(trail->dictionary);
    block_scratch_destroy(trail->scratch);
    zstd_destroy(trail->zstd);
    json_reader_destroy(trail->json[0]);
    json_reader_destroy(trail->json[1]);
    arena_destroy(trail->record_arena);
    arena_destroy(trail->arena);
    free(trail->rows);
    free(trail->window_values);
    free(trail->changes);
    buffer_done(&trail->values);
    buffer_done(&trail->bytes);
    free((void *)(uintptr_t)trail->options.directory);
    free(trail);
}

// What days that went left in the file takes nothing of a disk that is short, as long as the file
// does not grow: by one commit, since its free pages may be too scattered for a large value, or
// held by who reads. What is given back meanwhile makes up for as much of that.
static bool check_room_inside(struct trail *trail, bool *has_room, struct fault *fault) {
    uint64_t used = 0;
    if (!trail_begin_reading(trail, fault)) return false;
    bool is_good = trail_environment_used(trail->environment, trail->reading, &used, fault);
    trail_end_reading(trail);
    if (!is_good) return false;
    uint64_t size = trail_environment_size(trail->environment);
    trail->short_size += trail->sweep.returned;
    trail->sweep.returned = 0;
    if (!trail->is_short || trail->short_size > size) trail->short_size = size;
    trail->is_short = true;
    *has_room = size <= trail->short_size + TRAIL_COMMIT_SIZE_MAX && size - used >= ROOM_INSIDE_MIN;
    return true;
}

static bool check_room(struct trail *trail, struct fault *fault) {
    if (trail->options.free_min == 0) return true;
    struct statvfs facts;
    if (statvfs(trail->options.directory, &facts) != 0) {
        return fault_set_errno(fault, FAULT_IO, errno, "trail in %s: free space",
                               trail->options.directory);
    }
    uint64_t free_size = (uint64_t)facts.f_bavail * facts.f_frsize;
    if (free_size >= trail->options.free_min) {
        trail->is_short = false;
        return true;
    }
    bool has_room = false;
    if (!check_room_inside(trail, &has_room, fault)) return false;
    if (has_room) return true;
    trail->sweep.was_refused = true;
    return fault_set(fault, FAULT_FULL,
                     "trail in %s: the disk has %" PRIu64 " bytes free, less than %" PRIu64
                     ": make room",
                     trail->options.directory, free_size, trail->options.free_min);
}

static bool begin(struct trail *trail, bool uses_reserve, struct fault *fault) {
    assert(!trail->is_committing);
    if (!trail_begin_reading(trail, fault)) return false;
    if (trail_window_is_due(trail->window)) {
        trail_window_rotate(trail->window);
        insert_tail(trail);
    }
    arena_reset(trail->arena);
    trail_expect_clear(trail->expect);
    trail->rows_count = 0;
    trail->offered = 0;
    trail->lopsided = (struct trail_lopsided){0};
    trail->uses_reserve = uses_reserve;
    trail->retain_from_s = 0;
    trail->is_committing = true;
    return true;
}

bool trail_begin(struct trail *trail, struct fault *fault) {
    return check_room(trail, fault) && begin(trail, false, fault);
}

bool trail_begin_reserved(struct trail *trail, struct fault *fault) {
    return begin(trail, true, fault);
}

void trail_expect(struct trail *trail, const struct key *key) {
    assert(trail->is_committing);
    if (trail_is_expired(trail, key->event_time_s)) return;
    trail_expect_add(trail->expect, key);
}

bool trail_add(struct trail *trail, const struct trail_entry *entry, enum trail_outcome *outcome,
               struct fault *fault) {
    assert(trail->is_committing);
    assert(trail->offered < TRAIL_COMMIT_ROWS_MAX);
    struct span text = entry->record->text;
    assert(text.size <= BLOCK_RECORD_SIZE_MAX);
    if (trail_is_expired(trail, entry->record->event_time_s)) {
        trail->offered++;
        *outcome = TRAIL_EXPIRED;
        return true;
    }
    if (!trail_expect_settle(trail, fault)) return false;
    struct key key = key_of(entry->record, entry->account);
    uint64_t hash = trail_hash_key(trail, &key);
    trail_window_prefetch(trail->window, hash);
    uint64_t content = trail_hash_content(trail, text);
    enum trail_outcome decided = TRAIL_STORED;
    if (!trail_dedupe(trail, &key, hash, content, text, &decided, fault)) return false;
    if (decided == TRAIL_STORED) {
        struct block_row *row = &trail->rows[trail->rows_count];
        if (!trail_make_row(trail->arena, entry, &key, row, fault)) return false;
        trail->window_values[trail->rows_count] = trail_window_insert(trail->window, hash, content);
        trail->rows_count++;
    }
    trail->offered++;
    *outcome = decided;
    return true;
}

// Ends the commit. What it stored stays in the window only if it is on the disk.
static void end_commit(struct trail *trail, bool committed) {
    trail_end_reading(trail);
    if (committed) {
        trail_state_keep(trail->state);
    } else {
        for (uint32_t index = 0; index < trail->rows_count; index++)
            trail_window_remove(trail->window_values[index]);
        trail_state_forget(trail->state);
    }
    trail_followers_end(trail, committed);
    trail->rows_count = 0;
    trail->documents_count = 0;
    trail->retain_from_s = 0;
    trail->uses_reserve = false;
    trail->is_committing = false;
}

void trail_abort(struct trail *trail) {
    assert(trail->is_committing);
    end_commit(trail, false);
}

bool trail_commit(struct trail *trail, struct trail_receipt *receipt, struct fault *fault) {
    assert(trail->is_committing);
    uint32_t stored = trail->rows_count;
    bool is_empty = stored == 0 && trail->documents_count == 0 &&
                    !trail_state_is_changed(trail->state) && !trail->followers.is_changed &&
                    trail->retain_from_s == 0;
    bool committed = is_empty || trail_write_commit(trail, false, fault);
    if (committed) {
        *receipt = (struct trail_receipt){.stored = stored};
        if (stored > 0) {
            receipt->sequence_first = trail->head.sequence_last - stored + 1;
            receipt->sequence_last = trail->head.sequence_last;
        }
    }
    end_commit(trail, committed);
    return committed;
}

static bool is_tail_old(const struct trail *trail) {
    int64_t now_ms = trail->options.clock->now_ms(trail->options.clock->context);
    for (uint32_t index = 0; index < trail->tail.chunks_count; index++) {
        if (now_ms - trail->tail.chunks[index].oldest_ms >= TAIL_AGE_MS) return true;
    }
    return false;
}

bool trail_upkeep(struct trail *trail, struct fault *fault) {
    assert(!trail->is_committing);
    trail_environment_clear_readers(trail->environment);
    if (!is_tail_old(trail)) return true;
    if (!trail_begin_reading(trail, fault)) return false;
    arena_reset(trail->arena);
    trail->rows_count = 0;
    bool written = trail_write_commit(trail, true, fault);
    trail_end_reading(trail);
    return written;
}
