#include "event/record.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "event/record_fields_internal.h"
#include "event/service.h"
#include "event/subject_internal.h"

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

// Refuses a record: sets the reason beside the fault.
static bool refuse(enum record_refusal *refusal, enum record_refusal why, struct fault *fault,
                   const char *text) {
    *refusal = why;
    return fault_set(fault, FAULT_INPUT, "%s", text);
}

// Reads a string member that decides something: absent and null give the zero span, any other type
// refuses the record.
static bool read_deciding(const struct fields *fields, enum field field, const char *name,
                          struct span *value, enum record_refusal *refusal, struct fault *fault) {
    enum json_kind kind = fields->kinds[field];
    *value = fields->strings[field];
    if (kind == JSON_ABSENT || kind == JSON_STRING || kind == JSON_NULL) return true;
    *refusal = RECORD_WRONG_TYPE;
    return fault_set(fault, FAULT_INPUT, "%s is no string", name);
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
    return fields->kinds[FIELD_MANAGEMENT] == JSON_FALSE ? RECORD_DATA : RECORD_MANAGEMENT;
}

// A flag is a boolean, or in a few sources and fields its text.
static bool is_true(const struct fields *fields, enum field field) {
    return fields->kinds[field] == JSON_TRUE || span_is(fields->strings[field], "true");
}

// readOnly is a boolean, in a few sources a string, and absent before eventVersion 1.06: then the
// API's name tells, as AWS's own lists of read operations do.
static bool is_read_only(const struct fields *fields, struct span event_name) {
    enum json_kind kind = fields->kinds[FIELD_READ_ONLY];
    if (kind == JSON_TRUE || kind == JSON_FALSE || kind == JSON_STRING) {
        return is_true(fields, FIELD_READ_ONLY);
    }
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
    record->identity_type = fields->strings[FIELD_IDENTITY_TYPE];
    record->identity_arn = fields->strings[FIELD_IDENTITY_ARN];
    record->identity_account = fields->strings[FIELD_IDENTITY_ACCOUNT];
    record->identity_invoked_by = fields->strings[FIELD_IDENTITY_INVOKED_BY];
    record->access_key = fields->strings[FIELD_ACCESS_KEY];
    record->user_name = fields->strings[FIELD_USER_NAME];
    record->issuer_name = fields->strings[FIELD_ISSUER_NAME];
    if (span_is(record->identity_type, "AssumedRole") && record->identity_arn.size > 0) {
        const uint8_t *slash = memrchr(record->identity_arn.bytes, '/', record->identity_arn.size);
        if (slash != NULL) {
            size_t offset = (size_t)(slash - record->identity_arn.bytes) + 1;
            record->session_name = span_from(record->identity_arn, offset);
        }
    }
}

// One resource, from the picks behind its FIELD_RESOURCE; returns how many they are.
static uint32_t read_resource(const struct json_pick *picks, uint32_t count,
                              struct record_resource *resource) {
    struct span names[3] = {{NULL, 0}};  // the first of them that is a string
    *resource = (struct record_resource){{NULL, 0}, {NULL, 0}};
    uint32_t index = 0;
    for (; index < count && picks[index].field != FIELD_RESOURCE; index++) {
        const struct json_pick *pick = &picks[index];
        if (pick->field == FIELD_RESOURCE_ARN) names[0] = pick->string;
        if (pick->field == FIELD_RESOURCE_ARN_PREFIX) names[1] = pick->string;
        if (pick->field == FIELD_RESOURCE_NAME) names[2] = pick->string;
        if (pick->field == FIELD_RESOURCE_TYPE) resource->type = pick->string;
    }
    for (uint32_t name = 0; name < 3 && resource->name.bytes == NULL; name++) {
        resource->name = names[name];
    }
    return index;
}

// Resources as the record lists them, those with a name or type; the array lies in the arena.
static bool read_resources(const struct fields *fields, struct arena *arena, struct record *record,
                           struct fault *fault) {
    uint32_t count = fields->resources_count;
    if (count == 0) return true;
    if (count > RECORD_RESOURCES_MAX) count = RECORD_RESOURCES_MAX;
    record->resources = arena_allocate_array(arena, count, sizeof *record->resources);
    if (record->resources == NULL) return fault_set(fault, FAULT_FULL, "no memory for resources");
    uint32_t at = 0;
    while (record->resources_count < count && at < fields->resources_picks) {
        struct record_resource *resource = &record->resources[record->resources_count];
        at++;
        at += read_resource(fields->resources + at, fields->resources_picks - at, resource);
        if (resource->name.size > 0 || resource->type.size > 0) record->resources_count++;
    }
    return true;
}

// Aggregated records write the start of their window in ISO form or as "YYYY-MM-DD hh:mm:ss".
static bool read_window_start(const struct fields *fields, int64_t *seconds, struct fault *fault) {
    struct span start = fields->strings[FIELD_WINDOW_START];
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
    struct span outer = fields->strings[FIELD_EVENT_SOURCE];
    struct span inner = fields->strings[FIELD_INSIGHT_SOURCE];
    if (record->category == RECORD_INSIGHT && fields->kinds[FIELD_INSIGHT] != JSON_ABSENT) {
        record->event_source = inner;
        record->other_source = outer;
        record->event_name = fields->strings[FIELD_INSIGHT_NAME];
    } else {
        record->event_source = outer;
        record->other_source = inner;
        record->event_name = fields->strings[FIELD_EVENT_NAME];
    }

    enum json_kind time = fields->kinds[FIELD_EVENT_TIME];
    if (time == JSON_ABSENT && is_aggregated) {
        if (!read_window_start(fields, &record->event_time_s, fault)) {
            *refusal = RECORD_NO_EVENT_TIME;
            return fault_add(fault, "timeWindow.windowStart");
        }
    } else if (time == JSON_ABSENT) {
        return refuse(refusal, RECORD_NO_EVENT_TIME, fault, "eventTime is missing");
    } else if (time != JSON_STRING) {
        return refuse(refusal, RECORD_NO_EVENT_TIME, fault, "eventTime is no string");
    } else if (!time_parse(fields->strings[FIELD_EVENT_TIME], &record->event_time_s, fault)) {
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
    enum field field = FIELD_EVENT_ID;
    if (fields->kinds[field] == JSON_ABSENT) field = FIELD_EVENT_ID_AGGREGATED;
    uint8_t digest[SHA256_SIZE];
    if (fields->kinds[field] == JSON_ABSENT) {
        crypto_sha256(&record->text, 1, digest);
        memcpy(record->id, digest, RECORD_ID_SIZE);
        return true;
    }
    record->event_id = fields->strings[field];
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
    struct service_facts facts = {
        .event_source = record->event_source,
        .region = record->region,
        .endpoint_type = fields->strings[FIELD_ENDPOINT_TYPE],
        .host_header = fields->strings[FIELD_HOST_HEADER],
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

// Whether a field lies where it can stay: in the record's text, as most do.
static bool is_in_text(struct span span, struct span text) {
    return span.bytes == NULL || (uintptr_t)span.bytes - (uintptr_t)text.bytes < text.size;
}

static void move_span(struct span *span, struct span text, uint8_t **to) {
    if (is_in_text(*span, text)) return;
    if (span->size > 0) memcpy(*to, span->bytes, span->size);
    span->bytes = *to;
    *to += span->size;
}

// Moves the strings that lie in the reader into one piece of the arena, so that they outlive its
// document.
static bool keep_strings(struct record *record, struct arena *arena, struct fault *fault) {
    struct span text = record->text;
    struct span *spans[32];
    uint32_t count;
    list_spans(record, spans, &count);
    size_t size = 0;
    bool all_stay = true;
    for (uint32_t index = 0; index < count; index++) {
        if (is_in_text(*spans[index], text)) continue;
        all_stay = false;
        size += spans[index]->size;
    }
    for (uint32_t index = 0; index < record->resources_count; index++) {
        const struct record_resource *resource = &record->resources[index];
        if (is_in_text(resource->name, text) && is_in_text(resource->type, text)) continue;
        all_stay = false;
        size += resource->name.size + resource->type.size;
    }
    for (uint32_t index = 0; index < record->subjects_count; index++) {
        if (is_in_text(record->subjects[index].name, text)) continue;
        all_stay = false;
        size += record->subjects[index].name.size;
    }
    if (all_stay) return true;
    uint8_t *to = arena_allocate(arena, size);
    if (to == NULL) return fault_set(fault, FAULT_FULL, "no memory for a record's fields");
    for (uint32_t index = 0; index < count; index++) move_span(spans[index], text, &to);
    for (uint32_t index = 0; index < record->resources_count; index++) {
        move_span(&record->resources[index].name, text, &to);
        move_span(&record->resources[index].type, text, &to);
    }
    for (uint32_t index = 0; index < record->subjects_count; index++) {
        move_span(&record->subjects[index].name, text, &to);
    }
    return true;
}

// What decides whose event it is; wrong types are refused, since guessing could cross accounts.
static bool read_deciding_fields(const struct fields *fields, struct record *record,
                                 enum record_refusal *refusal, struct fault *fault) {
    if (!read_deciding(fields, FIELD_AWS_REGION, "awsRegion", &record->region, refusal, fault) ||
        !read_deciding(fields, FIELD_RECIPIENT, "recipientAccountId", &record->recipient_account,
                       refusal, fault) ||
        !read_deciding(fields, FIELD_EVENT_CATEGORY, "eventCategory", &record->event_category,
                       refusal, fault) ||
        !read_deciding(fields, FIELD_EVENT_TYPE, "eventType", &record->event_type, refusal,
                       fault)) {
        return false;
    }
    if (record->recipient_account.bytes != NULL) return true;
    return read_deciding(fields, FIELD_ACCOUNT_ID, "accountId", &record->recipient_account, refusal,
                         fault);
}

static enum record_refusal refusal_of(enum json_refusal refusal) {
    switch (refusal) {
        case JSON_INVALID:
            return RECORD_INVALID_JSON;
        case JSON_NO_OBJECT:
            return RECORD_NOT_AN_OBJECT;
        case JSON_REPEATED_NAME:
            return RECORD_DUPLICATE_MEMBER;
        case JSON_GOOD:
            break;
    }
    return RECORD_GOOD;
}

bool record_read(struct json_reader *reader, struct arena *arena, struct span text,
                 struct record *record, enum record_refusal *refusal, struct fault *fault) {
    *refusal = RECORD_GOOD;
    if (text.size > RECORD_SIZE_MAX) {
        *refusal = RECORD_TOO_LARGE;
        return fault_set(fault, FAULT_INPUT, "%zu bytes, at most %d are allowed", text.size,
                         RECORD_SIZE_MAX);
    }
    struct fields fields;
    enum json_refusal json_refusal;
    if (!fields_find(reader, text, &fields, &json_refusal, fault)) {
        *refusal = refusal_of(json_refusal);
        return false;
    }
    struct record read = {.text = text};
    if (!read_deciding_fields(&fields, &read, refusal, fault)) return false;
    read.category = classify(&fields, &read);
    if (!read_required(&fields, &read, refusal, fault)) return false;
    if (!read_id(&fields, &read, refusal, fault)) return false;
    read_identity(&fields, &read);
    read.shared_event_id = fields.strings[FIELD_SHARED_EVENT];
    read.error_code = fields.strings[FIELD_ERROR_CODE];
    read.source_ip = fields.strings[FIELD_SOURCE_IP];
    read.vpc_endpoint = fields.strings[FIELD_VPC_ENDPOINT];
    read.is_console = is_true(&fields, FIELD_CONSOLE);
    read.is_error =
        read.error_code.bytes != NULL || fields.strings[FIELD_ERROR_MESSAGE].bytes != NULL;
    read.is_read_only = is_read_only(&fields, read.event_name);
    read.is_global = read_global(&fields, &read);
    if (!read_resources(&fields, arena, &read, fault)) return false;
    if (!subject_find(&read, fields.subjects, fields.subjects_picks, arena)) {
        return fault_set(fault, FAULT_FULL, "no memory for what a call is about");
    }
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

struct span record_short_name(struct span name) {
    if (!span_starts(name, SPAN_LITERAL("arn:"))) return (struct span){NULL, 0};
    const uint8_t *slash = memrchr(name.bytes, '/', name.size);
    if (slash != NULL) name = span_from(name, (size_t)(slash - name.bytes) + 1);
    const uint8_t *colon = memrchr(name.bytes, ':', name.size);
    return colon == NULL ? name : span_from(name, (size_t)(colon - name.bytes) + 1);
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
