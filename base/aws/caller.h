// caller.h: signed calls of a service of AWS that takes them as POST: CloudWatch Logs and the
// like.
//
// What the body says and what the answer means is the caller's business. Threads: one at a time.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/files.h"
#include "base/http_client.h"
#include "base/span.h"

enum { CALLER_ANSWER_SIZE_MAX = 1024 * 1024 };  // bytes of an answer

struct caller;

struct caller_options {
    const char *name;      // as the signature and AWS's host have it: "logs"
    const char *endpoint;  // "https://logs.example.com"; NULL: AWS's of the region
    const char *region;
    const char *credentials_file;  // read again when it changes; NULL: from the environment, once
    const char *profile;           // of the file; NULL: default
    struct http_client_options http;
    const struct clock *clock;
    const struct files *files;
};

struct caller_call {
    const char *target;  // of the header x-amz-target, "Logs_20140328.PutLogEvents"; NULL: none
    const char *content_type;
    struct span body;
};

// A client; opens no connection. Texts are copied. FAULT_INPUT and FAULT_DENIED for settings that
// are wrong and credentials that cannot be read.
MUST_CHECK bool caller_create(const struct caller_options *options, struct caller **caller,
                              struct fault *fault);

// Frees it, and its secret with it. NULL is allowed.
void caller_destroy(struct caller *caller);

// Signs and sends a call. *answer, of any status, is lent until the next one. Faults as
// http_client_send and credentials_from_file.
MUST_CHECK bool caller_send(struct caller *caller, const struct caller_call *call,
                            const struct http_client_answer **answer, struct fault *fault);
