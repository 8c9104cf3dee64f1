#include "query/coverage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LINE_SIZE_MAX = 512 };

static bool is_plain(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-';
}

void coverage_name_region(struct span region, bool is_global, char name[COVERAGE_REGION_SIZE]) {
    struct span from = region;
    if (is_global) {
        from = SPAN_LITERAL("global");
    } else if (region.size == 0) {
        from = SPAN_LITERAL("none");
    }
    size_t size = from.size < COVERAGE_REGION_SIZE ? from.size : COVERAGE_REGION_SIZE - 1;
    for (size_t index = 0; index < size; index++) {
        name[index] = is_plain(from.bytes[index]) ? (char)from.bytes[index] : '_';
    }
    name[size] = 0;
}

void coverage_print_row(const struct coverage_row *row, struct buffer *output) {
    buffer_print(output,
                 "%s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64
                 " %" PRIu64 " %" PRIu64 "\n",
                 row->region, row->last_event_s, row->last_received_ms, row->expected_ms,
                 row->silent_ms, row->stored, row->duplicates, row->quarantined, row->gap_numbers);
}

// Whether a line is a row; one with more behind it is of a later version, and a row too.
static bool read_line(struct span line, struct coverage_row *row) {
    char text[LINE_SIZE_MAX];
    if (line.size >= sizeof text) return false;
    memcpy(text, line.bytes, line.size);
    text[line.size] = 0;
    return sscanf(text,
                  "%32s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNu64 " %" SCNu64
                  " %" SCNu64 " %" SCNu64,
                  row->region, &row->last_event_s, &row->last_received_ms, &row->expected_ms,
                  &row->silent_ms, &row->stored, &row->duplicates, &row->quarantined,
                  &row->gap_numbers) == 9;
}

bool coverage_read(struct span name, struct span value,
                   bool (*on_row)(void *user, const struct coverage_row *row), void *user,
                   struct fault *fault) {
    size_t prefix_size = sizeof COVERAGE_PREFIX - 1;
    if (name.size <= prefix_size || name.size - prefix_size >= COVERAGE_ACCOUNT_SIZE) {
        return fault_set(fault, FAULT_CORRUPT, "coverage: a document without an account");
    }
    struct span account = span_from(name, prefix_size);
    while (value.size > 0) {
        size_t size = span_find(value, '\n');
        struct coverage_row row = {0};
        memcpy(row.account, account.bytes, account.size);
        if (!read_line(span_of(value.bytes, size), &row)) {
            return fault_set(fault, FAULT_CORRUPT, "coverage of %s: a line that cannot be read",
                             row.account);
        }
        if (!on_row(user, &row)) return true;
        value = span_from(value, size < value.size ? size + 1 : size);
    }
    return true;
}
