// status_upkeep.h: what is kept and for how long: the disk and when it will be full, dropped days,
// followers, the scan of ids, and who reads for too long.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "storage/trail/trail_reader.h"

enum {
    STATUS_FORECAST_DAYS = 7,         // whole days before today that are counted
    STATUS_READERS_MAX = 16,          // shown
    STATUS_READER_BEHIND_MIN = 1200,  // commits: a minute of them, one each 50 ms
};

struct status_upkeep {
    uint64_t free_size;  // of the store's disk
    uint64_t free_min;   // the collector keeps so much free; unless it says so, what is usual
    uint64_t day_size;   // bytes a day of events takes, on average; 0: unknown
    int64_t days_left;   // until free_min is reached at that rate; -1: unknown
    struct trail_follower followers[TRAIL_FOLLOWERS_MAX];
    uint32_t followers_count;
    bool has_scan;
    uint64_t scanned;       // events up to this one were compared for one id at two times
    uint64_t conflicts;     // found so
    int64_t scan_ended_ms;  // of the last round
    struct trail_reading readers[STATUS_READERS_MAX];
    uint32_t readers_count;
};

// Collects it. Faults as trail_reader_facts.
MUST_CHECK bool status_upkeep_collect(struct trail_reader *reader, const struct trail_facts *facts,
                                      int64_t now_ms, struct status_upkeep *upkeep,
                                      struct fault *fault);

// The collector says how much it keeps free: the forecast is for that.
void status_upkeep_set_free_min(struct status_upkeep *upkeep, uint64_t free_min);

// Appends lines for what somebody should look at.
void status_upkeep_print_alarms(const struct status_upkeep *upkeep, const struct trail_facts *facts,
                                int64_t now_ms, struct buffer *output);

// Appends lines for people, and the member "upkeep" of the JSON object, with a comma before it.
void status_upkeep_print(const struct status_upkeep *upkeep, const struct trail_facts *facts,
                         int64_t now_ms, struct buffer *output);
void status_upkeep_print_json(const struct status_upkeep *upkeep, const struct trail_facts *facts,
                              struct buffer *output);
