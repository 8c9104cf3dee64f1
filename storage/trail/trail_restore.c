#include "storage/trail/trail_restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/files.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_replace.h"

enum {
    CHUNK_SIZE = 1024 * 1024,
};

struct restoring {
    const struct trail_restore_options *options;
    struct trail_replace replace;
    struct trail_restore_result result;
};

// Copies to the end and hashes on the way.
static bool copy_bytes(const struct restoring *restoring, int from, int to,
                       struct crypto_sha256_stream *stream, uint8_t *bytes, uint64_t *size,
                       struct fault *fault) {
    const struct trail_restore_options *options = restoring->options;
    size_t got = CHUNK_SIZE;
    while (got == CHUNK_SIZE) {
        if (!files_read_at(files_system(), from, *size, bytes, CHUNK_SIZE, &got, fault) ||
            !files_append(files_system(), to, span_of(bytes, got), fault)) {
            return false;
        }
        crypto_sha256_update(stream, span_of(bytes, got));
        *size += got;
        if (options->on_progress != NULL)
            options->on_progress(options->user, *size, restoring->result.backup.size);
    }
    return files_sync(files_system(), to, fault);
}

static bool copy_verified(const struct restoring *restoring, const char *source, const char *target,
                          struct fault *fault) {
    const struct trail_backup_facts *facts = &restoring->result.backup;
    const struct files *files = files_system();
    int from = -1;
    int to = -1;
    uint64_t size = 0;
    uint8_t digest[SHA256_SIZE];
    struct buffer chunk;
    buffer_init(&chunk, CHUNK_SIZE);
    uint8_t *bytes = buffer_reserve(&chunk, CHUNK_SIZE);
    struct crypto_sha256_stream *stream = crypto_sha256_create();
    bool is_good =
        (bytes != NULL && stream != NULL) || fault_set(fault, FAULT_FULL, "restore: no memory");
    is_good = is_good && files_open(files, source, FILES_READ, &from, fault) &&
              files_open(files, target, FILES_CREATE, &to, fault) &&
              copy_bytes(restoring, from, to, stream, bytes, &size, fault);
    if (from >= 0) files_close(files, from);
    if (to >= 0) files_close(files, to);
    if (is_good) crypto_sha256_finish(stream, digest);
    crypto_sha256_destroy(stream);
    buffer_done(&chunk);
    if (!is_good) return false;
    if (size == facts->size && memcmp(digest, facts->sha256, SHA256_SIZE) == 0) return true;
    return fault_set(fault, FAULT_CORRUPT,
                     "restore: %s is not what was backed up (its SHA-256 or size differs): take "
                     "another backup",
                     source);
}

// Gives the copy its new epoch. Only then is it a store of its own.
static bool renew(struct restoring *restoring, struct fault *fault) {
    const struct trail_restore_options *options = restoring->options;
    const struct trail_options trail_options = {
        .directory = restoring->replace.preparing,
        .clock = options->clock,
        .random = options->random,
    };
    struct trail *trail = NULL;
    if (!trail_open(&trail_options, &trail, fault)) return false;
    bool is_good = trail_renew_epoch(trail, restoring->result.backup.started_ms, fault);
    if (is_good) trail_epoch(trail, restoring->result.epoch);
    trail_close(trail);
    return is_good;
}

static bool make_copy(struct restoring *restoring, struct fault *fault) {
    const struct trail_replace *replace = &restoring->replace;
    const struct trail_backup_facts *backup = &restoring->result.backup;
    char source[TRAIL_REPLACE_NAMED_SIZE];
    char target[TRAIL_REPLACE_NAMED_SIZE];
    int sizes[] = {
        snprintf(source, sizeof source, "%s/data.mdb", restoring->options->backup),
        snprintf(target, sizeof target, "%s/data.mdb", replace->preparing),
    };
    if (sizes[0] >= (int)sizeof source || sizes[1] >= (int)sizeof target)
        return fault_set(fault, FAULT_INPUT, "restore: a path is too long");
    return copy_verified(restoring, source, target, fault) &&
           trail_backup_verify(replace->preparing, backup, fault) && renew(restoring, fault);
}

static bool prepare(struct restoring *restoring, struct fault *fault) {
    const struct trail_replace *replace = &restoring->replace;
    if (!trail_replace_prepare(replace, restoring->result.backup.size, fault)) return false;
    if (make_copy(restoring, fault)) return true;
    trail_replace_abandon(replace);
    return false;
}

bool trail_restore(const struct trail_restore_options *options, struct trail_restore_result *result,
                   struct fault *fault) {
    struct restoring restoring = {.options = options};
    if (!trail_backup_read(options->backup, &restoring.result.backup, fault)) return false;
    struct trail_replace *replace = &restoring.replace;
    bool is_good = trail_replace_begin(replace, options->store, "restoring", fault) &&
                   prepare(&restoring, fault) &&
                   trail_replace_commit(replace, "before-restore", options->clock, fault);
    trail_replace_end(replace);
    if (!is_good) return false;
    *result = restoring.result;
    memcpy(result->aside, replace->aside, sizeof result->aside);
    return true;
}
