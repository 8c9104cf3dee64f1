// object.h: one file of records being read, plain or gzip, whatever envelope it has.
//
// Gives the records with the inflated offset behind each, so that reading can go on there after a
// restart. What cannot be read ends the file with a verdict; what was refused can then be measured
// (size, hash and its beginning, of the bytes as they lie on disk). Memory is flat.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/source/source.h"
#include "base/fault.h"
#include "base/files.h"
#include "base/span.h"

enum object_result {
    OBJECT_RECORD,    // *record, and *position behind it
    OBJECT_OVERSIZE,  // a record larger than SOURCE_RECORD_SIZE_MAX: *record is its beginning
    OBJECT_MORE,      // some work was done
    OBJECT_END,       // the file is read
    OBJECT_REFUSED,   // the rest cannot be read: *fault and object_verdict say why
    OBJECT_FAULT,     // the machine cannot read it now: *fault; try again later
};

struct object;

// A reader of files that inflate to at most size_max bytes. NULL if memory runs out.
struct object *object_create(const struct files *files, uint64_t size_max);
void object_destroy(struct object *object);

// Opens a file; lines: it is NDJSON. Records that end at or before `skip` are not given.
// FAULT_INPUT if it is missing, FAULT_DENIED, FAULT_RETRY, FAULT_IO.
MUST_CHECK bool object_open(struct object *object, const char *path, bool lines, uint64_t skip,
                            struct fault *fault);
void object_close(struct object *object);

// The path of the open file as the system knows it now. False if it does not tell.
bool object_find_path(const struct object *object, char *path, size_t path_size);

// Does one bounded piece of work. Spans are borrowed until the next call.
enum object_result object_step(struct object *object, struct span *record, uint64_t *position,
                               struct fault *fault);

// After OBJECT_OVERSIZE: size and hash of the whole record.
void object_measure_record(const struct object *object, uint64_t *size, uint8_t sha256[32]);

// After OBJECT_REFUSED: "corrupt_file", "truncated_file" or "file_too_large".
const char *object_verdict(const struct object *object);

// After OBJECT_REFUSED: measures what was refused. OBJECT_MORE until OBJECT_END (then *head, *size
// and sha256 are set) or OBJECT_FAULT.
enum object_result object_measure(struct object *object, struct span *head, uint64_t *size,
                                  uint8_t sha256[32], struct fault *fault);

// Compressed or plain bytes read so far.
uint64_t object_read_size(const struct object *object);
