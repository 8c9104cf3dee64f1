// http_server.h: a small HTTP/1.1 server (libmicrohttpd) behind our own request and response.
//
// Limits: 256 connections, 16 of one address (a /64 of IPv6; not for loopback), 16 KiB of header
// within 10 s (431), a body of body_size_max (413), 30 s idle, 120 s for a request and its answer,
// an answer of 64 MiB (500). The handler runs on one of the server's threads and must not wait
// long; what it is given lives until it returns.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

struct http_server;

struct http_request {
    const char *method;
    const char *path;   // before '?', not decoded
    const char *query;  // after '?', not decoded; "" if none
    struct span body;
    void *internal;  // for http_request_header
};

struct http_response {
    uint32_t status;           // 200 unless the handler sets another
    const char *content_type;  // static; "text/plain; charset=utf-8" unless set
    struct buffer body;
};

struct http_server_options {
    const char *listen;      // "127.0.0.1:9090", "[::1]:9090", "0.0.0.0:0" (0: any free port)
    uint32_t threads;        // 0 means 1; at most 64
    uint64_t body_size_max;  // 0: requests with a body get 413
    void (*handle)(void *context, const struct http_request *request,
                   struct http_response *response);
    void *context;
};

// Listens and serves until stopped. FAULT_INPUT for a bad address, FAULT_RETRY if it is in use,
// FAULT_DENIED for a port that only root may open. Numeric addresses only.
MUST_CHECK bool http_server_start(const struct http_server_options *options,
                                  struct http_server **server, struct fault *fault);

// The port it listens on.
uint16_t http_server_port(const struct http_server *server);

// Ends all connections and frees it. NULL is allowed.
void http_server_stop(struct http_server *server);

// A request header by its name in any case, or NULL.
const char *http_request_header(const struct http_request *request, const char *name);
