#include "query/format.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/json.h"

// --- cells

// Decodes one character. Returns its size in bytes, or 0 if the bytes are no UTF-8.
static size_t decode_character(struct span text, uint32_t *character) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text.bytes[0];
    if (first < 0x80) {
        *character = first;
        return 1;
    }
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size < size) return 0;
    uint32_t value = first & (0xffU >> (size + 1));
    for (size_t index = 1; index < size; index++) {
        if ((text.bytes[index] & 0xc0) != 0x80) return 0;
        value = value << 6 | (text.bytes[index] & 0x3fU);
    }
    if (value < smallest[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return 0;
    *character = value;
    return size;
}

// Characters that steer a terminal or re-order what stands around them.
static bool is_steering(uint32_t character) {
    return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0xad ||
           character == 0x61c || (character >= 0x200b && character <= 0x200f) ||
           (character >= 0x2028 && character <= 0x202e) ||
           (character >= 0x2060 && character <= 0x206f) || character == 0xfeff ||
           (character >= 0xfff9 && character <= 0xfffb) || character >= 0xe0000;
}

enum { SHOWN_SIZE = 16 };  // bytes of one character as it is shown

// How one character is shown: its bytes or an escape, and the columns it takes.
static void show_character(uint32_t character, struct span bytes, char shown[SHOWN_SIZE],
                           uint32_t *columns) {
    int width = character < 0x7f ? 1 : wcwidth((wchar_t)character);
    if (!is_steering(character) && width >= 0) {
        memcpy(shown, bytes.bytes, bytes.size);
        shown[bytes.size] = 0;
        *columns = (uint32_t)width;
        return;
    }
    int size;
    switch (character) {
        case '\n':
            size = snprintf(shown, SHOWN_SIZE, "\\n");
            break;
        case '\r':
            size = snprintf(shown, SHOWN_SIZE, "\\r");
            break;
        case '\t':
            size = snprintf(shown, SHOWN_SIZE, "\\t");
            break;
        default:
            size = snprintf(shown, SHOWN_SIZE, "\\u{%" PRIx32 "}", character);
    }
    *columns = (uint32_t)size;
}

// Shows the character at the beginning of text; returns the bytes it takes there.
static size_t show_first(struct span text, char shown[SHOWN_SIZE], uint32_t *columns) {
    uint32_t character;
    size_t size = decode_character(text, &character);
    if (size == 0) {
        *columns = (uint32_t)snprintf(shown, SHOWN_SIZE, "\\x%02x", text.bytes[0]);
        return 1;
    }
    show_character(character, span_of(text.bytes, size), shown, columns);
    return size;
}

// Whether the text takes at most `width` columns.
static bool fits(struct span text, uint32_t width) {
    uint32_t used = 0;
    while (text.size > 0 && used <= width) {
        char shown[SHOWN_SIZE];
        uint32_t columns;
        text = span_from(text, show_first(text, shown, &columns));
        used += columns;
    }
    return used <= width;
}

void format_cell(struct span text, uint32_t width, bool is_filled, struct buffer *output) {
    assert(width > 0);
    bool is_cut = !fits(text, width);
    uint32_t room = is_cut ? width - 1 : width;
    uint32_t used = 0;
    while (text.size > 0) {
        char shown[SHOWN_SIZE];
        uint32_t columns;
        size_t size = show_first(text, shown, &columns);
        if (used + columns > room) break;
        buffer_append_text(output, shown);
        used += columns;
        text = span_from(text, size);
    }
    // A tilde and no ellipsis: it is one column everywhere.
    if (is_cut) buffer_append_byte(output, '~');
    used += is_cut;
    for (; is_filled && used < width; used++) buffer_append_byte(output, ' ');
}

// --- the table

enum { COLUMNS_COUNT = 9 };

struct column {
    const char *title;
    uint32_t width_min;
    uint32_t width_max;
    uint32_t weight;  // its share of what is left over
};

static const struct column columns[COLUMNS_COUNT] = {
    {"TIME (UTC)", 19, 19, 0}, {"ACCOUNT", 12, 20, 1}, {"REGION", 9, 14, 1},
    {"RW", 2, 2, 0},           {"EVENT", 14, 36, 4},   {"SOURCE", 6, 20, 1},
    {"USER", 8, 40, 3},        {"ERROR", 6, 32, 4},    {"RESOURCE", 0, 80, 3},
};

// Shares the terminal's width out: minima first, then by weight up to the maxima. A column that
// would get nothing is left out.
static void share_width(const struct format_table *table, uint32_t widths[COLUMNS_COUNT]) {
    uint32_t width = table->width < FORMAT_WIDTH_MIN ? FORMAT_WIDTH_MIN : table->width;
    if (width > FORMAT_WIDTH_MAX) width = FORMAT_WIDTH_MAX;
    uint32_t used = COLUMNS_COUNT - 1;
    for (uint32_t index = 0; index < COLUMNS_COUNT; index++) {
        widths[index] = columns[index].width_min;
        used += widths[index];
    }
    // Least needed first: what does not fit at its minimum goes.
    static const uint32_t spared[] = {8, 7, 5, 2, 3};
    for (uint32_t index = 0; used > width && index < 5; index++) {
        used -= widths[spared[index]] + 1;
        widths[spared[index]] = 0;
    }
    bool is_growing = true;
    while (used < width && is_growing) {
        is_growing = false;
        for (uint32_t index = 0; index < COLUMNS_COUNT && used < width; index++) {
            bool is_out = widths[index] == 0 && columns[index].width_min > 0;
            if (is_out) continue;
            uint32_t room = columns[index].width_max - widths[index];
            uint32_t share = columns[index].weight < room ? columns[index].weight : room;
            if (share > width - used) share = width - used;
            widths[index] += share;
            used += share;
            is_growing |= share > 0;
        }
    }
}

static void append_row(const struct format_table *table, const struct span cells[COLUMNS_COUNT],
                       const char *colour, struct span provenance, struct buffer *output) {
    uint32_t widths[COLUMNS_COUNT];
    share_width(table, widths);
    uint32_t last = 0;
    for (uint32_t index = 0; index < COLUMNS_COUNT; index++) {
        if (widths[index] > 0) last = index;
    }
    if (table->has_colour && colour[0] != 0) buffer_append_text(output, colour);
    for (uint32_t index = 0; index <= last; index++) {
        if (widths[index] == 0) continue;
        format_cell(cells[index], widths[index], index != last, output);
        if (index != last) buffer_append_byte(output, ' ');
    }
    if (table->has_colour && colour[0] != 0) buffer_append_text(output, "\x1b[0m");
    buffer_append_byte(output, '\n');
    if (!table->has_provenance || provenance.size == 0) return;
    buffer_append_text(output, "    ");
    format_cell(provenance, FORMAT_WIDTH_MAX, false, output);
    buffer_append_byte(output, '\n');
}

void format_table_head(const struct format_table *table, struct buffer *output) {
    struct span cells[COLUMNS_COUNT];
    for (uint32_t index = 0; index < COLUMNS_COUNT; index++) {
        cells[index] = span_text(columns[index].title);
    }
    append_row(table, cells, "\x1b[1m", (struct span){0}, output);
}

// "iam.amazonaws.com" is "iam" in a table.
static struct span shorten_source(struct span source) {
    struct span suffix = SPAN_LITERAL(".amazonaws.com");
    if (span_ends(source, suffix)) source.size -= suffix.size;
    return source;
}

// What follows the last of an ARN's colons; the whole name otherwise.
static struct span shorten_resource(const struct record *record) {
    if (record->resources_count == 0) return (struct span){0};
    struct span name = record->resources[0].name;
    if (!span_starts(name, SPAN_LITERAL("arn:"))) return name;
    for (int colon = 0; colon < 5; colon++) {
        size_t index = span_find(name, ':');
        if (index == name.size) return name;
        name = span_from(name, index + 1);
    }
    return name;
}

void format_table_row(const struct format_table *table, const struct record *record,
                      const struct trail_row *row, const struct format_provenance *provenance,
                      struct buffer *output) {
    char time[TIME_TEXT_SIZE];
    char received[TIME_TEXT_SIZE];
    char brought[TRAIL_URI_SIZE + 128];
    int brought_size = 0;
    time_print(row->key.event_time_s, time);
    time[10] = ' ';
    time[19] = 0;
    if (table->has_provenance) {
        time_print_ms(row->received_ms, received);
        brought_size = snprintf(brought, sizeof brought, "#%" PRIu64 " received %s by %.*s",
                                row->sequence, received, SPAN_PRINT(provenance->agent));
        if (brought_size >= (int)sizeof brought) brought_size = (int)sizeof brought - 1;
    }
    // A failed sign-in has a message and no code.
    struct span error = record->error_code;
    if (error.size == 0 && record->is_error) error = SPAN_LITERAL("error");
    const struct span cells[COLUMNS_COUNT] = {
        span_text(time),
        span_of(row->key.account, row->key.account_size),
        record->region,
        record->is_read_only ? SPAN_LITERAL("r") : SPAN_LITERAL("w"),
        record->event_name,
        shorten_source(record->event_source),
        record_display_user(record),
        error,
        shorten_resource(record),
    };
    const char *colour = record->is_error ? "\x1b[31m" : record->is_read_only ? "" : "\x1b[33m";
    append_row(table, cells, colour, span_of(brought, (size_t)brought_size), output);
}

// --- JSON

static void append_member(struct buffer *output, const char *name, struct span value) {
    buffer_print(output, ",\"%s\":", name);
    json_append_string(output, value);
}

static void append_resources(const struct record *record, struct buffer *output) {
    buffer_append_text(output, ",\"Resources\":[");
    for (uint32_t index = 0; index < record->resources_count; index++) {
        if (index > 0) buffer_append_byte(output, ',');
        buffer_append_text(output, "{\"ResourceType\":");
        json_append_string(output, record->resources[index].type);
        buffer_append_text(output, ",\"ResourceName\":");
        json_append_string(output, record->resources[index].name);
        buffer_append_byte(output, '}');
    }
    buffer_append_byte(output, ']');
}

static void append_provenance(const struct trail_row *row,
                              const struct format_provenance *provenance, struct buffer *output) {
    char received[TIME_TEXT_SIZE];
    time_print_ms(row->received_ms, received);
    buffer_print(output, "\"sequence\":%" PRIu64 ",\"agent\":", row->sequence);
    json_append_string(output, provenance->agent);
    buffer_print(output, ",\"received\":\"%s\"", received);
}

void format_json_begin(struct buffer *output) {
    buffer_append_text(output, "{\"Events\":[");
}

void format_json_event(const struct record *record, const struct trail_row *row,
                       const struct format_provenance *provenance, bool is_first,
                       struct buffer *output) {
    char time[TIME_TEXT_SIZE];
    char uuid[RECORD_UUID_TEXT_SIZE];
    time_print(row->key.event_time_s, time);
    record_print_uuid(row->key.id, uuid);
    buffer_append_text(output, is_first ? "\n{\"EventId\":" : ",\n{\"EventId\":");
    json_append_string(output, record->event_id.bytes != NULL ? record->event_id : span_text(uuid));
    append_member(output, "EventName", record->event_name);
    append_member(output, "ReadOnly", span_text(record->is_read_only ? "true" : "false"));
    if (record->access_key.size > 0) append_member(output, "AccessKeyId", record->access_key);
    append_member(output, "EventTime", span_text(time));
    append_member(output, "EventSource", record->event_source);
    struct span user = record_display_user(record);
    if (user.size > 0) append_member(output, "Username", user);
    append_resources(record, output);
    append_member(output, "AccountId", span_of(row->key.account, row->key.account_size));
    if (record->region.size > 0) append_member(output, "Region", record->region);
    append_member(output, "CloudTrailEvent", row->text);
    if (provenance->is_wanted) {
        buffer_append_text(output, ",\"Provenance\":{");
        append_provenance(row, provenance, output);
        buffer_append_byte(output, '}');
    }
    buffer_append_byte(output, '}');
}

void format_json_end(const char *token, struct buffer *output) {
    buffer_append_text(output, "\n]");
    if (token[0] != 0) append_member(output, "NextToken", span_text(token));
    buffer_append_text(output, "}\n");
}

// --- lines

// JSON's strings hold no raw line breaks, so every one in a record stands between tokens.
static void append_one_line(struct span text, struct buffer *output) {
    uint8_t *copy = buffer_reserve(output, text.size);
    if (copy == NULL) return;
    memcpy(copy, text.bytes, text.size);
    output->size += text.size;
    static const char breaks[] = "\n\r";
    for (const char *letter = breaks; *letter != 0; letter++) {
        uint8_t *at = memchr(copy, *letter, text.size);
        while (at != NULL) {
            *at = ' ';
            at = memchr(at, *letter, text.size - (size_t)(at - copy));
        }
    }
}

void format_line(const struct trail_row *row, const struct format_provenance *provenance,
                 struct buffer *output) {
    if (!provenance->is_wanted) {
        append_one_line(row->text, output);
        buffer_append_byte(output, '\n');
        return;
    }
    buffer_append_byte(output, '{');
    append_provenance(row, provenance, output);
    buffer_append_text(output, ",\"record\":");
    append_one_line(row->text, output);
    buffer_append_text(output, "}\n");
}
