#include "storage/trail/trail_dictionaries.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/zstd.h"

struct entry {
    struct dictionary *dictionary;  // NULL: free
    uint32_t chunk_next;
    atomic_ulong snapshot;  // it is up to date with this one
    atomic_ulong used;
};

// What the readers of an environment share. Who reads holds the gate with others; who adds to an
// index or frees anything holds it alone.
struct shelf {
    const struct trail_environment *environment;
    bool is_shared;
    uint32_t users;
    pthread_rwlock_t gate;
    struct entry entries[TRAIL_DICTIONARIES_MAX];
    atomic_ulong uses;
    atomic_size_t size_max;
    struct shelf *next;
};

struct trail_dictionaries {
    struct trail_environment *environment;
    struct shelf *shelf;
    struct zstd *zstd;
    struct dictionary *view;
    MDB_txn *transaction;  // of the last get
    bool is_held;          // the gate, by the last get
};

// All shelves of this process that are shared, under the lock.
static pthread_mutex_t shelves_lock = PTHREAD_MUTEX_INITIALIZER;
static struct shelf *shelves;

static struct shelf *make_shelf(const struct trail_environment *environment, bool is_shared) {
    pthread_rwlockattr_t attributes;
    struct shelf *shelf = calloc(1, sizeof *shelf);
    if (shelf == NULL) return NULL;
    shelf->environment = environment;
    shelf->is_shared = is_shared;
    shelf->size_max = TRAIL_DICTIONARIES_SIZE_MAX;
    // Readers come one after another: without preference nothing might ever be added.
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&shelf->gate, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    return shelf;
}

static struct shelf *open_shelf(const struct trail_environment *environment, bool is_shared) {
    pthread_mutex_lock(&shelves_lock);
    struct shelf *shelf = is_shared ? shelves : NULL;
    while (shelf != NULL && shelf->environment != environment) shelf = shelf->next;
    if (shelf == NULL) {
        shelf = make_shelf(environment, is_shared);
        if (shelf != NULL && is_shared) {
            shelf->next = shelves;
            shelves = shelf;
        }
    }
    if (shelf != NULL) shelf->users++;
    pthread_mutex_unlock(&shelves_lock);
    return shelf;
}

static void close_shelf(struct shelf *shelf) {
    if (shelf == NULL) return;
    pthread_mutex_lock(&shelves_lock);
    bool is_last = --shelf->users == 0;
    if (is_last && shelf->is_shared) {
        struct shelf **place = &shelves;
        while (*place != shelf) place = &(*place)->next;
        *place = shelf->next;
    }
    pthread_mutex_unlock(&shelves_lock);
    if (!is_last) return;
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++)
        dictionary_destroy(shelf->entries[index].dictionary);
    pthread_rwlock_destroy(&shelf->gate);
    free(shelf);
}

// A dictionary's way to its chunks.
static bool get_chunk(void *user, uint32_t epoch, uint32_t number, struct span *bytes,
                      struct fault *fault) {
    struct trail_dictionaries *dictionaries = user;
    bool found = false;
    if (!trail_environment_get_number(
            dictionaries->environment, dictionaries->transaction, TRAIL_DATABASE_DICTIONARY,
            trail_dictionaries_key(epoch, number), &found, bytes, fault)) {
        return false;
    }
    return found || fault_set(fault, FAULT_CORRUPT, "trail: it is missing");
}

struct trail_dictionaries *trail_dictionaries_create(struct trail_environment *environment,
                                                     bool is_shared) {
    struct trail_dictionaries *dictionaries = calloc(1, sizeof *dictionaries);
    if (dictionaries == NULL) return NULL;
    dictionaries->environment = environment;
    dictionaries->shelf = open_shelf(environment, is_shared);
    dictionaries->zstd = zstd_create();
    const struct dictionary_source source = {get_chunk, dictionaries, dictionaries->zstd};
    dictionaries->view = dictionary_create_view(&source);
    if (dictionaries->shelf != NULL && dictionaries->zstd != NULL && dictionaries->view != NULL)
        return dictionaries;
    trail_dictionaries_destroy(dictionaries);
    return NULL;
}

void trail_dictionaries_destroy(struct trail_dictionaries *dictionaries) {
    if (dictionaries == NULL) return;
    assert(!dictionaries->is_held);
    dictionary_destroy(dictionaries->view);
    close_shelf(dictionaries->shelf);
    zstd_destroy(dictionaries->zstd);
    free(dictionaries);
}

uint64_t trail_dictionaries_key(uint32_t epoch, uint32_t chunk) {
    return (uint64_t)epoch << 32 | chunk;
}

static size_t measure(const struct shelf *shelf) {
    size_t size = 0;
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++) {
        const struct dictionary *dictionary = shelf->entries[index].dictionary;
        if (dictionary != NULL) size += dictionary_memory(dictionary);
    }
    return size;
}

size_t trail_dictionaries_memory(const struct trail_dictionaries *dictionaries) {
    struct shelf *shelf = dictionaries->shelf;
    pthread_rwlock_rdlock(&shelf->gate);
    size_t size = measure(shelf);
    pthread_rwlock_unlock(&shelf->gate);
    return size;
}

void trail_dictionaries_limit(struct trail_dictionaries *dictionaries, size_t size_max) {
    dictionaries->shelf->size_max = size_max;
}

// A walk over the chunks of an epoch. on_chunk gives false at one that it cannot use.
static bool walk_chunks(struct trail_environment *environment, MDB_txn *transaction, uint32_t epoch,
                        uint32_t first,
                        bool (*on_chunk)(void *user, uint32_t number, struct span bytes,
                                         struct fault *fault),
                        void *user, struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(environment, transaction, TRAIL_DATABASE_DICTIONARY,
                                trail_dictionaries_key(epoch, first), &walk, fault)) {
        return false;
    }
    bool good = true;
    for (;;) {
        bool found = false;
        struct span key;
        struct span value;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found || trail_walk_number(key) >> 32 != epoch) break;
        good = on_chunk(user, (uint32_t)trail_walk_number(key), value, fault);
        if (!good) break;
    }
    trail_walk_end(&walk);
    return good;
}

struct loading {
    struct dictionary *dictionary;
    uint32_t *next;
};

static bool load_chunk(void *user, uint32_t number, struct span bytes, struct fault *fault) {
    const struct loading *loading = user;
    uint32_t epoch = dictionary_epoch(loading->dictionary);
    if (number != *loading->next) {
        return fault_set(fault, FAULT_CORRUPT,
                         "trail: chunk %" PRIu32 " of dictionary %" PRIu32 " is missing",
                         *loading->next, epoch);
    }
    if (!dictionary_load(loading->dictionary, bytes, fault))
        return fault_add(fault, "trail: chunk %" PRIu32 " of dictionary %" PRIu32, number, epoch);
    (*loading->next)++;
    return true;
}

bool trail_dictionaries_load(struct trail_environment *environment, MDB_txn *transaction,
                             struct dictionary *dictionary, uint32_t *next, struct fault *fault) {
    struct loading loading = {dictionary, next};
    return walk_chunks(environment, transaction, dictionary_epoch(dictionary), *next, load_chunk,
                       &loading, fault);
}

// A damaged chunk is passed over: a block that refers to it is the one to say so.
static bool index_chunk(void *user, uint32_t number, struct span bytes, struct fault *fault) {
    struct entry *entry = user;
    struct fault reason;
    entry->chunk_next = number + 1;
    if (dictionary_index(entry->dictionary, number, bytes, &reason)) return true;
    return reason.kind == FAULT_CORRUPT || fault_set(fault, reason.kind, "%s", reason.text);
}

// The entry of an epoch, or the one to use for it: free, or unused for longest.
static struct entry *choose(struct shelf *shelf, uint32_t epoch) {
    struct entry *oldest = &shelf->entries[0];
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++) {
        struct entry *entry = &shelf->entries[index];
        if (entry->dictionary != NULL && dictionary_epoch(entry->dictionary) == epoch) return entry;
        if (oldest->dictionary == NULL) continue;
        if (entry->dictionary == NULL || entry->used < oldest->used) oldest = entry;
    }
    return oldest;
}

static void forget(struct entry *entry) {
    dictionary_destroy(entry->dictionary);
    entry->dictionary = NULL;
    entry->chunk_next = 0;
    entry->snapshot = 0;
    entry->used = 0;
}

static void release_pages(struct shelf *shelf) {
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++) {
        struct dictionary *dictionary = shelf->entries[index].dictionary;
        if (dictionary != NULL) dictionary_release(dictionary);
    }
}

// The entry that was not used for longest, of those used after a time and but for the one used
// last; NULL if there is none.
static struct entry *find_oldest(struct shelf *shelf, uint64_t after) {
    struct entry *oldest = NULL;
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++) {
        struct entry *entry = &shelf->entries[index];
        if (entry->dictionary == NULL || entry->used == shelf->uses) continue;
        if (entry->used <= after) continue;
        if (oldest == NULL || entry->used < oldest->used) oldest = entry;
    }
    return oldest;
}

static bool has_room(const struct shelf *shelf) {
    return measure(shelf) <= shelf->size_max / 8 * 7;
}

// Frees the pages that were not used since room was made last. If that is not enough, all pages of
// the dictionaries that were not used for longest go, and then these: a dictionary's index and head
// cost as much to get back as hundreds of pages.
static void make_room(struct shelf *shelf) {
    if (measure(shelf) <= shelf->size_max) return;
    release_pages(shelf);
    struct entry *oldest = find_oldest(shelf, 0);
    for (; oldest != NULL && !has_room(shelf); oldest = find_oldest(shelf, oldest->used))
        dictionary_release(oldest->dictionary);
    while (!has_room(shelf) && (oldest = find_oldest(shelf, 0)) != NULL) forget(oldest);
    if (measure(shelf) > shelf->size_max) release_pages(shelf);
}

static bool stop_walk(void *user, uint32_t number, struct span bytes, struct fault *fault) {
    bool *has_more = user;
    (void)number;
    (void)bytes;
    *has_more = true;
    return fault_set(fault, FAULT_RETRY, "there are more");
}

// Whether the snapshot may have chunks that the entry's index has not. One that is up to date with
// a later snapshot has them all: chunks are only added.
static bool is_behind(struct trail_dictionaries *dictionaries, struct entry *entry,
                      uint64_t snapshot) {
    struct fault ignored;
    bool has_more = false;
    if (entry->snapshot >= snapshot) return false;
    bool is_walked = walk_chunks(dictionaries->environment, dictionaries->transaction,
                                 dictionary_epoch(entry->dictionary), entry->chunk_next, stop_walk,
                                 &has_more, &ignored);
    // Another thread may have come with a later one: then this is asked once more.
    if (is_walked) entry->snapshot = snapshot;
    return !is_walked;
}

// The entry of an epoch if it can be read as it is, or NULL. The gate is held with others.
static struct entry *find_ready(struct trail_dictionaries *dictionaries, uint32_t epoch,
                                uint64_t snapshot) {
    struct entry *entry = choose(dictionaries->shelf, epoch);
    if (entry->dictionary == NULL || dictionary_epoch(entry->dictionary) != epoch) return NULL;
    return is_behind(dictionaries, entry, snapshot) ? NULL : entry;
}

// Brings the entry of an epoch up to a snapshot. The gate is held alone.
static bool make_ready(struct trail_dictionaries *dictionaries, uint32_t epoch, uint64_t snapshot,
                       struct fault *fault) {
    struct shelf *shelf = dictionaries->shelf;
    struct entry *entry = choose(shelf, epoch);
    if (entry->dictionary != NULL && dictionary_epoch(entry->dictionary) != epoch) forget(entry);
    if (entry->dictionary == NULL) {
        entry->dictionary = dictionary_create_reader(epoch, NULL);
        if (entry->dictionary == NULL)
            return fault_set(fault, FAULT_FULL, "trail: out of memory for a dictionary");
    }
    entry->used = ++shelf->uses;
    if (entry->snapshot >= snapshot) return true;
    if (!walk_chunks(dictionaries->environment, dictionaries->transaction, epoch, entry->chunk_next,
                     index_chunk, entry, fault)) {
        // What was indexed in part is not kept: the next attempt begins anew.
        forget(entry);
        return false;
    }
    entry->snapshot = snapshot;
    return true;
}

bool trail_dictionaries_get(struct trail_dictionaries *dictionaries, MDB_txn *transaction,
                            uint32_t epoch, const struct dictionary **dictionary,
                            struct fault *fault) {
    struct shelf *shelf = dictionaries->shelf;
    struct entry *entry = NULL;
    uint64_t snapshot = mdb_txn_id(transaction);
    assert(!dictionaries->is_held);
    dictionaries->transaction = transaction;
    pthread_rwlock_rdlock(&shelf->gate);
    bool is_full = measure(shelf) > shelf->size_max;
    while (is_full || (entry = find_ready(dictionaries, epoch, snapshot)) == NULL) {
        pthread_rwlock_unlock(&shelf->gate);
        pthread_rwlock_wrlock(&shelf->gate);
        make_room(shelf);
        bool is_made = make_ready(dictionaries, epoch, snapshot, fault);
        pthread_rwlock_unlock(&shelf->gate);
        if (!is_made) return false;
        is_full = false;
        // Between the two another thread may have used it for its own.
        pthread_rwlock_rdlock(&shelf->gate);
    }
    entry->used = ++shelf->uses;
    dictionaries->is_held = true;
    dictionary_view(dictionaries->view, entry->dictionary);
    *dictionary = dictionaries->view;
    return true;
}

void trail_dictionaries_put(struct trail_dictionaries *dictionaries) {
    assert(dictionaries->is_held);
    dictionaries->is_held = false;
    pthread_rwlock_unlock(&dictionaries->shelf->gate);
}
