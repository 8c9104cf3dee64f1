// export.h: the consolidated organization trail of a time range, as files.
//
// Two forms: CloudTrail's organization layout of .json.gz objects (event/file.h), or one NDJSON
// file a day, cut at EXPORT_PART_SIZE. The same events give byte-identical files whatever order
// they arrived in: within a day events are taken in the order (eventTime, id, account), go to the
// file of their account, region and kind, and a file is closed only when the next event would not
// fit, or at the end of the day.
//
// An export is bound to a snapshot of the trail, which OUT/.orgtrail-export/plan.json keeps while
// it runs. A file appears under its name only when it is whole and on the disk; a journal beside
// the plan says which days are done. So an export that was stopped anywhere goes on by day, and
// what it did twice it did alike. At its end OUT/manifest.json lists all files and the plan goes.
//
// Memory: EXPORT_MEMORY_SIZE of text, then it is spilled into one file beside the plan, and one
// file's text on top. One thread; waits for the disk.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/files.h"
#include "query/filter.h"
#include "storage/trail/trail_reader.h"

enum {
    EXPORT_MEMORY_SIZE = 64 * 1024 * 1024,  // bytes of text held before it is spilled
    EXPORT_PART_SIZE = 256 * 1024 * 1024,   // bytes of one NDJSON file
    EXPORT_GROUPS_MAX = 100000,             // accounts x regions x kinds of one day; see export.c
    EXPORT_GZIP_LEVEL = 6,
};

enum export_form {
    EXPORT_CLOUDTRAIL,
    EXPORT_NDJSON,
};

struct export_plan {
    const struct files *files;
    const char *out;           // a folder; made if its parent exists
    const char *organization;  // "o-..."; "": the layout of single accounts' trails
    struct filter *filter;     // its time range is set from the plan when resuming
    enum export_form form;
    bool is_resumed;
};

struct export_summary {
    uint64_t sequence_max;  // the snapshot
    uint64_t events;
    uint64_t files;
    uint64_t text_size;   // bytes of records and what stands around them
    uint64_t size;        // bytes of files
    uint64_t files_kept;  // of the files: from before, checked
};

// Told now and then: events done of about so many (0: unknown). May be NULL.
struct export_progress {
    void (*on_progress)(void *user, uint64_t done, uint64_t all);
    void *user;
};

// Writes the export, or the rest of it. FAULT_INPUT if the folder holds another export, or none to
// resume, or one with other arguments or of another store; FAULT_FULL if the disk is full (resume
// when there is room); FAULT_RETRY if days it should have were dropped meanwhile; FAULT_IO;
// FAULT_CORRUPT as trail_cursor_next.
MUST_CHECK bool export_write(struct trail_reader *reader, const struct export_plan *plan,
                             const struct export_progress *progress, struct export_summary *summary,
                             struct fault *fault);

// Gives the same events as NDJSON in pieces, oldest first, until on_bytes returns false (which is
// no failure). Nothing is kept; *summary has no files. FAULT_RETRY at the end if days it should
// have had were dropped meanwhile.
MUST_CHECK bool export_stream(struct trail_reader *reader, const struct filter *filter,
                              bool (*on_bytes)(void *user, struct span bytes), void *user,
                              struct export_summary *summary, struct fault *fault);
