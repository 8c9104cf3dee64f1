// append_documents.h: documents changed together, if they are as the asker saw them, and records of
// our own and a follower's place with them: one commit.
//
// Whoever changes a document has read it first, judged it and made the new value. Only if every one
// is still as it was read does the change happen; otherwise nothing does, and the asker reads
// again. Changes are made one after the other, so of two that saw the same values the second one is
// told.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "collector/append/append.h"
#include "storage/trail/trail_types.h"

enum {
    APPEND_DOCUMENTS_MAX = 64,                     // of one change
    APPEND_DOCUMENTS_SIZE_MAX = 16 * 1024 * 1024,  // bytes of one change, records and all
    APPEND_RECORDS_MAX = 4096,                     // of one change
    APPEND_DOCUMENTS_WAIT_MS = 10 * 1000,          // for the disk, until the asker tries again
};

// A document and what becomes of it. Empty bytes: there is none.
struct append_document {
    struct span name;
    struct span before;  // as it was read
    struct span after;   // the same: it is only compared
};

// A follower that moves with the change, or is forgotten. FAULT_RETRY for `done` if it stands
// elsewhere; a follower that is to be forgotten and is not there is none.
struct append_follower {
    char name[TRAIL_FOLLOWER_NAME_SIZE];  // empty: none
    uint64_t from;
    uint64_t to;
    bool is_dropped;
};

struct append_documents_options {
    const struct append_document *documents;  // copied
    uint32_t documents_count;
    struct append_follower follower;
    const struct span *records;  // whole records of orgtrail.local with an eventID; copied
    uint32_t records_count;
    // Called once, on the writer's thread. fault NULL and is_current: all is durable. Not
    // is_current: a document was not as it was read, and nothing is changed. Otherwise the fault
    // says why not.
    void (*done)(void *context, bool is_current, const struct fault *fault);
    void *context;
};

// Makes the job and submits it. FAULT_FULL: no memory, too much, or too many jobs; done is not
// called then.
MUST_CHECK bool append_documents_submit(struct append *append,
                                        const struct append_documents_options *options,
                                        struct fault *fault);

// The same, and waits for the end of it; `done` of the options is not used. FAULT_RETRY after
// wait_ms: it may happen yet.
MUST_CHECK bool append_documents_change(struct append *append,
                                        const struct append_documents_options *options,
                                        int64_t wait_ms, bool *is_current, struct fault *fault);
