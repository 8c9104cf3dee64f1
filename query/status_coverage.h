// status_coverage.h: the coverage part of how the trail stands: of which accounts and regions
// events come, and who is silent.
//
// Read from the store, where the collector saves it at most a minute late.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "query/coverage.h"
#include "storage/trail/trail_reader.h"

enum {
    STATUS_COVERAGE_SHOWN = 20,    // rows for people, unless all are asked for
    STATUS_COVERAGE_MAX = 262144,  // rows that are read
    STATUS_SILENT_MAX = 65536,     // agents
};

struct status_silent {
    uint32_t agent;
    int64_t since_ms;
};

struct status_coverage {
    struct coverage_row *rows;  // silent ones first, then what lost or was
                                // refused most, then by account and region
    uint32_t rows_count;
    uint32_t accounts_count;
    uint32_t expected_count;
    uint32_t silent_count;
    struct status_silent *silent_agents;
    uint32_t silent_agents_count;
    uint64_t discarded_entries;  // of quarantine, ever
    uint64_t discarded_records;
};

// Reads it; all lies in the arena. Faults as trail_reader_documents, FAULT_FULL.
MUST_CHECK bool status_coverage_collect(struct trail_reader *reader, struct arena *arena,
                                        struct status_coverage *coverage, struct fault *fault);

// Since when an agent is silent (ms); 0: it is not.
int64_t status_coverage_silent_ms(const struct status_coverage *coverage, uint32_t agent);

// Appends it for people: all rows, or the first ones.
void status_coverage_print(const struct status_coverage *coverage, int64_t now_ms, bool is_all,
                           struct buffer *output);

// Appends members of a JSON object, a comma before each: "coverage", "silent_regions", ...
void status_coverage_print_json(const struct status_coverage *coverage, struct buffer *output);

enum { STATUS_AGE_SIZE = 48 };

// "3 s", "5 min", "2 h", "9 d".
const char *status_print_age(int64_t seconds, char text[STATUS_AGE_SIZE]);
