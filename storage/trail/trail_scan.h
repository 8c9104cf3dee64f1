// trail_scan.h: the search for events that have one id in one account and two times.
//
// A true copy never changes its eventTime, so that such events are kept as two and only this finds
// them. It goes in rounds: the ids of up to TRAIL_SCAN_IDS_MAX events that no round had yet are
// taken into memory, and then every block's ids are compared with them, one block a step. So each
// event is compared once with all that came before it, whatever the order of their times. What it
// finds is read again, record by record, before it is reported.
//
// Bounded: a step looks into one block; memory is 20 MB at most, and a reader's. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "event/key.h"
#include "storage/trail/trail_types.h"

enum {
    TRAIL_SCAN_IDS_MAX = 512 * 1024,  // of a round
    TRAIL_SCAN_FOUND_MAX = 48,        // of a round are given; all are counted
};

// An event, and an older one by arrival with the same account and id and another time.
struct trail_scan_found {
    struct key key;
    struct key other;
    uint64_t sequence;
    uint64_t other_sequence;
};

struct trail_scan;

// Opens a scan of the trail in a folder: events up to `scanned` have been compared before. Faults
// as trail_reader_open.
MUST_CHECK bool trail_scan_open(const char *directory, uint64_t scanned, struct trail_scan **scan,
                                struct fault *fault);
void trail_scan_close(struct trail_scan *scan);

// Where a scan stands.
struct trail_scan_state {
    uint64_t scanned;  // events up to this one have been compared
    uint64_t waiting;  // events that came after it; of the round that is under way too
    bool is_in_round;
    // Of the round that ended with this step:
    bool has_ended;
    uint64_t count;  // events found
    struct trail_scan_found found[TRAIL_SCAN_FOUND_MAX];
    uint32_t found_count;
};

// Begins a round if none is under way and events wait, or looks into one block. What is damaged is
// passed over. FAULT_FULL, FAULT_IO.
MUST_CHECK bool trail_scan_step(struct trail_scan *scan, struct trail_scan_state *state,
                                struct fault *fault);

// How many events no round had yet, without beginning one.
MUST_CHECK bool trail_scan_measure(struct trail_scan *scan, struct trail_scan_state *state,
                                   struct fault *fault);
