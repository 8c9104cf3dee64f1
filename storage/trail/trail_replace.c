#include "storage/trail/trail_replace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "storage/trail/trail_lock.h"

enum {
    ROOM_SIZE = 64 * 1024 * 1024,  // beside the data itself: the first commit
};

static bool join(char path[TRAIL_REPLACE_NAMED_SIZE], const char *folder, const char *name) {
    return snprintf(path, TRAIL_REPLACE_NAMED_SIZE, "%s/%s", folder, name) <
           TRAIL_REPLACE_NAMED_SIZE;
}

static bool find(const char *folder, const char *name, char path[TRAIL_REPLACE_NAMED_SIZE],
                 bool *exists, struct files_entry *entry, struct fault *fault) {
    if (!join(path, folder, name))
        return fault_set(fault, FAULT_INPUT, "the store's path is too long");
    return files_find(files_system(), path, exists, entry, fault);
}

static bool remove_named(const char *folder, const char *name, struct fault *fault) {
    char path[TRAIL_REPLACE_NAMED_SIZE];
    if (!join(path, folder, name))
        return fault_set(fault, FAULT_INPUT, "the store's path is too long");
    return files_remove(files_system(), path, fault);
}

// What an attempt before this one may have left.
static bool remove_preparing(const struct trail_replace *replace, struct fault *fault) {
    static const char *const names[] = {"data.mdb", "lock.mdb", "writer.lock"};
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        if (!remove_named(replace->preparing, names[index], fault)) return false;
    }
    return files_remove(files_system(), replace->preparing, fault);
}

static bool check_room(const struct trail_replace *replace, uint64_t size, struct fault *fault) {
    uint64_t free_size = 0;
    uint64_t total_size = 0;
    uint64_t needed = size + ROOM_SIZE;
    if (!files_measure_free(files_system(), replace->store, &free_size, &total_size, fault))
        return false;
    if (free_size >= needed) return true;
    return fault_set(fault, FAULT_FULL,
                     "the disk of %s has %" PRIu64 " bytes free, %" PRIu64
                     " are needed: the old store is not deleted; move it elsewhere or make room",
                     replace->store, free_size, needed);
}

// What root prepares belongs to whom the folder belongs.
static bool give_to_owner(const char *folder, const char *path, struct fault *fault) {
    struct stat facts;
    if (stat(folder, &facts) != 0) return fault_set_errno(fault, FAULT_IO, errno, "%s", folder);
    if (geteuid() != 0 || (facts.st_uid == 0 && facts.st_gid == 0)) return true;
    if (chown(path, facts.st_uid, facts.st_gid) == 0) return true;
    return fault_set_errno(fault, FAULT_DENIED, errno, "give %s to its owner", path);
}

// Moves the old store into a folder of its own, the data first: from then on nobody takes the
// store's folder for a trail.
static bool put_aside(struct trail_replace *replace, const char *prefix, const struct clock *clock,
                      struct fault *fault) {
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char from[TRAIL_REPLACE_NAMED_SIZE];
    bool exists = false;
    struct files_entry entry;
    if (!find(replace->store, names[0], from, &exists, &entry, fault)) return false;
    if (!exists) return true;
    time_t now_s = (time_t)(clock->now_ms(clock->context) / 1000);
    struct tm parts;
    char time[32];
    gmtime_r(&now_s, &parts);
    strftime(time, sizeof time, "%Y%m%dT%H%M%SZ", &parts);
    char *aside = replace->aside;
    if (snprintf(aside, TRAIL_REPLACE_PATH_SIZE, "%s/%s-%s", replace->store, prefix, time) >=
        TRAIL_REPLACE_PATH_SIZE)
        return fault_set(fault, FAULT_INPUT, "the store's path is too long");
    if (!files_make_directory(files_system(), aside, fault) ||
        !give_to_owner(replace->store, aside, fault)) {
        return false;
    }
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char to[TRAIL_REPLACE_NAMED_SIZE];
        if (!find(replace->store, names[index], from, &exists, &entry, fault)) return false;
        if (!exists) continue;
        if (!join(to, aside, names[index]) || !files_rename(files_system(), from, to, fault))
            return false;
    }
    return files_sync_directory(files_system(), aside, fault) &&
           files_sync_directory(files_system(), replace->store, fault);
}

static bool put_in_place(const struct trail_replace *replace, struct fault *fault) {
    char from[TRAIL_REPLACE_NAMED_SIZE];
    char to[TRAIL_REPLACE_NAMED_SIZE];
    if (!join(from, replace->preparing, "data.mdb") || !join(to, replace->store, "data.mdb"))
        return fault_set(fault, FAULT_INPUT, "the store's path is too long");
    // Of an attempt that was cut short: it belongs to readers of the old store, and to no other.
    if (!remove_named(replace->store, "lock.mdb", fault)) return false;
    return files_rename(files_system(), from, to, fault) && remove_preparing(replace, fault) &&
           files_sync_directory(files_system(), replace->store, fault);
}

bool trail_replace_begin(struct trail_replace *replace, const char *store, const char *preparing,
                         struct fault *fault) {
    size_t size = strlen(store);
    *replace = (struct trail_replace){.lock = -1};
    while (size > 1 && store[size - 1] == '/') size--;
    if (size == 0 || size >= TRAIL_REPLACE_PATH_SIZE - 64)
        return fault_set(fault, FAULT_INPUT, "\"%.200s\" is no usable path of a store", store);
    memcpy(replace->store, store, size);
    if (!join(replace->preparing, replace->store, preparing))
        return fault_set(fault, FAULT_INPUT, "the store's path is too long");
    return files_make_directory(files_system(), replace->store, fault) &&
           trail_lock_take(replace->store, &replace->lock, fault);
}

void trail_replace_end(struct trail_replace *replace) {
    if (replace->lock >= 0) close(replace->lock);
    replace->lock = -1;
}

bool trail_replace_prepare(const struct trail_replace *replace, uint64_t size,
                           struct fault *fault) {
    return remove_preparing(replace, fault) && check_room(replace, size, fault) &&
           files_make_directory(files_system(), replace->preparing, fault);
}

void trail_replace_abandon(const struct trail_replace *replace) {
    struct fault ignored;
    (void)!remove_preparing(replace, &ignored);
}

bool trail_replace_commit(struct trail_replace *replace, const char *prefix,
                          const struct clock *clock, struct fault *fault) {
    char data[TRAIL_REPLACE_NAMED_SIZE];
    if (!join(data, replace->preparing, "data.mdb"))
        return fault_set(fault, FAULT_INPUT, "the store's path is too long");
    return give_to_owner(replace->store, data, fault) &&
           files_sync_directory(files_system(), replace->preparing, fault) &&
           put_aside(replace, prefix, clock, fault) && put_in_place(replace, fault);
}

bool trail_replace_resume(struct trail_replace *replace, bool *is_done, struct fault *fault) {
    char path[TRAIL_REPLACE_NAMED_SIZE];
    bool has_store = false;
    bool has_prepared = false;
    struct files_entry entry;
    if (!find(replace->store, "data.mdb", path, &has_store, &entry, fault) ||
        !find(replace->preparing, "data.mdb", path, &has_prepared, &entry, fault)) {
        return false;
    }
    *is_done = !has_store && has_prepared;
    return !*is_done || put_in_place(replace, fault);
}
