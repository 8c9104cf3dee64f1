// finding.h: what a verification found wrong or could not check, and a list of it.
//
// Each finding says what, where and when; its kind says what it may mean. A list keeps so many of
// a kind and counts the rest. One thread at a time.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/span.h"

enum finding_kind {
    FINDING_LOG_CHANGED,
    FINDING_LOG_MISSING,
    FINDING_LOG_DAMAGED,
    FINDING_UNNAMED,
    FINDING_DIGEST_CHANGED,
    FINDING_DIGEST_UNSIGNED,
    FINDING_DIGEST_DAMAGED,
    FINDING_DIGEST_MISPLACED,
    FINDING_DIGESTS_MISSING,
    FINDING_DIGEST_REPLACED,
    FINDING_DIGEST_DOUBLE,
    FINDING_KEY_UNKNOWN,
    FINDING_KEY_OUTDATED,
    FINDING_LINK_HASH,
    FINDING_LINK_SIGNATURE,
    FINDING_TIME_GAP,
    FINDING_CHAIN_ENDS,
    FINDING_ROLLED_BACK,
    FINDING_CHAIN_GONE,
    FINDING_NO_DIGESTS,
    FINDING_NOTHING,
    FINDING_RECORD_MISSING,
    FINDING_RECORD_UNKNOWN,
    FINDING_UNPROVEN,
    FINDING_UNREADABLE,
    FINDING_ELSEWHERE,
    FINDING_RESTARTED,
    FINDING_STANDS_STILL,
    FINDING_KINDS_COUNT,
};

// How much it weighs.
enum finding_weight {
    FINDING_FAULT,      // something is not as it was delivered
    FINDING_UNCHECKED,  // nothing can be said of it
    FINDING_NOTE,       // as it may be; worth knowing
};

enum { FINDINGS_KEPT_MAX = 1000 };  // of one kind in one list; the rest is counted

// Times 0: none. Spans and text live as long as the list's arena.
struct finding {
    enum finding_kind kind;
    struct span account;
    struct span region;
    struct span trail;
    struct span bucket;
    struct span object;
    int64_t from_s;
    int64_t to_s;
    uint64_t count;  // of what it tells of: 1 unless it is a run
    const char *detail;
};

struct findings {
    struct arena *arena;
    struct finding *list;
    uint32_t count;
    uint32_t capacity;
    uint64_t totals[FINDING_KINDS_COUNT];  // also of those that are not kept
    bool is_cut;                           // some are not kept
};

// Adds one; its spans and detail are copied into the arena.
void findings_add(struct findings *findings, const struct finding *finding);

// Frees the list; the arena stays.
void findings_done(struct findings *findings);

// "log-changed"; for reports that programs read.
const char *finding_name(enum finding_kind kind);

// "log file changed".
const char *finding_title(enum finding_kind kind);

// What it may mean, a sentence or two.
const char *finding_meaning(enum finding_kind kind);

// Its weight.
enum finding_weight finding_weigh(enum finding_kind kind);
