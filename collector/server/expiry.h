// expiry.h: when certificates end: the CAs', the collector's, and of each agent the one seen last.
//
// Another certificate than the one known of a subject is told (the first one is no change), and so
// are 30, 7, 1 and 0 days before an end, each once for a certificate, also across restarts: what is
// known is kept in the store, in the commit that tells it (query/seen.h). One thread, but for the
// creation.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/certificate_check.h"
#include "base/fault.h"
#include "collector/notes/notes.h"
#include "query/seen.h"

enum {
    EXPIRY_SUBJECTS_MAX = 16384,  // as many as streams; others are not watched
    EXPIRY_CHANGE_MS = 60000,     // between two own events of one subject's changes
    EXPIRY_FORGET_DAYS = 90,      // an agent whose certificate ended so long ago is gone
};

struct expiry;

// What is told goes into the notes, which are borrowed. NULL if memory is out.
struct expiry *expiry_create(struct notes *notes);

// NULL is allowed.
void expiry_destroy(struct expiry *expiry);

// Takes what the store knows. FAULT_CORRUPT, FAULT_IO.
MUST_CHECK bool expiry_load(struct expiry *expiry, struct trail_reader *reader,
                            struct fault *fault);

// An agent has shown this certificate.
void expiry_see_agent(struct expiry *expiry, const struct certificate_facts *facts,
                      int64_t monotonic_ms);

// These are the collector's own and the CAs it accepts; CAs not among them are forgotten. What the
// store knew differently is told at the first call only: later ones are reloads, which tell it.
void expiry_see_own(struct expiry *expiry, const struct certificate_facts *own,
                    const struct certificate_facts *cas, uint32_t cas_count);

// Tells what has come near, and sets the gauges.
void expiry_step(struct expiry *expiry, int64_t now_s);
