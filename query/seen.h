// seen.h: the certificates that the collector knows, as it keeps them in the store: its CAs, its
// own, and of each agent the one seen last.
//
// Each is a document of the trail whose name begins with SEEN_PREFIX. The value is text, one field
// a line, so that fields can be added. Pure but for seen_list.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"
#include "storage/trail/trail_reader.h"

#define SEEN_PREFIX "certificate/"

enum {
    SEEN_SUBJECT_SIZE = 256,  // bytes with the final zero, as are the others
    SEEN_SERIAL_SIZE = 64,
    SEEN_FINGERPRINT_SIZE = 65,
    SEEN_NAME_SIZE = 80,  // of the document
    SEEN_WARN_DAYS = 30,  // an end so near is worth a line
};

enum seen_kind { SEEN_CA, SEEN_COLLECTOR, SEEN_AGENT };

struct seen {
    enum seen_kind kind;
    char subject[SEEN_SUBJECT_SIZE];  // the agent's URI, "collector", or the CA's name and serial
    char serial[SEEN_SERIAL_SIZE];
    char fingerprint[SEEN_FINGERPRINT_SIZE];
    int64_t not_after_s;  // since the Unix epoch
    int32_t told_days;  // the nearest of 30, 7, 1 and 0 days before its end that was told; -1: none
};

// The kind's name, "agent".
const char *seen_kind_name(enum seen_kind kind);

// The name of its document.
void seen_print_name(const struct seen *seen, char name[SEEN_NAME_SIZE]);

// Appends the value of its document.
void seen_print(const struct seen *seen, struct buffer *value);

// Reads a document. FAULT_CORRUPT: it is none.
MUST_CHECK bool seen_parse(struct span value, struct seen *seen, struct fault *fault);

// Calls on_seen for each in the store, until it returns false. FAULT_CORRUPT, FAULT_IO.
MUST_CHECK bool seen_list(struct trail_reader *reader,
                          bool (*on_seen)(void *user, const struct seen *seen), void *user,
                          struct fault *fault);
