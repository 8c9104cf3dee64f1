// Commits of an environment: their room on the disk, in the map and in the file, and what becomes
// of them.

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "storage/trail/trail_environment_internal.h"

enum {
    ROOM_SIZE = 1024 * 1024,            // bytes a commit writes beside its changes, by far
    AHEAD_SIZE_MAX = 32 * 1024 * 1024,  // bytes of the disk that are taken before they are needed
    RESERVE_SHARE = 16,                 // of size_max: one part in so many is the reserve
    RESERVE_SIZE_MAX = 16 * 1024 * 1024,
};

uint64_t trail_environment_limit(uint64_t size_max, bool uses_reserve) {
    uint64_t reserve = size_max / RESERVE_SHARE;
    if (reserve > RESERVE_SIZE_MAX) reserve = RESERVE_SIZE_MAX;
    uint64_t limit = uses_reserve ? size_max : size_max - reserve;
    // Less than a page is a limit, too.
    if (size_max != 0 && limit < TRAIL_PAGE_SIZE) return TRAIL_PAGE_SIZE;
    return limit / TRAIL_PAGE_SIZE * TRAIL_PAGE_SIZE;
}

uint64_t trail_environment_room(struct trail_environment *environment) {
    uint64_t limit = trail_environment_limit(environment->size_max, false);
    uint64_t size = trail_environment_size(environment);
    if (limit == 0) return UINT64_MAX;
    return limit > size ? limit - size : 0;
}

static uint64_t count_pages(const MDB_stat *facts) {
    return facts->ms_branch_pages + facts->ms_leaf_pages + facts->ms_overflow_pages;
}

bool trail_environment_used(struct trail_environment *environment, MDB_txn *transaction,
                            uint64_t *used, struct fault *fault) {
    enum { NAMES = 1 };  // LMDB's own database
    MDB_stat facts = {0};
    int status = mdb_stat(transaction, NAMES, &facts);
    // Two meta pages, the database of names, and each of the databases.
    uint64_t pages = 2 + count_pages(&facts);
    for (uint32_t index = 0; status == 0 && index < TRAIL_DATABASES; index++) {
        if (index == TRAIL_DATABASE_DOCUMENT && !environment->has_documents) continue;
        status = mdb_stat(transaction, environment->databases[index], &facts);
        pages += count_pages(&facts);
    }
    *used = pages * TRAIL_PAGE_SIZE;
    return status == 0 || trail_environment_fault(environment, status, "what is in use", fault);
}

static int put_changes(struct trail_environment *environment, MDB_txn *transaction,
                       const struct trail_change *changes, uint32_t changes_count,
                       struct span values) {
    int status = 0;
    for (uint32_t index = 0; index < changes_count && status == 0; index++) {
        const struct trail_change *change = &changes[index];
        assert(change->value_offset + change->value_size <= values.size);
        // The copy is aligned: LMDB reads keys that are numbers as such.
        _Alignas(uint64_t) uint8_t bytes[TRAIL_KEY_SIZE_MAX];
        memcpy(bytes, change->key, change->key_size);
        MDB_val key = {change->key_size, bytes};
        MDB_dbi database = environment->databases[change->database];
        if (change->is_delete) {
            status = mdb_del(transaction, database, &key, NULL);
            if (status == MDB_NOTFOUND) status = 0;
        } else {
            MDB_val value = {change->value_size,
                             (void *)(uintptr_t)(values.bytes + change->value_offset)};
            status =
                mdb_put(transaction, database, &key, &value, change->is_append ? MDB_APPEND : 0);
        }
    }
    return status;
}

// Applies the changes. *was_written: the commit itself failed, and nobody knows what the disk has.
static int apply(struct trail_environment *environment, const struct trail_change *changes,
                 uint32_t changes_count, struct span values, bool *was_written) {
    MDB_txn *transaction = NULL;
    *was_written = false;
    int status = mdb_txn_begin(environment->lmdb, NULL, 0, &transaction);
    if (status != 0) return status;
    status = put_changes(environment, transaction, changes, changes_count, values);
    if (status != 0) {
        mdb_txn_abort(transaction);
        return status;
    }
    // The commit waits for the disk, and frees the transaction even when it fails.
    *was_written = true;
    return mdb_txn_commit(transaction);
}

static bool set_limit_fault(const struct trail_environment *environment, struct fault *fault) {
    return fault_set(fault, FAULT_FULL,
                     "trail in %s: it has reached its limit of %" PRIu64
                     " bytes: raise the limit or drop old days",
                     environment->directory, environment->size_max);
}

// Whether the process may map as many bytes more.
static bool has_addresses(uint64_t size) {
    void *probe = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED) return false;
    munmap(probe, size);
    return true;
}

// Doubles the map, up to the limit.
static bool grow(struct trail_environment *environment, bool uses_reserve, struct fault *fault) {
    MDB_envinfo facts;
    mdb_env_info(environment->lmdb, &facts);
    uint64_t size = (uint64_t)facts.me_mapsize * 2;
    uint64_t limit = trail_environment_limit(environment->size_max, uses_reserve);
    if (limit != 0 && size > limit) size = limit;
    if (size <= facts.me_mapsize) return set_limit_fault(environment, fault);
    if (!has_addresses(size - facts.me_mapsize)) {
        return fault_set(fault, FAULT_FULL,
                         "trail in %s: no addresses for a map of %" PRIu64
                         " bytes: raise the limit of the process (ulimit -v, LimitAS)",
                         environment->directory, size);
    }
    return trail_environment_resize(environment, size, fault);
}

static bool set_disk_fault(const struct trail_environment *environment, int error, uint64_t size,
                           struct fault *fault) {
    return fault_set_errno(fault, FAULT_FULL, error,
                           "trail in %s: no room for a commit of %" PRIu64
                           " bytes: make room on the disk",
                           environment->directory, size);
}

// Where a file system cannot take room ahead: whether it says that it has it.
static bool check_free(const struct trail_environment *environment, uint64_t size,
                       struct fault *fault) {
    struct statvfs facts;
    if (statvfs(environment->directory, &facts) != 0) {
        return fault_set_errno(fault, FAULT_IO, errno, "trail in %s: free space",
                               environment->directory);
    }
    if ((uint64_t)facts.f_bavail * facts.f_frsize >= size) return true;
    return set_disk_fault(environment, ENOSPC, size, fault);
}

// Without room taken on the disk: makes the file longer only.
static bool extend(struct trail_environment *environment, mdb_filehandle_t file, uint64_t end,
                   struct fault *fault) {
    struct stat facts;
    if (fstat(file, &facts) == 0 && (uint64_t)facts.st_size >= end) return true;
    if (ftruncate(file, (off_t)end) == 0) return true;
    return fault_set_errno(fault, FAULT_IO, errno, "trail in %s: make data.mdb longer",
                           environment->directory);
}

// Bytes of the list of free pages: a commit may write all of it anew.
static uint64_t measure_free_list(struct trail_environment *environment) {
    enum { FREE_LIST = 0 };  // LMDB's own database
    MDB_txn *transaction = NULL;
    MDB_stat facts;
    if (mdb_txn_begin(environment->lmdb, NULL, MDB_RDONLY, &transaction) != 0) return 0;
    int status = mdb_stat(transaction, FREE_LIST, &facts);
    mdb_txn_abort(transaction);
    return status == 0 ? count_pages(&facts) * TRAIL_PAGE_SIZE : 0;
}

// Takes the room of a commit on the disk before it begins, so that a full disk never shows in the
// middle of one: LMDB says EIO for a write that is cut short, and a sync that failed for want of
// room may not be repeated. Room is taken in steps: it costs a write of the file system's own.
//
// The file becomes longer by it at once. LMDB counts pages at the end that one commit took and
// freed again, but never writes them: were the file as long as what is written, it would look cut.
static bool reserve(struct trail_environment *environment, uint32_t changes_count, size_t size,
                    struct fault *fault) {
    // A value may fill a page more than its bytes, and its key changes a page.
    uint64_t needed = size + (uint64_t)changes_count * 2 * TRAIL_PAGE_SIZE +
                      measure_free_list(environment) + ROOM_SIZE;
    uint64_t used = trail_environment_size(environment);
    uint64_t end = used + needed;
    uint64_t ahead = used / 8 < AHEAD_SIZE_MAX ? used / 8 : AHEAD_SIZE_MAX;
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        if (end > limit.rlim_cur) return set_disk_fault(environment, EFBIG, needed, fault);
        if (ahead > limit.rlim_cur - end) ahead = limit.rlim_cur - end;
    }
    if (end <= environment->reserved) return true;
    mdb_filehandle_t file;
    mdb_env_get_fd(environment->lmdb, &file);
    if (environment->no_sync) {
        if (!extend(environment, file, end + ahead, fault)) return false;
        environment->reserved = end + ahead;
        return true;
    }
    // The first time from the begin: a file may have holes.
    uint64_t from = environment->reserved;
    int status = fallocate(file, 0, (off_t)from, (off_t)(end + ahead - from));
    if (status != 0 && (errno == ENOSPC || errno == EDQUOT)) {
        ahead = 0;
        status = fallocate(file, 0, (off_t)from, (off_t)(end - from));
    }
    if (status == 0) {
        environment->reserved = end + ahead;
        return true;
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS) {
        return check_free(environment, needed, fault) && extend(environment, file, end, fault);
    }
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return set_disk_fault(environment, errno, needed, fault);
    return fault_set_errno(fault, FAULT_IO, errno, "trail in %s: take room on the disk",
                           environment->directory);
}

// Takes the reserve out of the map again: what it gave is given back by the next commits.
static bool shrink(struct trail_environment *environment, struct fault *fault) {
    uint64_t limit = trail_environment_limit(environment->size_max, false);
    MDB_envinfo facts;
    mdb_env_info(environment->lmdb, &facts);
    // LMDB leaves the map as large as what is in use.
    uint64_t used = ((uint64_t)facts.me_last_pgno + 1) * TRAIL_PAGE_SIZE;
    if (limit == 0 || facts.me_mapsize <= limit || facts.me_mapsize <= used) return true;
    return trail_environment_resize(environment, limit, fault);
}

bool trail_environment_commit(struct trail_environment *environment,
                              const struct trail_change *changes, uint32_t changes_count,
                              struct span values, bool uses_reserve, struct fault *fault) {
    assert(!environment->is_read_only);
    if (environment->is_broken) return trail_environment_broken(environment, fault);
    if (!reserve(environment, changes_count, values.size, fault)) return false;
    for (;;) {
        bool was_written = false;
        int status = apply(environment, changes, changes_count, values, &was_written);
        if (status == 0) return !uses_reserve || shrink(environment, fault);
        if (status == MDB_MAP_RESIZED) {
            if (!trail_environment_resize(environment, 0, fault)) return false;
        } else if (status == MDB_MAP_FULL) {
            if (!grow(environment, uses_reserve, fault)) return false;
        } else {
            trail_environment_fault(environment, status, "commit", fault);
            // Its room was there. Whatever the reason is, the sync may have failed, and a second
            // one would say nothing of the pages that the first has lost.
            if (was_written) fault->kind = FAULT_IO;
            return false;
        }
    }
}
