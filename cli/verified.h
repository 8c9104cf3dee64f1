// verified.h: what a verification found, as text for people and as JSON for programs.

#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "verify/verify.h"

enum {
    VERIFIED_SHOWN_MAX = 10,  // findings of one kind in one region that the text shows
    VERIFIED_SIZE_MAX = 1024 * 1024 * 1024,  // bytes of a report
};

// How it was asked for.
struct verified_request {
    const char *folder;
    int64_t from_s;  // 0: all there is
    int64_t to_s;    // INT64_MAX: until now
    int64_t now_s;
    bool has_colour;
    bool has_records;  // records were compared with the store, so many
    uint64_t records;
};

// Appends the text.
void verified_print(const struct verification *verification, const struct verified_request *request,
                    struct buffer *text);

// Appends one JSON object and a line end; docs/verify.md says what stands in it.
void verified_print_json(const struct verification *verification,
                         const struct verified_request *request, struct buffer *text);
