// agent_socket.h: where the agent on this machine is spoken to: control.sock in its spool's folder.

#pragma once

#include "base/fault.h"
#include "cli/organization.h"

// Where Debian's packages and docs/deploy.md have an agent's settings, and its spool.
#define AGENT_SETTINGS_DEFAULT "/etc/orgtrail-agent/agent.yaml"
#define AGENT_SPOOL_DEFAULT "/var/lib/orgtrail-agent"

// The path of the socket. Which agent is said by its settings (NULL: not given), or by `place`: a
// file of settings, a folder with agent.yaml, or a spool's folder. With neither it is the agent of
// AGENT_SETTINGS_DEFAULT, and that of AGENT_SPOOL_DEFAULT where those cannot be read. FAULT_INPUT
// with file and line.
MUST_CHECK bool agent_socket_find(const char *settings, const char *place,
                                  char path[ORGANIZATION_PATH_SIZE], struct fault *fault);

// Says of a call to that socket that failed what to do about it. Returns false.
bool agent_socket_explain(const char *path, struct fault *fault);
