// admit.h: whether a record may enter the trail, and as which account's.
//
// Pure: the same record, certificate, object, roster and time give the same answer. The rules are
// in docs/collector.md, "What is admitted".

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/span.h"
#include "collector/admit/grant.h"
#include "collector/admit/roster.h"
#include "event/record.h"

// Why bytes are in quarantine. The first ones are record_refusal's, in its order; names are stable:
// metrics and quarantine keep them.
enum admit_reason {
    ADMIT_GOOD = RECORD_GOOD,
    ADMIT_INVALID_JSON = RECORD_INVALID_JSON,
    ADMIT_NOT_AN_OBJECT = RECORD_NOT_AN_OBJECT,
    ADMIT_DUPLICATE_MEMBER = RECORD_DUPLICATE_MEMBER,
    ADMIT_TOO_LARGE = RECORD_TOO_LARGE,
    ADMIT_NO_EVENT_TIME = RECORD_NO_EVENT_TIME,
    ADMIT_NO_EVENT_SOURCE = RECORD_NO_EVENT_SOURCE,
    ADMIT_NO_EVENT_NAME = RECORD_NO_EVENT_NAME,
    ADMIT_BAD_EVENT_ID = RECORD_BAD_EVENT_ID,
    ADMIT_WRONG_TYPE = RECORD_WRONG_TYPE,
    ADMIT_RESERVED_SOURCE,  // claims to be an event of orgtrail itself
    ADMIT_FUTURE,           // eventTime too far ahead of the collector's clock
    ADMIT_NO_ACCOUNT,       // nothing says whose it is
    ADMIT_BAD_ACCOUNT,      // an account longer than KEY_ACCOUNT_SIZE_MAX
    ADMIT_IDENTITY,         // outside the certificate's grant
    ADMIT_UNKNOWN_ACCOUNT,  // not in the roster
    ADMIT_CONFLICT,         // another record is stored under its key (set by append)
    ADMIT_UNDECIDED,        // the block that would tell is damaged (set by append)
    ADMIT_NOTICE,           // the head of what an agent refused (not a record)
    ADMIT_BAD_NOTICE,       // a Notice that cannot be read (not a record)
    ADMIT_REASONS,          // how many
};

// The reason's name in metrics and quarantine: "identity"; "good" for ADMIT_GOOD.
const char *admit_reason_name(enum admit_reason reason);

// What is the same for all records of one stream.
struct admit_rules {
    const struct grant *grant;
    const struct roster *roster;
    int64_t future_max_s;  // seconds that eventTime may be ahead
};

struct admit_answer {
    enum admit_reason reason;
    struct span account;  // whose it is, if good; borrowed from record, grant or object
    bool is_unlisted;     // good, of an account that is not in the roster
    const char *detail;   // if not good, for people: what is wrong; in the arena
};

// Decides about a record that was read. `object` is the key or path it came from, or empty. False
// only if the arena is full (FAULT_FULL).
MUST_CHECK bool admit_record(const struct admit_rules *rules, const struct record *record,
                             struct span object, int64_t now_s, struct arena *arena,
                             struct admit_answer *answer, struct fault *fault);

// The account folder of a CloudTrail object key, that is ACCOUNT in
// [prefix/]AWSLogs/[o-ORG/]ACCOUNT/...; the zero span if it has none.
struct span admit_object_account(struct span object);
