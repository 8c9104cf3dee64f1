#include "event/attribute.h"

#include <assert.h>

// Names as AWS's LookupEvents has them, and ours for the rest.
static const char *const kind_names[ATTRIBUTE_KINDS] = {
    [ATTRIBUTE_EVENT_NAME] = "EventName",
    [ATTRIBUTE_USER_NAME] = "Username",
    [ATTRIBUTE_EVENT_SOURCE] = "EventSource",
    [ATTRIBUTE_ACCESS_KEY] = "AccessKeyId",
    [ATTRIBUTE_READ_ONLY] = "ReadOnly",
    [ATTRIBUTE_ACCOUNT] = "AccountId",
    [ATTRIBUTE_REGION] = "Region",
    [ATTRIBUTE_ERROR_CODE] = "ErrorCode",
    [ATTRIBUTE_CATEGORY] = "Category",
    [ATTRIBUTE_IDENTITY_TYPE] = "IdentityType",
    [ATTRIBUTE_SOURCE_IP] = "SourceIp",
    [ATTRIBUTE_SHARED_EVENT] = "SharedEventId",
    [ATTRIBUTE_IDENTITY_ARN] = "IdentityArn",
    [ATTRIBUTE_EVENT_TYPE] = "EventType",
    [ATTRIBUTE_GLOBAL] = "Global",
    [ATTRIBUTE_ERROR] = "Error",
    [ATTRIBUTE_RESOURCE_NAME] = "ResourceName",
    [ATTRIBUTE_RESOURCE_TYPE] = "ResourceType",
};

const char *attribute_kind_name(enum attribute_kind kind) {
    assert(kind > 0 && kind < ATTRIBUTE_KINDS && kind_names[kind] != NULL);
    return kind_names[kind];
}

// A list being made, with room for all that may come.
struct list {
    struct attribute *items;
    uint32_t count;
};

static struct span cut(struct span value) {
    if (value.size > ATTRIBUTE_VALUE_SIZE_MAX) value.size = ATTRIBUTE_VALUE_SIZE_MAX;
    return value;
}

// Adds the one value of a kind, unless it is empty.
static inline void add(struct list *list, enum attribute_kind kind, struct span value) {
    if (value.size == 0) return;
    assert(list->count < ATTRIBUTE_COUNT_MAX);
    list->items[list->count++] = (struct attribute){kind, cut(value)};
}

// Adds one value of several, unless it is empty or there already. The values of its kind come last.
static void add_new(struct list *list, enum attribute_kind kind, struct span value) {
    value = cut(value);
    for (uint32_t index = list->count; index > 0 && list->items[index - 1].kind == kind; index--) {
        if (span_equal(list->items[index - 1].value, value)) return;
    }
    add(list, kind, value);
}

static void add_names(struct list *list, const struct record_resource *resources, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        add_new(list, ATTRIBUTE_RESOURCE_NAME, resources[index].name);
        add_new(list, ATTRIBUTE_RESOURCE_NAME, record_short_name(resources[index].name));
    }
}

static void add_types(struct list *list, const struct record_resource *resources, uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        add_new(list, ATTRIBUTE_RESOURCE_TYPE, resources[index].type);
    }
}

static void add_resources(struct list *list, const struct record *record) {
    add_names(list, record->resources, record->resources_count);
    add_names(list, record->subjects, record->subjects_count);
    add_types(list, record->resources, record->resources_count);
    add_types(list, record->subjects, record->subjects_count);
}

struct attribute *attribute_extract(const struct record *record, struct span account,
                                    struct arena *arena, uint32_t *count) {
    // 19 is what all kinds but resources can add at most; a resource adds three.
    size_t room = 19 + 3 * ((size_t)record->resources_count + record->subjects_count);
    if (room > ATTRIBUTE_COUNT_MAX) room = ATTRIBUTE_COUNT_MAX;
    struct list list = {arena_allocate(arena, room * sizeof *list.items), 0};
    if (list.items == NULL) return NULL;

    add(&list, ATTRIBUTE_EVENT_NAME, record->event_name);
    add_new(&list, ATTRIBUTE_USER_NAME, record_display_user(record));
    add_new(&list, ATTRIBUTE_USER_NAME, record->issuer_name);
    add_new(&list, ATTRIBUTE_USER_NAME, record->session_name);
    add(&list, ATTRIBUTE_EVENT_SOURCE, record->event_source);
    add(&list, ATTRIBUTE_ACCESS_KEY, record->access_key);
    add(&list, ATTRIBUTE_READ_ONLY,
        record->is_read_only ? SPAN_LITERAL("true") : SPAN_LITERAL("false"));
    add(&list, ATTRIBUTE_ACCOUNT, account);
    add(&list, ATTRIBUTE_REGION, record->region);
    add(&list, ATTRIBUTE_ERROR_CODE, record->error_code);
    add(&list, ATTRIBUTE_CATEGORY, span_text(record_category_name(record->category)));
    add(&list, ATTRIBUTE_IDENTITY_TYPE, record->identity_type);
    add(&list, ATTRIBUTE_SOURCE_IP, record->source_ip);
    add(&list, ATTRIBUTE_SHARED_EVENT, record->shared_event_id);
    add(&list, ATTRIBUTE_IDENTITY_ARN, record->identity_arn);
    add(&list, ATTRIBUTE_EVENT_TYPE, record->event_type);
    if (record->is_global) add(&list, ATTRIBUTE_GLOBAL, SPAN_LITERAL("true"));
    if (record->is_error) add(&list, ATTRIBUTE_ERROR, SPAN_LITERAL("true"));
    add_resources(&list, record);
    *count = list.count;
    return list.items;
}

static bool any_matches(const struct record_resource *resources, uint32_t count,
                        const struct attribute *wanted) {
    for (uint32_t index = 0; index < count; index++) {
        const struct record_resource *resource = &resources[index];
        struct span value =
            wanted->kind == ATTRIBUTE_RESOURCE_NAME ? resource->name : resource->type;
        if (value.size > 0 && span_equal(cut(value), wanted->value)) return true;
        if (wanted->kind != ATTRIBUTE_RESOURCE_NAME) continue;
        struct span name = record_short_name(value);
        if (name.size > 0 && span_equal(cut(name), wanted->value)) return true;
    }
    return false;
}

static bool is_same(struct span value, struct span wanted) {
    return value.size > 0 && span_equal(cut(value), wanted);
}

bool attribute_matches(const struct record *record, struct span account,
                       const struct attribute *wanted) {
    struct span value = cut(wanted->value);
    struct attribute cut_wanted = {wanted->kind, value};
    switch (wanted->kind) {
        case ATTRIBUTE_EVENT_NAME:
            return is_same(record->event_name, value);
        case ATTRIBUTE_USER_NAME:
            return is_same(record_display_user(record), value) ||
                   is_same(record->issuer_name, value) || is_same(record->session_name, value);
        case ATTRIBUTE_EVENT_SOURCE:
            return is_same(record->event_source, value);
        case ATTRIBUTE_ACCESS_KEY:
            return is_same(record->access_key, value);
        case ATTRIBUTE_READ_ONLY:
            return span_is(value, record->is_read_only ? "true" : "false");
        case ATTRIBUTE_ACCOUNT:
            return is_same(account, value);
        case ATTRIBUTE_REGION:
            return is_same(record->region, value);
        case ATTRIBUTE_ERROR_CODE:
            return is_same(record->error_code, value);
        case ATTRIBUTE_CATEGORY:
            return span_is(value, record_category_name(record->category));
        case ATTRIBUTE_IDENTITY_TYPE:
            return is_same(record->identity_type, value);
        case ATTRIBUTE_SOURCE_IP:
            return is_same(record->source_ip, value);
        case ATTRIBUTE_SHARED_EVENT:
            return is_same(record->shared_event_id, value);
        case ATTRIBUTE_IDENTITY_ARN:
            return is_same(record->identity_arn, value);
        case ATTRIBUTE_EVENT_TYPE:
            return is_same(record->event_type, value);
        case ATTRIBUTE_GLOBAL:
            return record->is_global && span_is(value, "true");
        case ATTRIBUTE_ERROR:
            return record->is_error && span_is(value, "true");
        case ATTRIBUTE_RESOURCE_NAME:
        case ATTRIBUTE_RESOURCE_TYPE:
            return any_matches(record->resources, record->resources_count, &cut_wanted) ||
                   any_matches(record->subjects, record->subjects_count, &cut_wanted);
        case ATTRIBUTE_KINDS:
            break;
    }
    return false;
}
