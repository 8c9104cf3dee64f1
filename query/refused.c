#include "query/refused.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "query/format.h"

enum {
    KEY_SHOWN = 12,      // hex digits of a key that a line shows; enough to tell entries apart
    CELL_WIDTH = 65536,  // columns: not cut
};

// As collector/admit/admit.h names them.
static const char *const reasons[] = {
    "invalid_json",    "not_an_object", "duplicate_member", "too_large",  "no_event_time",
    "no_event_source", "no_event_name", "bad_event_id",     "wrong_type", "reserved_source",
    "future",          "no_account",    "bad_account",      "identity",   "unknown_account",
    "conflict",        "undecided",     "notice",           "bad_notice",
};

const char *refused_reason_name(uint32_t index) {
    return index < sizeof reasons / sizeof reasons[0] ? reasons[index] : NULL;
}

void refused_print_key(const struct trail_quarantined *entry, char text[REFUSED_KEY_SIZE]) {
    crypto_print_hex(span_of(entry->key, sizeof entry->key), text);
}

static struct span reason_of(const struct trail_quarantined *entry) {
    return span_of(entry->reason, strnlen(entry->reason, sizeof entry->reason));
}

void refused_print_line(const struct trail_quarantined *entry, struct span agent,
                        struct buffer *output) {
    char key[REFUSED_KEY_SIZE];
    char time[TIME_TEXT_SIZE];
    refused_print_key(entry, key);
    time_print(entry->last_ms / 1000, time);
    buffer_print(output, "%.*s %s %6" PRIu64 "x ", KEY_SHOWN, key, time, entry->count);
    format_cell(reason_of(entry), 18, true, output);
    buffer_append_byte(output, ' ');
    format_cell(agent, TRAIL_URI_SIZE, false, output);
    if (entry->detail.size > 0) {
        buffer_append_text(output, ": ");
        format_cell(entry->detail, CELL_WIDTH, false, output);
    }
    buffer_append_byte(output, '\n');
}

void refused_print_whole(const struct trail_quarantined *entry, struct span agent,
                         uint32_t bytes_max, struct buffer *output) {
    char key[REFUSED_KEY_SIZE];
    char first[TIME_TEXT_SIZE];
    char last[TIME_TEXT_SIZE];
    refused_print_key(entry, key);
    time_print_ms(entry->first_ms, first);
    time_print_ms(entry->last_ms, last);
    buffer_print(output, "key     %s\nreason  ", key);
    format_cell(reason_of(entry), TRAIL_REASON_SIZE, false, output);
    buffer_append_text(output, "\ndetail  ");
    if (entry->detail.size > 0) format_cell(entry->detail, CELL_WIDTH, false, output);
    buffer_append_text(output, "\nagent   ");
    if (agent.size > 0) format_cell(agent, TRAIL_URI_SIZE, false, output);
    buffer_print(output, "\nrefused %" PRIu64 " %s, first %s, last %s\n", entry->count,
                 entry->count == 1 ? "time" : "times", first, last);
    struct span shown = entry->bytes;
    if (shown.size > bytes_max) shown.size = bytes_max;
    buffer_print(output, "bytes   %zu%s\n", entry->bytes.size,
                 shown.size < entry->bytes.size ? ", the first ones:" : ":");
    if (shown.size > 0) format_cell(shown, UINT32_MAX, false, output);
    buffer_append_byte(output, '\n');
}

void refused_print_json(const struct trail_quarantined *entry, struct span agent,
                        struct buffer *output) {
    char key[REFUSED_KEY_SIZE];
    char first[TIME_TEXT_SIZE];
    char last[TIME_TEXT_SIZE];
    refused_print_key(entry, key);
    time_print_ms(entry->first_ms, first);
    time_print_ms(entry->last_ms, last);
    buffer_print(output, "{\"key\":\"%s\",\"reason\":", key);
    json_append_string(output, reason_of(entry));
    buffer_append_text(output, ",\"detail\":");
    json_append_string(output, entry->detail);
    buffer_append_text(output, ",\"agent\":");
    json_append_string(output, agent);
    buffer_print(output,
                 ",\"first\":\"%s\",\"last\":\"%s\",\"count\":%" PRIu64 ",\"size\":%zu,\"text\":",
                 first, last, entry->count, entry->bytes.size);
    json_append_string(output, entry->bytes);
    buffer_append_text(output, "}\n");
}
