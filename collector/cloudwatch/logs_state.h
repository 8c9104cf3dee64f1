// logs_state.h: what the delivery of a trail to its log group remembers, as the document
// deliver/logs/ID. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/span.h"

#define LOGS_STATE_DOCUMENTS "deliver/logs/"  // and the trail's id

enum {
    LOGS_STATE_SIZE_MAX = 512 * 1024,  // bytes of the document
    LOGS_STATE_ERROR_SIZE = 300,       // of a text with its final zero
};

struct logs_state {
    struct span trail;  // its document, as it was when the state was saved
    bool is_active;     // in a session
    int64_t session_ms;
    int64_t attempted_ms;               // the last attempt that failed, or was good
    int64_t delivered_ms;               // the last one that was good; 0: none
    uint64_t left_out;                  // events of this session that the store does not take
    char error[LOGS_STATE_ERROR_SIZE];  // of the last attempt; empty: none
    char note[LOGS_STATE_ERROR_SIZE];   // why events were left out; empty: none was
};

// Reads a document; `trail` lies where the JSON does. FAULT_CORRUPT.
MUST_CHECK bool logs_state_read(const struct yyjson_val *root, struct logs_state *state,
                                struct fault *fault);

// Appends the document.
void logs_state_print(const struct logs_state *state, struct buffer *buffer);
