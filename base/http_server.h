// http_server.h: a small HTTP/1.1 server (libmicrohttpd) behind our own request and response, with
// TLS 1.2 and later if it is given a certificate.
//
// Limits: connections_max connections, 16 of one address (a /64 of IPv6; not for loopback), 16 KiB
// of header within 10 s (431), a body of body_size_max (413), 30 s idle, 120 s for a request and
// its answer, an answer of 64 MiB (500).
//
// Without workers the handler runs on one of the server's own threads and must not wait long. With
// workers it runs on one of these and may: connections are served on meanwhile, and requests wait
// in line. What the handler is given lives until it returns.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

struct http_server;

enum { HTTP_CONNECTIONS_DEFAULT = 256, HTTP_WORKERS_MAX = 64 };
enum { HTTP_HEADERS_MAX = 16, HTTP_HEADERS_SIZE_MAX = 8192 };  // that a handler adds to an answer

struct http_request {
    uint32_t worker;  // which of the workers runs the handler: 0 to workers - 1
    const char *method;
    const char *path;   // before '?', not decoded
    const char *query;  // after '?', not decoded; "" if none
    struct span body;
    void *internal;                  // for http_request_header
    const struct sockaddr *address;  // of the client, for http_request_address
};

struct http_header {
    const char *name;  // static, or as long as the server
    size_t value;      // where it begins in the answer's header_texts
};

struct http_response {
    uint32_t status;           // 200 unless the handler sets another
    const char *content_type;  // static; "text/plain; charset=utf-8" unless set
    struct http_header headers[HTTP_HEADERS_MAX];
    uint32_t headers_count;
    struct buffer header_texts;  // values with a zero behind each
    struct buffer body;
    bool is_head_only;  // to a HEAD request without a body: Content-Length says head_size
    uint64_t head_size;
};

struct http_server_options {
    const char *listen;        // "127.0.0.1:9090", "[::1]:9090", "0.0.0.0:0" (0: any free port)
    uint32_t threads;          // 0 means 1; at most 64
    uint32_t workers;          // threads that run the handler; 0: the server's own do; at most 64
    int nice;                  // added to these workers' niceness: what else runs goes before them
    uint32_t connections_max;  // 0 means HTTP_CONNECTIONS_DEFAULT
    uint64_t body_size_max;    // 0: requests with a body get 413
    struct span certificate;   // PEM, the server's first; none: HTTP without TLS
    struct span key;           // PEM
    void (*handle)(void *context, const struct http_request *request,
                   struct http_response *response);
    void *context;
};

// Listens and serves until stopped. FAULT_INPUT for a bad address, FAULT_RETRY if it is in use,
// FAULT_DENIED for a port that only root may open; FAULT_INPUT for a bad certificate or key.
// Numeric addresses only.
MUST_CHECK bool http_server_start(const struct http_server_options *options,
                                  struct http_server **server, struct fault *fault);

// The port it listens on.
uint16_t http_server_port(const struct http_server *server);

// [any] Shows another certificate from the next handshake on. FAULT_INPUT: the old one stays. Only
// of a server that was started with one.
MUST_CHECK bool http_server_replace_certificate(struct http_server *server, struct span certificate,
                                                struct span key, struct fault *fault);

// Ends all connections and frees it. Requests that wait in line get 503; those that a worker runs
// are waited for. NULL is allowed.
void http_server_stop(struct http_server *server);

// A request header by its name in any case, or NULL.
const char *http_request_header(const struct http_request *request, const char *name);

// Calls on_header for each header as it was sent, in order, until it returns false.
void http_request_headers(const struct http_request *request,
                          bool (*on_header)(void *user, const char *name, const char *value),
                          void *user);

enum { HTTP_ADDRESS_SIZE = 64 };  // bytes of an address as text, with the final zero

// The client's address without its port: "192.0.2.1", "2001:db8::1".
void http_request_address(const struct http_request *request, char text[HTTP_ADDRESS_SIZE]);

// Adds a header to the answer; the value is copied. Bytes that no header can have become '?'. No
// more than HTTP_HEADERS_MAX, and HTTP_HEADERS_SIZE_MAX bytes of values: beyond them the answer is
// 500.
void http_response_add(struct http_response *response, const char *name, const char *value);
