// operations.h: the table of operations: which there are, and what runs them.
//
// A new one is a function, declared in the header of its file, and a row in operations.c.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/api/api.h"

struct operation {
    const char *service;                 // of the signature: "cloudtrail"
    const char *name;                    // "LookupEvents"
    bool is_change;                      // needs API_ADMIN; its event says readOnly false
    bool (*run)(struct api_call *call);  // NULL: UnsupportedOperationException
};

// The row of an operation, or NULL if AWS knows none of that name.
const struct operation *operations_find(struct span service, struct span name);

// Runs a call as api_run does, with this row; NULL: there is no such operation.
void operations_run(const struct operation *operation, struct api_worker *worker,
                    const struct api_request *request, struct api_answer *answer);

// The version of the service's API, for events: "2013-11-01".
const char *operations_version(const struct operation *operation);

// The whole table.
extern const struct operation operations_table[];
extern const uint32_t operations_count;
