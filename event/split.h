// split.h: cuts a stream of bytes into records, whatever envelope they come in.
//
// A document stream (lines false) is any sequence of {"Records":[{...},...]} (CloudTrail's files),
// arrays of objects, and single objects, with white space between them. A line stream is NDJSON.
// The splitter looks only at structure (quotes, escapes, braces): what stands between two matching
// braces, or on one line, is handed out verbatim and judged by record_read. It works in pieces:
// memory is one record at most. Pure; one thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/fault.h"
#include "base/span.h"

enum { SPLIT_HEAD_SIZE = 64 * 1024 };  // bytes kept of a record that is too large

struct split;

enum split_result {
    SPLIT_RECORD,    // *record is one record
    SPLIT_OVERSIZE,  // a record larger than size_max ended: *record is its first SPLIT_HEAD_SIZE
                     // bytes, split_oversize tells the rest; the next records follow as usual
    SPLIT_MORE,      // all input was used: give more, or call split_finish
    SPLIT_BAD,  // no sequence of records from here on: *fault says what and where. Every further
                // step says the same until split_reset
};

// size_max: bytes of one record. NULL if memory runs out.
struct split *split_create(uint32_t size_max, bool lines);
void split_destroy(struct split *split);

// Begins a new stream; offsets are counted from `offset`, where its first byte stands.
void split_reset(struct split *split, uint64_t offset);

// Takes bytes from *input and moves it past what was used. The record is borrowed until the next
// call and may lie in the input; *offset is where it begins. Lines come without their line end;
// lines of white space alone are passed over.
enum split_result split_step(struct split *split, struct span *input, struct span *record,
                             uint64_t *offset, struct fault *fault);

// At the end of the stream: FAULT_INPUT if it ended inside a record or envelope, with the offset. A
// last line without line end is such a case too: split_pending has it.
MUST_CHECK bool split_finish(struct split *split, struct fault *fault);

// What is there of a record that has not ended: at most size_max bytes, or the first
// SPLIT_HEAD_SIZE of a larger one. Empty between records. Borrowed until the next call.
struct span split_pending(const struct split *split);

// Where the first byte stands that belongs to no record handed out yet. In a line stream reading
// may begin there again.
uint64_t split_position(const struct split *split);

// Size and SHA-256 of the last oversize record.
void split_oversize(const struct split *split, uint64_t *size, uint8_t sha256[SHA256_SIZE]);
