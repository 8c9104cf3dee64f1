// choice.h: which of the records that sources give go into the spool: the agent's event selectors.
//
// A record is left out only if it can be read and no selector selects it. What cannot be read goes
// on to the collector, whose business it is, and so does an event of a category that no selector
// can name. One thread.

#pragma once

#include <stdbool.h>

#include "base/fault.h"
#include "base/span.h"

enum { CHOICE_FILE_SIZE_MAX = 8 * 1024 * 1024 };  // bytes of the file

struct choice;

// Reads a file that holds what `aws cloudtrail put-event-selectors --advanced-event-selectors`
// takes. The caller destroys it. FAULT_INPUT: "PATH: " and what is wrong; FAULT_DENIED, FAULT_FULL,
// FAULT_IO.
MUST_CHECK bool choice_load(const char *path, struct choice **choice, struct fault *fault);

// Reads the file again and goes by what it says from then on, or as before if it is no good; the
// log says which.
void choice_reload(struct choice *choice, const char *path);

// Frees it. NULL is allowed.
void choice_destroy(struct choice *choice);

// Whether the record is to be kept.
bool choice_keeps(struct choice *choice, struct span record);
