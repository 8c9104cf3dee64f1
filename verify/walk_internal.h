// walk_internal.h: what the three files of a walk share.

#pragma once

#include "event/digest_read.h"
#include "verify/names.h"
#include "verify/walk.h"

enum {
    WALK_DURATIONS = 15,       // digests whose median is a chain's interval
    WALK_STAMP_SLACK_S = 600,  // a log file's name is older than its delivery by at most so much
    WALK_INTERVAL_S = 3600,    // unless a chain says otherwise
};

// A digest's name in a folder.
struct walk_entry {
    const struct region_place *place;
    struct span key;
    struct digest_name name;
};

// A time whose digests are missing, or one that a backfill digest covers.
struct walk_time {
    int64_t from_s;
    int64_t to_s;
};

struct walk_times {
    struct walk_time *list;
    uint32_t count;
    uint32_t capacity;
};

struct walk {
    const struct walk_options *options;
    struct object_reader *objects;
    struct json_reader *json;
    struct arena *digest_arena;  // of the digest that is read
    struct arena *arena;         // of the region
    struct buffer claim;
    struct names *names;
    const struct region *region;
    struct walk_result *result;
    struct walk_entry *entries;
    uint32_t entries_count;
    uint32_t entries_capacity;
    struct walk_times holes;   // of the region
    struct walk_times covers;  // by backfill digests of the present trail, in order of ends
    const struct known_end *known;
    uint32_t known_count;
    bool *known_seen;
    int64_t newest_s;  // the end of the newest digest of any chain
};

// Adds a finding of this region.
__attribute__((format(printf, 3, 4))) void walk_report(struct walk *walk,
                                                       const struct finding *finding,
                                                       const char *format, ...);

// Remembers a time; without memory it is forgotten, and more is reported than need be.
void walk_add_time(struct walk_times *times, int64_t from_s, int64_t to_s);

// Verifies the entries of one chain, in order.
void chain_verify(struct walk *walk, const struct walk_entry *entries, uint32_t count);

// Looks for files that no digest names, after all chains.
MUST_CHECK bool stray_find(struct walk *walk, struct fault *fault);
