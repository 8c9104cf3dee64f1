// refused_list.h: quarantine entries' texts in order of time. The store has them in the order of
// their keys; the texts wait in a temporary file, as they may be larger than memory.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/fault.h"
#include "base/span.h"

// Zeros are an empty list.
struct refused_list {
    FILE *texts;  // one behind the other; NULL before the first
    uint64_t size;
    struct refused_list_item *items;
    size_t items_count;
    size_t items_capacity;
};

// Adds the text of an entry that was refused last at this moment. FAULT_FULL, FAULT_IO.
MUST_CHECK bool refused_list_add(struct refused_list *list, int64_t last_ms, struct span text,
                                 struct fault *fault);

// Prints the first `limit` texts (0: all) to standard output, newest first. FAULT_FULL, FAULT_IO.
MUST_CHECK bool refused_list_print(struct refused_list *list, size_t limit, struct fault *fault);

// Removes the file and frees the rest.
void refused_list_done(struct refused_list *list);
