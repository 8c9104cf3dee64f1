// agent_open.h: the spool and the sources that an agent's settings name, opened. Internal to the
// agent.

#pragma once

#include <stdbool.h>

#include "agent/agent.h"
#include "agent/source/source.h"
#include "agent/spool.h"
#include "base/clock.h"
#include "base/fault.h"

// What sources are opened with; all borrowed, the spool and the clock for as long as they are open.
struct agent_opening {
    const struct agent_options *how;
    const struct clock *clock;
    const struct spool *spool;
};

// Opens the spool, whose folder is made if only its last part is missing. Faults as spool_open.
MUST_CHECK bool agent_open_spool(const struct agent_config *config, const struct clock *clock,
                                 struct spool **spool, struct fault *fault);

// Opens one source; the caller closes it. FAULT_INPUT if its path is too long, and faults as
// directory_open and tail_open.
MUST_CHECK bool agent_open_source(const struct agent_opening *opening,
                                  const struct agent_config_source *from, struct source *source,
                                  struct fault *fault);
