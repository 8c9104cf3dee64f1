#include "event/record.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "event/service.h"

static const char *const refusal_names[] = {
    [RECORD_GOOD] = "good",
    [RECORD_INVALID_JSON] = "invalid_json",
    [RECORD_NOT_AN_OBJECT] = "not_an_object",
    [RECORD_DUPLICATE_MEMBER] = "duplicate_member",
    [RECORD_TOO_LARGE] = "too_large",
    [RECORD_NO_EVENT_TIME] = "no_event_time",
    [RECORD_NO_EVENT_SOURCE] = "no_event_source",
    [RECORD_NO_EVENT_NAME] = "no_event_name",
    [RECORD_BAD_EVENT_ID] = "bad_event_id",
    [RECORD_WRONG_TYPE] = "wrong_type",
};

static const char *const category_names[] = {
    [RECORD_MANAGEMENT] = "Management", [RECORD_DATA] = "Data",
    [RECORD_INSIGHT] = "Insight",       [RECORD_NETWORK_ACTIVITY] = "NetworkActivity",
    [RECORD_AGGREGATED] = "Aggregated", [RECORD_OTHER] = "Other",
};

enum { CATEGORIES = sizeof category_names / sizeof category_names[0] };

const char *record_refusal_name(enum record_refusal refusal) {
    assert((size_t)refusal < sizeof refusal_names / sizeof refusal_names[0]);
    return refusal_names[refusal];
}

const char *record_category_name(enum record_category category) {
    assert((size_t)category < CATEGORIES);
    return category_names[category];
}

bool record_category_find(struct span name, enum record_category *category) {
    for (uint32_t index = 0; index < CATEGORIES; index++) {
        if (!span_is(name, category_names[index])) continue;
        *category = (enum record_category)index;
        return true;
    }
    return false;
}

// The members of a record that are looked at. One pass over the record finds them all: asking for
// each by name cost as much as parsing.
enum field {
    FIELD_ACCOUNT_ID,
    FIELD_ADDITIONAL,
    FIELD_AWS_REGION,
    FIELD_CONSOLE,
    FIELD_ERROR_CODE,
    FIELD_ERROR_MESSAGE,
    FIELD_EVENT_CATEGORY,
    FIELD_EVENT_ID,
    FIELD_EVENT_ID_AGGREGATED,
    FIELD_EVENT_NAME,
    FIELD_EVENT_SOURCE,
    FIELD_EVENT_TIME,
    FIELD_EVENT_TYPE,
    FIELD_IDENTITY,
    FIELD_INSIGHT,
    FIELD_MANAGEMENT,
    FIELD_READ_ONLY,
    FIELD_RECIPIENT,
    FIELD_RESOURCES,
    FIELD_SHARED_EVENT,
    FIELD_SOURCE_IP,
    FIELD_TIME_WINDOW,
    FIELD_TLS,
    FIELD_VPC_ENDPOINT,
    FIELDS,
};

static const struct field_name {
    const char *name;
    size_t size;
} field_names[FIELDS] = {
#define NAME(text) \
    { text, sizeof(text) - 1 }
    [FIELD_ACCOUNT_ID] = NAME("accountId"),
    [FIELD_ADDITIONAL] = NAME("additionalEventData"),
    [FIELD_AWS_REGION] = NAME("awsRegion"),
    [FIELD_CONSOLE] = NAME("sessionCredentialFromConsole"),
    [FIELD_ERROR_CODE] = NAME("errorCode"),
    [FIELD_ERROR_MESSAGE] = NAME("errorMessage"),
    [FIELD_EVENT_CATEGORY] = NAME("eventCategory"),
    [FIELD_EVENT_ID] = NAME("eventID"),
    [FIELD_EVENT_ID_AGGREGATED] = NAME("eventId"),
    [FIELD_EVENT_NAME] = NAME("eventName"),
    [FIELD_EVENT_SOURCE] = NAME("eventSource"),
    [FIELD_EVENT_TIME] = NAME("eventTime"),
    [FIELD_EVENT_TYPE] = NAME("eventType"),
    [FIELD_IDENTITY] = NAME("userIdentity"),
    [FIELD_INSIGHT] = NAME("insightDetails"),
    [FIELD_MANAGEMENT] = NAME("managementEvent"),
    [FIELD_READ_ONLY] = NAME("readOnly"),
    [FIELD_RECIPIENT] = NAME("recipientAccountId"),
    [FIELD_RESOURCES] = NAME("resources"),
    [FIELD_SHARED_EVENT] = NAME("sharedEventID"),
    [FIELD_SOURCE_IP] = NAME("sourceIPAddress"),
    [FIELD_TIME_WINDOW] = NAME("timeWindow"),
    [FIELD_TLS] = NAME("tlsDetails"),
    [FIELD_VPC_ENDPOINT] = NAME("vpcEndpointId"),
#undef NAME
};

enum { FIELD_NAME_SIZE_MAX = 28 };

// Bit n is set in [size] if field n's name has that size: most names of a record fit no bit.
static const uint32_t fields_by_size[FIELD_NAME_SIZE_MAX + 1] = {
    [7] = 1u << FIELD_EVENT_ID | 1u << FIELD_EVENT_ID_AGGREGATED,
    [8] = 1u << FIELD_READ_ONLY,
    [9] = 1u << FIELD_ACCOUNT_ID | 1u << FIELD_AWS_REGION | 1u << FIELD_ERROR_CODE |
          1u << FIELD_EVENT_NAME | 1u << FIELD_EVENT_TIME | 1u << FIELD_EVENT_TYPE |
          1u << FIELD_RESOURCES,
    [10] = 1u << FIELD_TIME_WINDOW | 1u << FIELD_TLS,
    [11] = 1u << FIELD_EVENT_SOURCE,
    [12] = 1u << FIELD_ERROR_MESSAGE | 1u << FIELD_IDENTITY,
    [13] = 1u << FIELD_EVENT_CATEGORY | 1u << FIELD_SHARED_EVENT | 1u << FIELD_VPC_ENDPOINT,
    [14] = 1u << FIELD_INSIGHT,
    [15] = 1u << FIELD_MANAGEMENT | 1u << FIELD_SOURCE_IP,
    [18] = 1u << FIELD_RECIPIENT,
    [19] = 1u << FIELD_ADDITIONAL,
    [28] = 1u << FIELD_CONSOLE,
};

// Members by enum field; NULL if absent.
struct fields {
    const struct yyjson_val *values[FIELDS];
};

static void find_fields(const struct yyjson_val *root, struct fields *fields) {
    *fields = (struct fields){{NULL}};
    yyjson_obj_iter iterator;
    yyjson_obj_iter_init((yyjson_val *)(uintptr_t)root, &iterator);
    yyjson_val *name;
    while ((name = yyjson_obj_iter_next(&iterator)) != NULL) {
        const char *text = unsafe_yyjson_get_str(name);
        size_t size = unsafe_yyjson_get_len(name);
        uint32_t left = size <= FIELD_NAME_SIZE_MAX ? fields_by_size[size] : 0;
        for (; left != 0; left &= left - 1) {
            uint32_t field = (uint32_t)__builtin_ctz(left);
            assert(field_names[field].size == size);
            if (memcmp(field_names[field].name, text, size) != 0) continue;
            fields->values[field] = yyjson_obj_iter_get_val(name);
            break;
        }
    }
}

// Refuses a record: sets the reason beside the fault.
static bool refuse(enum record_refusal *refusal, enum record_refusal why, struct fault *fault,
                   const char *text) {
    *refusal = why;
    return fault_set(fault, FAULT_INPUT, "%s", text);
}

// Reads a string member that decides something: absent and null give the zero span, any other type
// refuses the record.
static bool read_deciding(const struct fields *fields, enum field field, struct span *value,
                          enum record_refusal *refusal, struct fault *fault) {
    const struct yyjson_val *member = fields->values[field];
    *value = json_string(member);
    if (member == NULL || value->bytes != NULL || yyjson_is_null((yyjson_val *)(uintptr_t)member)) {
        return true;
    }
    *refusal = RECORD_WRONG_TYPE;
    return fault_set(fault, FAULT_INPUT, "%s is no string", field_names[field].name);
}

static enum record_category classify(const struct fields *fields, const struct record *record) {
    if (record->event_category.bytes != NULL) {
        enum record_category category;
        bool known = record_category_find(record->event_category, &category);
        return known ? category : RECORD_OTHER;
    }
    if (span_is(record->event_type, "AwsCloudTrailInsight")) return RECORD_INSIGHT;
    if (span_is(record->event_type, "AwsVpceEvent") ||
        span_is(record->event_type, "AwsVpceEvents")) {
        return RECORD_NETWORK_ACTIVITY;
    }
    // Records older than eventCategory (1.07) may still say what they are not.
    const struct yyjson_val *management = fields->values[FIELD_MANAGEMENT];
    return yyjson_is_false((yyjson_val *)(uintptr_t)management) ? RECORD_DATA : RECORD_MANAGEMENT;
}

// A flag is a boolean, or in a few sources and fields its text.
static bool is_true(const struct yyjson_val *value) {
    return yyjson_is_true((yyjson_val *)(uintptr_t)value) || span_is(json_string(value), "true");
}

// readOnly is a boolean, in a few sources a string, and absent before eventVersion 1.06: then the
// API's name tells, as AWS's own lists of read operations do.
static bool is_read_only(const struct fields *fields, struct span event_name) {
    yyjson_val *value = (yyjson_val *)(uintptr_t)fields->values[FIELD_READ_ONLY];
    if (yyjson_is_bool(value) || yyjson_is_str(value)) return is_true(value);
    static const char *const reading[] = {"Get",    "List",   "Describe", "Head",
                                          "Lookup", "Search", "BatchGet", "AssumeRole"};
    static const char *const writing[] = {"GetSessionToken", "GetFederationToken",
                                          "GetSigninToken"};
    for (size_t index = 0; index < sizeof writing / sizeof writing[0]; index++) {
        if (span_is(event_name, writing[index])) return false;
    }
    for (size_t index = 0; index < sizeof reading / sizeof reading[0]; index++) {
        if (span_starts(event_name, span_text(reading[index]))) return true;
    }
    return false;
}

static void read_identity(const struct fields *fields, struct record *record) {
    const struct yyjson_val *identity = fields->values[FIELD_IDENTITY];
    if (identity == NULL) return;
    record->identity_type = json_member_string(identity, SPAN_LITERAL("type"));
    record->identity_arn = json_member_string(identity, SPAN_LITERAL("arn"));
    record->identity_account = json_member_string(identity, SPAN_LITERAL("accountId"));
    record->identity_invoked_by = json_member_string(identity, SPAN_LITERAL("invokedBy"));
    record->access_key = json_member_string(identity, SPAN_LITERAL("accessKeyId"));
    record->user_name = json_member_string(identity, SPAN_LITERAL("userName"));
    const struct yyjson_val *context = json_member(identity, SPAN_LITERAL("sessionContext"));
    const struct yyjson_val *issuer = json_member(context, SPAN_LITERAL("sessionIssuer"));
    record->issuer_name = json_member_string(issuer, SPAN_LITERAL("userName"));
    if (span_is(record->identity_type, "AssumedRole") && record->identity_arn.size > 0) {
        const uint8_t *slash = memrchr(record->identity_arn.bytes, '/', record->identity_arn.size);
        if (slash != NULL) {
            size_t offset = (size_t)(slash - record->identity_arn.bytes) + 1;
            record->session_name = span_from(record->identity_arn, offset);
        }
    }
}

// Resources as the record lists them; the array lies in the arena.
static bool read_resources(const struct fields *fields, struct arena *arena, struct record *record,
                           struct fault *fault) {
    yyjson_val *list = (yyjson_val *)(uintptr_t)fields->values[FIELD_RESOURCES];
    size_t count = yyjson_arr_size(list);
    if (count == 0) return true;
    if (count > RECORD_RESOURCES_MAX) count = RECORD_RESOURCES_MAX;
    record->resources = arena_allocate_array(arena, count, sizeof *record->resources);
    if (record->resources == NULL) return fault_set(fault, FAULT_FULL, "no memory for resources");
    yyjson_arr_iter iterator;
    yyjson_arr_iter_init(list, &iterator);
    yyjson_val *entry;
    while (record->resources_count < count && (entry = yyjson_arr_iter_next(&iterator)) != NULL) {
        struct record_resource *resource = &record->resources[record->resources_count];
        resource->name = json_member_string(entry, SPAN_LITERAL("ARN"));
        if (resource->name.bytes == NULL) {
            resource->name = json_member_string(entry, SPAN_LITERAL("ARNPrefix"));
        }
        if (resource->name.bytes == NULL) {
            resource->name = json_member_string(entry, SPAN_LITERAL("resourceName"));
        }
        resource->type = json_member_string(entry, SPAN_LITERAL("type"));
        if (resource->name.size > 0 || resource->type.size > 0) record->resources_count++;
    }
    return true;
}

// Aggregated records write the start of their window in ISO form or as "YYYY-MM-DD hh:mm:ss".
static bool read_window_start(const struct fields *fields, int64_t *seconds, struct fault *fault) {
    const struct yyjson_val *window = fields->values[FIELD_TIME_WINDOW];
    struct span start = json_member_string(window, SPAN_LITERAL("windowStart"));
    char iso[TIME_TEXT_SIZE];
    if (start.size == 19 && start.bytes[10] == ' ') {
        snprintf(iso, sizeof iso, "%.10sT%.8sZ", (const char *)start.bytes,
                 (const char *)start.bytes + 11);
        start = span_text(iso);
    }
    return time_parse(start, seconds, fault);
}

// eventTime, eventSource and eventName: what every event must have, each kind in its own place.
static bool read_required(const struct fields *fields, struct record *record,
                          enum record_refusal *refusal, struct fault *fault) {
    bool is_aggregated = record->category == RECORD_AGGREGATED;
    const struct yyjson_val *insight = fields->values[FIELD_INSIGHT];
    struct span outer = json_string(fields->values[FIELD_EVENT_SOURCE]);
    struct span inner = json_member_string(insight, SPAN_LITERAL("eventSource"));
    if (record->category == RECORD_INSIGHT && insight != NULL) {
        record->event_source = inner;
        record->other_source = outer;
        record->event_name = json_member_string(insight, SPAN_LITERAL("eventName"));
    } else {
        record->event_source = outer;
        record->other_source = inner;
        record->event_name = json_string(fields->values[FIELD_EVENT_NAME]);
    }

    const struct yyjson_val *time = fields->values[FIELD_EVENT_TIME];
    if (time == NULL && is_aggregated) {
        if (!read_window_start(fields, &record->event_time_s, fault)) {
            *refusal = RECORD_NO_EVENT_TIME;
            return fault_add(fault, "timeWindow.windowStart");
        }
    } else if (time == NULL) {
        return refuse(refusal, RECORD_NO_EVENT_TIME, fault, "eventTime is missing");
    } else if (json_string(time).bytes == NULL) {
        return refuse(refusal, RECORD_NO_EVENT_TIME, fault, "eventTime is no string");
    } else if (!time_parse(json_string(time), &record->event_time_s, fault)) {
        *refusal = RECORD_NO_EVENT_TIME;
        return fault_add(fault, "eventTime");
    }
    if (record->event_source.size == 0) {
        return refuse(refusal, RECORD_NO_EVENT_SOURCE, fault,
                      "eventSource is missing, empty or no string");
    }
    if (record->event_name.size == 0 && !is_aggregated) {
        return refuse(refusal, RECORD_NO_EVENT_NAME, fault,
                      "eventName is missing, empty or no string");
    }
    return true;
}

// The 16 bytes that stand for the event: a UUID's own, else a hash of the id, else of the text.
static bool read_id(const struct fields *fields, struct record *record,
                    enum record_refusal *refusal, struct fault *fault) {
    const struct yyjson_val *value = fields->values[FIELD_EVENT_ID];
    if (value == NULL) value = fields->values[FIELD_EVENT_ID_AGGREGATED];
    uint8_t digest[SHA256_SIZE];
    if (value == NULL) {
        crypto_sha256(&record->text, 1, digest);
        memcpy(record->id, digest, RECORD_ID_SIZE);
        return true;
    }
    record->event_id = json_string(value);
    if (record->event_id.size == 0 || record->event_id.size > RECORD_ID_TEXT_MAX) {
        return refuse(refusal, RECORD_BAD_EVENT_ID, fault,
                      "eventID is no string of 1 to 256 bytes");
    }
    record->id_is_uuid = record_parse_uuid(record->event_id, record->id);
    if (!record->id_is_uuid) {
        crypto_sha256(&record->event_id, 1, digest);
        memcpy(record->id, digest, RECORD_ID_SIZE);
    }
    return true;
}

static bool read_global(const struct fields *fields, const struct record *record) {
    const struct yyjson_val *extra = fields->values[FIELD_ADDITIONAL];
    const struct yyjson_val *details = json_member(extra, SPAN_LITERAL("RequestDetails"));
    const struct yyjson_val *tls = fields->values[FIELD_TLS];
    struct service_facts facts = {
        .event_source = record->event_source,
        .region = record->region,
        .endpoint_type = json_member_string(details, SPAN_LITERAL("endpointType")),
        .host_header = json_member_string(tls, SPAN_LITERAL("clientProvidedHostHeader")),
    };
    return service_is_global(&facts);
}

// Every span of a record that points into the reader's memory.
static struct span *const *list_spans(struct record *record, struct span *spans[32],
                                      uint32_t *count) {
    struct span *const all[] = {
        &record->event_id,         &record->event_source,
        &record->other_source,     &record->event_name,
        &record->region,           &record->event_type,
        &record->event_category,   &record->recipient_account,
        &record->identity_account, &record->identity_type,
        &record->identity_arn,     &record->identity_invoked_by,
        &record->access_key,       &record->user_name,
        &record->issuer_name,      &record->session_name,
        &record->shared_event_id,  &record->error_code,
        &record->source_ip,        &record->vpc_endpoint,
    };
    static_assert(sizeof all / sizeof all[0] <= 32, "spans of a record");
    memcpy(spans, all, sizeof all);
    *count = sizeof all / sizeof all[0];
    return spans;
}

static void move_span(struct span *span, uint8_t **to) {
    if (span->bytes == NULL) return;
    if (span->size > 0) memcpy(*to, span->bytes, span->size);
    span->bytes = *to;
    *to += span->size;
}

// Moves all strings into one piece of the arena, so that they outlive the reader's document.
static bool keep_strings(struct record *record, struct arena *arena, struct fault *fault) {
    struct span *spans[32];
    uint32_t count;
    list_spans(record, spans, &count);
    size_t size = 1;
    for (uint32_t index = 0; index < count; index++) size += spans[index]->size;
    for (uint32_t index = 0; index < record->resources_count; index++) {
        size += record->resources[index].name.size + record->resources[index].type.size;
    }
    uint8_t *to = arena_allocate(arena, size);
    if (to == NULL) return fault_set(fault, FAULT_FULL, "no memory for a record's fields");
    for (uint32_t index = 0; index < count; index++) move_span(spans[index], &to);
    for (uint32_t index = 0; index < record->resources_count; index++) {
        move_span(&record->resources[index].name, &to);
        move_span(&record->resources[index].type, &to);
    }
    return true;
}

// What decides whose event it is; wrong types are refused, since guessing could cross accounts.
static bool read_deciding_fields(const struct fields *fields, struct record *record,
                                 enum record_refusal *refusal, struct fault *fault) {
    if (!read_deciding(fields, FIELD_AWS_REGION, &record->region, refusal, fault) ||
        !read_deciding(fields, FIELD_RECIPIENT, &record->recipient_account, refusal, fault) ||
        !read_deciding(fields, FIELD_EVENT_CATEGORY, &record->event_category, refusal, fault) ||
        !read_deciding(fields, FIELD_EVENT_TYPE, &record->event_type, refusal, fault)) {
        return false;
    }
    if (record->recipient_account.bytes != NULL) return true;
    return read_deciding(fields, FIELD_ACCOUNT_ID, &record->recipient_account, refusal, fault);
}

bool record_read(struct json_reader *reader, struct arena *arena, struct span text,
                 struct record *record, enum record_refusal *refusal, struct fault *fault) {
    *refusal = RECORD_GOOD;
    if (text.size > RECORD_SIZE_MAX) {
        *refusal = RECORD_TOO_LARGE;
        return fault_set(fault, FAULT_INPUT, "%zu bytes, at most %d are allowed", text.size,
                         RECORD_SIZE_MAX);
    }
    const struct yyjson_val *root;
    if (!json_read(reader, text, &root, fault)) {
        if (fault->kind == FAULT_INPUT) *refusal = RECORD_INVALID_JSON;
        return false;
    }
    if (!yyjson_is_obj((yyjson_val *)(uintptr_t)root)) {
        return refuse(refusal, RECORD_NOT_AN_OBJECT, fault, "the record is no JSON object");
    }
    struct span twice;
    if (json_find_duplicate(root, &twice)) {
        *refusal = RECORD_DUPLICATE_MEMBER;
        return fault_set(fault, FAULT_INPUT, "the name \"%.*s\" occurs twice in one object",
                         (int)(twice.size < 100 ? twice.size : 100), (const char *)twice.bytes);
    }

    struct fields fields;
    find_fields(root, &fields);
    struct record read = {.text = text};
    if (!read_deciding_fields(&fields, &read, refusal, fault)) return false;
    read.category = classify(&fields, &read);
    if (!read_required(&fields, &read, refusal, fault)) return false;
    if (!read_id(&fields, &read, refusal, fault)) return false;
    read_identity(&fields, &read);
    read.shared_event_id = json_string(fields.values[FIELD_SHARED_EVENT]);
    read.error_code = json_string(fields.values[FIELD_ERROR_CODE]);
    read.source_ip = json_string(fields.values[FIELD_SOURCE_IP]);
    read.vpc_endpoint = json_string(fields.values[FIELD_VPC_ENDPOINT]);
    read.is_console = is_true(fields.values[FIELD_CONSOLE]);
    read.is_error = read.error_code.bytes != NULL ||
                    json_string(fields.values[FIELD_ERROR_MESSAGE]).bytes != NULL;
    read.is_read_only = is_read_only(&fields, read.event_name);
    read.is_global = read_global(&fields, &read);
    if (!read_resources(&fields, arena, &read, fault)) return false;
    if (!keep_strings(&read, arena, fault)) return false;
    *record = read;
    return true;
}

struct span record_display_user(const struct record *record) {
    if (record->user_name.size > 0) return record->user_name;
    if (span_is(record->identity_type, "Root")) return SPAN_LITERAL("root");
    if (record->session_name.size > 0) return record->session_name;
    if (record->issuer_name.size > 0) return record->issuer_name;
    if (record->identity_invoked_by.size > 0) return record->identity_invoked_by;
    if (record->identity_arn.size == 0) return (struct span){NULL, 0};
    const uint8_t *slash = memrchr(record->identity_arn.bytes, '/', record->identity_arn.size);
    if (slash == NULL) return record->identity_arn;
    return span_from(record->identity_arn, (size_t)(slash - record->identity_arn.bytes) + 1);
}

// The value of a hex digit, or 16 and more for any other byte. Arithmetic, since every event has
// one or two UUIDs.
static uint32_t hex_value(uint8_t byte) {
    uint32_t digit = (uint32_t)byte - '0';
    if (digit < 10) return digit;
    uint32_t letter = ((uint32_t)byte | 0x20) - 'a';
    return letter < 6 ? letter + 10 : 16;
}

bool record_parse_uuid(struct span text, uint8_t id[RECORD_ID_SIZE]) {
    static const uint8_t places[RECORD_ID_SIZE] = {0,  2,  4,  6,  9,  11, 14, 16,
                                                   19, 21, 24, 26, 28, 30, 32, 34};
    if (text.size != 36 || text.bytes[8] != '-' || text.bytes[13] != '-' || text.bytes[18] != '-' ||
        text.bytes[23] != '-') {
        return false;
    }
    uint8_t parsed[RECORD_ID_SIZE];
    uint32_t seen = 0;
    for (size_t index = 0; index < RECORD_ID_SIZE; index++) {
        uint32_t high = hex_value(text.bytes[places[index]]);
        uint32_t low = hex_value(text.bytes[places[index] + 1]);
        seen |= high | low;
        parsed[index] = (uint8_t)(high << 4 | low);
    }
    if (seen > 15) return false;
    memcpy(id, parsed, RECORD_ID_SIZE);
    return true;
}

void record_print_uuid(const uint8_t id[RECORD_ID_SIZE], char text[RECORD_UUID_TEXT_SIZE]) {
    char hex[2 * RECORD_ID_SIZE + 1];
    crypto_print_hex(span_of(id, RECORD_ID_SIZE), hex);
    snprintf(text, RECORD_UUID_TEXT_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
             hex + 16, hex + 20);
}
