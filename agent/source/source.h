// source.h: something that yields records, as an interface.
//
// A source is stepped by one thread, gives one thing at a time and says with each from where it
// would go on after it (its position, which the spool keeps in the same frame). It never waits
// longer than one read of a file.
//
// Start: restore is called with what the spool still knows (the position before the frames
// that may not be acknowledged, then those of each of these frames in order), then the first step.
// A thing that was given is appended to the spool and appended tells its number; or the
// spool is full, and no step follows until it could be appended.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum {
    SOURCE_NOTICE_HEAD_SIZE_MAX = 64 * 1024,  // bytes of refused input that go along
    SOURCE_TEXT_SIZE = 512,                   // of a place or detail with final zero
    SOURCE_POSITION_SIZE_MAX = 1024,          // as SPOOL_POSITION_SIZE_MAX
    SOURCE_RECORD_SIZE_MAX = 1024 * 1024,     // larger records become notices
};

enum source_result {
    SOURCE_RECORD,  // item->record
    SOURCE_NOTICE,  // item->notice: something was lost or refused
    SOURCE_MORE,    // some work was done, nothing to give yet: step again
    SOURCE_IDLE,    // nothing to do for item->wait_ms
    SOURCE_END,     // nothing will ever come (only when opened to read what is there)
};

// What could not become a record. Texts and spans are borrowed until the next step.
struct source_notice {
    const char *reason;  // "corrupt_file", "truncated_file", "file_too_large", "file_gone",
                         // "record_too_large", "rotated_away"
    const char *place;   // file and byte offset
    const char *detail;  // what happened
    int64_t time_ms;
    struct span head;  // of what was refused
    uint64_t size;     // of all that was refused; 0: unknown
    bool has_sha256;
    uint8_t sha256[32];  // of all that was refused
};

// What a step gave. Everything is borrowed until the next step.
struct source_item {
    struct span record;
    struct span object;    // name relative to the source's root, or empty
    struct span position;  // from where to go on after this
    struct source_notice notice;
    int64_t wait_ms;
};

enum source_state {
    SOURCE_STATE_OK = 1,        // gave something lately
    SOURCE_STATE_IDLE = 2,      // has nothing to give
    SOURCE_STATE_DEGRADED = 3,  // something cannot be read; the rest goes on
    SOURCE_STATE_FAILED = 4,    // nothing can be read
};

struct source_status {
    enum source_state state;
    uint64_t events_read;
    uint64_t errors;
    uint64_t files_read;                // to their end; of a source of whole files
    uint64_t bytes_passed;              // of files read now or before, as far as it has looked
    uint64_t bytes_behind;              // known and not yet read, about
    char last_error[SOURCE_TEXT_SIZE];  // empty if there was none
};

struct source_operations {
    // Tells what the spool holds; number 0 and up, in order.
    MUST_CHECK bool (*restore)(void *context, uint64_t number, struct span position,
                               struct fault *fault);
    // Does one bounded piece of work.
    enum source_result (*step)(void *context, struct source_item *item);
    // What the last step gave has this number in the spool.
    void (*appended)(void *context, uint64_t number);
    // The collector holds everything up to this number.
    void (*acknowledged)(void *context, uint64_t number);
    // Makes durable what follows from acknowledged. FAULT_FULL, FAULT_IO.
    MUST_CHECK bool (*save)(void *context, struct fault *fault);
    // The collector was restored from a backup of this time (ms since the Unix epoch) and the spool
    // cannot refill it: forget what was taken since, durably, if it can be read again.
    MUST_CHECK bool (*rewind)(void *context, int64_t backup_time_ms, struct fault *fault);
    // How it is.
    void (*describe)(void *context, struct source_status *status);
    // Ends and frees it.
    void (*close)(void *context);
};

struct source {
    const struct source_operations *operations;
    void *context;
};
