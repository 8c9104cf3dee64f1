// append_quarantine.h: what an operator does with refused bytes: receive them again, or drop them.
//
// A retried entry leaves `quarantined` and is received again, as the roster, the grants and the
// clock are now: it stood for so many refusals, of which the first is decided anew and the others
// are its copies. So the agent's counts stay balanced: what was quarantined becomes stored,
// duplicate, variant or expired, or is quarantined for another reason. If the reason is the same,
// nothing changes. A discarded entry was quarantined and stays counted so; how much was discarded
// is kept beside it. Each commit of it tells what it did in an own event.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "collector/admit/roster_live.h"
#include "collector/append/append.h"
#include "storage/trail/trail_types.h"

enum {
    APPEND_QUARANTINE_STEP = 256,            // entries of one commit
    APPEND_QUARANTINE_STEP_SIZE = 16 << 20,  // bytes of them
    APPEND_QUARANTINE_KEYS_MAX = 50000,      // of one job: they fit into a message
};

// The document that holds how many entries and records were ever discarded: "12 345".
#define APPEND_QUARANTINE_DISCARDED "quarantine/discarded"

// What became of the entries of a job so far.
struct append_quarantine_counts {
    uint64_t entries;    // looked for
    uint64_t missing;    // were not there (any more)
    uint64_t unchanged;  // retried, and refused for the same reason
    uint64_t other;      // retried, and refused for another reason
    uint64_t admitted;   // retried, and no longer refused
    uint64_t discarded;
    uint64_t records;  // refusals that left quarantine
    uint64_t stored;   // of the admitted
    uint64_t bytes;    // that left quarantine
};

struct append_quarantine_options {
    bool is_discard;
    const uint8_t (*keys)[TRAIL_REFUSED_KEY_SIZE];  // copied
    uint32_t keys_count;
    const char *user;  // for the own event; copied
    const char *organization;
    struct roster_live *roster;
    int64_t future_max_s;
    // Called once, on the writer's thread: all is durable, or the fault says why the rest is not.
    void (*done)(void *context, const struct append_quarantine_counts *counts,
                 const struct fault *fault);
    void *context;
};

// Makes the job and submits it. FAULT_FULL: no memory, or too many jobs; done is not called then.
MUST_CHECK bool append_quarantine_submit(struct append *append,
                                         const struct append_quarantine_options *options,
                                         struct fault *fault);
