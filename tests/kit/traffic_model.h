// traffic_model.h: what generated traffic is drawn from: the numbers of model.json and templates.
//
// Read once; everything lies in the arena it was read into and is constant afterwards.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    TRAFFIC_ARCHETYPES_MAX = 8,
    TRAFFIC_REGIONS_MAX = 32,
    TRAFFIC_ROLES_MAX = 8,
    TRAFFIC_COPIES_MAX = 4,
};

// What stands at one place of a template instead of the real record's text.
enum traffic_slot_kind {
    TRAFFIC_ACCOUNT,
    TRAFFIC_REGION,
    TRAFFIC_TIME,
    TRAFFIC_SESSION_TIME,
    TRAFFIC_EVENT_ID,
    TRAFFIC_REQUEST_ID,     // in UUID form
    TRAFFIC_REQUEST_ID_S3,  // 16 characters of 0-9A-Z
    TRAFFIC_ACCESS_KEY,     // the 16 characters behind AKIA or ASIA
    TRAFFIC_PRINCIPAL,      // the 17 characters behind AROA or AIDA
    TRAFFIC_USER,
    TRAFFIC_ADDRESS,
    TRAFFIC_HEX,     // the tail of a resource id
    TRAFFIC_UUID,    // of a key or another resource: one of the account's
    TRAFFIC_TOKEN,   // base64, random
    TRAFFIC_FILLER,  // values that real records have, to reach a size
};

// A place in a template. The text between the slots is copied.
struct traffic_slot {
    uint32_t offset;
    uint16_t size;    // bytes it takes in the template; HEX, TOKEN and FILLER keep that size
    uint8_t kind;     // enum traffic_slot_kind
    uint8_t group;    // same text, same group: gets one value within an event
    bool is_session;  // ACCESS_KEY: of a session, changes every hour
};

struct traffic_template {
    struct span text;
    struct traffic_slot *slots;
    uint32_t slots_count;
    bool is_role;  // whose principal: a role's, otherwise a user's
    bool is_error;
};

struct traffic_share {
    struct span name;
    double share;
};

struct traffic_shares {
    struct traffic_share *items;
    uint32_t count;
};

// One API call of an archetype: a row of model.json's ops.
struct traffic_operation {
    struct span source;  // "kms": eventSource without .amazonaws.com
    struct span name;
    double weight_end;  // weights of this and all operations before it
    bool is_read_only;
    bool is_global;
    uint32_t size_p50;
    uint32_t size_p90;
    uint32_t size_max;
    struct traffic_shares errors;
    struct traffic_shares identities;
    double error_share;
    double request_null;
    double response_null;
    double with_resources;
    double with_additional;
    double with_tls;
    double with_endpoint;
    double with_shared_id;
    struct span category;  // empty: Management
    struct span type;      // empty: AwsApiCall
    struct traffic_template *good;
    uint32_t good_count;
    struct traffic_template *failed;
    uint32_t failed_count;
};

struct traffic_archetype {
    struct span name;
    struct traffic_operation *operations;
    uint32_t operations_count;
};

// A kind of account and which archetypes it acts out.
struct traffic_role {
    struct span name;
    uint32_t accounts;  // of 100
    double archetype_end[TRAFFIC_ARCHETYPES_MAX];
};

struct traffic_words {
    struct span *items;
    uint32_t count;
};

struct traffic_model {
    struct traffic_archetype archetypes[TRAFFIC_ARCHETYPES_MAX];
    uint32_t archetypes_count;
    struct traffic_role roles[TRAFFIC_ROLES_MAX];
    uint32_t roles_count;
    struct span regions[TRAFFIC_REGIONS_MAX];
    uint32_t regions_count;
    double home_region_end[TRAFFIC_REGIONS_MAX];  // choice of an account's home
    double share_home;
    double share_second;
    double error_scale;
    double resend_share;
    uint32_t copies[TRAFFIC_COPIES_MAX];  // agents that report a global event
    double copies_end[TRAFFIC_COPIES_MAX];
    uint32_t copies_count;
    struct traffic_words users;   // user and role names of real records
    struct traffic_words agents;  // their userAgents
    struct traffic_words filler;  // their other string values
};

// Reads DIRECTORY/model.json and the records beside it. FAULT_INPUT, FAULT_IO, FAULT_FULL.
MUST_CHECK bool traffic_model_read(const char *directory, struct arena *arena,
                                   struct traffic_model *model, struct fault *fault);

// mix() of model.json: splitmix64 without its step.
static inline uint64_t traffic_mix(uint64_t z) {
    z ^= z >> 30;
    z *= UINT64_C(0xBF58476D1CE4E5B9);
    z ^= z >> 27;
    z *= UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

// A number of 0 <= x < 1 from a draw.
static inline double traffic_unit(uint64_t draw) {
    return (double)(draw >> 11) * 0x1.0p-53;
}
