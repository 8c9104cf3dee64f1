// sigv4.h: AWS's Signature Version 4 in the Authorization header: read, verified, made.
//
// The canonical request is built from the request as it came: any list of signed headers with
// rules, the body hashed again, the path and query as they stand on the wire. For the service "s3"
// its own rules: the path is encoded once and not made shorter, the body's hash is the one that
// x-amz-content-sha256 says, which may be UNSIGNED-PAYLOAD. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    SIGV4_WINDOW_MS = 5 * 60 * 1000,  // a request may be so much older or younger than now
    SIGV4_HEADERS_MAX = 64,           // of one request
    SIGV4_KEY_ID_SIZE_MAX = 128,      // bytes
    SIGV4_SCOPE_SIZE_MAX = 64,        // bytes of a region and of a service
    SIGV4_TIME_SIZE = 17,             // "20231114T221320Z" and a final zero
    SIGV4_CANONICAL_SIZE_MAX = 128 * 1024,
};

// One header; name in any case, value as it stands on the wire.
struct sigv4_header {
    struct span name;
    struct span value;
};

struct sigv4_request {
    struct span method;
    struct span path;   // as sent, before '?'
    struct span query;  // as sent, after '?'
    const struct sigv4_header *headers;
    uint32_t headers_count;
    struct span body;
};

// What the Authorization header says. Spans borrow from the request.
struct sigv4_claim {
    struct span key_id;
    struct span date;  // "20231114"
    struct span region;
    struct span service;
    struct span signed_headers;  // "content-type;host;x-amz-date"
    struct span time;            // of x-amz-date
    struct span token;           // of x-amz-security-token; NULL bytes: none
    uint8_t signature[32];
};

// What is wrong with a request. The text of the fault beside it is AWS's message.
enum sigv4_verdict {
    SIGV4_GOOD,
    SIGV4_MISSING,     // no Authorization header: MissingAuthenticationTokenException
    SIGV4_INCOMPLETE,  // not what SigV4 asks for: IncompleteSignatureException
    SIGV4_WRONG,       // another signature, or too old or too young: InvalidSignatureException
    SIGV4_NO_MEMORY,
};

// How many headers have this name, which is in lower case, and the last one's value without blanks
// around it; untouched if there is none.
uint32_t sigv4_find_header(const struct sigv4_request *request, struct span name,
                           struct span *value);

// Reads what a request claims; nothing of it is verified but its form. The fault's text is set if
// the verdict is not SIGV4_GOOD.
enum sigv4_verdict sigv4_read(const struct sigv4_request *request, struct sigv4_claim *claim,
                              struct fault *fault);

// Verifies a claim that was read from this request. Comparison takes the same time whatever the
// difference.
enum sigv4_verdict sigv4_verify(const struct sigv4_request *request,
                                const struct sigv4_claim *claim, struct span secret, int64_t now_ms,
                                struct fault *fault);

struct sigv4_signer {
    struct span key_id;
    struct span secret;
    struct span region;
    struct span service;
};

// Appends the value of the Authorization header. All headers given are signed: host and x-amz-date
// are among them. FAULT_INPUT if they are not; FAULT_FULL if memory runs out.
MUST_CHECK bool sigv4_sign(const struct sigv4_request *request, const struct sigv4_signer *signer,
                           struct buffer *authorization, struct fault *fault);

// Prints a moment as x-amz-date has it.
void sigv4_print_time(int64_t ms, char text[SIGV4_TIME_SIZE]);
