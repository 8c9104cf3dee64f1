// matches.h: whom an entry of the deny list is about, of the agents that the store and the running
// collector know.

#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "cli/store.h"

struct matches {
    uint32_t known;         // agents whose last certificate the entry has
    uint32_t connected;     // of them
    uint32_t below;         // agents below a name without a star, which it does not match
    char below_names[512];  // the first of them: "URI, URI, ..."
};

// Appends the names of the agents that are connected, each with a final zero. Faults as
// control_ask.
MUST_CHECK bool matches_ask_connected(const struct store_choice *choice, struct buffer *names,
                                      struct fault *fault);

// Counts, for an entry as the list has it. Faults as store_open and seen_list.
MUST_CHECK bool matches_find(const struct store_choice *choice, const char *entry,
                             struct span connected, struct matches *matches, struct fault *fault);
