// directory.h: a source over a folder tree of CloudTrail files (.json.gz, .json) or NDJSON
// (.ndjson, .jsonl, also .gz).
//
// It remembers which files it has taken, all of them: names and times tell nothing about what comes
// later. A file is taken once the collector has acknowledged its last record; a file that changes
// is another file, whose repeated records the collector knows as duplicates. docs/agent.md has the
// order of reading and every message.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/source/source.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/files.h"
#include "base/span.h"

enum {
    DIRECTORY_POLL_MS = 1000,              // pause between two turns
    DIRECTORY_FULL_TURN_MS = 3600 * 1000,  // between two turns over older folders
    DIRECTORY_SETTLE_MS = 10000,           // a file that ends too early may still be growing
    DIRECTORY_PENDING_MAX = 65536,         // files read and not yet acknowledged
};

#define DIRECTORY_FILE_SIZE_MAX (UINT64_C(256) << 20)

struct directory_options {
    const struct files *files;
    const struct files *archive;  // where root is, without links; NULL: it is in files
    const struct clock *clock;
    const char *root;             // the folder; copied
    const char *state_directory;  // in the spool's folder, for the taken files; made if missing
    const uint8_t *spool_id;      // 16 bytes; what was taken is void under another one
    uint32_t poll_ms;             // 0: DIRECTORY_POLL_MS
    uint64_t file_size_max;       // inflated bytes of one file; 0: DIRECTORY_FILE_SIZE_MAX
    bool once;                    // read what is there, then SOURCE_END
};

// Whether a file of this name is one that the source reads.
bool directory_wants(struct span name);

// Opens the source. A root that is missing is no failure: the source says so and waits for it.
// FAULT_FULL, FAULT_DENIED, FAULT_IO for the state's folder.
MUST_CHECK bool directory_open(const struct directory_options *options, struct source *source,
                               struct fault *fault);
