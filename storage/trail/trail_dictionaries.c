#include "storage/trail/trail_dictionaries.h"

#include <inttypes.h>
#include <stdlib.h>

struct entry {
    struct dictionary *dictionary;  // NULL: free
    uint32_t chunk_next;
    uint64_t snapshot_number;  // it is up to date with this one
    uint64_t used;
};

struct trail_dictionaries {
    struct trail_environment *environment;
    struct entry entries[TRAIL_DICTIONARIES_MAX];
    uint64_t uses;
};

struct trail_dictionaries *trail_dictionaries_create(struct trail_environment *environment) {
    struct trail_dictionaries *dictionaries = calloc(1, sizeof *dictionaries);
    if (dictionaries != NULL) dictionaries->environment = environment;
    return dictionaries;
}

void trail_dictionaries_destroy(struct trail_dictionaries *dictionaries) {
    if (dictionaries == NULL) return;
    for (uint32_t index = 0; index < TRAIL_DICTIONARIES_MAX; index++)
        dictionary_destroy(dictionaries->entries[index].dictionary);
    free(dictionaries);
}

uint64_t trail_dictionaries_key(uint32_t epoch, uint32_t chunk) {
    return (uint64_t)epoch << 32 | chunk;
}

bool trail_dictionaries_load(struct trail_environment *environment, MDB_txn *transaction,
                             struct dictionary *dictionary, uint32_t *next, struct fault *fault) {
    uint32_t epoch = dictionary_epoch(dictionary);
    struct trail_walk walk;
    if (!trail_environment_walk(environment, transaction, TRAIL_DATABASE_DICTIONARY,
                                trail_dictionaries_key(epoch, *next), &walk, fault)) {
        return false;
    }
    bool good = true;
    for (;;) {
        bool found = false;
        struct span key;
        struct span value;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found) break;
        uint64_t number = trail_walk_number(key);
        if (number >> 32 != epoch) break;
        if (number != trail_dictionaries_key(epoch, *next)) {
            good = fault_set(fault, FAULT_CORRUPT,
                             "trail: chunk %" PRIu32 " of dictionary %" PRIu32 " is missing", *next,
                             epoch);
            break;
        }
        good = dictionary_load(dictionary, value, fault);
        if (!good) {
            fault_add(fault, "trail: chunk %" PRIu32 " of dictionary %" PRIu32, *next, epoch);
            break;
        }
        (*next)++;
    }
    trail_walk_end(&walk);
    return good;
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

bool trail_dictionaries_get(struct trail_dictionaries *dictionaries, MDB_txn *transaction,
                            uint64_t snapshot_number, uint32_t epoch,
                            const struct dictionary **dictionary, struct fault *fault) {
    struct entry *entry = choose(dictionaries, epoch);
    if (entry->dictionary != NULL && dictionary_epoch(entry->dictionary) != epoch) forget(entry);
    if (entry->dictionary == NULL) {
        entry->dictionary = dictionary_create(epoch);
        if (entry->dictionary == NULL)
            return fault_set(fault, FAULT_FULL, "trail: out of memory for a dictionary");
    }
    entry->used = ++dictionaries->uses;
    if (entry->snapshot_number != snapshot_number) {
        struct fault reason;
        if (!trail_dictionaries_load(dictionaries->environment, transaction, entry->dictionary,
                                     &entry->chunk_next, &reason) &&
            reason.kind != FAULT_CORRUPT) {
            // What was loaded in part is not kept: the next attempt begins anew.
            forget(entry);
            return fault_set(fault, reason.kind, "%s", reason.text);
        }
        // Before a damaged chunk all is there; a block that refers to more is the one to say so.
        entry->snapshot_number = snapshot_number;
    }
    *dictionary = entry->dictionary;
    return true;
}
