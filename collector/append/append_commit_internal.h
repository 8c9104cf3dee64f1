// append_commit_internal.h: what the files of a commit share: append_commit.c, append_tell.c and
// append_quarantine.c.

#pragma once

#include "collector/append/append_commit.h"
#include "collector/append/unlisted.h"

enum {
    APPEND_ARENA_SIZE_MAX = 64 << 20,  // bytes: own events and details of one commit
    APPEND_AGENTS_MAX = 65536,  // whose violations are remembered apart; later ones share the last
};

// What was told about an agent's identity violations.
struct told {
    bool is_told;
    int64_t told_ms;   // monotonic
    uint64_t pending;  // violations since
    uint32_t agent;    // of the last one
};

// What the commit at hand says about an agent's violations, should it become durable.
struct telling {
    uint32_t agent;
    bool is_told;
    uint64_t pending;
};

// What a batch caused that is told once it is durable, as a note about the agent. Texts lie in the
// commit's arena.
struct aside {
    const char *name;  // of the own event
    uint32_t agent;
    const char *what;  // the member that tells asides of one agent apart
    struct span text;
    struct span detail;  // no bytes: none
    bool is_apart;       // each text of an agent is told by itself, not one for all
};

enum { APPEND_ASIDES_MAX = 16 };  // of one commit; the others are told with a later record

struct append_commit {
    struct append_commit_options options;
    struct json_reader *reader;
    struct arena *arena;
    struct told *told;       // by agent number
    uint32_t told_max;       // places of `told` from here on were never used
    uint32_t waiting_count;  // agents with pending violations
    struct unlisted *unlisted;
    struct append_commit_counts counts;
    struct telling *tellings;  // room for one of each session, and for those that waited
    uint32_t tellings_count;
    uint64_t session_last;
    struct aside asides[APPEND_ASIDES_MAX];
    uint32_t asides_count;
    bool is_last;  // all that waits to be saved is
    int64_t now_ms;
    int64_t monotonic_ms;
};

// append_cover.c

// Notes for coverage what became of a record; the outcome counts if it was admitted.
void append_cover_record(struct append_commit *commit, const struct session *session,
                         const struct batch_event *event, enum trail_outcome outcome,
                         int64_t received_ms);

// Notes numbers lost in a gap.
void append_cover_gap(struct append_commit *commit, const struct session *session,
                      uint64_t numbers);

// append_tell.c

// Adds the own events that batches caused together, and those that wait.
MUST_CHECK bool append_tell(struct append_commit *commit, struct fault *fault);

// Remembers something about an agent, to be told with the next commit.
void append_tell_aside(struct append_commit *commit, const struct aside *aside);

// The commit is durable: what was told is told.
void append_tell_keep(struct append_commit *commit);
