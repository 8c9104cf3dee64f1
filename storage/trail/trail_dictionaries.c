#include "storage/trail/trail_dictionaries.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/zstd.h"

struct entry {
    struct dictionary *dictionary;  // NULL: free
    uint32_t chunk_next;
    uint64_t snapshot_number;  // it is up to date with this one
    uint64_t used;
};

struct trail_dictionaries {
    struct trail_environment *environment;
    struct zstd *zstd;
    MDB_txn *transaction;  // of the last get
    struct entry entries[TRAIL_DICTIONARIES_MAX];
    uint64_t uses;
};

struct trail_dictionaries *trail_dictionaries_create(struct trail_environment *environment) {
    struct trail_dictionaries *dictionaries = calloc(1, sizeof *dictionaries);
    if (dictionaries == NULL) return NULL;
    dictionaries->environment = environment;
    dictionaries->zstd = zstd_create();
    if (dictionaries->zstd != NULL) return dictionaries;
    free(dictionaries);
    return NULL;
}

void trail_dictionaries_destroy(struct trail_dictionaries *dictionaries) {
    if (dictionaries == NULL) return;
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++)
        dictionary_destroy(dictionaries->entries[index].dictionary);
    zstd_destroy(dictionaries->zstd);
    free(dictionaries);
}

uint64_t trail_dictionaries_key(uint32_t epoch, uint32_t chunk) {
    return (uint64_t)epoch << 32 | chunk;
}

size_t trail_dictionaries_memory(const struct trail_dictionaries *dictionaries) {
    size_t size = 0;
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++) {
        const struct dictionary *dictionary = dictionaries->entries[index].dictionary;
        if (dictionary != NULL) size += dictionary_memory(dictionary);
    }
    return size;
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

// The entry of an epoch, or the one to use for it: free, or unused for longest.
static struct entry *choose(struct trail_dictionaries *dictionaries, uint32_t epoch) {
    struct entry *oldest = &dictionaries->entries[0];
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++) {
        struct entry *entry = &dictionaries->entries[index];
        if (entry->dictionary != NULL && dictionary_epoch(entry->dictionary) == epoch) return entry;
        if (oldest->dictionary == NULL) continue;
        if (entry->dictionary == NULL || entry->used < oldest->used) oldest = entry;
    }
    return oldest;
}

static void forget(struct entry *entry) {
    dictionary_destroy(entry->dictionary);
    *entry = (struct entry){0};
}

static void release_pages(struct trail_dictionaries *dictionaries) {
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++) {
        struct dictionary *dictionary = dictionaries->entries[index].dictionary;
        if (dictionary != NULL) dictionary_release(dictionary);
    }
}

// The entry that was not used for longest, of those used after a time and but for the one used
// last; NULL if there is none.
static struct entry *find_oldest(struct trail_dictionaries *dictionaries, uint64_t after) {
    struct entry *oldest = NULL;
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++) {
        struct entry *entry = &dictionaries->entries[index];
        if (entry->dictionary == NULL || entry->used == dictionaries->uses) continue;
        if (entry->used <= after) continue;
        if (oldest == NULL || entry->used < oldest->used) oldest = entry;
    }
    return oldest;
}

static bool has_room(const struct trail_dictionaries *dictionaries) {
    return trail_dictionaries_memory(dictionaries) <= TRAIL_DICTIONARIES_SIZE_MAX / 8 * 7;
}

// Frees the pages that were not used since room was made last. If that is not enough, all pages of
// the dictionaries that were not used for longest go, and then these: a dictionary's index and head
// cost as much to get back as hundreds of pages.
static void make_room(struct trail_dictionaries *dictionaries) {
    if (trail_dictionaries_memory(dictionaries) <= TRAIL_DICTIONARIES_SIZE_MAX) return;
    release_pages(dictionaries);
    struct entry *oldest = find_oldest(dictionaries, 0);
    for (; oldest != NULL && !has_room(dictionaries);
         oldest = find_oldest(dictionaries, oldest->used)) {
        dictionary_release(oldest->dictionary);
    }
    while (!has_room(dictionaries) && (oldest = find_oldest(dictionaries, 0)) != NULL)
        forget(oldest);
    if (trail_dictionaries_memory(dictionaries) > TRAIL_DICTIONARIES_SIZE_MAX)
        release_pages(dictionaries);
}

bool trail_dictionaries_get(struct trail_dictionaries *dictionaries, MDB_txn *transaction,
                            uint64_t snapshot_number, uint32_t epoch,
                            const struct dictionary **dictionary, struct fault *fault) {
    make_room(dictionaries);
    dictionaries->transaction = transaction;
    struct entry *entry = choose(dictionaries, epoch);
    if (entry->dictionary != NULL && dictionary_epoch(entry->dictionary) != epoch) forget(entry);
    if (entry->dictionary == NULL) {
        const struct dictionary_source source = {get_chunk, dictionaries, dictionaries->zstd};
        entry->dictionary = dictionary_create_reader(epoch, &source);
        if (entry->dictionary == NULL)
            return fault_set(fault, FAULT_FULL, "trail: out of memory for a dictionary");
    }
    entry->used = ++dictionaries->uses;
    if (entry->snapshot_number != snapshot_number) {
        if (!walk_chunks(dictionaries->environment, transaction, epoch, entry->chunk_next,
                         index_chunk, entry, fault)) {
            // What was indexed in part is not kept: the next attempt begins anew.
            forget(entry);
            return false;
        }
        entry->snapshot_number = snapshot_number;
    }
    *dictionary = entry->dictionary;
    return true;
}
