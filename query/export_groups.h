// export_groups.h: the files of one day that are being filled, one for each account, region and
// kind.
//
// Text is held in memory up to a limit; then all of it is compressed into one spill file, from
// which each file is put together when it is full or the day ends. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "event/file.h"
#include "event/record.h"
#include "query/export.h"
#include "storage/trail/trail_reader.h"

struct export_groups;

// Takes each file that is whole: what decides its name, its text, its events.
struct export_sink {
    bool (*on_file)(void *user, const struct file_place *place, int64_t newest_s, struct span text,
                    uint64_t events, struct fault *fault);
    void *user;
};

// No files yet. memory_size: text held before it is spilled. FAULT_FULL if memory runs out.
MUST_CHECK bool export_groups_create(const struct export_plan *plan, const char *spill_path,
                                     uint64_t memory_size, const struct export_sink *sink,
                                     struct export_groups **groups, struct fault *fault);
void export_groups_destroy(struct export_groups *groups);

// Adds an event to its file; gives that file to the sink first if the event does not fit. Events
// come in the order in which they shall stand, and all of one day.
MUST_CHECK bool export_groups_add(struct export_groups *groups, const struct record *record,
                                  const struct trail_row *row, struct fault *fault);

// Gives all files to the sink and forgets them.
MUST_CHECK bool export_groups_end_day(struct export_groups *groups, struct fault *fault);
