#include "storage/trail/trail_migrate.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json.h"
#include "event/record.h"
#include "storage/trail/trail_first.h"
#include "storage/trail/trail_internal.h"
#include "storage/trail/trail_replace.h"

enum {
    COMMIT_ROWS = 4096,
    TEXTS_SIZE_MAX = 256 * 1024 * 1024,  // of one commit
    COMMIT_SIZE_MAX = 48 * 1024 * 1024,
    RECORD_SIZE = 64 * 1024 * 1024,  // of one record's arena
};

struct migrating {
    const struct trail_migrate_options *options;
    struct trail_first *first;
    struct trail *trail;
    struct json_reader *json;
    struct arena *texts;   // of a commit
    struct arena *record;  // of one event
    uint64_t done;
    bool is_todays;
};

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "migrate: no memory");
}

static bool add_event(struct migrating *migrating, const struct trail_first_row *row, size_t *size,
                      struct fault *fault) {
    struct span text;
    struct record record;
    enum record_refusal refusal = RECORD_GOOD;
    arena_reset(migrating->record);
    if (!arena_copy(migrating->texts, row->text, &text)) return no_memory(fault);
    if (!record_read(migrating->json, migrating->record, text, &record, &refusal, fault)) {
        if (refusal != RECORD_GOOD) fault->kind = FAULT_CORRUPT;
        return fault_add(fault, "migrate: event %" PRIu64, row->sequence);
    }
    const struct trail_entry entry = {
        .record = &record,
        .account = row->account,
        .agent = row->agent,
        .is_own = (row->flags & BLOCK_OWN) != 0,
        .received_ms = row->received_ms,
    };
    enum trail_outcome outcome = TRAIL_STORED;
    if (!trail_add(migrating->trail, &entry, &outcome, fault)) return false;
    *size += text.size;
    return outcome == TRAIL_STORED ||
           fault_set(fault, FAULT_CORRUPT, "migrate: event %" PRIu64 " stands there twice",
                     row->sequence);
}

// Stores the next events in one commit. *more false: there are none left.
static bool store_some(struct migrating *migrating, bool *more, struct fault *fault) {
    struct trail_receipt receipt;
    uint32_t count = 0;
    size_t size = 0;
    arena_reset(migrating->texts);
    if (!trail_begin(migrating->trail, fault)) return false;
    while (*more && count < COMMIT_ROWS && size < COMMIT_SIZE_MAX) {
        struct trail_first_row row;
        bool is_good = trail_first_next(migrating->first, more, &row, fault);
        if (is_good && !*more) break;
        if (!is_good || !add_event(migrating, &row, &size, fault)) {
            trail_abort(migrating->trail);
            return false;
        }
        count++;
    }
    if (!trail_commit(migrating->trail, &receipt, fault)) return false;
    migrating->done += count;
    if (migrating->options->on_progress != NULL) {
        migrating->options->on_progress(migrating->options->user, migrating->done,
                                        trail_first_head(migrating->first)->sequence_last);
    }
    return true;
}

// What a walk over one database puts into the new store.
struct taking {
    struct trail *trail;
    enum trail_database database;
};

static bool on_value(void *user, struct span key, struct span value, struct fault *fault) {
    const struct taking *taking = user;
    size_t offset = taking->trail->values.size;
    // The refused bytes themselves have their sum in their key.
    bool is_bytes = taking->database == TRAIL_DATABASE_QUARANTINE &&
                    key.bytes[key.size - 1] == TRAIL_QUARANTINE_BYTES;
    if (is_bytes) {
        buffer_append(&taking->trail->values, value);
    } else {
        trail_codec_seal_first(&taking->trail->values, value);
    }
    return trail_add_change(taking->trail, taking->database, key, offset, false, fault);
}

// Takes over everything but events, in one commit behind them.
static bool take_rest(struct migrating *migrating, struct fault *fault) {
    static const enum trail_database taken[] = {TRAIL_DATABASE_AGENT, TRAIL_DATABASE_STREAM,
                                                TRAIL_DATABASE_QUARANTINE, TRAIL_DATABASE_GAP};
    struct trail *trail = migrating->trail;
    const struct trail_head *old = trail_first_head(migrating->first);
    trail->changes_count = 0;
    buffer_reset(&trail->values);
    for (size_t index = 0; index < sizeof taken / sizeof taken[0]; index++) {
        struct taking taking = {trail, taken[index]};
        if (!trail_first_walk(migrating->first, taken[index], on_value, &taking, fault))
            return false;
    }
    trail->head.quarantined = old->quarantined;
    trail->head.quarantined_count = old->quarantined_count;
    trail->head.gaps = old->gaps;
    memcpy(trail->format.epoch, trail_first_format(migrating->first)->epoch, TRAIL_EPOCH_SIZE);
    size_t offset = trail->values.size;
    trail_codec_append_head(&trail->values, &trail->head);
    if (!trail_add_change(trail, TRAIL_DATABASE_META, SPAN_LITERAL("head"), offset, false, fault))
        return false;
    offset = trail->values.size;
    trail_codec_append_format(&trail->values, &trail->format);
    return trail_add_change(trail, TRAIL_DATABASE_META, SPAN_LITERAL("format"), offset, false,
                            fault) &&
           trail_environment_commit(trail->environment, trail->changes, trail->changes_count,
                                    buffer_span(&trail->values), false, fault);
}

static bool convert(struct migrating *migrating, struct fault *fault) {
    migrating->json = json_reader_create();
    migrating->texts = arena_create(TEXTS_SIZE_MAX);
    migrating->record = arena_create(RECORD_SIZE);
    bool is_good =
        (migrating->json != NULL && migrating->texts != NULL && migrating->record != NULL) ||
        no_memory(fault);
    bool more = true;
    while (is_good && more) is_good = store_some(migrating, &more, fault);
    is_good = is_good && take_rest(migrating, fault);
    json_reader_destroy(migrating->json);
    arena_destroy(migrating->texts);
    arena_destroy(migrating->record);
    return is_good;
}

// Makes the new store in the folder that is prepared.
static bool make_new(struct migrating *migrating, const struct trail_replace *replace,
                     struct fault *fault) {
    const struct trail_options options = {
        .directory = replace->preparing,
        .clock = migrating->options->clock,
        .random = migrating->options->random,
    };
    if (!trail_open(&options, &migrating->trail, fault)) return false;
    bool is_good = convert(migrating, fault);
    trail_close(migrating->trail);
    return is_good;
}

static bool measure_store(const char *store, uint64_t *size, struct fault *fault) {
    char path[TRAIL_MIGRATE_PATH_SIZE + 16];
    struct stat facts;
    snprintf(path, sizeof path, "%s/data.mdb", store);
    if (stat(path, &facts) != 0) {
        enum fault_kind kind = errno == ENOENT ? FAULT_INPUT : FAULT_IO;
        return fault_set_errno(fault, kind, errno, "migrate: %s", path);
    }
    *size = (uint64_t)facts.st_size;
    return true;
}

static bool migrate(struct migrating *migrating, struct trail_replace *replace,
                    struct fault *fault) {
    uint64_t size = 0;
    bool is_done = false;
    if (!trail_replace_resume(replace, &is_done, fault)) return false;
    if (is_done) return true;
    if (!measure_store(replace->store, &size, fault) ||
        !trail_first_open(replace->store, &migrating->first, fault)) {
        return false;
    }
    if (migrating->first == NULL) {
        migrating->is_todays = true;
        return true;
    }
    bool is_good = trail_replace_prepare(replace, size, fault);
    if (is_good && !make_new(migrating, replace, fault)) {
        trail_replace_abandon(replace);
        is_good = false;
    }
    trail_first_close(migrating->first);
    return is_good &&
           trail_replace_commit(replace, "before-migration", migrating->options->clock, fault);
}

bool trail_migrate(const struct trail_migrate_options *options, struct trail_migrate_result *result,
                   struct fault *fault) {
    struct migrating migrating = {.options = options};
    struct trail_replace replace;
    bool is_good = trail_replace_begin(&replace, options->store, "migrating", fault) &&
                   migrate(&migrating, &replace, fault);
    trail_replace_end(&replace);
    if (!is_good) return false;
    result->is_todays = migrating.is_todays;
    result->events = migrating.done;
    memcpy(result->aside, replace.aside, sizeof result->aside);
    return true;
}
