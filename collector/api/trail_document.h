// trail_document.h: what the document of a trail says, for the API and for deliveries.

#pragma once

#include "base/arena.h"
#include "base/fault.h"
#include "collector/api/tags.h"
#include "event/match/selector.h"
#include "storage/trail/trail_types.h"

#define TRAIL_DOCUMENTS "api/trail/"  // what the documents' names begin with

// All texts and values live as long as the call. Texts that are not set are empty.
struct trail {
    uint64_t version;     // 0: not kept yet
    struct span account;  // its owner
    struct span region;   // its home
    struct span name;
    struct span bucket;
    struct span prefix;
    struct span topic;  // as it was given: a name or an ARN
    struct span logs_group;
    struct span logs_role;
    struct span key;  // ARN
    bool is_global;   // with events of global services
    bool is_multi_region;
    bool is_organization;
    bool is_validated;  // with digest files
    bool is_recursive;  // with what its own deliveries write
    bool is_logging;
    int64_t created_ms;
    int64_t changed_ms;
    int64_t started_ms;                 // 0: never
    int64_t stopped_ms;                 // 0: never
    int64_t logs_ms;                    // since when it has a log group; 0: since it began
    const struct yyjson_val *advanced;  // selectors as they were given; NULL: none
    const struct yyjson_val *basic;     // the same; both NULL: the default ones
    const struct yyjson_val *insights;  // NULL: none
    struct tags tags;
};

enum {
    TRAIL_ID_SIZE = 17,       // bytes of an id with its final zero
    TRAIL_TOPIC_SIZE = 2560,  // bytes of a topic's ARN with its final zero
};

// The name of a trail's document: "api/trail/ACCOUNT/HASH". An account is at most 64 bytes without
// a slash.
void trail_document_name(struct span account, struct span region, struct span name,
                         char document[TRAIL_NAME_SIZE_MAX + 1]);

// The id of a trail, which another one of the same name made later does not have.
void trail_document_id(const struct trail *trail, char id[TRAIL_ID_SIZE]);

// Reads a document but for its tags; the trail borrows from it.
struct trail trail_document_read(const struct yyjson_val *root);

// The trail's selectors, read into an arena. FAULT_CORRUPT, FAULT_FULL.
MUST_CHECK bool trail_document_selectors(const struct trail *trail, struct arena *arena,
                                         struct selector_set *set, struct fault *fault);

// The partition of a region's ARNs: "aws", "aws-cn", "aws-us-gov".
const char *trail_document_partition(struct span region);

// The ARN of the trail's topic, which it has: one that was given as a name is of its own account
// and region. One that is longer than any is cut.
void trail_document_topic(const struct trail *trail, char arn[TRAIL_TOPIC_SIZE]);
