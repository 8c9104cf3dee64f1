#include "storage/trail/trail_restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/files.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_lock.h"

enum {
    PATH_SIZE = TRAIL_RESTORE_PATH_SIZE,
    NAMED_SIZE = PATH_SIZE + 64,
    ROOM_SIZE = 64 * 1024 * 1024,  // beside the data itself: the first commit
    CHUNK_SIZE = 1024 * 1024,
};

// Under this name in the store's folder a restore is prepared; a leftover is removed.
static const char preparing_name[] = "restoring";

struct restoring {
    const struct trail_restore_options *options;
    char store[PATH_SIZE];
    char preparing[NAMED_SIZE];
    int lock;
    struct trail_restore_result result;
};

static bool join(char path[NAMED_SIZE], const char *folder, const char *name) {
    return snprintf(path, NAMED_SIZE, "%s/%s", folder, name) < NAMED_SIZE;
}

static bool find(const char *folder, const char *name, char path[NAMED_SIZE], bool *exists,
                 struct files_entry *entry, struct fault *fault) {
    if (!join(path, folder, name)) return fault_set(fault, FAULT_INPUT, "restore: path too long");
    return files_find(files_system(), path, exists, entry, fault);
}

static bool remove_named(const char *folder, const char *name, struct fault *fault) {
    char path[NAMED_SIZE];
    if (!join(path, folder, name)) return fault_set(fault, FAULT_INPUT, "restore: path too long");
    return files_remove(files_system(), path, fault);
}

// What an attempt before this one may have left.
static bool remove_preparing(const struct restoring *restoring, struct fault *fault) {
    static const char *const names[] = {"data.mdb", "lock.mdb", "writer.lock"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (!remove_named(restoring->preparing, names[index], fault)) return false;
    }
    return files_remove(files_system(), restoring->preparing, fault);
}

static bool check_room(const struct restoring *restoring, struct fault *fault) {
    uint64_t free_size = 0;
    uint64_t total_size = 0;
    uint64_t needed = restoring->result.backup.size + ROOM_SIZE;
    if (!files_measure_free(files_system(), restoring->store, &free_size, &total_size, fault))
        return false;
    if (free_size >= needed) return true;
    return fault_set(fault, FAULT_FULL,
                     "restore: the disk of %s has %" PRIu64 " bytes free, %" PRIu64
                     " are needed: the old store is not deleted; move it elsewhere or make room",
                     restoring->store, free_size, needed);
}

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

// A store that root restores belongs to whom the folder belongs.
static bool give_to_owner(const char *folder, const char *path, struct fault *fault) {
    struct stat facts;
    if (stat(folder, &facts) != 0) return fault_set_errno(fault, FAULT_IO, errno, "%s", folder);
    if (geteuid() != 0 || (facts.st_uid == 0 && facts.st_gid == 0)) return true;
    if (chown(path, facts.st_uid, facts.st_gid) == 0) return true;
    return fault_set_errno(fault, FAULT_DENIED, errno, "restore: give %s to its owner", path);
}

// Gives the copy its new epoch. Only then is it a store of its own.
static bool renew(struct restoring *restoring, struct fault *fault) {
    const struct trail_restore_options *options = restoring->options;
    const struct trail_options trail_options = {
        .directory = restoring->preparing,
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

static bool prepare(struct restoring *restoring, struct fault *fault) {
    char source[NAMED_SIZE];
    char target[NAMED_SIZE];
    if (!join(source, restoring->options->backup, "data.mdb") ||
        !join(target, restoring->preparing, "data.mdb")) {
        return fault_set(fault, FAULT_INPUT, "restore: path too long");
    }
    return remove_preparing(restoring, fault) && check_room(restoring, fault) &&
           files_make_directory(files_system(), restoring->preparing, fault) &&
           copy_verified(restoring, source, target, fault) &&
           trail_backup_verify(restoring->preparing, &restoring->result.backup, fault) &&
           renew(restoring, fault) && give_to_owner(restoring->store, target, fault) &&
           files_sync_directory(files_system(), restoring->preparing, fault);
}

// Moves the old store into a folder of its own, the data first: from then on nobody takes the
// store's folder for a trail.
static bool put_aside(struct restoring *restoring, struct fault *fault) {
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char from[NAMED_SIZE];
    bool exists = false;
    struct files_entry entry;
    if (!find(restoring->store, names[0], from, &exists, &entry, fault)) return false;
    if (!exists) return true;
    time_t now_s =
        (time_t)(restoring->options->clock->now_ms(restoring->options->clock->context) / 1000);
    struct tm parts;
    char name[64];
    gmtime_r(&now_s, &parts);
    strftime(name, sizeof name, "before-restore-%Y%m%dT%H%M%SZ", &parts);
    char *aside = restoring->result.aside;
    if (snprintf(aside, PATH_SIZE, "%s/%s", restoring->store, name) >= PATH_SIZE)
        return fault_set(fault, FAULT_INPUT, "restore: path too long");
    if (!files_make_directory(files_system(), aside, fault) ||
        !give_to_owner(restoring->store, aside, fault)) {
        return false;
    }
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char to[NAMED_SIZE];
        if (!find(restoring->store, names[index], from, &exists, &entry, fault)) return false;
        if (!exists) continue;
        if (!join(to, aside, names[index]) || !files_rename(files_system(), from, to, fault))
            return false;
    }
    return files_sync_directory(files_system(), aside, fault) &&
           files_sync_directory(files_system(), restoring->store, fault);
}

static bool put_in_place(const struct restoring *restoring, struct fault *fault) {
    char from[NAMED_SIZE];
    char to[NAMED_SIZE];
    if (!join(from, restoring->preparing, "data.mdb") || !join(to, restoring->store, "data.mdb"))
        return fault_set(fault, FAULT_INPUT, "restore: path too long");
    // Of a restore that was cut short: it belongs to readers of the old store, and to no other.
    if (!remove_named(restoring->store, "lock.mdb", fault)) return false;
    return files_rename(files_system(), from, to, fault) && remove_preparing(restoring, fault) &&
           files_sync_directory(files_system(), restoring->store, fault);
}

bool trail_restore(const struct trail_restore_options *options, struct trail_restore_result *result,
                   struct fault *fault) {
    struct restoring restoring = {.options = options, .lock = -1};
    size_t size = strlen(options->store);
    while (size > 1 && options->store[size - 1] == '/') size--;
    if (size == 0 || size >= PATH_SIZE - 64)
        return fault_set(fault, FAULT_INPUT, "restore: \"%.200s\" is no usable path",
                         options->store);
    memcpy(restoring.store, options->store, size);
    if (!join(restoring.preparing, restoring.store, preparing_name))
        return fault_set(fault, FAULT_INPUT, "restore: path too long");
    if (!trail_backup_read(options->backup, &restoring.result.backup, fault) ||
        !files_make_directory(files_system(), restoring.store, fault) ||
        !trail_lock_take(restoring.store, &restoring.lock, fault)) {
        return false;
    }
    bool is_good = prepare(&restoring, fault) && put_aside(&restoring, fault) &&
                   put_in_place(&restoring, fault);
    close(restoring.lock);
    if (is_good) *result = restoring.result;
    return is_good;
}
