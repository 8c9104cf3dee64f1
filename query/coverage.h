// coverage.h: what the trail has of each account and region, as documents of the store.
//
// The collector keeps a row for each (account, region) it ever heard of or that the roster expects,
// and saves the rows of one account as one document, COVERAGE_PREFIX and the account; readers see
// them at most a minute late. Global-service events belong to no region: theirs is "global".
// Events without a region are of "none". Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

#define COVERAGE_PREFIX "coverage/"
#define COVERAGE_HEAD "coverage"  // the document that says up to which sequence rows are whole

// The document of agents that are silent: a line for each, its number and since when (ms).
#define COVERAGE_SILENT "silent/agents"

enum {
    COVERAGE_ACCOUNT_SIZE = 65,  // bytes with the final zero
    COVERAGE_REGION_SIZE = 33,   // longer ones are cut; what is no letter, digit or '-' is '_'
    COVERAGE_REGIONS_MAX = 64,   // of one account; further ones are "other"
};

struct coverage_row {
    char account[COVERAGE_ACCOUNT_SIZE];
    char region[COVERAGE_REGION_SIZE];
    int64_t last_event_s;      // newest eventTime; 0: none came
    int64_t last_received_ms;  // when the last event came, new or not; 0: none
    int64_t expected_ms;       // since when the roster expects events here; 0: it does not
    int64_t silent_ms;         // since when it is called silent; 0: it is not
    uint64_t stored;
    uint64_t duplicates;  // variants too
    uint64_t quarantined;
    uint64_t gap_numbers;  // lost in gaps of agents that are certified for this account and region
};

// Writes a region as rows have it.
void coverage_name_region(struct span region, bool is_global, char name[COVERAGE_REGION_SIZE]);

// Appends a row to the document of its account.
void coverage_print_row(const struct coverage_row *row, struct buffer *output);

// Reads a document's rows, in their order, until on_row returns false. Lines of a later version are
// passed over. FAULT_CORRUPT if the document is none.
MUST_CHECK bool coverage_read(struct span name, struct span value,
                              bool (*on_row)(void *user, const struct coverage_row *row),
                              void *user, struct fault *fault);
