// state.h: what a trail's delivery remembers in the store, as the document deliver/trail/ID.
//
// A plan is saved before the first write that it leads to, with the trail's document as it was
// then, and carried out until it is done: so that whoever does it again writes the same names and
// bytes. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/span.h"
#include "collector/api/trail_document.h"
#include "storage/trail/trail_types.h"

#define STATE_DOCUMENTS "deliver/trail/"  // and the id
#define STATE_FILES "deliver/files/"      // and the id, '/', and the round's last event
#define STATE_QUEUES \
    "deliver/queue/"                     // the same list for those who are to be told of the files:
                                         // the id, '/', the round's last event, '/', its time
#define STATE_TARGETS "deliver/target/"  // and the id, '/', and a hash: how far one of them is
#define STATE_CHAINS "deliver/chain/"    // and the id, '/', and a hash of account and region
#define STATE_DIGEST_KEYS "deliver/key/"  // and a number

enum {
    STATE_SIZE_MAX = 512 * 1024,         // bytes of the document
    STATE_ERROR_SIZE = FAULT_TEXT_SIZE,  // the cause stands behind a path
    STATE_LEVEL_MAX = 12,                // of compression
    STATE_LEVEL = 6,                     // of a plan that does not say
};

// Events behind `from` up to `to` are delivered.
struct state_round {
    bool is_planned;
    bool is_last;  // of the session
    uint64_t from;
    uint64_t to;
    int64_t time_s;      // that its files' names have
    uint64_t file_size;  // bytes of a file's text
    int level;           // of compression, as gzip_writer.h has it
    uint8_t epoch[TRAIL_EPOCH_SIZE];
};

// Digests of the files of rounds with start_s < time_s <= end_s.
struct state_digest {
    bool is_planned;
    bool is_first;     // chains begin
    bool is_backfill;  // they come late: a chain of their own
    bool is_last;      // of the session
    int64_t start_s;
    int64_t end_s;
    int64_t made_ms;
};

struct state {
    struct span trail;   // its document as of the plan, or as it was last seen
    bool is_active;      // a session: from StartLogging to StopLogging
    bool is_ending;      // its events are delivered
    int64_t session_ms;  // StartLogging of the session, or of the last one
    struct state_round round;
    struct state_digest digest;
    int64_t round_s;               // time of the last round
    int64_t digest_s;              // end of the last digest; 0: none in this session
    int64_t attempted_ms;          // the last attempt to write a log file
    int64_t delivered_ms;          // the last one that was good; 0: none
    int64_t digest_delivered_ms;   // the same of digests
    char error[STATE_ERROR_SIZE];  // of the last attempt; empty: none
    char digest_error[STATE_ERROR_SIZE];
};

// Reads a document; `trail` lies where the JSON does. FAULT_CORRUPT.
MUST_CHECK bool state_read(const struct yyjson_val *root, struct state *state, struct fault *fault);

// Appends the document.
void state_print(const struct state *state, struct buffer *buffer);
