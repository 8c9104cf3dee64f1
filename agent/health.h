// health.h: what the agent tells over HTTP: /metrics and /healthz. docs/telemetry.md explains each.
//
// The loop's thread updates, the server's threads read; both only touch atomic values.

#pragma once

#include "agent/agent.h"
#include "base/fault.h"

enum {
    HEALTH_AWAY_MS = 120000,  // without the collector for longer is not healthy
};

// Registers the metrics, and serves them if there is an address. Once. FAULT_INPUT, FAULT_RETRY.
MUST_CHECK bool health_start(const char *listen, struct fault *fault);

// Takes over how the agent is; a few times a second.
void health_update(struct agent *agent, int64_t monotonic_ms);

// Ends the server.
void health_stop(void);
