// trail_types.h: what the trail's writer and its readers both speak of.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "event/key.h"

enum {
    TRAIL_COMMIT_ROWS_MAX = 8192,              // entries offered in one commit
    TRAIL_COMMIT_SIZE_MAX = 64 * 1024 * 1024,  // bytes of all of them
    TRAIL_EPOCH_SIZE = 16,
    TRAIL_STREAM_ID_SIZE = 16,
    TRAIL_CHAIN_SIZE = 16,
    TRAIL_AGENT_OWN = 1,     // number of orgtrail itself
    TRAIL_SWEEP_BLOCKS = 8,  // blocks of dropped days whose room one step gives back
    TRAIL_URI_SIZE = 256,
    TRAIL_REASON_SIZE = 32,
    TRAIL_REFUSED_KEY_SIZE = 32,
    TRAIL_NAME_SIZE_MAX = 96,  // bytes of a document's name
    TRAIL_FORMAT_MAJOR = 2,
    TRAIL_FORMAT_FIRST = 1,  // that of stores which trail_migrate takes over
    TRAIL_FORMAT_MINOR = 0,
};

// What became of an entry. Stored + duplicates + variants + conflicts + expired = offered.
enum trail_outcome {
    TRAIL_STORED,
    TRAIL_DUPLICATE,  // the same bytes are stored under this key
    TRAIL_VARIANT,    // the same values in other bytes: a duplicate, counted apart
    TRAIL_CONFLICT,   // other values under a stored key: the caller quarantines it
    TRAIL_EXPIRED,    // of a day before those that the trail retains
};

struct trail_receipt {
    uint64_t sequence_first;  // of the first event stored; 0 if none
    uint64_t sequence_last;
    uint32_t stored;
};

// Refused bytes on their way into quarantine. Borrowed for the call.
struct trail_refused {
    struct span bytes;
    const char
        *reason;  // a stable name: "invalid_json", "identity", "unknown_account", "future", ...
    struct span detail;  // for people: what and where
    uint32_t agent;
    int64_t received_ms;
    uint64_t count;  // times at once; 0: once
};

// A quarantine entry as readers see it. Spans live until the next call on the reader.
struct trail_quarantined {
    uint8_t key[TRAIL_REFUSED_KEY_SIZE];
    struct span bytes;
    char reason[TRAIL_REASON_SIZE];
    struct span detail;
    uint32_t agent;
    int64_t first_ms;
    int64_t last_ms;
    uint64_t count;  // times it was refused
};

// What the trail knows of one spool (stream) of one agent. Counts are of records received, law 5:
// received = stored + duplicates + variants + quarantined + expired.
struct trail_stream {
    uint32_t agent;
    uint8_t stream_id[TRAIL_STREAM_ID_SIZE];
    uint64_t durable_seq;
    uint8_t chain[TRAIL_CHAIN_SIZE];  // at durable_seq
    int64_t first_seen_ms;
    int64_t last_seen_ms;
    int64_t last_event_time_s;  // newest eventTime it brought
    uint64_t received;
    uint64_t stored;
    uint64_t duplicates;
    uint64_t variants;
    uint64_t quarantined;
    uint64_t expired;
    uint64_t conflicts;        // of the quarantined
    uint64_t global_reported;  // global-service events received, new or not
    uint64_t notices;
    uint64_t gaps;
    uint64_t gap_numbers;  // numbers lost in gaps
};

enum {
    TRAIL_FOLLOWERS_MAX = 256,
    TRAIL_FOLLOWER_NAME_SIZE = 48,
};

// Where the store comes from.
struct trail_origin {
    int64_t backup_ms;    // when the backup was made that it was restored from; 0: never restored
    int64_t restored_ms;  // when it was restored
    bool is_told;         // the trail has an event that says so
};

// A read transaction that is open now, in any process.
struct trail_reading {
    int64_t process;    // its PID
    uint64_t thread;    // tells those of one process apart
    uint64_t snapshot;  // the commit whose state it reads
    uint64_t behind;    // commits since
};

// How far a follower has come.
struct trail_follower {
    char name[TRAIL_FOLLOWER_NAME_SIZE];
    uint64_t sequence;  // of the last event it has finished; 0: none yet
    int64_t moved_ms;   // when it last said so
};

// Numbers an agent could never deliver.
struct trail_gap {
    uint32_t agent;
    uint8_t stream_id[TRAIL_STREAM_ID_SIZE];
    uint64_t first_seq;
    uint64_t last_seq;
    int64_t reported_ms;
    char reason[TRAIL_REASON_SIZE];
};
