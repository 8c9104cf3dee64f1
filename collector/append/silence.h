// silence.h: who should be heard of and is not: agents without a stream, regions without events.
//
// An agent is silent three heartbeats after its last message, unless it said that it is being
// removed; a region after a time of the settings without an event, where the roster expects it.
// Each begin and each end is an own event (a note), the first SILENCE_TOLD_MAX of a check one by
// one, the others together. Who is silent is kept with the trail, so that a restart says nothing
// twice. One thread (append's).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/span.h"
#include "collector/admit/roster_live.h"
#include "collector/append/coverage.h"
#include "collector/append/sessions.h"
#include "collector/notes/notes.h"
#include "storage/trail/trail.h"

enum {
    SILENCE_HEARTBEATS = 3,
    SILENCE_CHECK_MAX_MS = 10000,  // between two checks; less if what is waited for is shorter
    SILENCE_TOLD_MAX = 16,         // own events of one check, of agents and of regions
};

struct silence_options {
    struct trail *trail;
    const struct sessions *sessions;
    struct coverage *coverage;
    struct notes *notes;
    struct roster_live *roster;
    const struct clock *clock;
    uint32_t heartbeat_ms;
    int64_t region_ms;  // without an event
};

struct silence;

// NULL if memory runs out. Options are borrowed.
struct silence *silence_create(const struct silence_options *options);
void silence_destroy(struct silence *silence);

// Reads who was silent when the collector ended. Faults as trail_reader_documents.
MUST_CHECK bool silence_load(struct silence *silence, struct trail_reader *reader,
                             struct fault *fault);

// The agent's stream has ended; its last message came then, by the monotonic clock. is_final: it
// said that it does not come back.
void silence_part(struct silence *silence, uint32_t agent, int64_t heard_ms, bool is_final);

// In a commit: the agent of this certificate URI does not come back, whether it said so or not; one
// that does is as before. FAULT_INPUT: none of that name was ever here, or it is connected.
MUST_CHECK bool silence_forget(struct silence *silence, struct span uri, struct fault *fault);

// Looks who is silent, if it is time. Not within a commit.
void silence_check(struct silence *silence);

// Puts who is silent into the commit that has begun, if that changed.
MUST_CHECK bool silence_save(struct silence *silence, struct fault *fault);

// The commit is durable, or it failed.
void silence_keep(struct silence *silence);
void silence_undo(struct silence *silence);

// Whether it has something to save.
bool silence_is_due(const struct silence *silence);
