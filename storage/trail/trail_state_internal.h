// trail_state_internal.h: what trail_state.c and trail_quarantine.c share.

#pragma once

#include "base/crypto.h"
#include "storage/trail/trail_internal.h"

struct agent {
    char *uri;
    uint64_t quarantine_size;
    uint64_t quarantine_staged;
};

struct stream {
    struct trail_stream kept;
    struct trail_stream staged;
    bool is_changed;
};

// A quarantine entry of this commit; its spans lie in the commit's arena.
struct refusal {
    struct trail_quarantined entry;
    uint64_t repeats;  // in this commit
    bool is_new;
};

// An entry that this commit takes out.
struct removal {
    uint8_t key[SHA256_SIZE];
    uint64_t count;
};

struct trail_state {
    struct agent *agents;  // agent n is agents[n - 1]
    uint32_t agents_count;
    uint32_t agents_kept;  // of them are on the disk
    uint32_t agents_capacity;

    struct stream *streams;
    uint32_t streams_count;
    uint32_t streams_kept;
    uint32_t streams_capacity;
    uint32_t *stream_index;  // open addressing by key: place in streams + 1
    uint32_t stream_index_size;
    uint32_t *changed_streams;
    uint32_t changed_streams_count;
    uint32_t changed_streams_capacity;

    struct refusal *refusals;
    uint32_t refusals_count;
    uint32_t refusals_capacity;
    struct removal *removals;
    uint32_t removals_count;
    uint32_t removals_capacity;
    struct trail_gap *gaps;
    uint32_t gaps_count;
    uint32_t gaps_capacity;
    bool are_agents_changed;
};

// Sets the fault. Returns false.
bool trail_state_no_memory(struct fault *fault);

// Makes room for one more item behind count. False if memory runs out.
bool trail_state_reserve(void **items, uint32_t count, uint32_t *capacity, size_t item_size);

// Adds what the commit refused and took out to its changes, and to the head's counts.
MUST_CHECK bool trail_state_write_quarantine(struct trail *trail, struct trail_head *head,
                                             struct fault *fault);
