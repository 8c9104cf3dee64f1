// append_disk.h: what the disk of the store is like: its room, for how long that is enough, and how
// long commits wait for it.
//
// Told in the trail when it begins and when it ends: less than a tenth is free (DiskLow,
// DiskEnough), it will be full within APPEND_DISK_SOON_S at the rate of the last hours
// (DiskFullSoon, DiskLasts), commits take longer than a second (StoreSlow, StoreFast). One commit
// that is slow says nothing, and the end comes late, so that what is told is seldom. The writer's
// thread.

#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "collector/notes/notes.h"

enum {
    APPEND_DISK_LOOK_MS = 10000,      // between looks at its room
    APPEND_DISK_SAMPLE_MS = 600000,   // between those that the forecast is made from
    APPEND_DISK_SAMPLES = 37,         // of six hours
    APPEND_DISK_SAMPLES_MIN = 7,      // of one hour: no forecast from less
    APPEND_DISK_SOON_S = 4 * 86400,   // a disk that lasts less is told of,
    APPEND_DISK_SOON_PERCENT = 40,    // if less than this is free
    APPEND_DISK_LOW_PERCENT = 10,     // a disk of which less is free is told of
    APPEND_DISK_LOW_FOR_MS = 600000,  // once that is so for as long
    APPEND_DISK_SLOW_MS = 1000,       // a commit
    APPEND_DISK_SLOW_COUNT = 3,       // so many,
    APPEND_DISK_SLOW_FOR_MS = 60000,  // over as long, make a slow store,
    APPEND_DISK_FAST_MS = 5 * 60000,  // until none was for as long
};

struct append_disk;

// NULL if memory runs out. All is borrowed.
struct append_disk *append_disk_create(const char *directory, struct notes *notes,
                                       const struct clock *clock);
void append_disk_destroy(struct append_disk *disk);

// A commit took so long.
void append_disk_commit(struct append_disk *disk, int64_t took_ms);

// Looks, if it is time.
void append_disk_step(struct append_disk *disk);

// Seconds until a disk is full whose free bytes were these, one a step_s, the newest last: by the
// line of least squares through them. INT64_MAX: it is not filling up, or that is too few samples.
int64_t append_disk_forecast(const uint64_t *samples, uint32_t count, int64_t step_s);
