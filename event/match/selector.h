// selector.h: event selectors: which events a trail records, or an agent sends.
//
// Two forms, as AWS has them. Advanced ones are field selectors: all must hold within one selector,
// any selector is enough. Basic ones are older and coarser. A set holds one form. This file reads
// both from the JSON of PutEventSelectors, with AWS's limits, and writes them back; match.h decides
// events by them. Wider than AWS in one thing: a trail's selectors of management events may use the
// fields that AWS allows only in event data stores (docs/api.md). Pure: no I/O, no clock.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/span.h"
#include "event/record.h"

enum {
    SELECTOR_VALUES_MAX = 500,             // of all conditions of all advanced selectors of a set
    SELECTOR_VALUE_LENGTH_MAX = 2048,      // characters of one value
    SELECTOR_NAME_LENGTH_MAX = 1000,       // characters of an advanced selector's name
    SELECTOR_BASIC_MAX = 5,                // basic selectors of a set
    SELECTOR_RESOURCES_MAX = 250,          // their data resources that are not "all of a type"
    SELECTOR_ARENA_SIZE = 8 * 1024 * 1024  // bytes that any set which is within the limits takes
};

enum selector_field {
    SELECTOR_ERROR_CODE,
    SELECTOR_EVENT_CATEGORY,
    SELECTOR_EVENT_NAME,
    SELECTOR_EVENT_SOURCE,
    SELECTOR_EVENT_TYPE,
    SELECTOR_READ_ONLY,
    SELECTOR_RESOURCE_ARN,
    SELECTOR_RESOURCE_TYPE,
    SELECTOR_CONSOLE,
    SELECTOR_IDENTITY_ARN,
    SELECTOR_VPC_ENDPOINT,
    SELECTOR_FIELDS,
};

// The first three select, the last three deselect.
enum selector_operator {
    SELECTOR_EQUALS,
    SELECTOR_STARTS,
    SELECTOR_ENDS,
    SELECTOR_NOT_EQUALS,
    SELECTOR_NOT_STARTS,
    SELECTOR_NOT_ENDS,
    SELECTOR_OPERATORS,
};

// What the selectors are for decides the categories they may name.
enum selector_use {
    SELECTOR_FOR_TRAIL,  // Management, Data, NetworkActivity
    SELECTOR_FOR_AGENT,  // Insight and Aggregated too
};

struct selector_values {
    const struct span *items;
    uint32_t count;  // 0: none were given
};

// A field selector: the value of this field passes these operators.
struct selector_condition {
    enum selector_field field;
    struct selector_values operators[SELECTOR_OPERATORS];
};

struct selector_advanced {
    struct span name;                       // NULL bytes if it has none
    struct selector_condition *conditions;  // each field at most once
    uint32_t conditions_count;
};

enum selector_access { SELECTOR_ALL, SELECTOR_READ, SELECTOR_WRITE };

enum selector_resource { SELECTOR_S3, SELECTOR_LAMBDA, SELECTOR_DYNAMODB };

struct selector_resources {
    enum selector_resource type;
    struct selector_values values;
};

struct selector_basic {
    enum selector_access access;
    bool with_management;
    struct selector_resources *resources;
    uint32_t resources_count;
    struct selector_values excluded;  // sources of management events that are left out
};

// Borrows from the arena it was read into. Exactly one of the two counts is not 0.
struct selector_set {
    struct selector_advanced *advanced;
    uint32_t advanced_count;
    struct selector_basic *basic;
    uint32_t basic_count;
};

// Reads an array of advanced selectors. FAULT_INPUT: what is wrong, with the selector's number;
// FAULT_FULL if the arena is.
MUST_CHECK bool selector_parse_advanced(const struct yyjson_val *list, enum selector_use use,
                                        struct arena *arena, struct selector_set *set,
                                        struct fault *fault);

// Reads an array of basic selectors. FAULT_INPUT, FAULT_FULL.
MUST_CHECK bool selector_parse_basic(const struct yyjson_val *list, struct arena *arena,
                                     struct selector_set *set, struct fault *fault);

// What a trail has before anybody gives it selectors: all management events. Static.
struct selector_set selector_default(void);

// Whether it is what selector_default gives.
bool selector_is_default(const struct selector_set *set);

// Whether some selector of the set is about events of this category that read (SELECTOR_READ),
// write (SELECTOR_WRITE), or do either (SELECTOR_ALL); what else it asks of them is not looked at.
bool selector_records(const struct selector_set *set, enum record_category category,
                      enum selector_access access);

// Appends the array as it was given, with every default in its place; sorted: the field selectors
// in order of their names, as GetEventSelectors answers.
void selector_print(const struct selector_set *set, bool sorted, struct buffer *output);

// The field's name: "resources.ARN". The operator's: "NotStartsWith".
const char *selector_field_name(enum selector_field field);
const char *selector_operator_name(enum selector_operator operator);

// "AWS::S3::Object".
const char *selector_resource_name(enum selector_resource type);

// Whether a value of a basic data resource stands for all of its type: "arn:aws:s3".
bool selector_is_whole_type(enum selector_resource type, struct span value);
