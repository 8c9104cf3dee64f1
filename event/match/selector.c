#include "event/match/selector.h"

#include <assert.h>

static const char *const field_names[SELECTOR_FIELDS] = {
    [SELECTOR_ERROR_CODE] = "errorCode",
    [SELECTOR_EVENT_CATEGORY] = "eventCategory",
    [SELECTOR_EVENT_NAME] = "eventName",
    [SELECTOR_EVENT_SOURCE] = "eventSource",
    [SELECTOR_EVENT_TYPE] = "eventType",
    [SELECTOR_READ_ONLY] = "readOnly",
    [SELECTOR_RESOURCE_ARN] = "resources.ARN",
    [SELECTOR_RESOURCE_TYPE] = "resources.type",
    [SELECTOR_CONSOLE] = "sessionCredentialFromConsole",
    [SELECTOR_IDENTITY_ARN] = "userIdentity.arn",
    [SELECTOR_VPC_ENDPOINT] = "vpcEndpointId",
};

static const char *const operator_names[SELECTOR_OPERATORS] = {
    [SELECTOR_EQUALS] = "Equals",
    [SELECTOR_STARTS] = "StartsWith",
    [SELECTOR_ENDS] = "EndsWith",
    [SELECTOR_NOT_EQUALS] = "NotEquals",
    [SELECTOR_NOT_STARTS] = "NotStartsWith",
    [SELECTOR_NOT_ENDS] = "NotEndsWith",
};

static const char *const access_names[] = {
    [SELECTOR_ALL] = "All",
    [SELECTOR_READ] = "ReadOnly",
    [SELECTOR_WRITE] = "WriteOnly",
};

static const struct resource {
    const char *name;
    const char *service;  // in ARNs
} resources[] = {
    [SELECTOR_S3] = {"AWS::S3::Object", "s3"},
    [SELECTOR_LAMBDA] = {"AWS::Lambda::Function", "lambda"},
    [SELECTOR_DYNAMODB] = {"AWS::DynamoDB::Table", "dynamodb"},
};

const char *selector_field_name(enum selector_field field) {
    assert(field < SELECTOR_FIELDS);
    return field_names[field];
}

const char *selector_operator_name(enum selector_operator operator) {
    assert(operator<SELECTOR_OPERATORS);
    return operator_names[operator];
}

const char *selector_resource_name(enum selector_resource type) {
    assert((size_t)type < sizeof resources / sizeof resources[0]);
    return resources[type].name;
}

bool selector_is_whole_type(enum selector_resource type, struct span value) {
    // "arn:PARTITION:SERVICE", and for S3 the older "arn:PARTITION:s3:::" too.
    if (type == SELECTOR_S3 && span_ends(value, SPAN_LITERAL(":::"))) value.size -= 3;
    if (!span_starts(value, SPAN_LITERAL("arn:aws"))) return false;
    struct span rest = span_from(value, 4);
    size_t colon = span_find(rest, ':');
    return colon < rest.size && span_is(span_from(rest, colon + 1), resources[type].service);
}

struct selector_set selector_default(void) {
    static struct selector_basic basic = {.access = SELECTOR_ALL, .with_management = true};
    return (struct selector_set){.basic = &basic, .basic_count = 1};
}

bool selector_is_default(const struct selector_set *set) {
    const struct selector_basic *basic = set->basic;
    return set->basic_count == 1 && basic->access == SELECTOR_ALL && basic->with_management &&
           basic->resources_count == 0 && basic->excluded.count == 0;
}

static bool is_about(const struct selector_advanced *advanced, enum record_category category,
                     enum selector_access access) {
    bool is_category = false, is_access = true;
    for (uint32_t index = 0; index < advanced->conditions_count; index++) {
        const struct selector_condition *condition = &advanced->conditions[index];
        const struct selector_values *equals = &condition->operators[SELECTOR_EQUALS];
        if (condition->field == SELECTOR_EVENT_CATEGORY) {
            is_category = span_is(equals->items[0], record_category_name(category));
        } else if (condition->field == SELECTOR_READ_ONLY) {
            bool reads = span_is(equals->items[0], "true");
            is_access = access == SELECTOR_ALL || reads == (access == SELECTOR_READ);
        }
    }
    return is_category && is_access;
}

bool selector_records(const struct selector_set *set, enum record_category category,
                      enum selector_access access) {
    for (uint32_t index = 0; index < set->advanced_count; index++) {
        if (is_about(&set->advanced[index], category, access)) return true;
    }
    for (uint32_t index = 0; index < set->basic_count; index++) {
        const struct selector_basic *basic = &set->basic[index];
        bool is_category = (category == RECORD_MANAGEMENT && basic->with_management) ||
                           (category == RECORD_DATA && basic->resources_count > 0);
        bool is_access =
            access == SELECTOR_ALL || basic->access == SELECTOR_ALL || basic->access == access;
        if (is_category && is_access) return true;
    }
    return false;
}

static void print_values(const struct selector_values *values, struct buffer *output) {
    buffer_append_byte(output, '[');
    for (uint32_t index = 0; index < values->count; index++) {
        if (index > 0) buffer_append_byte(output, ',');
        json_append_string(output, values->items[index]);
    }
    buffer_append_byte(output, ']');
}

static void print_condition(const struct selector_condition *condition, struct buffer *output) {
    buffer_print(output, "{\"Field\":\"%s\"", selector_field_name(condition->field));
    for (uint32_t index = 0; index < SELECTOR_OPERATORS; index++) {
        if (condition->operators[index].count == 0) continue;
        buffer_print(output, ",\"%s\":", operator_names[index]);
        print_values(&condition->operators[index], output);
    }
    buffer_append_byte(output, '}');
}

static void print_advanced(const struct selector_advanced *advanced, bool sorted,
                           struct buffer *output) {
    buffer_append_byte(output, '{');
    if (advanced->name.bytes != NULL) {
        buffer_append_text(output, "\"Name\":");
        json_append_string(output, advanced->name);
        buffer_append_byte(output, ',');
    }
    buffer_append_text(output, "\"FieldSelectors\":[");
    const char *separator = "";
    if (!sorted) {
        for (uint32_t index = 0; index < advanced->conditions_count; index++) {
            buffer_append_text(output, separator);
            print_condition(&advanced->conditions[index], output);
            separator = ",";
        }
    }
    // The fields' numbers are in the order of their names, and each is there at most once.
    for (uint32_t field = 0; sorted && field < SELECTOR_FIELDS; field++) {
        for (uint32_t index = 0; index < advanced->conditions_count; index++) {
            if (advanced->conditions[index].field != field) continue;
            buffer_append_text(output, separator);
            print_condition(&advanced->conditions[index], output);
            separator = ",";
        }
    }
    buffer_append_text(output, "]}");
}

static void print_basic(const struct selector_basic *basic, struct buffer *output) {
    buffer_print(output,
                 "{\"ReadWriteType\":\"%s\",\"IncludeManagementEvents\":%s,\"DataResources\":[",
                 access_names[basic->access], basic->with_management ? "true" : "false");
    for (uint32_t index = 0; index < basic->resources_count; index++) {
        buffer_print(output, "%s{\"Type\":\"%s\",\"Values\":", index > 0 ? "," : "",
                     selector_resource_name(basic->resources[index].type));
        print_values(&basic->resources[index].values, output);
        buffer_append_byte(output, '}');
    }
    buffer_append_text(output, "],\"ExcludeManagementEventSources\":");
    print_values(&basic->excluded, output);
    buffer_append_byte(output, '}');
}

void selector_print(const struct selector_set *set, bool sorted, struct buffer *output) {
    assert((set->advanced_count == 0) != (set->basic_count == 0));
    buffer_append_byte(output, '[');
    for (uint32_t index = 0; index < set->advanced_count; index++) {
        if (index > 0) buffer_append_byte(output, ',');
        print_advanced(&set->advanced[index], sorted, output);
    }
    for (uint32_t index = 0; index < set->basic_count; index++) {
        if (index > 0) buffer_append_byte(output, ',');
        print_basic(&set->basic[index], output);
    }
    buffer_append_byte(output, ']');
}
