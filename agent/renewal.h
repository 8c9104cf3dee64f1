// renewal.h: new certificates of a running agent, tried on the collector before the old ones go.
//
// The files are read and checked as at the start, and must name the same agent: its stream and its
// place at the collector hang on that name. Then a connection of its own shows them to the
// collector, beside the stream that goes on with the old ones. Only what the collector accepts
// within RENEWAL_MS is taken. One thread, the agent's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent_config.h"
#include "base/certificate_files.h"
#include "base/fault.h"

enum { RENEWAL_MS = 15000 };  // the collector's patience with a handshake is 20 s

// The method that agents call.
#define RENEWAL_SERVICE "/orgtrail.v1.Collector/Stream"

struct renewal;

enum renewal_state { RENEWAL_TRYING, RENEWAL_ACCEPTED, RENEWAL_REFUSED };

// Reads and checks the agent's files; the caller frees them with certificate_files_done. uri is who
// it is, NULL at the start. FAULT_INPUT and others say what is wrong, where, and what to do.
MUST_CHECK bool renewal_read(const struct agent_config *config, const char *uri, int64_t now_s,
                             struct certificate_files *read, struct fault *fault);

// Begins to try what was read; takes it, also on failure. FAULT_INPUT, FAULT_FULL.
MUST_CHECK bool renewal_begin(const struct agent_config *config, struct certificate_files *read,
                              int64_t monotonic_ms, struct renewal **renewal, struct fault *fault);

// Goes on, without waiting. Once it is RENEWAL_REFUSED the fault says why.
enum renewal_state renewal_step(struct renewal *renewal, int64_t monotonic_ms, struct fault *fault);

// Ends it and hands over what was accepted. The caller frees the files.
void renewal_take(struct renewal *renewal, struct certificate_files *files);

// Ends it; what it tried is freed. NULL is allowed.
void renewal_destroy(struct renewal *renewal);
