#include "cli/verify_records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "event/file.h"
#include "event/match/match.h"
#include "query/filter.h"
#include "query/reading.h"
#include "verify/records.h"

enum {
    TRAILS_MAX = 256,
    ARENA_SIZE = 64 * 1024 * 1024,
    CHANGE_SLACK_MS = 5000,  // a delivery may know a changed trail so late
};

// As the collector names its document of a delivery (collector/deliver/state.h).
#define STATE_DOCUMENTS "deliver/trail/"

// A trail that delivers, and which events it has delivered.
struct source {
    struct span id;
    struct span name;
    struct span account;
    struct span region;
    bool is_organization;
    bool is_multi_region;
    bool is_global;
    bool has_insights;
    struct match *match;
    int64_t from_ms;    // events received from then on
    uint64_t sequence;  // up to this one
};

struct comparison {
    const struct verify_plan *plan;
    struct verification *verification;
    uint64_t records_count;
    struct trail_reader *reader;
    struct reading *reading;
    struct records *records;
    struct arena *arena;
    struct source sources[TRAILS_MAX];
    uint32_t sources_count;
    int64_t retained_from_s;
    struct fault *fault;
    bool is_good;
};

// ---- the trails

static struct span string_of(const struct yyjson_val *object, const char *name) {
    return json_member_string(object, span_text(name));
}

static bool flag_of(const struct yyjson_val *object, const char *name) {
    return yyjson_is_true((yyjson_val *)(uintptr_t)json_member(object, span_text(name)));
}

static int64_t number_of(const struct yyjson_val *object, const char *name) {
    return yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(object, span_text(name)));
}

static bool read_selectors(struct comparison *comparison, const struct yyjson_val *trail,
                           struct source *source) {
    struct selector_set set = selector_default();
    const struct yyjson_val *advanced = json_member(trail, SPAN_LITERAL("advanced"));
    const struct yyjson_val *basic = json_member(trail, SPAN_LITERAL("basic"));
    struct fault *fault = comparison->fault;
    bool is_read = true;
    if (advanced != NULL) {
        is_read =
            selector_parse_advanced(advanced, SELECTOR_FOR_TRAIL, comparison->arena, &set, fault);
    } else if (basic != NULL) {
        is_read = selector_parse_basic(basic, comparison->arena, &set, fault);
    }
    return is_read && match_create(&set, &source->match, fault);
}

// Reads a delivery's document, which has its trail's in it as a text.
static bool read_source(struct comparison *comparison, struct span id, struct span value) {
    const struct yyjson_val *state = NULL, *trail = NULL;
    struct fault *fault = comparison->fault;
    const char *wanted = comparison->plan->trail;
    struct source source = {.id = id};
    if (!json_read_into(comparison->arena, value, &state, fault) ||
        !json_read_into(comparison->arena, string_of(state, "trail"), &trail, fault)) {
        fault->kind = fault->kind == FAULT_INPUT ? FAULT_CORRUPT : fault->kind;
        return fault_add(fault, "the store's document " STATE_DOCUMENTS "%.*s", SPAN_PRINT(id));
    }
    bool is_steady = flag_of(state, "active") && !flag_of(state, "ending");
    source.name = string_of(trail, "name");
    if (!is_steady || (wanted != NULL && !span_is(source.name, wanted))) return true;
    if (comparison->sources_count == TRAILS_MAX)
        return fault_set(fault, FAULT_INPUT, "more than %d trails deliver", TRAILS_MAX);
    source.account = string_of(trail, "account");
    source.region = string_of(trail, "region");
    source.is_organization = flag_of(trail, "organization");
    source.is_multi_region = flag_of(trail, "multi_region");
    source.is_global = flag_of(trail, "global");
    source.has_insights = json_member(trail, SPAN_LITERAL("insights")) != NULL;
    source.from_ms = number_of(state, "session_ms");
    // Starting and stopping change a trail too, and nothing of what it selects.
    int64_t changed_ms = number_of(trail, "changed_ms");
    if (changed_ms > source.from_ms) source.from_ms = changed_ms + CHANGE_SLACK_MS;
    if (!read_selectors(comparison, trail, &source)) return false;
    comparison->sources[comparison->sources_count++] = source;
    return true;
}

static bool on_state(void *user, struct span name, struct span value) {
    struct comparison *comparison = user;
    struct span id;
    comparison->is_good =
        (arena_copy(comparison->arena, span_from(name, sizeof STATE_DOCUMENTS - 1), &id) ||
         fault_set(comparison->fault, FAULT_FULL, "no memory for trails")) &&
        read_source(comparison, id, value);
    return comparison->is_good;
}

// A delivery's follower has its trail's id at the end of its name.
static bool on_follower(void *user, const struct trail_follower *follower) {
    struct comparison *comparison = user;
    struct span name = span_text(follower->name);
    if (!span_starts(name, SPAN_LITERAL("deliver-"))) return true;
    for (uint32_t index = 0; index < comparison->sources_count; index++) {
        struct source *source = &comparison->sources[index];
        if (span_ends(name, source->id)) source->sequence = follower->sequence;
    }
    return true;
}

static bool load(struct comparison *comparison, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_documents(comparison->reader, SPAN_LITERAL(STATE_DOCUMENTS), on_state,
                                comparison, fault) ||
        !comparison->is_good ||
        !trail_reader_followers(comparison->reader, on_follower, comparison, fault) ||
        !trail_reader_facts(comparison->reader, &facts, fault)) {
        return false;
    }
    comparison->retained_from_s = facts.retained_from_s;
    return true;
}

// ---- the store's events

// The same decision as the delivery's.
static bool selects(const struct source *source, const struct record *record,
                    const struct trail_row *row) {
    struct span account = span_of(row->key.account, row->key.account_size);
    if (row->sequence > source->sequence || row->received_ms < source->from_ms) return false;
    if (!source->is_organization && !span_equal(account, source->account)) return false;
    if (!source->is_multi_region && !span_equal(record->region, source->region)) return false;
    if (record->is_global && !source->is_global) return false;
    if (record->category == RECORD_INSIGHT) return source->has_insights;
    return match_selects(source->match, record);
}

// Whether the run is about the event.
static bool is_asked(const struct verify_plan *plan, const struct record *record,
                     const struct trail_row *row) {
    char account[FILE_PART_SIZE], region[FILE_PART_SIZE];
    if (row->received_ms / 1000 <= plan->from_s || row->received_ms / 1000 > plan->to_s)
        return false;
    file_print_part(span_of(row->key.account, row->key.account_size), account);
    file_print_part(record->region, region);
    return (plan->account == NULL || strcmp(plan->account, account) == 0) &&
           (plan->region == NULL || strcmp(plan->region, region) == 0);
}

static void report(struct comparison *comparison, enum finding_kind kind,
                   const struct finding *place, const struct record *record) {
    char detail[512], time[TIME_TEXT_SIZE], id[RECORD_UUID_TEXT_SIZE];
    struct finding finding = *place;
    time_print(record->event_time_s, time);
    record_print_uuid(record->id, id);
    bool has_id = record->event_id.size > 0 && record->event_id.size < 128;
    snprintf(detail, sizeof detail, "eventID %.*s, %s, %.*s",
             has_id ? (int)record->event_id.size : RECORD_UUID_TEXT_SIZE - 1,
             has_id ? (const char *)record->event_id.bytes : id, time,
             (int)(record->event_name.size < 128 ? record->event_name.size : 128),
             (const char *)record->event_name.bytes);
    finding.kind = kind;
    finding.to_s = record->event_time_s;
    finding.detail = detail;
    verification_add(comparison->verification, &finding);
}

// An event of the store: in a file, or one that no trail should have delivered.
static bool compare_row(struct comparison *comparison, const struct trail_row *row,
                        struct fault *fault) {
    struct record record;
    struct span account = span_of(row->key.account, row->key.account_size);
    bool is_met = records_meet(comparison->records, account, row->key.id, row->key.event_time_s);
    if (is_met || comparison->sources_count == 0) return true;
    if (!reading_read(comparison->reading, row, &record, fault)) return false;
    if (!is_asked(comparison->plan, &record, row)) return true;
    for (uint32_t index = 0; index < comparison->sources_count; index++) {
        const struct source *source = &comparison->sources[index];
        if (!selects(source, &record, row)) continue;
        const struct finding place = {
            .account = account, .region = record.region, .trail = source->name};
        report(comparison, FINDING_RECORD_MISSING, &place, &record);
        return true;
    }
    return true;
}

static void on_left(void *user, const struct records_entry *entry) {
    struct comparison *comparison = user;
    const struct finding place = {.account = entry->account,
                                  .region = entry->region,
                                  .bucket = entry->bucket,
                                  .object = entry->object};
    if (entry->record->event_time_s >= comparison->retained_from_s)
        report(comparison, FINDING_RECORD_UNKNOWN, &place, entry->record);
}

static bool compare_part(struct comparison *comparison, uint32_t part, uint32_t parts,
                         struct fault *fault) {
    const struct trail_query query = {.time_min_s = FILTER_TIME_MIN, .time_max_s = FILTER_TIME_MAX};
    struct trail_cursor *cursor = NULL;
    // The files first: what they have was stored before it was delivered.
    if (!records_read(comparison->records, part, parts, fault) ||
        !trail_cursor_open(comparison->reader, &query, &cursor, fault)) {
        return false;
    }
    bool is_good = true, found = true;
    while (is_good && found) {
        struct trail_row row;
        is_good = trail_cursor_next(cursor, &found, &row, fault) &&
                  (!found || compare_row(comparison, &row, fault));
    }
    trail_cursor_close(cursor);
    comparison->records_count += records_count(comparison->records);
    return is_good && (records_unmet(comparison->records) == 0 ||
                       records_left(comparison->records, on_left, comparison, fault));
}

bool verify_records_compare(const struct store_choice *choice, const struct verify_plan *plan,
                            struct verification *verification, uint64_t *records,
                            struct fault *fault) {
    const struct records_range range = {plan->delivered, plan->account, plan->region, plan->from_s};
    struct comparison *comparison = calloc(1, sizeof *comparison);
    if (comparison == NULL) return fault_set(fault, FAULT_FULL, "no memory to compare records");
    *comparison = (struct comparison){
        .plan = plan,
        .verification = verification,
        .reading = reading_create(),
        .records = records_create(&range),
        .arena = arena_create(ARENA_SIZE),
        .fault = fault,
        .is_good = true,
    };
    bool is_good =
        (comparison->reading != NULL && comparison->records != NULL && comparison->arena != NULL) ||
        fault_set(fault, FAULT_FULL, "no memory to compare records");
    is_good = is_good && store_open(choice, &comparison->reader, fault) && load(comparison, fault);
    uint32_t parts = records_parts(verification->counts.logs_size);
    for (uint32_t part = 0; is_good && part < parts; part++)
        is_good = compare_part(comparison, part, parts, fault);
    if (is_good) *records = comparison->records_count;
    for (uint32_t index = 0; index < comparison->sources_count; index++)
        match_destroy(comparison->sources[index].match);
    if (comparison->reader != NULL) trail_reader_close(comparison->reader);
    reading_destroy(comparison->reading);
    records_destroy(comparison->records);
    arena_destroy(comparison->arena);
    free(comparison);
    return is_good;
}
