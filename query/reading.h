// reading.h: stored rows read as records again, one at a time, in reused memory.

#pragma once

#include "base/fault.h"
#include "event/record.h"
#include "storage/trail/trail_reader.h"

struct reading;

// NULL if memory runs out.
struct reading *reading_create(void);

// Frees it. NULL is allowed.
void reading_destroy(struct reading *reading);

// Reads a row's text. The record lives until the next call and as long as the row. FAULT_CORRUPT
// if the text is no record any more: only good records are stored.
MUST_CHECK bool reading_read(struct reading *reading, const struct trail_row *row,
                             struct record *record, struct fault *fault);
