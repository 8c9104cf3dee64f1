// export_journal.h: what an export has promised and done, on disk, so that it can go on.
//
// OUT/.orgtrail-export/plan.json  written first; the snapshot and the arguments
// OUT/.orgtrail-export/journal    a line for each file, and one for each day that is done
// OUT/manifest.json               at the end: plan, totals and the files' lines
//
// Lines are JSON objects. A torn last line, and lines behind the last finished day, do not count.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/fault.h"
#include "query/export.h"

enum {
    EXPORT_PATH_SIZE = 4096 + 1024,  // a folder and a file's name below it, with the final zero
};

// One file of an export.
struct export_file {
    const char *name;  // below OUT
    uint64_t events;
    uint64_t text_size;
    uint64_t size;
    uint8_t sha256[SHA256_SIZE];  // of the file
};

struct export_journal;

// Begins a new journal, or opens the one to resume: then every file of a finished day is compared
// with its line, and days are done again from the first one that is not as it was. Sets the
// filter's times and summary from it, and *day_next to the first day to do (INT64_MIN if none is
// done). *is_complete: the export has its manifest, nothing is left to do. FAULT as export_write.
MUST_CHECK bool export_journal_open(struct trail_reader *reader, const struct export_plan *plan,
                                    struct export_journal **journal, struct export_summary *summary,
                                    int64_t *day_next, bool *is_complete, struct fault *fault);
void export_journal_close(struct export_journal *journal);

// The folder for what is temporary.
const char *export_journal_folder(const struct export_journal *journal);

// Notes a file that is on the disk.
MUST_CHECK bool export_journal_add(struct export_journal *journal, const struct export_file *file,
                                   struct fault *fault);

// Notes that all files of the day, and of those before, are there; summary has the totals so far.
// Waits for the disk.
MUST_CHECK bool export_journal_end_day(struct export_journal *journal, int64_t day,
                                       const struct export_summary *summary, struct fault *fault);

// Writes the manifest and removes plan and journal.
MUST_CHECK bool export_journal_finish(struct export_journal *journal,
                                      const struct export_summary *summary, struct fault *fault);

// OUT/NAME into path. FAULT_INPUT if it is too long.
MUST_CHECK bool export_journal_path(const char *folder, const char *name,
                                    char path[EXPORT_PATH_SIZE], struct fault *fault);

// Makes all folders of a name below OUT, durably. FAULT_FULL, FAULT_IO.
MUST_CHECK bool export_journal_make_folders(const struct export_plan *plan, const char *name,
                                            struct fault *fault);
