#include "cli/import_compare.h"

#include "query/filter.h"

enum { DEFLATE_RATIO = 20 };  // CloudTrail's text is rarely deflated to less than a twentieth

struct lacking {
    struct import_comparison *comparison;
    int64_t retained_from_s;
};

static void on_left(void *user, const struct records_entry *entry) {
    struct lacking *lacking = user;
    if (entry->record->event_time_s < lacking->retained_from_s) return;
    lacking->comparison->lacking++;
    lacking->comparison->on_lacking(lacking->comparison->user, entry);
}

// Marks what the store has of the part.
static bool meet_part(struct trail_reader *reader, struct records *records, struct fault *fault) {
    const struct trail_query query = {.time_min_s = FILTER_TIME_MIN, .time_max_s = FILTER_TIME_MAX};
    struct trail_cursor *cursor = NULL;
    if (!trail_cursor_open(reader, &query, &cursor, fault)) return false;
    bool is_good = true, found = true;
    while (is_good && found && records_unmet(records) > 0) {
        struct trail_row row;
        is_good = trail_cursor_next(cursor, &found, &row, fault);
        if (!is_good || !found) break;
        struct span account = span_of(row.key.account, row.key.account_size);
        records_meet(records, account, row.key.id, row.key.event_time_s);
    }
    trail_cursor_close(cursor);
    return is_good;
}

static bool compare(struct import_comparison *comparison, struct trail_reader *reader,
                    struct records *records, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    struct lacking lacking = {comparison, facts.retained_from_s};
    uint64_t count = 0;
    uint32_t parts = records_parts(comparison->size * DEFLATE_RATIO);
    for (uint32_t part = 0; part < parts; part++) {
        if (!records_read(records, part, parts, fault) || !meet_part(reader, records, fault) ||
            (records_unmet(records) > 0 && !records_left(records, on_left, &lacking, fault))) {
            return false;
        }
        count += records_count(records);
    }
    if (count == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "%s cannot be compared with the store: it has no files in CloudTrail's "
                         "layout (AWSLogs/...) in it",
                         comparison->root);
    }
    comparison->records = count;
    return true;
}

bool import_compare(struct import_comparison *comparison, struct fault *fault) {
    const struct records_range range = {.delivered = comparison->delivered};
    struct records *records = records_create(&range);
    if (records == NULL) return fault_set(fault, FAULT_FULL, "no memory to compare records");
    struct trail_reader *reader = NULL;
    bool is_good = store_open(comparison->choice, &reader, fault) &&
                   compare(comparison, reader, records, fault);
    if (reader != NULL) trail_reader_close(reader);
    records_destroy(records);
    return is_good;
}
