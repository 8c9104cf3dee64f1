// split.h: cuts a stream of bytes into records, whatever envelope they come in.
//
// Accepts {"Records":[{...},...]} (CloudTrail's files), newline-delimited objects, a single object,
// and an array of objects. It only looks at structure (quotes, escapes, braces): what is between
// two matching braces is handed out verbatim and judged by record_read. Works in pieces: memory is
// one record at most. Pure; one thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

struct split;

enum split_result {
    SPLIT_RECORD,    // *record is one record
    SPLIT_MORE,      // all input was used: give more, or call split_finish
    SPLIT_OVERSIZE,  // a record passed size_max and is being skipped: *record is its first bytes
                     // (64 KiB at most) and split_skipped tells its size and hash once it ended
    SPLIT_BAD,  // the stream is no sequence of records from here on: *fault says what and where
};

// NULL if memory runs out. lines: the stream is NDJSON, where a line that is no object is handed
// out as a record of its own (record_read refuses it) and reading goes on with the next line;
// without it, garbage between records ends the stream (SPLIT_BAD).
struct split *split_create(uint32_t size_max, bool lines);
void split_destroy(struct split *split);

// Begins a new stream at this byte offset (offsets reported count from there).
void split_reset(struct split *split, uint64_t offset);

// Takes bytes from *input (moved past what was used). On SPLIT_RECORD and SPLIT_OVERSIZE the record
// is borrowed until the next call. *offset is where it begins in the stream.
enum split_result split_step(struct split *split, struct span *input, struct span *record,
                             uint64_t *offset, struct fault *fault);

// At the end of the stream: false if something was cut off in the middle (FAULT_INPUT, with
// offset). For lines, an unfinished last line is not an error here: split_pending gives it.
MUST_CHECK bool split_finish(struct split *split, struct fault *fault);

// Stream offset of the first byte that does not belong to a record already handed out: where to
// resume from.
uint64_t split_position(const struct split *split);

// Size in bytes and SHA-256 of the last oversize record, after it ended (true) or so far (false).
bool split_skipped(const struct split *split, uint64_t *size, uint8_t sha256[32]);
