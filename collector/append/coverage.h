// coverage.h: what came of each account and region, in memory and saved with the trail's commits.
//
// A commit notes what it decides; nothing of it counts until coverage_keep. Rows are saved account
// by account as documents (query/coverage.h), all that changed at once and the less often the more
// there are: a thousand accounts with 17 regions each are written every 20 s. What was not saved
// when the process died is read again from the trail's newest events at the start.
//
// One thread (append's), after the start.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "query/coverage.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_reader.h"

enum {
    COVERAGE_ROWS_MAX = 262144,     // 10,000 accounts with 26 regions; what is beyond is not noted
    COVERAGE_SAVE_MS = 1000,        // at the earliest after the last time,
    COVERAGE_SAVE_ACCOUNT_MS = 20,  // and so much more for each account that changed,
    COVERAGE_SAVE_MAX_MS = 60000,   // but not more than this
    COVERAGE_SCAN_EVENTS_MAX = 200000,  // read again at a start: two seconds at most
};

struct coverage;

// What a commit decided of one account and region.
struct coverage_change {
    uint64_t stored;
    uint64_t duplicates;
    uint64_t quarantined;
    uint64_t gap_numbers;
    int64_t event_time_s;  // 0: none
    int64_t received_ms;
};

// NULL if memory runs out.
struct coverage *coverage_create(void);
void coverage_destroy(struct coverage *coverage);

// Reads what was saved, and the events stored since. Faults as trail_reader_documents.
MUST_CHECK bool coverage_load(struct coverage *coverage, struct trail_reader *reader,
                              struct fault *fault);

// Notes it, in this commit. Regions are named as coverage_name_region does.
void coverage_note(struct coverage *coverage, struct span account, const char *region,
                   const struct coverage_change *change);

// Whether rows are to be saved though no commit comes, by the monotonic clock.
bool coverage_is_due(const struct coverage *coverage, int64_t now_ms);

// Puts rows into the commit that has begun, if they are due or `is_last`.
MUST_CHECK bool coverage_save(struct coverage *coverage, struct trail *trail, int64_t now_ms,
                              bool is_last, struct fault *fault);

// The commit is durable, or it failed.
void coverage_keep(struct coverage *coverage);
void coverage_undo(struct coverage *coverage);

// The rows there are, in no order; those that nothing ever came of and that nobody expects are
// empty.
uint32_t coverage_rows_count(const struct coverage *coverage);
const struct coverage_row *coverage_get(const struct coverage *coverage, uint32_t index);

// The row's index, made if need be; COVERAGE_ROWS_MAX if there is no room.
uint32_t coverage_find(struct coverage *coverage, struct span account, const char *region);

// Sets since when a row is expected and silent; outside of a commit.
void coverage_set(struct coverage *coverage, uint32_t index, int64_t expected_ms,
                  int64_t silent_ms);
