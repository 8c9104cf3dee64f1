#include "query/seen_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "query/format.h"

enum { DAY_S = 86400, SERIAL_WIDTH = 32 };

struct collecting {
    struct seen_table table;
    struct arena *arena;
    struct seen **all;  // in the order they come
};

static bool on_seen(void *user, const struct seen *seen) {
    struct collecting *collecting = user;
    if (collecting->table.count == SEEN_TABLE_MAX) return false;
    struct seen *copy = arena_allocate(collecting->arena, sizeof *copy);
    if (copy == NULL) return false;
    *copy = *seen;
    collecting->all[collecting->table.count++] = copy;
    return true;
}

static int compare(const void *left, const void *right) {
    const struct seen *a = left, *b = right;
    if (a->not_after_s != b->not_after_s) return a->not_after_s < b->not_after_s ? -1 : 1;
    return strcmp(a->subject, b->subject);
}

bool seen_table_collect(struct trail_reader *reader, struct arena *arena, struct seen_table *table,
                        struct fault *fault) {
    struct collecting collecting = {.arena = arena};
    collecting.all = calloc(SEEN_TABLE_MAX, sizeof *collecting.all);
    if (collecting.all == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    bool is_good = seen_list(reader, on_seen, &collecting, fault);
    uint32_t count = collecting.table.count;
    if (is_good) {
        struct seen *entries = arena_allocate_array(arena, count + 1, sizeof *entries);
        is_good = entries != NULL || fault_set(fault, FAULT_FULL, "no memory");
        for (uint32_t index = 0; is_good && index < count; index++) {
            entries[index] = *collecting.all[index];
        }
        if (is_good) {
            qsort(entries, count, sizeof *entries, compare);
            *table = (struct seen_table){entries, count};
        }
    }
    free(collecting.all);
    return is_good;
}

static void print_left(int64_t left_s, struct buffer *output) {
    int64_t size_s = left_s < 0 ? -left_s : left_s;
    const char *unit = size_s >= 2 * DAY_S ? "d"
                       : size_s >= 7200    ? "h"
                       : size_s >= 120     ? "min"
                                           : "s";
    int64_t number = size_s >= 2 * DAY_S ? size_s / DAY_S
                     : size_s >= 7200    ? size_s / 3600
                     : size_s >= 120     ? size_s / 60
                                         : size_s;
    buffer_print(output, left_s < 0 ? "ended %" PRId64 " %s ago" : "ends in %" PRId64 " %s", number,
                 unit);
}

void seen_table_print(const struct seen_table *table, int64_t now_s, struct buffer *output) {
    if (table->count == 0) return;
    buffer_print(output, "certificates %" PRIu32 " known, the first ", table->count);
    print_left(table->entries[0].not_after_s - now_s, output);
    buffer_append_byte(output, '\n');
    for (uint32_t index = 0; index < table->count; index++) {
        const struct seen *seen = &table->entries[index];
        int64_t left_s = seen->not_after_s - now_s;
        if (left_s > SEEN_WARN_DAYS * (int64_t)DAY_S) break;
        buffer_append_text(output, left_s > DAY_S ? "  WARNING    " : "  ALARM      ");
        format_cell(span_text(seen->subject), SEEN_SUBJECT_SIZE, false, output);
        buffer_append_byte(output, ' ');
        print_left(left_s, output);
        buffer_append_text(output, ", serial ");
        format_cell(span_text(seen->serial), SERIAL_WIDTH, false, output);
        buffer_append_byte(output, '\n');
    }
}

void seen_table_print_json(const struct seen_table *table, int64_t now_s, struct buffer *output) {
    buffer_append_byte(output, '[');
    for (uint32_t index = 0; index < table->count; index++) {
        const struct seen *seen = &table->entries[index];
        char not_after[TIME_TEXT_SIZE];
        time_print(seen->not_after_s, not_after);
        buffer_print(output,
                     index > 0 ? ",{\"kind\":\"%s\",\"subject\":" : "{\"kind\":\"%s\",\"subject\":",
                     seen_kind_name(seen->kind));
        json_append_string(output, span_text(seen->subject));
        buffer_append_text(output, ",\"serial\":");
        json_append_string(output, span_text(seen->serial));
        buffer_append_text(output, ",\"fingerprint\":");
        json_append_string(output, span_text(seen->fingerprint));
        buffer_print(output, ",\"not_after\":\"%s\",\"seconds_left\":%" PRId64 "}", not_after,
                     seen->not_after_s - now_s);
    }
    buffer_append_byte(output, ']');
}
