// stray.c: files beside those that digests name.

#include <string.h>

#include "base/clock.h"
#include "verify/walk_internal.h"

enum { DAY_S = 86400 };

struct search {
    struct walk *walk;
    const struct region_place *place;
    uint64_t unproven;
    uint64_t undigested;
    struct finding first;  // of either
    struct fault *fault;
    bool is_good;
};

// The moment in a log file's name: ACCOUNT_KIND_REGION_YYYYMMDDTHHMMZ_RANDOM.json.gz.
static bool parse_stamp(struct span key, int64_t *stamp_s) {
    size_t end = key.size;
    while (end > 0 && key.bytes[end - 1] != '_') end--;
    size_t at = end == 0 ? 0 : end - 1;
    while (at > 0 && key.bytes[at - 1] != '_') at--;
    return at > 0 && digest_parse_time(span_of(key.bytes + at, end - 1 - at), stamp_s);
}

static bool is_in_hole(const struct walk *walk, int64_t stamp_s) {
    for (uint32_t index = 0; index < walk->holes.count; index++) {
        const struct walk_time *hole = &walk->holes.list[index];
        if (stamp_s > hole->from_s - WALK_STAMP_SLACK_S && stamp_s <= hole->to_s) return true;
    }
    return false;
}

static bool on_log(void *user, struct span key) {
    struct search *search = user;
    struct walk *walk = search->walk;
    const struct walk_options *options = walk->options;
    struct finding finding = {
        .kind = FINDING_UNNAMED, .bucket = search->place->bucket, .object = key};
    int64_t stamp_s = 0;
    if (key.bytes[key.size - 1] == '/') return true;  // S3's marker of a folder
    if (names_have(walk->names, finding.bucket, key)) return true;
    bool has_stamp = parse_stamp(key, &stamp_s);
    finding.to_s = stamp_s;
    // Digests end behind what they name: one before the range may have named it.
    if (has_stamp && (stamp_s <= options->from_s || stamp_s > options->to_s)) return true;
    bool is_counted = true;
    bool has_digests = walk->entries_count > 0;
    int64_t overdue_s = options->now_s - 2 * WALK_INTERVAL_S;
    if (!has_digests && has_stamp && stamp_s > overdue_s && stamp_s <= options->now_s) {
        // A region's first log files: its first digest is not due.
        walk->result->counts.waiting++;
        is_counted = false;
    } else if (!has_digests) {
        search->undigested++;
    } else if (has_stamp && is_in_hole(walk, stamp_s)) {
        search->unproven++;
    } else if (has_stamp && stamp_s > walk->newest_s - WALK_STAMP_SLACK_S &&
               stamp_s <= options->now_s + WALK_STAMP_SLACK_S) {
        walk->result->counts.waiting++;
        is_counted = false;
    } else {
        walk_report(walk, &finding, "no digest of this account and region has its name");
        is_counted = false;
    }
    if (is_counted && search->unproven + search->undigested == 1) {
        search->first = finding;
        search->is_good = arena_copy(walk->arena, key, &search->first.object) ||
                          fault_set(search->fault, FAULT_FULL, "no memory for files' names");
    }
    return search->is_good;
}

static bool search_kind(struct search *search, struct span kind) {
    struct walk *walk = search->walk;
    const struct region_place *place = search->place;
    char day[TIME_TEXT_SIZE];
    int64_t from_s = walk->options->from_s;
    time_print(from_s > DAY_S ? from_s - DAY_S : 0, day);
    const char *prefix = arena_print(walk->arena, "%.*s%.*s/%.*s/", SPAN_PRINT(place->folder),
                                     SPAN_PRINT(kind), SPAN_PRINT(place->region));
    const char *after = prefix == NULL ? NULL
                                       : arena_print(walk->arena, "%s%.4s/%.2s/%.2s", prefix, day,
                                                     day + 5, day + 8);
    if (after == NULL) return fault_set(search->fault, FAULT_FULL, "no memory for files' names");
    return delivered_list(walk->options->delivered, place->bucket, span_text(prefix),
                          span_text(from_s == 0 ? "" : after), on_log, search, search->fault) &&
           search->is_good;
}

static bool on_kind(void *user, struct span name) {
    struct search *search = user;
    if (!span_starts(name, SPAN_LITERAL("CloudTrail")) || span_is(name, "CloudTrail-Digest"))
        return true;
    search->is_good = search_kind(search, name);
    return search->is_good;
}

bool stray_find(struct walk *walk, struct fault *fault) {
    struct search search = {.walk = walk, .fault = fault, .is_good = true};
    for (uint32_t index = 0; index < walk->region->places_count; index++) {
        search.place = &walk->region->places[index];
        if (!delivered_folders(walk->options->delivered, search.place->bucket, search.place->folder,
                               on_kind, &search, fault) ||
            !search.is_good) {
            return false;
        }
    }
    if (search.unproven + search.undigested == 0) return true;
    search.first.kind = search.undigested > 0 ? FINDING_NO_DIGESTS : FINDING_UNPROVEN;
    search.first.count = search.undigested > 0 ? search.undigested : search.unproven;
    walk_report(walk, &search.first, "this one is the first of %llu",
                (unsigned long long)search.first.count);
    return true;
}
