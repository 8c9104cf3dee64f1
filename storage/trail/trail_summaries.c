#include "storage/trail/trail_summaries.h"

#include <inttypes.h>

#include "base/clock.h"
#include "storage/trail/trail_codec.h"

enum { DAY_S = 86400 };

// Finds a block by its number alone; looks at all keys.
static bool find_block(struct trail_environment *environment, MDB_txn *transaction, uint64_t number,
                       bool *found, int64_t *day, struct span *bytes, struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(environment, transaction, TRAIL_DATABASE_BLOCK, 0, &walk, fault))
        return false;
    bool good = true;
    *found = false;
    for (bool more = true; good && more && !*found;) {
        struct span key;
        good = trail_walk_next(&walk, &more, &key, bytes, fault);
        if (!good || !more) break;
        *found = trail_catalog_key_number(trail_walk_number(key)) == number;
        *day = trail_catalog_key_day(trail_walk_number(key));
    }
    trail_walk_end(&walk);
    return good;
}

// What is known of a block whose summary is damaged.
static struct block_summary rebuild(struct span bytes, int64_t day) {
    struct block block;
    struct fault ignored;
    if (block_open(bytes, false, &block, &ignored) && block_check_index(&block, &ignored) &&
        time_day(block.summary.time_min_s) == day) {
        return block.summary;
    }
    return (struct block_summary){
        .sequence_last = UINT64_MAX,
        .time_min_s = day * DAY_S,
        .time_max_s = (day + 1) * DAY_S - 1,
        .size = bytes.size,
    };
}

static bool is_retained(const struct trail_summaries *wanted, const struct block_summary *summary) {
    return wanted->retained_from_s == 0 || summary->time_min_s >= wanted->retained_from_s;
}

// Finds out about a block whose summary is damaged.
static bool read_block(struct trail_environment *environment, MDB_txn *transaction, uint64_t number,
                       bool *found, struct block_summary *summary, struct fault *fault) {
    int64_t day = 0;
    struct span bytes;
    if (!find_block(environment, transaction, number, found, &day, &bytes, fault)) return false;
    if (*found) *summary = rebuild(bytes, day);
    return true;
}

bool trail_summaries_load(struct trail_environment *environment, MDB_txn *transaction,
                          const struct trail_summaries *wanted, struct trail_catalog *catalog,
                          struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(environment, transaction, TRAIL_DATABASE_SUMMARY,
                                wanted->number_first, &walk, fault)) {
        return false;
    }
    bool good = true;
    for (bool found = true; good && found;) {
        struct span key;
        struct span value;
        struct block_summary summary;
        struct fault damage;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found) break;
        uint64_t number = trail_walk_number(key);
        bool is_there = true;
        if (!trail_codec_take_summary(value, &summary, &damage)) {
            fault_add(&damage, "trail: block %" PRIu64, number);
            if (wanted->on_damage != NULL) wanted->on_damage(wanted->user, &damage);
            good = read_block(environment, transaction, number, &is_there, &summary, fault);
        }
        if (good && is_there && is_retained(wanted, &summary))
            good = trail_catalog_add(catalog, number, &summary, fault);
    }
    trail_walk_end(&walk);
    return good;
}
