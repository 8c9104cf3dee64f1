// lookup.h: one page of events that match a filter, and the token for the next page.
//
// A lookup is bound to a snapshot of the trail: pages neither repeat nor skip an event, whatever
// arrives meanwhile. The token holds the query's hash, the resolved time range, the snapshot and
// the position; it is good for the same query on the same store only. Borrowed parts outlive the
// lookup. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "query/filter.h"
#include "storage/trail/trail_reader.h"

enum {
    LOOKUP_TOKEN_SIZE = 256,  // of a token's text, with the final zero
    LOOKUP_LIMIT_MAX = 1000000,
};

struct lookup_plan {
    struct filter *filter;  // its time range is set from the token, if one is given
    bool newest_first;
    bool is_bare;       // as struct trail_query has it
    uint32_t limit;     // events of this page, 1 to LOOKUP_LIMIT_MAX
    const char *token;  // of the page before; NULL: the first page
    // Leaves events out that a filter cannot tell; NULL: none. The same for all pages of a query.
    bool (*wants)(void *context, const struct trail_row *row);
    void *context;
};

struct lookup;

// Begins a page. FAULT_INPUT if the token is none, or of another query or store; otherwise as
// trail_cursor_open.
MUST_CHECK bool lookup_open(struct trail_reader *reader, const struct lookup_plan *plan,
                            struct lookup **lookup, struct fault *fault);
void lookup_close(struct lookup *lookup);

// The next event of the page; *found false at its end. The row lives until the next call.
MUST_CHECK bool lookup_next(struct lookup *lookup, bool *found, struct trail_row *row,
                            struct fault *fault);

// As trail_cursor_record: the record of the event that came last, if it had to be read.
const struct record *lookup_record(const struct lookup *lookup);

// Ends the page behind the event that came last.
void lookup_stop(struct lookup *lookup);

// After the end of the page: the token for the next one, or "" if there is no more.
MUST_CHECK bool lookup_print_token(struct lookup *lookup, char token[LOOKUP_TOKEN_SIZE],
                                   struct fault *fault);
