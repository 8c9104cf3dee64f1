// http_client.h: HTTP/1.1 requests to other servers: the door to libcurl.
//
// A client keeps its connections for the next call. It follows no redirect, asks for no
// compression, sends no cookie, and takes nothing from the environment: no proxy, no .netrc. What
// comes back is bytes of a stranger: their sizes have limits, nothing else is sure.
//
// A guarded client is for targets that somebody else may choose (webhooks): it connects to public
// addresses only, and checks the very address it connects to, so that a name which answers
// otherwise the second time gains nothing.
//
// The program ignores SIGPIPE. Threads: one at a time, but http_client_stop.

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    HTTP_CLIENT_CONNECT_MS = 10 * 1000,       // unless options say otherwise
    HTTP_CLIENT_CALL_MS = 120 * 1000,         // unless options say otherwise
    HTTP_CLIENT_STALL_MS = 30 * 1000,         // without a byte
    HTTP_CLIENT_HEADERS_MAX = 64,             // of a request
    HTTP_CLIENT_HEADER_SIZE_MAX = 16 * 1024,  // bytes of one header of a request
    HTTP_CLIENT_ANSWER_HEAD_MAX = 64 * 1024,  // bytes of all headers of an answer
};

struct http_client;

struct http_client_options {
    const char *ca_file;  // PEM of the only CAs to trust; NULL: the system's
    const char *proxy;    // "http://proxy.example.com:3128"; NULL: none
    uint32_t connect_ms;  // until a connection stands, TLS and all; 0: HTTP_CLIENT_CONNECT_MS
    uint32_t call_ms;     // of a call in all; 0: HTTP_CLIENT_CALL_MS
    bool is_guarded;      // public addresses only; there is no proxy then
    // Calls end as after http_client_stop when it is true: of many clients. NULL: none; borrowed.
    const atomic_bool *is_stopped;
};

// The name is sent as given; value without line breaks.
struct http_client_header {
    struct span name;
    struct span value;
};

struct http_client_call {
    const char *method;
    const char *url;  // http or https; path and query are sent as they stand
    const struct http_client_header *headers;
    uint32_t headers_count;
    struct span body;
};

// An answer is used again and again: http_client_answer_init once, _done at the end.
struct http_client_answer {
    uint32_t status;
    struct buffer head;  // its header lines, "name: value" and a line break each
    struct buffer body;
};

// A client. The options' texts are copied; the CA's file is read at each new connection.
// FAULT_INPUT for a guarded client with a proxy; FAULT_FULL if memory runs out.
MUST_CHECK bool http_client_create(const struct http_client_options *options,
                                   struct http_client **client, struct fault *fault);

// Closes its connections and frees it. NULL is allowed.
void http_client_destroy(struct http_client *client);

// [any thread] From now on calls end within a second with FAULT_RETRY, also the one under way.
void http_client_stop(struct http_client *client);

// Sends one request and waits for the whole answer, of any status; headers are replaced.
// FAULT_RETRY if there is none (host not found, refused, timed out, cut short), FAULT_DENIED if TLS
// does not trust the server or the guard refuses its address, FAULT_FULL if the answer is larger
// than its buffers may be, FAULT_INPUT for a URL or header that is none or a CA file that cannot be
// read. The text says host and cause; after a fault the answer holds what came.
MUST_CHECK bool http_client_send(struct http_client *client, const struct http_client_call *call,
                                 struct http_client_answer *answer, struct fault *fault);

// An empty answer whose body holds at most body_size_max bytes.
void http_client_answer_init(struct http_client_answer *answer, uint64_t body_size_max);

// Frees its memory.
void http_client_answer_done(struct http_client_answer *answer);

// The value of the first header of this name, in any case, without blanks around it. False if there
// is none.
bool http_client_find(const struct http_client_answer *answer, const char *name,
                      struct span *value);
