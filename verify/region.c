#include "verify/region.h"

#include <stdlib.h>
#include <string.h>

struct names {
    struct span *list;
    uint32_t count;
    uint32_t capacity;
    struct arena *arena;
    bool is_full;
};

struct finder {
    const struct delivered *delivered;
    const char *account;
    const char *region;
    struct arena *arena;
    struct region_place *places;
    uint32_t count;
    uint32_t capacity;
    struct fault *fault;
};

static bool add_name(void *user, struct span name) {
    struct names *names = user;
    if (names->count == names->capacity) {
        uint32_t capacity = names->capacity == 0 ? 16 : 2 * names->capacity;
        struct span *list = reallocarray(names->list, capacity, sizeof *list);
        names->is_full = list == NULL;
        if (list == NULL) return false;
        names->list = list;
        names->capacity = capacity;
    }
    names->is_full = !arena_copy(names->arena, name, &names->list[names->count]);
    if (!names->is_full) names->count++;
    return !names->is_full;
}

// The folders below a prefix; the caller frees the list.
static bool find_folders(struct finder *finder, struct span bucket, struct span prefix,
                         struct names *names) {
    *names = (struct names){.arena = finder->arena};
    if (!delivered_folders(finder->delivered, bucket, prefix, add_name, names, finder->fault) ||
        names->is_full) {
        free(names->list);
        names->list = NULL;
        return names->is_full ? fault_set(finder->fault, FAULT_FULL, "no memory for folders")
                              : false;
    }
    return true;
}

static bool join(struct finder *finder, struct span prefix, struct span name, struct span *joined) {
    const char *text =
        arena_print(finder->arena, "%.*s%.*s/", SPAN_PRINT(prefix), SPAN_PRINT(name));
    if (text == NULL) return fault_set(finder->fault, FAULT_FULL, "no memory for folders");
    *joined = span_text(text);
    return true;
}

static bool add_place(struct finder *finder, const struct region_place *place) {
    if (finder->region != NULL && !span_is(place->region, finder->region)) return true;
    if (finder->count == REGION_PLACES_MAX)
        return fault_set(finder->fault, FAULT_INPUT,
                         "more than %d folders of accounts and regions: verify some of them at a "
                         "time, with --account or --region",
                         REGION_PLACES_MAX);
    if (finder->count == finder->capacity) {
        uint32_t capacity = finder->capacity == 0 ? 64 : 2 * finder->capacity;
        struct region_place *places = reallocarray(finder->places, capacity, sizeof *places);
        if (places == NULL) return fault_set(finder->fault, FAULT_FULL, "no memory for folders");
        finder->places = places;
        finder->capacity = capacity;
    }
    finder->places[finder->count++] = *place;
    return true;
}

static bool is_kind(struct span name) {
    return span_starts(name, SPAN_LITERAL("CloudTrail"));
}

// One kind of files of an account: a folder a region.
static bool search_kind(struct finder *finder, struct span bucket, struct span account,
                        struct span folder, struct span kind) {
    struct names regions;
    struct span prefix;
    if (!join(finder, folder, kind, &prefix) || !find_folders(finder, bucket, prefix, &regions))
        return false;
    bool is_good = true;
    for (uint32_t index = 0; is_good && index < regions.count; index++) {
        is_good =
            add_place(finder, &(struct region_place){account, regions.list[index], bucket, folder});
    }
    free(regions.list);
    return is_good;
}

// A folder below AWSLogs: an account's, or an organization's of accounts.
static bool search_account(struct finder *finder, struct span bucket, struct span folder,
                           struct span name, bool is_organization) {
    struct names names;
    struct span below;
    if (!join(finder, folder, name, &below) || !find_folders(finder, bucket, below, &names))
        return false;
    bool is_wanted = finder->account == NULL || span_is(name, finder->account);
    bool is_good = true;
    for (uint32_t index = 0; is_good && index < names.count; index++) {
        struct span inner = names.list[index];
        if (is_kind(inner)) {
            is_good = !is_wanted || search_kind(finder, bucket, name, below, inner);
        } else if (!is_organization && span_starts(name, SPAN_LITERAL("o-"))) {
            is_good = search_account(finder, bucket, below, inner, true);
        }
    }
    free(names.list);
    return is_good;
}

// Looks for AWSLogs below a prefix.
static bool search_bucket(struct finder *finder, struct span bucket, struct span prefix,
                          uint32_t depth) {
    struct names names;
    if (!find_folders(finder, bucket, prefix, &names)) return false;
    bool is_good = true;
    for (uint32_t index = 0; is_good && index < names.count; index++) {
        struct span below;
        struct names accounts = {0};
        is_good = join(finder, prefix, names.list[index], &below);
        if (!is_good) break;
        if (!span_is(names.list[index], "AWSLogs")) {
            is_good = depth == REGION_DEPTH_MAX || search_bucket(finder, bucket, below, depth + 1);
            continue;
        }
        is_good = find_folders(finder, bucket, below, &accounts);
        for (uint32_t at = 0; is_good && at < accounts.count; at++)
            is_good = search_account(finder, bucket, below, accounts.list[at], false);
        free(accounts.list);
    }
    free(names.list);
    return is_good;
}

// ---- grouping

static int compare_regions(const struct region_place *left, const struct region_place *right) {
    int order = span_compare(left->account, right->account);
    return order != 0 ? order : span_compare(left->region, right->region);
}

static int compare_places(const void *left, const void *right) {
    const struct region_place *one = left, *other = right;
    int order = compare_regions(one, other);
    if (order == 0) order = span_compare(one->bucket, other->bucket);
    return order != 0 ? order : span_compare(one->folder, other->folder);
}

// Sorts the places, drops those that stand there twice (one of each kind of files), groups them.
static bool group(struct finder *finder, struct regions *regions) {
    uint32_t kept = 0;
    if (finder->count > 0)
        qsort(finder->places, finder->count, sizeof *finder->places, compare_places);
    for (uint32_t index = 0; index < finder->count; index++) {
        bool is_repeated =
            kept > 0 && compare_places(&finder->places[kept - 1], &finder->places[index]) == 0;
        if (!is_repeated) finder->places[kept++] = finder->places[index];
    }
    struct regions made = {.places = finder->places};
    made.list = calloc(kept + 1, sizeof *made.list);
    if (made.list == NULL) return fault_set(finder->fault, FAULT_FULL, "no memory for folders");
    for (uint32_t index = 0; index < kept; index++) {
        const struct region_place *place = &finder->places[index];
        bool is_new = index == 0 || compare_regions(place - 1, place) != 0;
        if (is_new)
            made.list[made.count++] = (struct region){place->account, place->region, place, 0};
        made.list[made.count - 1].places_count++;
    }
    *regions = made;
    return true;
}

bool regions_find(const struct delivered *delivered, const char *account, const char *region,
                  struct arena *arena, struct regions *regions, struct fault *fault) {
    struct finder finder = {
        .delivered = delivered,
        .account = account,
        .region = region,
        .arena = arena,
        .fault = fault,
    };
    struct names buckets = {.arena = arena};
    bool is_good = delivered_buckets(delivered, add_name, &buckets, fault);
    if (is_good && buckets.is_full) is_good = fault_set(fault, FAULT_FULL, "no memory for folders");
    for (uint32_t index = 0; is_good && index < buckets.count; index++)
        is_good = search_bucket(&finder, buckets.list[index], (struct span){NULL, 0}, 0);
    free(buckets.list);
    if (is_good && group(&finder, regions)) return true;
    free(finder.places);
    return false;
}

const struct region *regions_get(const struct regions *regions, struct span account,
                                 struct span region) {
    const struct region_place wanted = {.account = account, .region = region};
    uint32_t from = 0, to = regions->count;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        int order = compare_regions(&regions->list[middle].places[0], &wanted);
        if (order == 0) return &regions->list[middle];
        if (order < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return NULL;
}

void regions_done(struct regions *regions) {
    free(regions->list);
    free(regions->places);
    *regions = (struct regions){0};
}
