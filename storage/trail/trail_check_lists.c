// Verifies what a trail keeps beside its events: agents, streams, gaps and quarantine.

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "storage/trail/trail_reader_internal.h"

struct lists {
    struct trail_reader *reader;
    void (*on_fault)(void *user, const struct fault *found);
    void *user;
};

// One of them. `check` tells whether a pair is as it was written, or what is wrong with it.
struct list {
    enum trail_database database;
    bool (*check)(const struct lists *lists, struct span key, struct span value,
                  struct fault *found);
};

static bool check_agent(const struct lists *lists, struct span key, struct span value,
                        struct fault *found) {
    (void)lists;
    struct trail_agent agent;
    return trail_codec_take_agent(value, &agent, found) ||
           fault_add(found, "agent %" PRIu64, trail_walk_number(key));
}

static bool check_stream(const struct lists *lists, struct span key, struct span value,
                         struct fault *found) {
    (void)lists;
    struct trail_stream stream;
    return trail_codec_take_stream(key, value, &stream, found);
}

static bool check_gap(const struct lists *lists, struct span key, struct span value,
                      struct fault *found) {
    (void)lists;
    struct trail_gap gap;
    return trail_codec_take_gap(key, value, &gap, found);
}

// The other value of a quarantined record: its bytes for its entry, and the other way round.
static bool find_other(const struct lists *lists, struct span key, uint8_t which,
                       struct span *value, struct fault *found) {
    uint8_t other[TRAIL_QUARANTINE_KEY_SIZE];
    bool is_there = false;
    memcpy(other, key.bytes, sizeof other);
    other[sizeof other - 1] = which;
    if (!trail_environment_get(lists->reader->environment, lists->reader->reading,
                               TRAIL_DATABASE_QUARANTINE, span_of(other, sizeof other), &is_there,
                               value, found)) {
        return false;
    }
    return is_there || fault_set(found, FAULT_CORRUPT, "trail: a record in quarantine has no %s",
                                 which == TRAIL_QUARANTINE_BYTES ? "bytes" : "entry");
}

static bool check_quarantined(const struct lists *lists, struct span key, struct span value,
                              struct fault *found) {
    struct trail_quarantined entry;
    struct span other;
    if (key.size != TRAIL_QUARANTINE_KEY_SIZE)
        return fault_set(found, FAULT_CORRUPT, "trail: a key of \"quarantine\" is damaged");
    if (key.bytes[key.size - 1] == TRAIL_QUARANTINE_BYTES)
        return find_other(lists, key, TRAIL_QUARANTINE_ENTRY, &other, found);
    if (!trail_codec_take_quarantined(key, value, &entry, found) ||
        !find_other(lists, key, TRAIL_QUARANTINE_BYTES, &other, found)) {
        return false;
    }
    uint8_t hash[SHA256_SIZE];
    trail_codec_hash_refused(entry.agent, entry.reason, other, hash);
    return memcmp(hash, key.bytes, sizeof hash) == 0 ||
           fault_set(found, FAULT_CORRUPT,
                     "trail: a record in quarantine is not the one that was refused");
}

// Says which pair it is: the first bytes of its key.
static void add_key(struct span key, struct fault *found) {
    char text[2 * 20 + 1] = "";
    for (size_t at = 0; at < key.size && at < sizeof text / 2; at++)
        (void)snprintf(text + 2 * at, sizeof text - 2 * at, "%02x", key.bytes[at]);
    fault_add(found, "key %s", text);
}

// Where the way through a list has come to.
struct place {
    uint8_t key[TRAIL_KEY_SIZE_MAX];
    size_t size;  // 0: at the beginning
};

// Checks pairs behind *place, until the end or until the snapshot should be renewed.
static bool check_some(const struct lists *lists, const struct list *list, struct place *place,
                       bool *more, struct fault *fault) {
    struct trail_reader *reader = lists->reader;
    struct trail_walk walk;
    if (!trail_environment_walk_after(reader->environment, reader->reading, list->database,
                                      span_of(place->key, place->size), true, &walk, fault)) {
        return false;
    }
    bool good = true;
    do {
        struct span key;
        struct span value;
        struct fault found;
        good = trail_walk_next(&walk, more, &key, &value, fault);
        if (!good || !*more) break;
        assert(key.size <= sizeof place->key);
        memcpy(place->key, key.bytes, key.size);
        place->size = key.size;
        if (list->check(lists, key, value, &found)) continue;
        if (found.kind != FAULT_CORRUPT) {
            good = fault_set(fault, found.kind, "%s", found.text);
            break;
        }
        if (list->database != TRAIL_DATABASE_AGENT) add_key(key, &found);
        lists->on_fault(lists->user, &found);
    } while (!trail_reader_is_due(reader));
    trail_walk_end(&walk);
    return good;
}

bool trail_check_lists(struct trail_reader *reader,
                       void (*on_fault)(void *user, const struct fault *found), void *user,
                       struct fault *fault) {
    static const struct list all[] = {
        {TRAIL_DATABASE_AGENT, check_agent},
        {TRAIL_DATABASE_STREAM, check_stream},
        {TRAIL_DATABASE_GAP, check_gap},
        {TRAIL_DATABASE_QUARANTINE, check_quarantined},
    };
    const struct lists lists = {reader, on_fault, user};
    for (size_t index = 0; index < sizeof all / sizeof all[0]; index++) {
        struct place place = {.size = 0};
        for (bool more = true; more;) {
            if (!trail_reader_renew(reader, fault) ||
                !check_some(&lists, &all[index], &place, &more, fault)) {
                return false;
            }
        }
    }
    return true;
}
