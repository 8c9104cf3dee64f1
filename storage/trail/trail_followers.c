#include "storage/trail/trail_followers.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "storage/trail/trail_internal.h"

const struct trail_follower *trail_followers(const struct trail *trail, uint32_t *count) {
    *count = trail->followers.kept_count;
    return trail->followers.kept;
}

// The place of a name in the staged list, or where it belongs.
static uint32_t search(const struct trail_followers *followers, const char *name) {
    uint32_t place = 0;
    while (place < followers->staged_count && strcmp(followers->staged[place].name, name) < 0)
        place++;
    return place;
}

static bool is_there(const struct trail_followers *followers, uint32_t place, const char *name) {
    return place < followers->staged_count && strcmp(followers->staged[place].name, name) == 0;
}

bool trail_followers_open(struct trail *trail, struct fault *fault) {
    struct trail_followers *followers = &trail->followers;
    struct trail_walk walk;
    if (!trail_environment_walk(trail->environment, trail->reading, TRAIL_DATABASE_META, 0, &walk,
                                fault)) {
        return false;
    }
    bool good = true;
    bool found = true;
    while (good && found && followers->staged_count < TRAIL_FOLLOWERS_MAX) {
        struct span key;
        struct span value;
        struct trail_follower follower;
        struct fault reason;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found) break;
        if (!trail_codec_is_follower(key)) continue;
        if (trail_codec_take_follower(key, value, &follower, &reason)) {
            // In order of key, which is that of the names.
            followers->staged[followers->staged_count++] = follower;
        } else {
            // It begins anew, and repeats what it did.
            good = trail_pass_over(trail, &reason, fault);
        }
    }
    trail_walk_end(&walk);
    trail_followers_end(trail, true);
    return good;
}

static bool check_name(const char *name, struct fault *fault) {
    size_t size = strlen(name);
    bool is_good = size > 0 && size < TRAIL_FOLLOWER_NAME_SIZE;
    for (size_t at = 0; is_good && at < size; at++) {
        char letter = name[at];
        is_good = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                  (letter >= '0' && letter <= '9') || letter == '-';
    }
    return is_good || fault_set(fault, FAULT_INPUT,
                                "trail: \"%.64s\" is no follower's name: 1 to %d letters, digits "
                                "or '-'",
                                name, TRAIL_FOLLOWER_NAME_SIZE - 1);
}

bool trail_follower_move(struct trail *trail, const char *name, uint64_t from, uint64_t to,
                         struct fault *fault) {
    assert(trail->is_committing);
    struct trail_followers *followers = &trail->followers;
    uint32_t place = search(followers, name);
    bool is_known = is_there(followers, place, name);
    uint64_t stands = is_known ? followers->staged[place].sequence : 0;
    if (!check_name(name, fault)) return false;
    if (from != stands) {
        return fault_set(fault, FAULT_RETRY,
                         "trail: follower %s stands at event %" PRIu64 ", not at %" PRIu64
                         ": somebody else moves it",
                         name, stands, from);
    }
    if (to < from || to > trail->head.sequence_last) {
        return fault_set(fault, FAULT_INPUT,
                         "trail: follower %s cannot move from event %" PRIu64 " to %" PRIu64
                         ": the last one is %" PRIu64,
                         name, from, to, trail->head.sequence_last);
    }
    if (!is_known && followers->staged_count == TRAIL_FOLLOWERS_MAX) {
        return fault_set(fault, FAULT_FULL, "trail: there are %d followers, which is the limit",
                         TRAIL_FOLLOWERS_MAX);
    }
    if (!is_known) {
        memmove(&followers->staged[place + 1], &followers->staged[place],
                (followers->staged_count - place) * sizeof followers->staged[0]);
        followers->staged[place] = (struct trail_follower){0};
        memcpy(followers->staged[place].name, name, strlen(name));
        followers->staged_count++;
    }
    followers->staged[place].sequence = to;
    followers->staged[place].moved_ms = trail->options.clock->now_ms(trail->options.clock->context);
    followers->is_changed = true;
    return true;
}

bool trail_follower_drop(struct trail *trail, const char *name, struct fault *fault) {
    assert(trail->is_committing);
    struct trail_followers *followers = &trail->followers;
    uint32_t place = search(followers, name);
    if (!is_there(followers, place, name))
        return fault_set(fault, FAULT_INPUT, "trail: there is no follower \"%.64s\"", name);
    followers->staged_count--;
    memmove(&followers->staged[place], &followers->staged[place + 1],
            (followers->staged_count - place) * sizeof followers->staged[0]);
    followers->is_changed = true;
    return true;
}

// Writes those that the commit leaves, and deletes those it does not.
bool trail_followers_write(struct trail *trail, struct fault *fault) {
    const struct trail_followers *followers = &trail->followers;
    if (!followers->is_changed) return true;
    uint8_t key[TRAIL_FOLLOWER_KEY_SIZE];
    for (uint32_t index = 0; index < followers->kept_count; index++) {
        const char *name = followers->kept[index].name;
        if (is_there(followers, search(followers, name), name)) continue;
        struct span span = trail_codec_follower_key(name, key);
        if (!trail_add_delete(trail, TRAIL_DATABASE_META, span, fault)) return false;
    }
    for (uint32_t index = 0; index < followers->staged_count; index++) {
        const struct trail_follower *follower = &followers->staged[index];
        size_t offset = trail->values.size;
        trail_codec_append_follower(&trail->values, follower);
        struct span span = trail_codec_follower_key(follower->name, key);
        if (!trail_add_change(trail, TRAIL_DATABASE_META, span, offset, false, fault)) return false;
    }
    return true;
}

void trail_followers_end(struct trail *trail, bool committed) {
    struct trail_followers *followers = &trail->followers;
    if (committed) {
        memcpy(followers->kept, followers->staged, sizeof followers->kept);
        followers->kept_count = followers->staged_count;
    } else {
        memcpy(followers->staged, followers->kept, sizeof followers->staged);
        followers->staged_count = followers->kept_count;
    }
    followers->is_changed = false;
}
