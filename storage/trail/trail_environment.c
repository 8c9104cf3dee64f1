#include "storage/trail/trail_environment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/denied.h"
#include "storage/trail/trail_environment_internal.h"

enum {
    FILE_MODE = 0640,
    LOCK_MODE = 0660,  // readers of the group register in the lock file
    ADVICE_SIZE = 256,
};

static const uint64_t map_size_default = (uint64_t)1 << 40;
static const uint64_t map_size_min = 256 * 1024;  // room for the databases themselves

// All environments of this process, under the lock.
static pthread_mutex_t environments_lock = PTHREAD_MUTEX_INITIALIZER;
static struct trail_environment *environments;

static const struct {
    const char *name;
    unsigned flags;
} databases[TRAIL_DATABASES] = {
    [TRAIL_DATABASE_META] = {"meta", 0},
    [TRAIL_DATABASE_BLOCK] = {"block", MDB_INTEGERKEY},
    [TRAIL_DATABASE_SUMMARY] = {"summary", MDB_INTEGERKEY},
    [TRAIL_DATABASE_GROUP] = {"group", MDB_INTEGERKEY},
    [TRAIL_DATABASE_DICTIONARY] = {"dictionary", MDB_INTEGERKEY},
    [TRAIL_DATABASE_TAIL] = {"tail", MDB_INTEGERKEY},
    [TRAIL_DATABASE_AGENT] = {"agent", MDB_INTEGERKEY},
    [TRAIL_DATABASE_STREAM] = {"stream", 0},
    [TRAIL_DATABASE_QUARANTINE] = {"quarantine", 0},
    [TRAIL_DATABASE_GAP] = {"gap", 0},
    [TRAIL_DATABASE_DOCUMENT] = {"document", 0},
};

static enum fault_kind kind_of_status(int status) {
    switch (status) {
        case MDB_MAP_FULL:
        case ENOSPC:
        case EDQUOT:
        case EFBIG:
        case ENOMEM:
            return FAULT_FULL;
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
        case MDB_INVALID:
        case MDB_VERSION_MISMATCH:
        case MDB_INCOMPATIBLE:
            return FAULT_CORRUPT;
        case EACCES:
        case EPERM:
        case EROFS:
            return FAULT_DENIED;
        case MDB_READERS_FULL:
            return FAULT_RETRY;
        default:
            return FAULT_IO;
    }
}

bool trail_environment_fault(struct trail_environment *environment, int status, const char *what,
                             struct fault *fault) {
    enum fault_kind kind = kind_of_status(status);
    char advice[ADVICE_SIZE] = "";
    if (status == EACCES) denied_describe(environment->directory, advice, sizeof advice);
    if (status == MDB_READERS_FULL)
        snprintf(advice, sizeof advice, " (512 readers at a time: end some)");
    return fault_set(fault, kind, "trail in %s: %s: %s%s", environment->directory, what,
                     mdb_strerror(status), advice);
}

static void free_environment(struct trail_environment *environment) {
    if (environment->lmdb != NULL) mdb_env_close(environment->lmdb);
    pthread_rwlock_destroy(&environment->gate);
    free(environment);
}

// LMDB makes its lock file a hole and writes to it through a map: with a full disk that would kill
// the process. So its room is taken first. Where that cannot be tried LMDB has the say.
static int reserve_lock(const struct trail_environment_options *options) {
    enum { LOCK_SIZE = TRAIL_READERS_MAX * 64 + 4096 };  // a line of cache for each reader, or more
    char data[TRAIL_PATH_SIZE + 16];
    char path[TRAIL_PATH_SIZE + 16];
    snprintf(data, sizeof data, "%s/data.mdb", options->directory);
    snprintf(path, sizeof path, "%s/lock.mdb", options->directory);
    // Who reads makes no files where there is no store.
    if (options->read_only && access(data, F_OK) != 0) return 0;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (file < 0) return 0;
    int status = fallocate(file, FALLOC_FL_KEEP_SIZE, 0, LOCK_SIZE) == 0 ? 0 : errno;
    // LMDB's locks are the process's: this closes none of them, since nothing is open here yet.
    close(file);
    return status == ENOSPC || status == EDQUOT ? status : 0;
}

// Opens the file. Where 1 TiB of addresses is too much (valgrind says EINVAL): less, which grows.
static int open_file(struct trail_environment *environment,
                     const struct trail_environment_options *options) {
    uint64_t size = options->map_size != 0 ? options->map_size : map_size_default;
    uint64_t limit = trail_environment_limit(options->size_max, false);
    if (limit != 0 && size > limit) size = limit;
    if (size < map_size_min) size = map_size_min;
    unsigned flags = MDB_NOTLS;
    if (options->read_only) flags |= MDB_RDONLY;
    if (options->no_sync) flags |= MDB_NOSYNC | MDB_NOMETASYNC;

    for (;;) {
        int status = mdb_env_create(&environment->lmdb);
        if (status != 0) return status;
        mdb_env_set_maxdbs(environment->lmdb, TRAIL_DATABASES);
        mdb_env_set_maxreaders(environment->lmdb, TRAIL_READERS_MAX);
        // A reader takes the size that the writer left in the file.
        if (!options->read_only || size < map_size_default)
            mdb_env_set_mapsize(environment->lmdb, size / TRAIL_PAGE_SIZE * TRAIL_PAGE_SIZE);
        status = mdb_env_open(environment->lmdb, options->directory, flags, FILE_MODE);
        if ((status != ENOMEM && status != EINVAL) || size <= map_size_min * 1024) return status;
        mdb_env_close(environment->lmdb);
        environment->lmdb = NULL;
        size /= 16;
    }
}

static int open_databases(struct trail_environment *environment) {
    MDB_txn *transaction = NULL;
    unsigned flags = environment->is_read_only ? MDB_RDONLY : 0;
    int status = mdb_txn_begin(environment->lmdb, NULL, flags, &transaction);
    if (status != 0) return status;
    for (uint32_t index = 0; index < TRAIL_DATABASES; index++) {
        unsigned create = environment->is_read_only ? 0 : MDB_CREATE;
        status = mdb_dbi_open(transaction, databases[index].name, databases[index].flags | create,
                              &environment->databases[index]);
        if (index == TRAIL_DATABASE_DOCUMENT) {
            environment->has_documents = status == 0;
            if (status == MDB_NOTFOUND) status = 0;
        }
        if (status != 0) {
            mdb_txn_abort(transaction);
            return status;
        }
    }
    return mdb_txn_commit(transaction);
}

// What must be true of an environment of ours before databases are made in it: it is empty, or it
// has a database "meta".
static int check_ours(struct trail_environment *environment) {
    MDB_txn *transaction = NULL;
    int status = mdb_txn_begin(environment->lmdb, NULL, MDB_RDONLY, &transaction);
    if (status != 0) return status;
    MDB_stat facts;
    mdb_stat(transaction, 1, &facts);
    MDB_dbi meta = 0;
    status = facts.ms_entries == 0 ? 0 : mdb_dbi_open(transaction, "meta", 0, &meta);
    mdb_txn_abort(transaction);
    return status == MDB_NOTFOUND ? MDB_INVALID : status;
}

// The umask may have taken bits away from what LMDB made.
static void set_modes(const char *directory) {
    char path[TRAIL_PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    (void)!chmod(path, FILE_MODE);
    snprintf(path, sizeof path, "%s/lock.mdb", directory);
    (void)!chmod(path, LOCK_MODE);
}

static bool set_foreign(const char *directory, struct fault *fault) {
    return fault_set(fault, FAULT_CORRUPT,
                     "trail in %s: data.mdb is not a store of orgtrail: is this the right folder? "
                     "If it is, restore a backup",
                     directory);
}

// Whether the file has the pages that LMDB's meta page counts: behind its end a read through the
// map kills the process.
static bool check_whole(struct trail_environment *environment, struct fault *fault) {
    mdb_filehandle_t file;
    struct stat facts;
    // First what is wanted: a commit of this moment makes both larger.
    uint64_t wanted = trail_environment_size(environment);
    mdb_env_get_fd(environment->lmdb, &file);
    if (fstat(file, &facts) != 0) {
        return fault_set_errno(fault, FAULT_IO, errno, "trail in %s: size of data.mdb",
                               environment->directory);
    }
    uint64_t size = (uint64_t)facts.st_size;
    if (size >= wanted) return true;
    return fault_set(fault, FAULT_CORRUPT,
                     "trail in %s: data.mdb is shorter than it says it is (%" PRIu64 " of %" PRIu64
                     " bytes): it was cut: restore a backup",
                     environment->directory, size, wanted);
}

// Writes LMDB's two meta pages again as they are, and waits for the disk. The last process may have
// ended because the sync of one of them failed: then the system's memory holds a commit that the
// disk has not, and agents would be told that it is durable. What a meta page names was synced
// before it was written.
static bool renew_meta(struct trail_environment *environment, struct fault *fault) {
    uint8_t pages[2 * TRAIL_PAGE_SIZE];
    mdb_filehandle_t file;
    mdb_env_get_fd(environment->lmdb, &file);
    bool is_good = pread(file, pages, sizeof pages, 0) == (ssize_t)sizeof pages &&
                   pwrite(file, pages, sizeof pages, 0) == (ssize_t)sizeof pages &&
                   fdatasync(file) == 0;
    return is_good || fault_set_errno(fault, FAULT_IO, errno, "trail in %s: sync data.mdb",
                                      environment->directory);
}

static bool is_foreign(int status) {
    return status == MDB_INVALID || status == MDB_VERSION_MISMATCH;
}

// LMDB makes a new environment of an empty file; ours has been cut to nothing.
static bool is_empty(const char *directory) {
    char path[TRAIL_PATH_SIZE + 16];
    struct stat facts;
    snprintf(path, sizeof path, "%s/data.mdb", directory);
    return stat(path, &facts) == 0 && facts.st_size == 0;
}

static bool set_empty(const char *directory, struct fault *fault) {
    return fault_set(fault, FAULT_CORRUPT,
                     "trail in %s: data.mdb is empty: it was cut: restore a backup. If nothing was "
                     "ever stored here, remove data.mdb and start again",
                     directory);
}

static bool open_new(const struct trail_environment_options *options,
                     struct trail_environment *environment, struct fault *fault) {
    if (is_empty(options->directory)) return set_empty(options->directory, fault);
    int status = reserve_lock(options);
    if (status != 0) {
        return fault_set_errno(fault, FAULT_FULL, status,
                               "trail in %s: no room for lock.mdb: make room on the disk",
                               options->directory);
    }
    status = open_file(environment, options);
    if (options->read_only && (status == ENOENT || status == ENOTDIR)) {
        return fault_set(fault, FAULT_INPUT,
                         "trail in %s: there is none (no data.mdb): the collector makes it when it "
                         "first starts; is this the right folder?",
                         options->directory);
    }
    if (is_foreign(status)) return set_foreign(options->directory, fault);
    if (status != 0) return trail_environment_fault(environment, status, "open", fault);
    if (!check_whole(environment, fault)) return false;
    status = check_ours(environment);
    if (is_foreign(status)) return set_foreign(options->directory, fault);
    if (status != 0) return trail_environment_fault(environment, status, "open", fault);
    if (!options->read_only) set_modes(options->directory);
    bool is_durable = options->read_only || options->no_sync;
    if (!is_durable && !renew_meta(environment, fault)) return false;
    status = open_databases(environment);
    if (status == MDB_NOTFOUND) {
        return fault_set(fault, FAULT_INPUT,
                         "trail in %s: it is empty: no collector has opened it yet",
                         options->directory);
    }
    if (status != 0) return trail_environment_fault(environment, status, "open databases", fault);
    int dead = 0;
    mdb_reader_check(environment->lmdb, &dead);
    return true;
}

static struct trail_environment *find_open(dev_t device, ino_t inode) {
    pid_t process = getpid();
    for (struct trail_environment *each = environments; each != NULL; each = each->next) {
        if (each->device == device && each->inode == inode && each->process == process) return each;
    }
    return NULL;
}

// Readers come one after another: without preference growing the map could wait for ever.
static void init_gate(pthread_rwlock_t *gate) {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(gate, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

static bool open_locked(const struct trail_environment_options *options,
                        struct trail_environment **result, struct fault *fault) {
    struct stat facts;
    if (stat(options->directory, &facts) != 0) {
        if (errno != EACCES)
            return fault_set_errno(fault, FAULT_INPUT, errno, "trail in %s", options->directory);
        char advice[ADVICE_SIZE];
        denied_describe(options->directory, advice, sizeof advice);
        return fault_set(fault, FAULT_DENIED, "trail in %s: Permission denied%s",
                         options->directory, advice);
    }
    struct trail_environment *open = find_open(facts.st_dev, facts.st_ino);
    if (open != NULL) {
        if (open->is_read_only && !options->read_only) {
            return fault_set(fault, FAULT_RETRY,
                             "trail in %s: this process reads it: close its readers before writing",
                             options->directory);
        }
        open->users++;
        *result = open;
        return true;
    }
    struct trail_environment *environment = calloc(1, sizeof *environment);
    if (environment == NULL) return fault_set(fault, FAULT_FULL, "trail: out of memory");
    init_gate(&environment->gate);
    snprintf(environment->directory, sizeof environment->directory, "%s", options->directory);
    environment->device = facts.st_dev;
    environment->inode = facts.st_ino;
    environment->process = getpid();
    environment->is_read_only = options->read_only;
    environment->no_sync = options->no_sync;
    environment->size_max = options->size_max;
    environment->users = 1;
    if (!open_new(options, environment, fault)) {
        free_environment(environment);
        return false;
    }
    environment->next = environments;
    environments = environment;
    *result = environment;
    return true;
}

bool trail_environment_open(const struct trail_environment_options *options,
                            struct trail_environment **environment, struct fault *fault) {
    pthread_mutex_lock(&environments_lock);
    bool opened = open_locked(options, environment, fault);
    pthread_mutex_unlock(&environments_lock);
    return opened;
}

void trail_environment_close(struct trail_environment *environment) {
    if (environment == NULL) return;
    pthread_mutex_lock(&environments_lock);
    assert(environment->users > 0);
    environment->users--;
    if (environment->users == 0) {
        struct trail_environment **place = &environments;
        while (*place != environment) place = &(*place)->next;
        *place = environment->next;
        free_environment(environment);
    }
    pthread_mutex_unlock(&environments_lock);
}

bool trail_environment_broken(const struct trail_environment *environment, struct fault *fault) {
    return fault_set(fault, FAULT_IO,
                     "trail in %s: its map could not be changed: start the process again",
                     environment->directory);
}

bool trail_environment_resize(struct trail_environment *environment, uint64_t size,
                              struct fault *fault) {
    pthread_rwlock_wrlock(&environment->gate);
    int status = environment->is_broken ? ENOMEM : mdb_env_set_mapsize(environment->lmdb, size);
    if (status != 0) environment->is_broken = true;
    pthread_rwlock_unlock(&environment->gate);
    if (status == 0) return true;
    trail_environment_fault(environment, status, "change the size of its map", fault);
    fault->kind = FAULT_IO;
    return false;
}

bool trail_environment_begin(struct trail_environment *environment, MDB_txn **transaction,
                             struct fault *fault) {
    for (;;) {
        pthread_rwlock_rdlock(&environment->gate);
        if (environment->is_broken) {
            pthread_rwlock_unlock(&environment->gate);
            return trail_environment_broken(environment, fault);
        }
        int status = *transaction == NULL
                         ? mdb_txn_begin(environment->lmdb, NULL, MDB_RDONLY, transaction)
                         : mdb_txn_renew(*transaction);
        if (status == 0) {
            if (check_whole(environment, fault)) return true;
            trail_environment_end(environment, *transaction);
            trail_environment_free(*transaction);
            *transaction = NULL;
            return false;
        }
        pthread_rwlock_unlock(&environment->gate);
        if (status != MDB_MAP_RESIZED)
            return trail_environment_fault(environment, status, "begin to read", fault);
        if (!trail_environment_resize(environment, 0, fault)) return false;
    }
}

void trail_environment_end(struct trail_environment *environment, MDB_txn *transaction) {
    mdb_txn_reset(transaction);
    pthread_rwlock_unlock(&environment->gate);
}

void trail_environment_free(MDB_txn *transaction) {
    if (transaction != NULL) mdb_txn_abort(transaction);
}

bool trail_environment_get(struct trail_environment *environment, MDB_txn *transaction,
                           enum trail_database database, struct span key, bool *found,
                           struct span *value, struct fault *fault) {
    MDB_val wanted = {key.size, (void *)(uintptr_t)key.bytes};
    MDB_val got;
    if (database == TRAIL_DATABASE_DOCUMENT && !environment->has_documents) {
        *found = false;
        return true;
    }
    int status = mdb_get(transaction, environment->databases[database], &wanted, &got);
    if (status != 0 && status != MDB_NOTFOUND)
        return trail_environment_fault(environment, status, databases[database].name, fault);
    *found = status == 0;
    if (status == 0) *value = span_of(got.mv_data, got.mv_size);
    return true;
}

bool trail_environment_get_number(struct trail_environment *environment, MDB_txn *transaction,
                                  enum trail_database database, uint64_t number, bool *found,
                                  struct span *value, struct fault *fault) {
    assert((databases[database].flags & MDB_INTEGERKEY) != 0);
    return trail_environment_get(environment, transaction, database,
                                 span_of(&number, sizeof number), found, value, fault);
}

static bool open_walk(struct trail_environment *environment, MDB_txn *transaction,
                      enum trail_database database, struct trail_walk *walk, struct fault *fault) {
    *walk = (struct trail_walk){.next = MDB_FIRST};
    if (database == TRAIL_DATABASE_DOCUMENT && !environment->has_documents) return true;
    int status = mdb_cursor_open(transaction, environment->databases[database], &walk->cursor);
    return status == 0 ||
           trail_environment_fault(environment, status, databases[database].name, fault);
}

// Lets the walk begin at the first key that is not before this one, or (is_behind) is after it.
static bool seek(struct trail_environment *environment, enum trail_database database,
                 struct span from, bool is_behind, struct trail_walk *walk, struct fault *fault) {
    MDB_val key = {from.size, (void *)(uintptr_t)from.bytes};
    MDB_val value;
    int status = mdb_cursor_get(walk->cursor, &key, &value, MDB_SET_RANGE);
    bool is_passed =
        status == 0 && is_behind && span_equal(span_of(key.mv_data, key.mv_size), from);
    // MDB_GET_CURRENT gives the pair found, once; at the end it is MDB_NEXT that finds nothing.
    walk->next = status == 0 && !is_passed ? MDB_GET_CURRENT : MDB_NEXT;
    if (status == MDB_NOTFOUND) {
        mdb_cursor_get(walk->cursor, &key, &value, MDB_LAST);
    } else if (status != 0) {
        mdb_cursor_close(walk->cursor);
        return trail_environment_fault(environment, status, databases[database].name, fault);
    }
    return true;
}

bool trail_environment_walk(struct trail_environment *environment, MDB_txn *transaction,
                            enum trail_database database, uint64_t from, struct trail_walk *walk,
                            struct fault *fault) {
    if (!open_walk(environment, transaction, database, walk, fault)) return false;
    return from == 0 || walk->cursor == NULL ||
           seek(environment, database, span_of(&from, sizeof from), false, walk, fault);
}

bool trail_environment_walk_after(struct trail_environment *environment, MDB_txn *transaction,
                                  enum trail_database database, struct span key, bool is_behind,
                                  struct trail_walk *walk, struct fault *fault) {
    if (!open_walk(environment, transaction, database, walk, fault)) return false;
    return key.size == 0 || walk->cursor == NULL ||
           seek(environment, database, key, is_behind, walk, fault);
}

bool trail_walk_next(struct trail_walk *walk, bool *found, struct span *key, struct span *value,
                     struct fault *fault) {
    MDB_val at;
    MDB_val got;
    if (walk->cursor == NULL) {
        *found = false;
        return true;
    }
    int status = mdb_cursor_get(walk->cursor, &at, &got, walk->next);
    walk->next = MDB_NEXT;
    if (status != 0 && status != MDB_NOTFOUND)
        return fault_set(fault, kind_of_status(status), "trail: walk: %s", mdb_strerror(status));
    *found = status == 0;
    if (status == 0) {
        *key = span_of(at.mv_data, at.mv_size);
        *value = span_of(got.mv_data, got.mv_size);
    }
    return true;
}

void trail_walk_end(struct trail_walk *walk) {
    if (walk->cursor != NULL) mdb_cursor_close(walk->cursor);
}

uint64_t trail_walk_number(struct span key) {
    uint64_t number = 0;
    assert(key.size == sizeof number);
    memcpy(&number, key.bytes, sizeof number);
    return number;
}

bool trail_environment_copy(struct trail_environment *environment, int file, struct fault *fault) {
    for (;;) {
        int status = mdb_env_copyfd2(environment->lmdb, file, MDB_CP_COMPACT);
        if (status == 0) return true;
        if (status != MDB_MAP_RESIZED) {
            // LMDB says so when pages are neither in use nor free.
            if (status == MDB_INCOMPATIBLE) status = MDB_CORRUPTED;
            return trail_environment_fault(environment, status, "copy", fault);
        }
        if (!trail_environment_resize(environment, 0, fault)) return false;
        if (ftruncate(file, 0) != 0 || lseek(file, 0, SEEK_SET) != 0)
            return fault_set_errno(fault, FAULT_IO, errno, "trail: begin the copy anew");
    }
}

const char *trail_environment_directory(const struct trail_environment *environment) {
    return environment->directory;
}

uint64_t trail_environment_size(struct trail_environment *environment) {
    MDB_envinfo facts;
    mdb_env_info(environment->lmdb, &facts);
    return ((uint64_t)facts.me_last_pgno + 1) * TRAIL_PAGE_SIZE;
}

uint64_t trail_environment_count(struct trail_environment *environment, MDB_txn *transaction,
                                 enum trail_database database) {
    MDB_stat facts;
    if (mdb_stat(transaction, environment->databases[database], &facts) != 0) return 0;
    return facts.ms_entries;
}

void trail_environment_trim(struct trail_environment *environment) {
    mdb_filehandle_t file;
    if (environment->reserved == 0 || mdb_env_get_fd(environment->lmdb, &file) != 0) return;
    // What fails costs that room, nothing else.
    (void)!ftruncate(file, (off_t)trail_environment_size(environment));
    environment->reserved = 0;
}

void trail_environment_clear_readers(struct trail_environment *environment) {
    int dead = 0;
    mdb_reader_check(environment->lmdb, &dead);
}

// What LMDB's list of readers is parsed into.
struct readings {
    struct trail_reading *list;
    uint32_t count;
    uint32_t max;
    uint64_t newest;
};

// A line is "PID THREAD SNAPSHOT", with "-" in place of the snapshot where none is open.
static int on_reader(const char *text, void *context) {
    struct readings *readings = context;
    struct trail_reading reading;
    if (sscanf(text, "%" SCNd64 " %" SCNx64 " %" SCNu64, &reading.process, &reading.thread,
               &reading.snapshot) != 3) {
        return 0;
    }
    if (readings->count == readings->max) return 0;
    reading.behind = readings->newest > reading.snapshot ? readings->newest - reading.snapshot : 0;
    readings->list[readings->count++] = reading;
    return 0;
}

uint32_t trail_environment_readings(struct trail_environment *environment,
                                    struct trail_reading *list, uint32_t list_max) {
    MDB_envinfo facts;
    mdb_env_info(environment->lmdb, &facts);
    struct readings readings = {.list = list, .max = list_max, .newest = facts.me_last_txnid};
    mdb_reader_list(environment->lmdb, on_reader, &readings);
    return readings.count;
}
