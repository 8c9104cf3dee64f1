// log.h: one JSON object a line on standard error.
//
//   {"time":"2026-01-31T23:59:59.123Z","level":"info","program":"orgtrail-collector",
//    "message":"stream opened","peer":"spiffe://...","batch":17}
//
// Message texts are fixed; what varies goes into fields. Any thread. Lines are written whole. Of a
// text field the first 4 KiB are printed, of a line the first 64 KiB ("cut":true says that fields
// were left out). If standard error cannot be written, the line is lost and nothing else happens.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

struct log_field {
    const char *name;
    struct span text;  // if its bytes are not NULL; otherwise the number
    int64_t number;
};

// Names the program (a text that lives for ever) and the lowest level to print. Before the first
// call: "orgtrail", LOG_INFO.
void log_init(const char *program, enum log_level level);

// The level of a name: debug, info, warning or error. False for any other text.
bool log_parse_level(const char *text, enum log_level *level);

// Prints one line. Fields may be NULL if the count is 0.
void log_write(enum log_level level, const char *message, const struct log_field *fields,
               uint32_t fields_count);

// A text field from a zero-terminated string.
static inline struct log_field log_text(const char *name, const char *text) {
    return (struct log_field){name, span_text(text), 0};
}

// A number field.
static inline struct log_field log_number(const char *name, int64_t number) {
    return (struct log_field){name, {NULL, 0}, number};
}

// The two fields of every reported fault are "error" (its text) and "kind"; this is the first.
static inline struct log_field log_fault(const struct fault *fault) {
    return log_text("error", fault->text);
}

// The second one.
static inline struct log_field log_kind(const struct fault *fault) {
    return log_text("kind", fault_kind_name(fault->kind));
}

// LOG(LOG_INFO, "stream opened", log_text("peer", uri), log_number("streams", 3));
#define LOG(level, ...) LOG_CALL(level, __VA_ARGS__, )

// The list begins with a field that is not printed, since C has no empty array; a comma at its end
// is allowed.
#define LOG_CALL(level, message, ...)                                           \
    log_write(level, message, (const struct log_field[]){{0}, __VA_ARGS__} + 1, \
              (uint32_t)(sizeof((const struct log_field[]){{0}, __VA_ARGS__}) / \
                         sizeof(struct log_field)) -                            \
                  1)
