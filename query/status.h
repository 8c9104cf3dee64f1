// status.h: how the trail stands, from the store alone: what it holds, who brought what, what was
// refused and what is missing.
//
// Collected once into memory of its own; the numbers are those of one moment only roughly, as the
// store goes on. Printed for people or as JSON. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "query/seen_table.h"
#include "query/status_agents.h"
#include "query/status_coverage.h"
#include "query/status_denied.h"
#include "query/status_names.h"
#include "query/status_upkeep.h"
#include "storage/trail/trail_reader.h"

enum {
    STATUS_AGENTS_MAX = 100000,  // certificates that ever brought something; others only in total
    STATUS_REASONS_MAX = 64,     // reasons for quarantine; an enum of about 15
    STATUS_LINES_SHOWN = 20,     // agents for people, the worst ones, unless all are asked for
    STATUS_SPOOL_MS = 24 * 60 * 60 * 1000,  // another spool of an agent is told of for so long
    STATUS_GAPS_MAX = 20,                   // newest gaps listed; all are counted
    STATUS_ARENA_SIZE = 256 * 1024 * 1024,  // 100,000 agents of 600 bytes, 262,144 rows of coverage
};

// One certificate, all its spools together.
struct status_agent {
    const char *uri;
    uint32_t agent;
    uint32_t streams;
    uint64_t durable_seq;  // of the stream seen last
    int64_t first_seen_ms;
    int64_t last_seen_ms;
    int64_t spool_ms;  // when the newest of its spools began
    int64_t last_event_time_s;
    uint64_t received;
    uint64_t stored;
    uint64_t duplicates;
    uint64_t variants;
    uint64_t quarantined;
    uint64_t expired;
    uint64_t conflicts;
    uint64_t global_reported;
    uint64_t notices;
    uint64_t gaps;
    uint64_t gap_numbers;
    int64_t silent_ms;  // since when it is silent; 0: it is not
    bool is_balanced;   // received = stored + duplicates + variants + quarantined + expired
};

struct status_reason {
    char name[TRAIL_REASON_SIZE];
    uint64_t entries;
    uint64_t count;  // refusals they stand for
};

// What only the running collector knows. Texts are borrowed as long as the status.
struct status_live {
    const char *absence;  // why there is nothing of it; NULL: the rest is set
    const char *down;     // the control socket where one was expected and none runs; or NULL
    const char *version;
    uint64_t pid;
    int64_t started_ms;
    const char *complaint;  // NULL: it is healthy
    uint32_t streams;
    uint32_t queued_batches;
    uint64_t queued_bytes;
    int64_t certificate_expires_s;
    uint32_t throttled;         // streams whose agent's quarantine is full
    struct span denied;         // the text of its deny list; no bytes: it does not say
    uint64_t free_min;          // bytes that stay free on the store's disk; 0: it is too old to say
    uint32_t stuck_readers;     // processes that have held a snapshot for a minute
    uint32_t damaged_parts;     // of the store, found at the start
    uint64_t mismatched_texts;  // stored as they are, since they did not come back from a block
    uint64_t lost_own_events;   // since the start
    const char *const *alarms;  // what else is wrong now
    uint32_t alarms_count;
    const char *const *warnings;  // or has been since the start
    uint32_t warnings_count;
    struct status_connected *agents;
    uint32_t agents_count;
};

struct status {
    int64_t now_ms;
    struct status_coverage coverage;
    bool is_coverage_whole;          // people are shown all rows of it,
    bool is_whole;                   // of all tables
    const struct status_live *live;  // NULL: nobody asked
    struct trail_facts facts;
    struct status_agent *agents;  // in order of URI
    uint32_t agents_count;
    struct status_agent total;
    struct status_reason reasons[STATUS_REASONS_MAX];
    uint32_t reasons_count;
    struct trail_gap gaps[STATUS_GAPS_MAX];  // the newest
    uint32_t gaps_count;
    struct seen_table certificates;
    struct status_upkeep upkeep;
};

// Collects it; texts lie in the arena. FAULT_FULL if the arena is too small, as trail_reader_facts
// otherwise.
MUST_CHECK bool status_collect(struct trail_reader *reader, int64_t now_ms, struct arena *arena,
                               struct status *status, struct fault *fault);

// Whether every agent's counts balance, and the collector runs where one was expected.
// FAULT_CORRUPT says which agent's do not, and by how much; FAULT_IO that it does not run.
MUST_CHECK bool status_check(const struct status *status, struct fault *fault);

// Appends it for people, on a terminal of `width` columns or with STATUS_WIDTH_FULL.
void status_print(const struct status *status, uint32_t width, struct buffer *output);

// Appends it as one JSON object and a line break.
void status_print_json(const struct status *status, struct buffer *output);
