// patience.h: how long whoever runs the agent once waits for a collector that acknowledges nothing.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "base/fault.h"

enum {
    PATIENCE_S = 60,           // if none is given
    PATIENCE_MAX_S = 1000000,  // 11 days
};

struct patience {
    const char *program;  // whose words on standard error
    int64_t timeout_s;    // 0: for ever
    uint64_t acknowledged;
    int64_t since_ms;  // monotonic: something waits and nothing was acknowledged
    bool is_told;
};

// Begins to wait. The program's name is borrowed.
struct patience patience_begin(const char *program, int64_t timeout_s, int64_t monotonic_ms);

// After each turn: says once on standard error why it waits. FAULT_RETRY: its time is over.
MUST_CHECK bool patience_step(struct patience *patience, const struct agent_status *status,
                              int64_t monotonic_ms, struct fault *fault);

// Reads the seconds of --timeout. False if the text is no such number.
bool patience_parse(const char *text, int64_t *seconds);
