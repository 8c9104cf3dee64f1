#include "verify/walk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "verify/walk_internal.h"

enum {
    ARENA_SIZE = 1024 * 1024 * 1024,        // names of a region's digests
    DIGEST_ARENA_SIZE = 64 * 1024 * 1024,   // log files of one digest
    RESULT_ARENA_SIZE = 256 * 1024 * 1024,  // findings of a region
    DETAIL_SIZE = 1024,
};

struct walk *walk_create(const struct walk_options *options) {
    struct walk *walk = calloc(1, sizeof *walk);
    if (walk == NULL) return NULL;
    walk->options = options;
    walk->objects = object_reader_create(options->delivered);
    walk->json = json_reader_create();
    walk->arena = arena_create(ARENA_SIZE);
    walk->digest_arena = arena_create(DIGEST_ARENA_SIZE);
    walk->names = names_create();
    buffer_init(&walk->claim, DIGEST_TEXT_SIZE_MAX);
    if (walk->objects != NULL && walk->json != NULL && walk->arena != NULL &&
        walk->digest_arena != NULL && walk->names != NULL) {
        return walk;
    }
    walk_destroy(walk);
    return NULL;
}

void walk_destroy(struct walk *walk) {
    if (walk == NULL) return;
    object_reader_destroy(walk->objects);
    json_reader_destroy(walk->json);
    arena_destroy(walk->arena);
    arena_destroy(walk->digest_arena);
    names_destroy(walk->names);
    buffer_done(&walk->claim);
    free(walk->entries);
    free(walk->holes.list);
    free(walk->covers.list);
    free(walk);
}

void walk_result_destroy(struct walk_result *result) {
    if (result == NULL) return;
    findings_done(&result->findings);
    arena_destroy(result->arena);
    free(result->chains);
    free(result);
}

static struct walk_result *create_result(void) {
    struct walk_result *result = calloc(1, sizeof *result);
    if (result == NULL) return NULL;
    result->arena = arena_create(RESULT_ARENA_SIZE);
    result->findings.arena = result->arena;
    if (result->arena != NULL) return result;
    free(result);
    return NULL;
}

void walk_report(struct walk *walk, const struct finding *finding, const char *format, ...) {
    char detail[DETAIL_SIZE];
    struct finding full = *finding;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    full.account = walk->region->account;
    full.region = walk->region->region;
    full.detail = detail;
    findings_add(&walk->result->findings, &full);
}

void walk_add_time(struct walk_times *times, int64_t from_s, int64_t to_s) {
    if (times->count == times->capacity) {
        uint32_t capacity = times->capacity == 0 ? 16 : 2 * times->capacity;
        struct walk_time *list = reallocarray(times->list, capacity, sizeof *list);
        if (list == NULL) return;
        times->list = list;
        times->capacity = capacity;
    }
    times->list[times->count++] = (struct walk_time){from_s, to_s};
}

// ---- the digests there are

struct listing {
    struct walk *walk;
    const struct region_place *place;
    struct fault *fault;
    bool is_good;
};

static bool add_entry(struct walk *walk, const struct walk_entry *entry, struct fault *fault) {
    if (walk->entries_count == walk->entries_capacity) {
        uint32_t capacity = walk->entries_capacity == 0 ? 256 : 2 * walk->entries_capacity;
        struct walk_entry *entries = reallocarray(walk->entries, capacity, sizeof *entries);
        if (entries == NULL) return fault_set(fault, FAULT_FULL, "no memory for digests' names");
        walk->entries = entries;
        walk->entries_capacity = capacity;
    }
    walk->entries[walk->entries_count++] = *entry;
    return true;
}

static bool on_digest(void *user, struct span key) {
    struct listing *listing = user;
    struct walk *walk = listing->walk;
    struct walk_entry entry = {.place = listing->place};
    if (key.bytes[key.size - 1] == '/') return true;  // S3's marker of a folder
    if (!arena_copy(walk->arena, key, &entry.key)) {
        listing->is_good = fault_set(listing->fault, FAULT_FULL, "no memory for digests' names");
        return false;
    }
    size_t at = key.size;
    while (at > 0 && key.bytes[at - 1] != '/') at--;
    bool is_digest = digest_parse_name(span_from(entry.key, at), &entry.name) &&
                     span_equal(entry.name.account, walk->region->account) &&
                     span_equal(entry.name.region, walk->region->region);
    if (!is_digest) {
        const struct finding finding = {
            .kind = FINDING_UNNAMED, .bucket = listing->place->bucket, .object = entry.key};
        walk_report(walk, &finding, "its name is no digest's of this account and region");
        return true;
    }
    if (entry.name.end_s <= walk->options->from_s) return true;
    listing->is_good = add_entry(walk, &entry, listing->fault);
    return listing->is_good;
}

static bool list_place(struct walk *walk, const struct region_place *place, struct fault *fault) {
    struct listing listing = {walk, place, fault, true};
    char day[TIME_TEXT_SIZE];
    time_print(walk->options->from_s, day);
    const char *prefix = arena_print(walk->arena, "%.*sCloudTrail-Digest/%.*s/",
                                     SPAN_PRINT(place->folder), SPAN_PRINT(place->region));
    const char *after = arena_print(walk->arena, "%s%.4s/%.2s/%.2s", prefix == NULL ? "" : prefix,
                                    day, day + 5, day + 8);
    if (prefix == NULL || after == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    return delivered_list(walk->options->delivered, place->bucket, span_text(prefix),
                          span_text(walk->options->from_s == 0 ? "" : after), on_digest, &listing,
                          fault) &&
           listing.is_good;
}

static int compare_trails(const struct walk_entry *left, const struct walk_entry *right) {
    int order = span_compare(left->name.trail, right->name.trail);
    return order != 0 ? order : span_compare(left->name.home_region, right->name.home_region);
}

// A trail's backfill digests come first: they cover times that its others do not.
static int compare_chains(const struct walk_entry *left, const struct walk_entry *right) {
    int order = compare_trails(left, right);
    return order != 0 ? order : (int)right->name.is_backfill - (int)left->name.is_backfill;
}

static int compare_entries(const void *left, const void *right) {
    const struct walk_entry *one = left, *other = right;
    int order = compare_chains(one, other);
    if (order == 0)
        order = (one->name.end_s > other->name.end_s) - (one->name.end_s < other->name.end_s);
    if (order == 0) order = span_compare(one->place->bucket, other->place->bucket);
    return order != 0 ? order : span_compare(one->key, other->key);
}

// ---- what is known from elsewhere

static const struct walk_chain *find_chain(const struct walk_result *result,
                                           const struct known_end *end) {
    for (uint32_t index = 0; index < result->chains_count; index++) {
        const struct walk_chain *chain = &result->chains[index];
        if (span_equal(chain->trail, end->trail) && chain->is_backfill == end->is_backfill &&
            span_equal(chain->home_region, end->home_region)) {
            return chain;
        }
    }
    return NULL;
}

// Tells of ends that are known and were not met.
static void check_known(struct walk *walk) {
    for (uint32_t index = 0; index < walk->known_count; index++) {
        const struct known_end *end = &walk->known[index];
        const char *trail = walk->options->trail;
        bool is_wanted = trail == NULL || span_is(end->trail, trail);
        if (walk->known_seen[index] || !is_wanted || end->end_s <= walk->options->from_s) continue;
        const struct walk_chain *chain = find_chain(walk->result, end);
        struct finding finding = {
            .trail = end->trail,
            .bucket = end->bucket,
            .object = end->object,
            .to_s = end->end_s,
        };
        char time[TIME_TEXT_SIZE];
        time_print(end->end_s, time);
        if (chain == NULL) {
            finding.kind = FINDING_CHAIN_GONE;
            walk_report(walk, &finding, "%s knows digests until %s; none is here", end->source,
                        time);
        } else if (chain->to_s < end->end_s) {
            char here[TIME_TEXT_SIZE];
            time_print(chain->to_s, here);
            finding.kind = FINDING_ROLLED_BACK;
            finding.from_s = chain->to_s;
            walk_report(walk, &finding, "%s knows digests until %s; here they end at %s",
                        end->source, time, here);
            walk_add_time(&walk->holes, chain->to_s, end->end_s);
        } else {
            finding.kind = FINDING_DIGESTS_MISSING;
            walk_report(walk, &finding, "%s knows this digest; it is not here", end->source);
        }
    }
}

// ---- a region

static bool verify(struct walk *walk, struct fault *fault) {
    const struct region *region = walk->region;
    for (uint32_t index = 0; index < region->places_count; index++) {
        if (!list_place(walk, &region->places[index], fault)) return false;
    }
    if (walk->entries_count > 0)
        qsort(walk->entries, walk->entries_count, sizeof *walk->entries, compare_entries);
    walk->known_count =
        known_find(walk->options->known, region->account, region->region, &walk->known);
    walk->known_seen = arena_allocate_array(walk->arena, walk->known_count + 1, sizeof(bool));
    if (walk->known_seen == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    uint32_t from = 0;
    for (uint32_t to = 1; to <= walk->entries_count; to++) {
        bool is_end = to == walk->entries_count ||
                      compare_chains(&walk->entries[from], &walk->entries[to]) != 0;
        if (!is_end) continue;
        bool is_new =
            from == 0 || compare_trails(&walk->entries[from - 1], &walk->entries[from]) != 0;
        if (is_new) walk->covers.count = 0;
        chain_verify(walk, walk->entries + from, to - from);
        from = to;
    }
    check_known(walk);
    return stray_find(walk, fault);
}

struct walk_result *walk_region(struct walk *walk, const struct region *region) {
    struct walk_result *result = create_result();
    if (result == NULL) return NULL;
    arena_reset(walk->arena);
    names_reset(walk->names);
    walk->region = region;
    walk->result = result;
    walk->entries_count = walk->holes.count = walk->covers.count = 0;
    walk->newest_s = 0;
    if (!verify(walk, &result->fault)) {
        fault_add(&result->fault, "account %.*s, region %.*s", SPAN_PRINT(region->account),
                  SPAN_PRINT(region->region));
    }
    return result;
}
