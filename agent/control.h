// control.h: the agent's socket for `orgtrail agent status`, in its spool's folder.
//
// The loop's thread publishes how the agent is a few times a second; the socket's thread hands out
// what was published last. The file belongs to the agent's user alone (and root).

#pragma once

#include "agent/agent.h"
#include "base/fault.h"

#define CONTROL_SOCKET "control.sock"  // in the spool's folder

struct control;

// Publishes and begins to serve. Faults as rpc_local_start.
MUST_CHECK bool control_start(struct agent *agent, const struct agent_config *config,
                              struct control **control, struct fault *fault);

// Takes over how the agent is. NULL is allowed.
void control_update(struct control *control, struct agent *agent);

// Ends it. NULL is allowed.
void control_stop(struct control *control);
