#include "query/filter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"

struct condition {
    const char *name;
    enum attribute_kind kind;
    bool is_single;  // an event has at most one value of the kind
};

static const struct condition conditions[] = {
    {"event-name", ATTRIBUTE_EVENT_NAME, true},
    {"user", ATTRIBUTE_USER_NAME, false},
    {"event-source", ATTRIBUTE_EVENT_SOURCE, true},
    {"access-key", ATTRIBUTE_ACCESS_KEY, true},
    {"read-only", ATTRIBUTE_READ_ONLY, true},
    {"resource-name", ATTRIBUTE_RESOURCE_NAME, false},
    {"resource-type", ATTRIBUTE_RESOURCE_TYPE, false},
    {"shared-event-id", ATTRIBUTE_SHARED_EVENT, true},
    {"source-ip", ATTRIBUTE_SOURCE_IP, true},
    {"error-code", ATTRIBUTE_ERROR_CODE, true},
    {"identity-type", ATTRIBUTE_IDENTITY_TYPE, true},
    {"identity-arn", ATTRIBUTE_IDENTITY_ARN, true},
    {"event-type", ATTRIBUTE_EVENT_TYPE, true},
    {"account", ATTRIBUTE_ACCOUNT, true},
    {"region", ATTRIBUTE_REGION, true},
    {"category", ATTRIBUTE_CATEGORY, true},
    {"global", ATTRIBUTE_GLOBAL, true},
    {"errors", ATTRIBUTE_ERROR, true},
};

bool filter_init(struct filter *filter, struct fault *fault) {
    *filter = (struct filter){.time_min_s = FILTER_TIME_MIN, .time_max_s = FILTER_TIME_MAX};
    filter->arena = arena_create(FILTER_ARENA_SIZE);
    if (filter->arena != NULL) return true;
    return fault_set(fault, FAULT_FULL, "no memory");
}

void filter_done(struct filter *filter) {
    arena_destroy(filter->arena);
    filter->arena = NULL;
}

// A UUID, or the first half of its text's SHA-256.
static void parse_id(struct span text, uint8_t id[RECORD_ID_SIZE]) {
    if (record_parse_uuid(text, id)) return;
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(&text, 1, digest);
    memcpy(id, digest, RECORD_ID_SIZE);
}

static bool set_arena_fault(struct fault *fault) {
    return fault_set(fault, FAULT_INPUT, "the conditions pass %d bytes", FILTER_ARENA_SIZE);
}

static bool set_id(struct filter *filter, const char *value, struct fault *fault) {
    size_t size = strlen(value);
    if (filter->has_id) return fault_set(fault, FAULT_INPUT, "event-id is given twice");
    if (size == 0 || size > RECORD_ID_TEXT_MAX) {
        return fault_set(fault, FAULT_INPUT, "event-id: must be 1 to %d bytes", RECORD_ID_TEXT_MAX);
    }
    if (!arena_copy(filter->arena, span_of(value, size), &filter->id_text))
        return set_arena_fault(fault);
    parse_id(filter->id_text, filter->id);
    filter->has_id = true;
    return true;
}

static bool check_boolean(const char *name, const char *value, struct fault *fault) {
    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) return true;
    return fault_set(fault, FAULT_INPUT, "%s \"%.40s\": must be true or false", name, value);
}

// Category names in any case and with dashes: "network-activity" is "NetworkActivity".
static const char *find_category(const char *value) {
    static const enum record_category categories[] = {
        RECORD_MANAGEMENT,       RECORD_DATA,       RECORD_INSIGHT,
        RECORD_NETWORK_ACTIVITY, RECORD_AGGREGATED, RECORD_OTHER,
    };
    char plain[FILTER_TIME_TEXT_MAX];
    size_t used = 0;
    for (; *value != 0 && used + 1 < sizeof plain; value++) {
        if (*value != '-' && *value != '_') plain[used++] = *value;
    }
    plain[used] = 0;
    for (size_t index = 0; index < sizeof categories / sizeof categories[0]; index++) {
        const char *name = record_category_name(categories[index]);
        if (strcasecmp(name, plain) == 0) return name;
    }
    return NULL;
}

static bool check_value(const struct condition *condition, const char **value,
                        struct fault *fault) {
    const char *name = condition->name;
    switch (condition->kind) {
        case ATTRIBUTE_READ_ONLY:
            return check_boolean(name, *value, fault);
        case ATTRIBUTE_GLOBAL:
        case ATTRIBUTE_ERROR:
            if (strcmp(*value, "true") == 0) return true;
            return fault_set(fault, FAULT_INPUT, "%s: only \"true\" can be asked for", name);
        case ATTRIBUTE_CATEGORY: {
            const char *category = find_category(*value);
            if (category == NULL) {
                return fault_set(fault, FAULT_INPUT,
                                 "category \"%.40s\": must be management, data, insight, "
                                 "network-activity, aggregated or other",
                                 *value);
            }
            *value = category;
            return true;
        }
        default:
            if (**value != 0) return true;
            return fault_set(fault, FAULT_INPUT, "%s: the value is empty", name);
    }
}

// "iam", or as people write it "IAM", is "iam.amazonaws.com". NULL: no room.
static const char *complete_source(struct filter *filter, const char *value) {
    char *whole = arena_print(filter->arena, "%s.amazonaws.com", value);
    for (char *letter = whole; letter != NULL && *letter != 0; letter++) {
        if (*letter >= 'A' && *letter <= 'Z') *letter += 'a' - 'A';
    }
    return whole;
}

static bool add_attribute(struct filter *filter, const struct condition *condition,
                          const char *value, struct fault *fault) {
    if (!check_value(condition, &value, fault)) return false;
    for (uint32_t index = 0; index < filter->attributes_count; index++) {
        if (condition->is_single && filter->attributes[index].kind == condition->kind) {
            return fault_set(fault, FAULT_INPUT,
                             "%s is given twice, and no event has two: ask once for each",
                             condition->name);
        }
    }
    if (filter->attributes_count == FILTER_ATTRIBUTES_MAX)
        return fault_set(fault, FAULT_INPUT, "more than %d conditions", FILTER_ATTRIBUTES_MAX);
    bool is_short = condition->kind == ATTRIBUTE_EVENT_SOURCE && strchr(value, '.') == NULL;
    if (is_short) value = complete_source(filter, value);
    if (value == NULL) return set_arena_fault(fault);
    struct span text = span_text(value);
    if (text.size > ATTRIBUTE_VALUE_SIZE_MAX) text.size = ATTRIBUTE_VALUE_SIZE_MAX;
    struct span copy;
    if (!arena_copy(filter->arena, text, &copy)) return set_arena_fault(fault);
    filter->attributes[filter->attributes_count++] =
        (struct attribute){.kind = condition->kind, .value = copy};
    return true;
}

bool filter_add(struct filter *filter, const char *name, const char *value, struct fault *fault) {
    if (strcmp(name, "event-id") == 0) return set_id(filter, value, fault);
    for (size_t index = 0; index < sizeof conditions / sizeof conditions[0]; index++) {
        if (strcmp(conditions[index].name, name) != 0) continue;
        return add_attribute(filter, &conditions[index], value, fault);
    }
    return fault_set(fault, FAULT_INPUT, "there is no condition \"%.40s\"", name);
}

static bool is_digit(char letter) {
    return letter >= '0' && letter <= '9';
}

// Which part of a date or time that is written in the right form cannot be.
static bool find_wrong_part(const char *text, char *part, size_t part_size) {
    static const char form[] = "0000-00-00T00:00";
    static const struct {
        const char *name;
        size_t at;
        int max;
    } parts[] = {{"month", 5, 12}, {"day", 8, 31}, {"hour", 11, 23}, {"minute", 14, 59}};
    size_t size = 0;
    while (size < sizeof form - 1 &&
           (form[size] == '0' ? is_digit(text[size])
                              : text[size] == form[size] || (size == 10 && text[size] == ' '))) {
        size++;
    }
    int values[4] = {0};
    for (size_t index = 0; index < 4 && parts[index].at + 2 <= size; index++) {
        const char *digits = text + parts[index].at;
        values[index] = (digits[0] - '0') * 10 + digits[1] - '0';
        bool is_date = index < 2;
        if (values[index] <= parts[index].max && (values[index] > 0 || !is_date)) continue;
        snprintf(part, part_size, "there is no %s %d", parts[index].name, values[index]);
        return true;
    }
    char date[] = "0000-00-00T00:00:00Z";
    int64_t seconds;
    struct fault ignored;
    if (size < 10) return false;
    memcpy(date, text, 10);
    if (time_parse(span_text(date), &seconds, &ignored)) return false;
    bool is_early = memcmp(text, "1970", 4) < 0;
    snprintf(part, part_size, is_early ? "times begin in 1970" : "that month has no day %d",
             values[1]);
    return true;
}

static bool set_time_fault(const char *text, struct fault *fault) {
    fault_set(fault, FAULT_INPUT,
              "write it like 2026-11-21, 2026-11-21T10:30:00Z, now, 15m, 2h or 7d");
    char part[64];
    if (find_wrong_part(text, part, sizeof part)) fault_add(fault, "%s", part);
    return fault_add(fault, "time \"%.40s\"", text);
}

// "15m": a number and a unit.
static bool parse_back(const char *text, int64_t *seconds) {
    int64_t value = 0;
    size_t digits = 0;
    while (is_digit(text[digits]) && digits < 9) value = value * 10 + (text[digits++] - '0');
    if (digits == 0 || text[digits] == 0 || text[digits + 1] != 0) return false;
    static const char units[] = "smhdw";
    static const int64_t sizes[] = {1, 60, 3600, 86400, 7 * 86400};
    const char *unit = strchr(units, text[digits]);
    if (unit == NULL) return false;
    *seconds = value * sizes[unit - units];
    return true;
}

// Completes "2026-11-21", "2026-11-21T10:30" and "...:00" to what time_parse reads. A blank may
// stand for the T.
static bool parse_date(const char *text, int64_t *seconds) {
    char whole[FILTER_TIME_TEXT_MAX];
    size_t size = strlen(text);
    if (size < 10 || size + 16 > sizeof whole) return false;
    memcpy(whole, text, size + 1);
    if (size > 10 && whole[10] == ' ') whole[10] = 'T';
    if (size == 10) memcpy(whole + size, "T00:00:00Z", 11);
    // "T10:30" lacks its seconds, whether or not a zone follows.
    if (size >= 16 && whole[13] == ':' && (size == 16 || whole[16] != ':')) {
        memmove(whole + 19, whole + 16, size - 16 + 1);
        memcpy(whole + 16, ":00", 3);
        size += 3;
    }
    bool has_zone = size > 19 && strpbrk(whole + 19, "Z+-") != NULL;
    if (size > 10 && !has_zone) memcpy(whole + size, "Z", 2);
    struct fault ignored;
    return time_parse(span_text(whole), seconds, &ignored);
}

bool filter_parse_time(const char *text, int64_t now_s, int64_t *seconds, struct fault *fault) {
    int64_t back;
    if (strcmp(text, "now") == 0) {
        *seconds = now_s;
        return true;
    }
    if (parse_back(text, &back)) {
        *seconds = now_s > back ? now_s - back : 0;
        return true;
    }
    if (parse_date(text, seconds)) return true;
    return set_time_fault(text, fault);
}

static bool keep_text(const char *text, char kept[FILTER_TIME_TEXT_MAX], struct fault *fault) {
    size_t size = strlen(text);
    if (size >= FILTER_TIME_TEXT_MAX) return set_time_fault(text, fault);
    memcpy(kept, text, size + 1);
    return true;
}

bool filter_set_since(struct filter *filter, const char *text, int64_t now_s, struct fault *fault) {
    int64_t seconds;
    if (!filter_parse_time(text, now_s, &seconds, fault)) return fault_add(fault, "since");
    if (!keep_text(text, filter->since_text, fault)) return false;
    filter->time_min_s = seconds;
    return true;
}

bool filter_set_until(struct filter *filter, const char *text, int64_t now_s, struct fault *fault) {
    int64_t seconds;
    if (!filter_parse_time(text, now_s, &seconds, fault)) return fault_add(fault, "until");
    if (!keep_text(text, filter->until_text, fault)) return false;
    // Exclusive, so that ranges that follow one another share no event.
    filter->time_max_s = seconds - 1;
    return true;
}

bool filter_check_range(const struct filter *filter, struct fault *fault) {
    if (filter->time_min_s <= filter->time_max_s) return true;
    return fault_set(fault, FAULT_INPUT, "the time range is empty: it begins %s and ends before %s",
                     filter->since_text[0] != 0 ? filter->since_text : "in 1970",
                     filter->until_text[0] != 0 ? filter->until_text : "that");
}

bool filter_matches(const struct filter *filter, const struct record *record,
                    const struct trail_row *row) {
    int64_t time_s = row->key.event_time_s;
    if (time_s < filter->time_min_s || time_s > filter->time_max_s) return false;
    if (filter->has_id && memcmp(filter->id, row->key.id, RECORD_ID_SIZE) != 0) return false;
    struct span account = span_of(row->key.account, row->key.account_size);
    for (uint32_t index = 0; index < filter->attributes_count; index++) {
        if (!attribute_matches(record, account, &filter->attributes[index])) return false;
    }
    return true;
}

bool filter_is_empty(const struct filter *filter) {
    return filter->attributes_count == 0 && !filter->has_id &&
           filter->time_min_s == FILTER_TIME_MIN && filter->time_max_s == FILTER_TIME_MAX;
}

struct trail_query filter_query(const struct filter *filter, bool newest_first) {
    return (struct trail_query){
        .attributes = filter->attributes,
        .attributes_count = filter->attributes_count,
        .id = filter->has_id ? filter->id : NULL,
        .time_min_s = filter->time_min_s,
        .time_max_s = filter->time_max_s,
        .newest_first = newest_first,
    };
}

static int compare_attributes(const void *left, const void *right) {
    const struct attribute *a = left;
    const struct attribute *b = right;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return span_compare(a->value, b->value);
}

void filter_print(const struct filter *filter, struct buffer *output) {
    struct attribute sorted[FILTER_ATTRIBUTES_MAX];
    uint32_t count = filter->attributes_count;
    memcpy(sorted, filter->attributes, count * sizeof sorted[0]);
    qsort(sorted, count, sizeof sorted[0], compare_attributes);
    buffer_append_byte(output, '{');
    for (uint32_t index = 0; index < count; index++) {
        buffer_print(output, "%s\"%s\":", index > 0 ? "," : "",
                     attribute_kind_name(sorted[index].kind));
        json_append_string(output, sorted[index].value);
    }
    if (filter->has_id) {
        buffer_print(output, "%s\"EventId\":", count > 0 ? "," : "");
        json_append_string(output, filter->id_text);
    }
    buffer_append_byte(output, '}');
}
