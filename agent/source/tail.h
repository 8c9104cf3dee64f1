// tail.h: a source over growing files of one record a line (NDJSON), and standard input.
//
// Follows rotation by renaming (the old file is read to its end) and by copying and truncating (the
// rest is read from the copy). What cannot be found any more becomes a notice with the last known
// position. A last line waits for its line end. docs/agent.md has every message.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/source/source.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/files.h"

enum {
    TAIL_POLL_MS = 20,            // between two looks at quiet files
    TAIL_GLOB_MS = 1000,          // between two searches for new files
    TAIL_ROTATED_MS = 5000,       // since its last growth: a rotated file's last line needs no end
    TAIL_HELD_MS = 600000,        // since then too: it is given up, no writer has it open any more
    TAIL_STANDARD_INPUT_MS = 20,  // between two looks at a quiet standard input
};

struct tail_options {
    const struct files *files;
    const struct clock *clock;
    const char *const *paths;  // files or patterns; "-" alone: standard input; copied
    uint32_t paths_count;
    bool from_end;  // files there at the very first start are read from their end on
    bool once;      // read what is there, then SOURCE_END
};

// Opens the source; files that are missing are waited for. FAULT_FULL if memory runs out.
MUST_CHECK bool tail_open(const struct tail_options *options, struct source *source,
                          struct fault *fault);

// The same for a descriptor that cannot be opened again, as standard input. It is not closed.
MUST_CHECK bool tail_open_stream(int descriptor, const struct clock *clock, struct source *source,
                                 struct fault *fault);
