// sessions.h: the streams append serves now: who has each, and how far it is.
//
// A session's state changes while a commit is made and must be as before if the commit fails:
// sessions_touch keeps a copy at the first change, sessions_keep and sessions_undo end it.
// One thread (append's).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "storage/trail/trail_types.h"

struct session {
    bool is_used;
    void *owner;      // who gets the reports
    uint64_t number;  // Welcome.session: later ones are larger
    char uri[TRAIL_URI_SIZE];
    struct trail_stream stream;
    uint64_t duplicates;   // of this session, variants included
    uint64_t quarantined;  // of this session
    bool is_throttled;     // its owner was told so
    bool is_stored;        // the trail knows the stream

    // Identity violations that the present commit found.
    uint64_t violations;
    struct span violation_detail;  // of the first; lives as long as its batch
};

struct sessions;

// Room for so many. NULL if memory runs out.
struct sessions *sessions_create(uint32_t count_max);
void sessions_destroy(struct sessions *sessions);

// The slot of an agent's stream, or of none: count_max.
uint32_t sessions_find(const struct sessions *sessions, struct span uri,
                       const uint8_t stream_id[TRAIL_STREAM_ID_SIZE]);

// A slot that is not used, or count_max.
uint32_t sessions_find_free(const struct sessions *sessions);

// How many an agent has.
uint32_t sessions_count_of(const struct sessions *sessions, struct span uri);

// Room for so many.
uint32_t sessions_count_max(const struct sessions *sessions);

// Slots from here on were never used.
uint32_t sessions_count(const struct sessions *sessions);

// To look at.
const struct session *sessions_get(const struct sessions *sessions, uint32_t slot);

// To change within a commit.
struct session *sessions_touch(struct sessions *sessions, uint32_t slot);

// The slots touched since the last keep or undo.
const uint32_t *sessions_touched(const struct sessions *sessions, uint32_t *count);

// The commit is durable: what was touched stays.
void sessions_keep(struct sessions *sessions);

// The commit failed: what was touched is as before.
void sessions_undo(struct sessions *sessions);

// Outside of a commit: says that the owner was told of being throttled, or is not any more.
void sessions_set_throttled(struct sessions *sessions, uint32_t slot, bool is_throttled);

// Frees the owner's slot, if it still has one. Not within a commit.
void sessions_forget(struct sessions *sessions, const void *owner);
