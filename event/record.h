// record.h: one CloudTrail record, read: its text and the fields that orgtrail looks at.
//
// The text is kept verbatim; everything else is extracted beside it and never written back. A
// record's fields are described in AWS's "CloudTrail record contents" reference; which are absent
// in practice and how strangely they are spelled is told in docs/records.md. Reading is lenient in
// what nobody needs (types of unknown fields) and strict in what decides identity, time and order.
// Pure: no I/O, no clock.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/span.h"

enum {
    RECORD_SIZE_MAX = 1024 * 1024,  // bytes of text; CloudTrail's own largest is 1 MiB (Large)
    RECORD_RESOURCES_MAX = 256,     // entries of "resources" that are looked at
    RECORD_SUBJECTS_MAX = 64,       // resources that are found in a call's parameters
    RECORD_ID_TEXT_MAX = 256,       // bytes of an eventID that is no UUID
    RECORD_ID_SIZE = 16,
};

enum record_category {
    RECORD_MANAGEMENT,
    RECORD_DATA,
    RECORD_INSIGHT,
    RECORD_NETWORK_ACTIVITY,
    RECORD_AGGREGATED,
    RECORD_OTHER,  // a category AWS may add; eventCategory's text says which
};

// Why a record cannot be an event. Order and names are stable: metrics and quarantine keep them.
enum record_refusal {
    RECORD_GOOD,
    RECORD_INVALID_JSON,  // not JSON, not UTF-8, or deeper than 64
    RECORD_NOT_AN_OBJECT,
    RECORD_DUPLICATE_MEMBER,  // two members of one object with one name: two readers could disagree
    RECORD_TOO_LARGE,
    RECORD_NO_EVENT_TIME,  // absent, no string, or not a time
    RECORD_NO_EVENT_SOURCE,
    RECORD_NO_EVENT_NAME,
    RECORD_BAD_EVENT_ID,  // present but no string, empty, or over 256 bytes
    RECORD_WRONG_TYPE,    // a field that decides something (account, region, ...) is no string
};

struct record_resource {
    struct span name;  // ARN, or ARNPrefix, or resourceName; may be empty
    struct span type;  // "AWS::S3::Bucket"; may be empty
};

// Spans are unescaped values; absent ones have NULL bytes. They lie in the text, which stays where
// the caller has it, or in the arena given to record_read, so the json_reader is free for the next
// record.
struct record {
    struct span text;

    struct span event_id;  // as written; absent if the record has none
    uint8_t id[RECORD_ID_SIZE];
    bool id_is_uuid;
    int64_t event_time_s;  // since the Unix epoch
    struct span event_source;
    struct span other_source;  // an eventSource that does not count: an insight's own beside that
                               // of its insightDetails, or insightDetails' in any other record
    struct span event_name;
    struct span region;  // awsRegion; absent in a few service events
    struct span event_type;
    struct span event_category;
    struct span recipient_account;  // recipientAccountId, else accountId of an aggregated record
    struct span identity_account;   // userIdentity.accountId
    struct span identity_type;
    struct span identity_arn;
    struct span identity_invoked_by;
    struct span access_key;
    struct span user_name;     // userIdentity.userName
    struct span issuer_name;   // userIdentity.sessionContext.sessionIssuer.userName
    struct span session_name;  // what follows the last '/' of an assumed role's ARN
    struct span shared_event_id;
    struct span error_code;
    struct span source_ip;
    struct span vpc_endpoint;  // vpcEndpointId
    struct record_resource *resources;
    uint32_t resources_count;
    // What a management call that changes something is about, by its parameters, with a name and a
    // type each; none of them is among the resources. See subject.c.
    struct record_resource *subjects;
    uint32_t subjects_count;

    enum record_category category;
    bool is_read_only;  // readOnly, or for records older than that field by the event's name
    bool is_error;      // has errorCode or errorMessage
    bool is_global;     // belongs to no region: see service.h
    bool is_console;    // sessionCredentialFromConsole: the console's session made the call
};

// Reads one record. True fills *record. False: *refusal says which rule it broke and the fault's
// text where (FAULT_INPUT), or memory ran out (FAULT_FULL, *refusal RECORD_GOOD).
MUST_CHECK bool record_read(struct json_reader *reader, struct arena *arena, struct span text,
                            struct record *record, enum record_refusal *refusal,
                            struct fault *fault);

// The refusal's name as it stands in metrics and quarantine: "invalid_json".
const char *record_refusal_name(enum record_refusal refusal);

// "Management", "Data", "Insight", "NetworkActivity", "Aggregated", "Other".
const char *record_category_name(enum record_category category);

// The category of a name in the form above. False if there is none of that name.
bool record_category_find(struct span name, enum record_category *category);

// The name LookupEvents shows as Username: userName, "root" for Root, the session name of an
// assumed role, else the issuer's name, else invokedBy, else the ARN's last part; may be empty.
struct span record_display_user(const struct record *record);

// What people call a resource when they do not write its ARN: what follows the last '/' or ':'.
// Absent if the name is no ARN.
struct span record_short_name(struct span name);

// Parses a UUID in its 36-character form, either case. False if it is none.
bool record_parse_uuid(struct span text, uint8_t id[RECORD_ID_SIZE]);

enum { RECORD_UUID_TEXT_SIZE = 37 };

// Prints the 36-character lower-case form and a final zero.
void record_print_uuid(const uint8_t id[RECORD_ID_SIZE], char text[RECORD_UUID_TEXT_SIZE]);
