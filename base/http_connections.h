// http_connections.h: the open connections of one http_server, their addresses and deadlines.
//
// libmicrohttpd closes a connection that is silent; one that sends a byte now and then it keeps for
// ever. So every connection has a deadline here, and a sweep shuts down those past it. Any thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/http_server.h"

enum {
    HTTP_CONNECTIONS_OF_ADDRESS_MAX = 16,  // a /64 counts as one address; loopback has no limit
    HTTP_URI_SIZE_MAX = 16 * 1024,         // bytes; the header as a whole has no more
};

struct http_connections;

// One open connection. Only the thread that serves it touches uri, body and the flags.
struct http_connection {
    struct http_connection *next;
    struct http_connection *previous;
    struct sockaddr_storage address;
    int descriptor;
    int64_t deadline_ms;  // guarded by the table
    struct buffer uri;    // of the request being read, as it was sent, ended by a zero
    struct buffer body;
    bool began;            // the request's header is complete
    bool too_large;        // its body is larger than allowed
    struct http_tls *tls;  // of its server, for the handshake
    // While a worker has the request, these are its own, and all else is left alone.
    struct MHD_Connection *wire;
    const char *method;
    bool is_answered;  // the response is ready to be sent
    struct http_response response;
};

// An empty table for so many. NULL if memory runs out.
struct http_connections *http_connections_create(uint32_t connections_max);

// Frees the table; no connection may be in it. NULL is allowed.
void http_connections_destroy(struct http_connections *connections);

// Whether one more connection is allowed, in all and from this address.
bool http_connections_admit(struct http_connections *connections, const struct sockaddr *address,
                            socklen_t size);

// Enters a connection. NULL if memory runs out.
struct http_connection *http_connections_add(struct http_connections *connections, int descriptor,
                                             const struct sockaddr *address, int64_t deadline_ms,
                                             uint64_t body_size_max);

// Takes a connection out and frees it, before its descriptor is closed.
void http_connections_remove(struct http_connections *connections,
                             struct http_connection *connection);

// Moves the deadline.
void http_connections_extend(struct http_connections *connections,
                             struct http_connection *connection, int64_t deadline_ms);

// Shuts down the sockets of those whose deadline has passed. Returns how many.
uint32_t http_connections_sweep(struct http_connections *connections, int64_t now_ms);
