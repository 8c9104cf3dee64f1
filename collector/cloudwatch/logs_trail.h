// logs_trail.h: a trail with a log group of CloudWatch Logs: a follower of the log of its own.
//
// It begins with StartLogging, or when the trail gets its group, and ends with StopLogging or
// DeleteTrail, or when the group is taken away. Round after round it gathers the trail's events and
// puts them, and saves its place when all are put: so after a crash between the two the events of
// that round are put again. What fails while the collector runs is put from where it failed.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/aws/caller.h"
#include "collector/deliver/deliver.h"

enum {
    LOGS_TRAIL_LOOK_MS = 1000,                  // between looks at the trail's document
    LOGS_TRAIL_SHARED_SIZE = 64 * 1024 * 1024,  // bytes that the rounds of all trails share
    LOGS_TRAIL_SHARE_MIN = 1024 * 1024,         // bytes of one trail's rounds at least
};

// One for all trails.
struct logs_trail_options {
    struct followers *followers;
    struct notes *notes;           // where events are told that are left out
    struct caller_options caller;  // CloudWatch Logs
    const char *organization;      // "o-..."
    const char *const *groups;     // that trails may name, as logs_trail_allows has them
    uint32_t groups_count;         // 0: any
    uint64_t event_size_max;
    uint32_t interval_s;
};

// The destination, for deliver_start. Options are borrowed.
struct deliver_kind logs_trail_kind(const struct logs_trail_options *options);

// Whether a trail may name the log group of this ARN: if a pattern is its name; one that ends in
// '*' is any that begins so. The account is not looked at: the group is that of the caller's key.
bool logs_trail_allows(const struct logs_trail_options *options, struct span arn);

// Splits the ARN of a log group, "arn:aws:logs:REGION:ACCOUNT:log-group:NAME:*". False if it is
// none.
bool logs_trail_split(struct span arn, struct span *region, struct span *name);
