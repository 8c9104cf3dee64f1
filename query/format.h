// format.h: how events look: a table for people, LookupEvents' JSON, or records a line each.
//
// Every function appends to a buffer that the caller writes out and resets. Records are quoted
// verbatim, but for NDJSON, where line breaks between tokens become blanks. What stands in a table
// never changes the terminal: control and format characters are shown as escapes. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"
#include "event/record.h"
#include "storage/trail/trail_reader.h"

enum {
    FORMAT_WIDTH_MIN = 60,       // columns; a narrower terminal gets this
    FORMAT_WIDTH_DEFAULT = 160,  // when the output is no terminal
    FORMAT_WIDTH_MAX = 400,
};

// Who brought an event and when; printed only if wanted.
struct format_provenance {
    bool is_wanted;
    struct span agent;  // certificate URI
};

// --- the table

struct format_table {
    uint32_t width;  // columns of the terminal
    bool has_colour;
    bool has_provenance;
};

// Appends the line of titles.
void format_table_head(const struct format_table *table, struct buffer *output);
// Appends an event's line, and one with its provenance below it if the table has that.
void format_table_row(const struct format_table *table, const struct record *record,
                      const struct trail_row *row, const struct format_provenance *provenance,
                      struct buffer *output);

// Appends text cut to `width` columns, filled up with blanks if `is_filled`. Wide characters count
// two, control characters are shown as "\n" or "\u{9b}", bytes that are no UTF-8 as "\x80". Needs
// LC_CTYPE in UTF-8 for what is not ASCII; in other locales that is escaped too.
void format_cell(struct span text, uint32_t width, bool is_filled, struct buffer *output);

// --- LookupEvents' JSON: {"Events":[...],"NextToken":"..."}

// Appends what stands before the first event.
void format_json_begin(struct buffer *output);

// Appends an event in LookupEvents' form, with account and region beside it.
void format_json_event(const struct record *record, const struct trail_row *row,
                       const struct format_provenance *provenance, bool is_first,
                       struct buffer *output);

// Appends what stands after the last event; the token is "" if there is no more.
void format_json_end(const char *token, struct buffer *output);

// --- records, a line each

// With provenance: {"sequence":1,"agent":"...","received":"...","record":{...}}.
void format_line(const struct trail_row *row, const struct format_provenance *provenance,
                 struct buffer *output);
