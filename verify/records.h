// records.h: the records in delivered log files, to be compared with whoever knows them too.
//
// A record is known by account, id and eventTime, eight bytes under a secret of this run: 64 of
// those bits differ for all but one in a million sets of ten million. So that memory stays flat
// records are compared in parts: each part has those of a share of the hashes, and the files are
// read once for each. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "event/record.h"
#include "verify/delivered.h"

enum {
    RECORDS_OF_PART = 16 * 1024 * 1024,  // about so many records in one part
    RECORDS_SIZE_MIN = 500,              // bytes of text that a record is taken to have at least
};

struct records;

// Which files are read.
struct records_range {
    const struct delivered *delivered;
    const char *account;  // NULL: all
    const char *region;
    int64_t from_s;  // those delivered on that day, the day before, and later
};

// A record as its file has it.
struct records_entry {
    struct span account;
    struct span region;
    struct span bucket;
    struct span object;
    const struct record *record;
};

// Parts for log files of so many bytes of text.
uint32_t records_parts(uint64_t text_size);

// No records. NULL if memory runs out.
struct records *records_create(const struct records_range *range);

// Frees it. NULL is allowed.
void records_destroy(struct records *records);

// Forgets what it has and reads a part's records; files that cannot be read are passed over, since
// whoever verifies has told of them. Faults of listing; FAULT_FULL.
MUST_CHECK bool records_read(struct records *records, uint32_t part, uint32_t parts,
                             struct fault *fault);

// Whether a record is in the files, or in another part; it is then met.
bool records_meet(struct records *records, struct span account, const uint8_t id[RECORD_ID_SIZE],
                  int64_t event_time_s);

// Reads the files again and calls on_entry for each record of the part that was not met.
MUST_CHECK bool records_left(struct records *records,
                             void (*on_entry)(void *user, const struct records_entry *entry),
                             void *user, struct fault *fault);

// Records in the part, and how many of them were not met.
uint64_t records_count(const struct records *records);
uint64_t records_unmet(const struct records *records);
