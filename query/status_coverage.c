#include "query/status_coverage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

// What goes through the reader's callbacks: the first time rows are counted, then they are kept.
struct collecting {
    struct status_coverage *coverage;
    bool is_counting;
    uint32_t rows_max;
};

static bool on_row(void *user, const struct coverage_row *row) {
    struct collecting *collecting = user;
    struct status_coverage *coverage = collecting->coverage;
    if (collecting->is_counting) {
        collecting->rows_max++;
    } else if (coverage->rows_count < collecting->rows_max) {
        coverage->rows[coverage->rows_count++] = *row;
    }
    return true;
}

static bool on_document(void *user, struct span name, struct span value) {
    struct collecting *collecting = user;
    uint32_t before = collecting->coverage->rows_count;
    struct fault ignored;
    // One account's damaged document takes nothing from the others.
    (void)!coverage_read(name, value, on_row, collecting, &ignored);
    collecting->coverage->accounts_count +=
        !collecting->is_counting && collecting->coverage->rows_count > before;
    return true;
}

static bool on_silent(void *user, struct span name, struct span value) {
    struct status_coverage *coverage = ((struct collecting *)user)->coverage;
    if (!span_is(name, COVERAGE_SILENT)) return true;
    while (value.size > 0 && coverage->silent_agents_count < STATUS_SILENT_MAX) {
        char text[64];
        struct status_silent silent;
        size_t size = span_find(value, '\n');
        snprintf(text, sizeof text, "%.*s", (int)(size < 63 ? size : 63), value.bytes);
        bool is_read = sscanf(text, "%" SCNu32 " %" SCNd64, &silent.agent, &silent.since_ms) == 2;
        // Since 0: it said that it does not come back.
        if (is_read && silent.since_ms != 0) {
            coverage->silent_agents[coverage->silent_agents_count++] = silent;
        }
        value = span_from(value, size < value.size ? size + 1 : size);
    }
    return true;
}

static bool on_discarded(void *user, struct span name, struct span value) {
    struct status_coverage *coverage = ((struct collecting *)user)->coverage;
    char text[64];
    (void)name;
    snprintf(text, sizeof text, "%.*s", (int)(value.size < 63 ? value.size : 63), value.bytes);
    (void)!sscanf(text, "%" SCNu64 " %" SCNu64, &coverage->discarded_entries,
                  &coverage->discarded_records);
    return true;
}

static int compare_rows(const void *left, const void *right) {
    const struct coverage_row *a = left;
    const struct coverage_row *b = right;
    bool is_silent = a->silent_ms != 0;
    bool is_other_silent = b->silent_ms != 0;
    if (is_silent != is_other_silent) return is_silent ? -1 : 1;
    if (a->silent_ms != b->silent_ms) return a->silent_ms < b->silent_ms ? -1 : 1;
    if (a->gap_numbers != b->gap_numbers) return a->gap_numbers > b->gap_numbers ? -1 : 1;
    if (a->quarantined != b->quarantined) return a->quarantined > b->quarantined ? -1 : 1;
    int order = strcmp(a->account, b->account);
    return order != 0 ? order : strcmp(a->region, b->region);
}

bool status_coverage_collect(struct trail_reader *reader, struct arena *arena,
                             struct status_coverage *coverage, struct fault *fault) {
    const struct span prefix = SPAN_LITERAL(COVERAGE_PREFIX);
    struct status_coverage made = {0};
    struct collecting collecting = {.coverage = &made, .is_counting = true};
    if (!trail_reader_documents(reader, prefix, on_document, &collecting, fault)) return false;
    // Some may come in between.
    collecting.rows_max += 64;
    if (collecting.rows_max > STATUS_COVERAGE_MAX) collecting.rows_max = STATUS_COVERAGE_MAX;
    collecting.is_counting = false;
    made.rows = arena_allocate_array(arena, collecting.rows_max, sizeof *made.rows);
    made.silent_agents = arena_allocate_array(arena, STATUS_SILENT_MAX, sizeof *made.silent_agents);
    if (made.rows == NULL || made.silent_agents == NULL)
        return fault_set(fault, FAULT_FULL, "no memory");
    if (!trail_reader_documents(reader, prefix, on_document, &collecting, fault) ||
        !trail_reader_documents(reader, SPAN_LITERAL(COVERAGE_SILENT), on_silent, &collecting,
                                fault) ||
        !trail_reader_documents(reader, SPAN_LITERAL("quarantine/discarded"), on_discarded,
                                &collecting, fault)) {
        return false;
    }
    for (uint32_t index = 0; index < made.rows_count; index++) {
        made.expected_count += made.rows[index].expected_ms != 0;
        made.silent_count += made.rows[index].silent_ms != 0;
    }
    if (made.rows_count > 0) qsort(made.rows, made.rows_count, sizeof *made.rows, compare_rows);
    *coverage = made;
    return true;
}

int64_t status_coverage_silent_ms(const struct status_coverage *coverage, uint32_t agent) {
    for (uint32_t index = 0; index < coverage->silent_agents_count; index++) {
        if (coverage->silent_agents[index].agent == agent) {
            return coverage->silent_agents[index].since_ms;
        }
    }
    return 0;
}

const char *status_print_age(int64_t seconds, char text[STATUS_AGE_SIZE]) {
    if (seconds < 0) seconds = 0;
    if (seconds < 120) {
        snprintf(text, STATUS_AGE_SIZE, "%" PRId64 " s", seconds);
    } else if (seconds < 7200) {
        snprintf(text, STATUS_AGE_SIZE, "%" PRId64 " min", seconds / 60);
    } else if (seconds < 172800) {
        snprintf(text, STATUS_AGE_SIZE, "%" PRId64 " h", seconds / 3600);
    } else {
        snprintf(text, STATUS_AGE_SIZE, "%" PRId64 " d", seconds / 86400);
    }
    return text;
}

// ---- for people

static void print_row(const struct coverage_row *row, int region_width, int64_t now_ms,
                      struct buffer *output) {
    char lag[STATUS_AGE_SIZE] = "never";
    char came[STATUS_AGE_SIZE] = "never";
    char silent[STATUS_AGE_SIZE] = "";
    if (row->last_event_s != 0) status_print_age(now_ms / 1000 - row->last_event_s, lag);
    if (row->last_received_ms != 0) status_print_age((now_ms - row->last_received_ms) / 1000, came);
    buffer_print(output, "%-14s %-*s %8s %8s %10" PRIu64 " %10" PRIu64 " %8" PRIu64 " %8" PRIu64,
                 row->account, region_width, row->region, lag, came, row->stored, row->duplicates,
                 row->quarantined, row->gap_numbers);
    if (row->silent_ms != 0) {
        status_print_age((now_ms - row->silent_ms) / 1000, silent);
        buffer_print(output, "  SILENT for %s", silent);
    } else if (row->expected_ms == 0) {
        buffer_append_text(output, "  not expected");
    }
    buffer_append_byte(output, '\n');
}

void status_coverage_print(const struct status_coverage *coverage, int64_t now_ms, bool is_all,
                           struct buffer *output) {
    if (coverage->rows_count == 0) return;
    uint32_t shown = coverage->rows_count;
    if (!is_all && shown > STATUS_COVERAGE_SHOWN) shown = STATUS_COVERAGE_SHOWN;
    buffer_print(output,
                 "\nCOVERAGE: %" PRIu32 " %s of %" PRIu32 " %s, %" PRIu32
                 " of them expected, %" PRIu32 " silent\n",
                 coverage->rows_count, coverage->rows_count == 1 ? "region" : "regions",
                 coverage->accounts_count, coverage->accounts_count == 1 ? "account" : "accounts",
                 coverage->expected_count, coverage->silent_count);
    int region_width = 16;
    for (uint32_t index = 0; index < shown; index++) {
        int width = (int)strlen(coverage->rows[index].region);
        if (width > region_width) region_width = width;
    }
    buffer_print(output, "%-14s %-*s %8s %8s %10s %10s %8s %8s\n", "ACCOUNT", region_width,
                 "REGION", "LAG", "CAME", "STORED", "DUPLICATE", "QUARANT.", "LOST");
    for (uint32_t index = 0; index < shown; index++) {
        print_row(&coverage->rows[index], region_width, now_ms, output);
    }
    if (shown < coverage->rows_count) {
        buffer_print(output, "... and %" PRIu32 " regions more: --coverage\n",
                     coverage->rows_count - shown);
    }
}

// ---- JSON

static void print_time(const char *name, int64_t time_ms, struct buffer *output) {
    char text[TIME_TEXT_SIZE];
    if (time_ms == 0) {
        buffer_print(output, ",\"%s\":null", name);
    } else {
        time_print_ms(time_ms, text);
        buffer_print(output, ",\"%s\":\"%s\"", name, text);
    }
}

static void print_row_json(const struct coverage_row *row, struct buffer *output) {
    buffer_append_text(output, "{\"account\":");
    json_append_string(output, span_text(row->account));
    buffer_append_text(output, ",\"region\":");
    json_append_string(output, span_text(row->region));
    print_time("last_event", row->last_event_s * 1000, output);
    print_time("last_received", row->last_received_ms, output);
    print_time("expected_since", row->expected_ms, output);
    print_time("silent_since", row->silent_ms, output);
    buffer_print(output,
                 ",\"stored\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"quarantined\":%" PRIu64
                 ",\"lost\":%" PRIu64 "}",
                 row->stored, row->duplicates, row->quarantined, row->gap_numbers);
}

void status_coverage_print_json(const struct status_coverage *coverage, struct buffer *output) {
    buffer_print(output,
                 ",\"silent_agents\":%" PRIu32 ",\"silent_regions\":%" PRIu32
                 ",\"expected_regions\":%" PRIu32 ",\"discarded_entries\":%" PRIu64
                 ",\"discarded_records\":%" PRIu64 ",\"coverage\":[",
                 coverage->silent_agents_count, coverage->silent_count, coverage->expected_count,
                 coverage->discarded_entries, coverage->discarded_records);
    for (uint32_t index = 0; index < coverage->rows_count; index++) {
        if (index > 0) buffer_append_byte(output, ',');
        print_row_json(&coverage->rows[index], output);
    }
    buffer_append_byte(output, ']');
}
