#include "collector/api/lookup_events.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "collector/api/answers.h"
#include "collector/api/api_internal.h"
#include "event/key.h"
#include "query/filter.h"
#include "query/lookup.h"

enum {
    MAC_SIZE = 16,
    TOKEN_SIZE_MAX = LOOKUP_TOKEN_SIZE + 2 * MAC_SIZE + 1,
};

// What a call looks at.
struct view {
    bool is_beyond;        // a region that AWS does not have
    struct span account;   // none: all that the caller may see
    struct span region;    // none: all
    struct span category;  // none: all
    const struct yyjson_val *attributes;
    bool has_start, has_end;
    int64_t start_ms, end_ms;
    int64_t count_max;
    struct span token;
};

// ---- the region of the signature says whose events

// Cuts "-REGION" off the end of an account, if it is there.
static struct span cut_region(struct span *account) {
    size_t at = span_find(*account, '-');
    if (at == account->size) return (struct span){NULL, 0};
    struct span region = span_from(*account, at + 1);
    account->size = at;
    return region;
}

// Without an account it is a region like any other, not all accounts.
static bool names_account(struct span text) {
    struct span prefix = SPAN_LITERAL("account-");
    return span_starts(text, prefix) && span_find(span_from(text, prefix.size), '-') > 0;
}

static void read_region(struct span text, struct view *view) {
    view->is_beyond = true;
    if (span_is(text, "all-regions")) {
        return;
    } else if (span_is(text, "organization")) {
        view->account = (struct span){NULL, 0};
    } else if (span_starts(text, SPAN_LITERAL("organization-"))) {
        view->account = (struct span){NULL, 0};
        view->region = span_from(text, strlen("organization-"));
    } else if (names_account(text)) {
        view->account = span_from(text, strlen("account-"));
        view->region = cut_region(&view->account);
    } else {
        view->is_beyond = false;
        view->region = text;
    }
}

static bool deny(struct api_call *call, const char *what) {
    const struct api_caller *caller = &call->request->caller;
    return api_refuse(call, "AccessDeniedException",
                      "User: arn:aws:iam::%.*s:user/%.*s is not authorized to perform: "
                      "cloudtrail:LookupEvents on %s",
                      SPAN_PRINT(caller->account), SPAN_PRINT(caller->name), what);
}

// Of the organization a narrowed key sees the accounts it was narrowed to.
static bool sees_all_listed(struct api_call *call) {
    const struct api_caller *caller = &call->request->caller;
    for (uint32_t index = 0; index < caller->accounts_count; index++) {
        bool sees = false;
        if (!api_sees_account(call, caller->accounts[index], &sees)) return false;
        if (!sees) return deny(call, "the organization: the key is of a member account");
    }
    return true;
}

// Whose events the call sees.
static bool choose_account(struct api_call *call, struct view *view) {
    bool sees = false;
    const struct api_caller *caller = &call->request->caller;
    // A key of one account speaks for that account.
    view->account = caller->accounts_count == 1 ? caller->accounts[0] : caller->account;
    read_region(call->request->region, view);
    if (view->account.size == 0 && caller->accounts_count == 0) {
        if (!api_sees_organization(call, &sees)) return false;
        return sees || deny(call, "the organization: the key is of a member account");
    }
    if (view->account.size == 0) return sees_all_listed(call);
    if (!api_sees_account(call, view->account, &sees)) return false;
    char what[128];
    snprintf(what, sizeof what, "the events of account %.*s",
             (int)(view->account.size < 64 ? view->account.size : 64),
             (const char *)view->account.bytes);
    return sees || deny(call, what);
}

// ---- parameters

static bool read_category(struct api_call *call, struct view *view) {
    static const struct {
        const char *name;
        struct span category;
    } known[] = {
        {"insight", {(const uint8_t *)"Insight", 7}},
        {"management", {(const uint8_t *)"Management", 10}},
        {"data", {(const uint8_t *)"Data", 4}},
        {"networkactivity", {(const uint8_t *)"NetworkActivity", 15}},
        {"all", {NULL, 0}},
    };
    struct span text = {NULL, 0};
    if (!api_string(call, call->input, "EventCategory", &text)) return false;
    if (text.bytes == NULL) text = SPAN_LITERAL("management");
    for (size_t index = 0; index < sizeof known / sizeof known[0]; index++) {
        if (!span_is(text, known[index].name)) continue;
        view->category = known[index].category;
        return true;
    }
    return api_refuse(call, "InvalidEventCategoryException",
                      "The event category is not valid: insight is.");
}

static bool read_times(struct api_call *call, struct view *view) {
    int64_t none = INT64_MIN;
    view->start_ms = none;
    view->end_ms = none;
    if (!api_time_ms(call, call->input, "StartTime", &view->start_ms) ||
        !api_time_ms(call, call->input, "EndTime", &view->end_ms)) {
        return false;
    }
    view->has_start = view->start_ms != none;
    view->has_end = view->end_ms != none;
    if (!view->has_start || !view->has_end || view->start_ms <= view->end_ms) return true;
    return api_refuse(call, "InvalidTimeRangeException",
                      "The time range is not valid: StartTime is later than EndTime.");
}

static bool read_parameters(struct api_call *call, struct view *view) {
    view->count_max = LOOKUP_EVENTS_MAX;
    if (!read_category(call, view) || !read_times(call, view) ||
        !api_list(call, call->input, "LookupAttributes", &view->attributes) ||
        !api_string(call, call->input, "NextToken", &view->token) ||
        !api_integer(call, call->input, "MaxResults", &view->count_max)) {
        return false;
    }
    if (view->count_max >= 1 && view->count_max <= LOOKUP_EVENTS_MAX) return true;
    return api_refuse(call, "InvalidMaxResultsException",
                      "MaxResults must be between 1 and %d: %" PRId64 " is not.", LOOKUP_EVENTS_MAX,
                      view->count_max);
}

// ---- attributes

static const struct {
    const char *key;
    const char *option;  // of query/filter
    bool is_of_insights;
    bool is_ours;
} KEYS[] = {
    {"EventId", "event-id", true, false},
    {"EventName", "event-name", true, false},
    {"ReadOnly", "read-only", false, false},
    {"Username", "user", false, false},
    {"ResourceType", "resource-type", false, false},
    {"ResourceName", "resource-name", false, false},
    {"EventSource", "event-source", true, false},
    {"AccessKeyId", "access-key", false, false},
    {"AccountId", "account", true, true},
    {"Region", "region", true, true},
    {"ErrorCode", "error-code", false, true},
    {"SourceIp", "source-ip", false, true},
    {"SharedEventId", "shared-event-id", true, true},
    {"IdentityArn", "identity-arn", false, true},
    {"IdentityType", "identity-type", false, true},
    {"EventType", "event-type", false, true},
};

static const char *find_option(const struct view *view, struct span key) {
    bool is_insights = span_is(view->category, "Insight");
    for (size_t index = 0; index < sizeof KEYS / sizeof KEYS[0]; index++) {
        if (!span_is(key, KEYS[index].key)) continue;
        bool is_good = (!is_insights || KEYS[index].is_of_insights) &&
                       (!KEYS[index].is_ours || view->is_beyond);
        return is_good ? KEYS[index].option : NULL;
    }
    return NULL;
}

// Characters as AWS counts them.
static size_t measure_value(struct span value) {
    size_t size = 0;
    for (size_t index = 0; index < value.size; index++) {
        uint8_t byte = value.bytes[index];
        bool is_double = byte == '_' || byte == ' ' || byte == ',' || byte == '\n';
        if ((byte & 0xC0) != 0x80) size += is_double ? 2 : 1;
    }
    return size;
}

static bool refuse_attribute(struct api_call *call, const char *text) {
    return api_refuse(call, "InvalidLookupAttributesException", "%s", text);
}

static bool add_attribute(struct api_call *call, const struct view *view,
                          const struct yyjson_val *attribute, struct filter *filter) {
    struct fault fault;
    struct span key = {NULL, 0}, value = {NULL, 0};
    if (!yyjson_is_obj((yyjson_val *)(uintptr_t)attribute)) {
        return api_refuse(call, "SerializationException", "A lookup attribute is no structure.");
    }
    if (!api_string(call, attribute, "AttributeKey", &key) ||
        !api_string(call, attribute, "AttributeValue", &value)) {
        return false;
    }
    const char *option = find_option(view, key);
    if (option == NULL) return refuse_attribute(call, "The lookup attribute key is not valid.");
    size_t size = measure_value(value);
    if (size == 0 || size > LOOKUP_EVENTS_VALUE_SIZE_MAX || memchr(value.bytes, 0, value.size)) {
        return refuse_attribute(call,
                                "The lookup attribute value is not valid: it has 1 to 2000 "
                                "characters.");
    }
    char *text = arena_copy_text(call->arena, value);
    if (text == NULL) {
        fault_set(&fault, FAULT_FULL, "no memory for an attribute");
        return api_refuse_fault(call, &fault);
    }
    if (filter_add(filter, option, text, &fault)) return true;
    if (fault.kind != FAULT_INPUT) return api_refuse_fault(call, &fault);
    return refuse_attribute(call, fault.text);
}

static bool add_attributes(struct api_call *call, const struct view *view, struct filter *filter) {
    yyjson_val *list = (yyjson_val *)(uintptr_t)view->attributes;
    size_t count = yyjson_arr_size(list);
    if (count > 1 && !view->is_beyond) {
        return refuse_attribute(call, "Only one lookup attribute is allowed in a request.");
    }
    if (count > LOOKUP_EVENTS_ATTRIBUTES_MAX) {
        return refuse_attribute(call, "At most 16 lookup attributes can be combined.");
    }
    for (size_t index = 0; index < count; index++) {
        if (!add_attribute(call, view, yyjson_arr_get(list, index), filter)) return false;
    }
    return true;
}

static bool add_span(struct api_call *call, struct filter *filter, const char *option,
                     struct span value) {
    struct fault fault;
    if (value.size == 0) return true;
    char *text = arena_copy_text(call->arena, value);
    if (text == NULL) {
        fault_set(&fault, FAULT_FULL, "no memory for an attribute");
    } else if (filter_add(filter, option, text, &fault)) {
        return true;
    }
    if (fault.kind != FAULT_INPUT) return api_refuse_fault(call, &fault);
    // Such as an account that the view names and an attribute too.
    return refuse_attribute(call, fault.text);
}

// Whole seconds: those from the first that has begun to the last that has, both counted.
static void set_times(const struct view *view, struct filter *filter) {
    if (view->has_start) {
        filter->time_min_s = view->start_ms / 1000 + (view->start_ms % 1000 > 0);
        snprintf(filter->since_text, sizeof filter->since_text, "%" PRId64, view->start_ms);
    }
    if (view->has_end) {
        filter->time_max_s = view->end_ms / 1000 - (view->end_ms % 1000 < 0);
        snprintf(filter->until_text, sizeof filter->until_text, "%" PRId64, view->end_ms);
    }
}

static bool make_filter(struct api_call *call, const struct view *view, struct filter *filter) {
    if (!add_attributes(call, view, filter) || !add_span(call, filter, "account", view->account) ||
        !add_span(call, filter, "region", view->region) ||
        !add_span(call, filter, "category", view->category)) {
        return false;
    }
    set_times(view, filter);
    return true;
}

// ---- tokens: the query's own, and that it is ours and this caller's

static void make_mac(const struct api_call *call, const struct view *view, struct span token,
                     char hex[2 * MAC_SIZE + 1]) {
    uint8_t digest[SHA256_SIZE];
    char count[24];
    const struct api_request *request = call->request;
    snprintf(count, sizeof count, "|%" PRId64 "|", view->count_max);
    const struct span parts[] = {request->caller.key_id, request->region, span_text(count), token};
    crypto_hmac_sha256(span_of(call->world->token_key, API_TOKEN_KEY_SIZE), parts, 4, digest);
    crypto_print_hex(span_of(digest, MAC_SIZE), hex);
}

static bool refuse_token(struct api_call *call) {
    return api_refuse(call, "InvalidNextTokenException",
                      "The token is not valid, or is of a call with other parameters.");
}

// The query's token out of ours.
static bool open_token(struct api_call *call, const struct view *view, char *token) {
    struct span given = view->token;
    char hex[2 * MAC_SIZE + 1];
    if (given.size <= 2 * MAC_SIZE || given.size >= TOKEN_SIZE_MAX) return refuse_token(call);
    struct span own = span_of(given.bytes, given.size - 2 * MAC_SIZE);
    make_mac(call, view, own, hex);
    if (!crypto_equal(span_from(given, own.size), span_text(hex)) ||
        memchr(own.bytes, 0, own.size) != NULL) {
        return refuse_token(call);
    }
    memcpy(token, own.bytes, own.size);
    token[own.size] = 0;
    return true;
}

static void write_token(struct api_call *call, const struct view *view, const char *token) {
    char text[TOKEN_SIZE_MAX];
    char hex[2 * MAC_SIZE + 1];
    if (token[0] == 0) return;
    make_mac(call, view, span_text(token), hex);
    snprintf(text, sizeof text, "%s%s", token, hex);
    json_write_string(call->output, "NextToken", span_text(text));
}

// ---- the page

static void write_each(struct json_writer *output, const struct record_resource *resources,
                       uint32_t count) {
    for (uint32_t index = 0; index < count; index++) {
        const struct record_resource *resource = &resources[index];
        json_write_object(output, NULL);
        if (resource->type.size > 0) json_write_string(output, "ResourceType", resource->type);
        if (resource->name.size > 0) json_write_string(output, "ResourceName", resource->name);
        json_write_end(output);
    }
}

// Those that the record lists, and those that its parameters name: what the index finds it by.
static void write_resources(struct json_writer *output, const struct record *record) {
    json_write_list(output, "Resources");
    write_each(output, record->resources, record->resources_count);
    write_each(output, record->subjects, record->subjects_count);
    json_write_end(output);
}

static void write_event(struct json_writer *output, const struct record *record,
                        const struct trail_row *row) {
    char uuid[RECORD_UUID_TEXT_SIZE];
    record_print_uuid(row->key.id, uuid);
    struct span user = record_display_user(record);
    json_write_object(output, NULL);
    json_write_string(output, "EventId",
                      record->event_id.bytes != NULL ? record->event_id : span_text(uuid));
    json_write_string(output, "EventName", record->event_name);
    json_write_string(output, "ReadOnly", span_text(record->is_read_only ? "true" : "false"));
    if (record->access_key.size > 0) {
        json_write_string(output, "AccessKeyId", record->access_key);
    }
    json_write_integer(output, "EventTime", row->key.event_time_s);
    json_write_string(output, "EventSource", record->event_source);
    if (user.size > 0) json_write_string(output, "Username", user);
    write_resources(output, record);
    json_write_string(output, "CloudTrailEvent", row->text);
    json_write_end(output);
}

// Writes an event, and reads it unless the lookup had to.
static bool write_row(struct api_call *call, const struct lookup *lookup,
                      const struct trail_row *row, struct fault *fault) {
    struct record read;
    enum record_refusal refusal;
    const struct record *record = lookup_record(lookup);
    if (record == NULL &&
        record_read(call->worker->json, call->arena, row->text, &read, &refusal, fault)) {
        record = &read;
    }
    if (record != NULL) {
        write_event(call->output, record, row);
        return true;
    }
    // It was read when it was stored.
    if (refusal != RECORD_GOOD) fault->kind = FAULT_CORRUPT;
    char id[RECORD_UUID_TEXT_SIZE];
    record_print_uuid(row->key.id, id);
    return fault_add(fault, "event %s", id);
}

static bool write_page(struct api_call *call, const struct view *view, struct lookup *lookup,
                       struct fault *fault) {
    char token[LOOKUP_TOKEN_SIZE];
    struct trail_row row;
    json_write_list(call->output, "Events");
    bool found = true;
    bool is_good = true;
    while (is_good && found) {
        is_good = lookup_next(lookup, &found, &row, fault);
        if (is_good && found) is_good = write_row(call, lookup, &row, fault);
        if (call->output->output->size > LOOKUP_EVENTS_SIZE_MAX) lookup_stop(lookup);
    }
    json_write_end(call->output);
    if (!is_good || !lookup_print_token(lookup, token, fault)) return false;
    write_token(call, view, token);
    return true;
}

// Of a key that was narrowed to some accounts, their events.
static bool on_row(void *context, const struct trail_row *row) {
    const struct api_caller *caller = context;
    struct span account = span_of(row->key.account, row->key.account_size);
    for (uint32_t index = 0; index < caller->accounts_count; index++) {
        if (span_equal(caller->accounts[index], account)) return true;
    }
    return false;
}

static bool run_page(struct api_call *call, const struct view *view, struct filter *filter) {
    char token[TOKEN_SIZE_MAX];
    struct fault fault;
    struct lookup *lookup;
    struct lookup_plan plan = {
        .filter = filter,
        .newest_first = true,
        .is_bare = true,
        .limit = (uint32_t)view->count_max,
        .context = (void *)(uintptr_t)&call->request->caller,
    };
    if (view->account.size == 0 && call->request->caller.accounts_count > 0) plan.wants = on_row;
    if (view->token.bytes != NULL) {
        if (!open_token(call, view, token)) return false;
        plan.token = token;
    }
    if (!lookup_open(call->reader, &plan, &lookup, &fault)) {
        if (fault.kind == FAULT_INPUT && plan.token != NULL) return refuse_token(call);
        return api_refuse_fault(call, &fault);
    }
    bool is_good = write_page(call, view, lookup, &fault);
    lookup_close(lookup);
    return is_good || api_refuse_fault(call, &fault);
}

static bool look_up(struct api_call *call, const struct view *view) {
    struct fault fault;
    struct filter filter;
    if (!filter_init(&filter, &fault)) return api_refuse_fault(call, &fault);
    bool is_good = make_filter(call, view, &filter);
    // A second that no event can have: StartTime and EndTime within one.
    bool is_empty = filter.time_min_s > filter.time_max_s;
    if (is_good && is_empty) {
        json_write_list(call->output, "Events");
        json_write_end(call->output);
    } else if (is_good) {
        is_good = run_page(call, view, &filter);
    }
    filter_done(&filter);
    return is_good;
}

bool lookup_events_run(struct api_call *call) {
    struct fault fault;
    struct view view = {0};
    struct span members;
    uint64_t commit;
    const struct api_request *request = call->request;
    const struct answers_call asked = {request->caller.key_id, request->region, request->body};
    if (!choose_account(call, &view) || !read_parameters(call, &view)) return false;
    // Before the events are looked at: what is committed meanwhile is another answer's.
    if (!trail_reader_commit(call->reader, &commit, &fault)) return api_refuse_fault(call, &fault);
    call->is_again = answers_find(call->answers, commit, &asked, &members);
    if (call->is_again) {
        json_write_members(call->output, members);
        return true;
    }
    size_t begin = call->output->output->size;
    if (!look_up(call, &view)) return false;
    members = span_from(buffer_span(call->output->output), begin);
    if (!buffer_overflowed(call->output->output))
        answers_keep(call->answers, commit, &asked, members);
    return true;
}
