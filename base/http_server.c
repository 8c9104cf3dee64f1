#include "base/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http_connections.h"
#include "base/queue.h"

enum {
    HEADER_MS = 10 * 1000,                 // from the connection to its first complete header
    REQUEST_MS = 120 * 1000,               // from the complete header to the end of the response
    IDLE_S = 30,                           // without a byte in either direction
    NEXT_MS = IDLE_S * 1000 + HEADER_MS,   // from one response to the next complete header
    SWEEP_MS = 1000,                       // between two looks for connections past their time
    MEMORY_SIZE = 20 * 1024,               // of one connection: 16 KiB of header, and the answer's
    RESPONSE_SIZE_MAX = 64 * 1024 * 1024,  // bytes of one body
    BACKLOG = 512,                         // connections the kernel holds before we accept them
    HOST_SIZE = 64,                        // bytes of a numeric address with the final zero
    THREADS_MAX = 64,
};

struct http_server {
    struct http_server_options options;
    struct MHD_Daemon *daemon;
    struct http_connections *connections;
    struct queue *stopped;  // nothing is ever in it: closing it ends the sweep
    pthread_t sweeper;
    uint16_t port;
};

static int64_t read_now(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static struct http_connection *connection_of(struct MHD_Connection *wire) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(wire, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void on_connection(void *context, struct MHD_Connection *wire, void **socket_context,
                          enum MHD_ConnectionNotificationCode code) {
    struct http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (*socket_context != NULL) {
            http_connections_remove(server->connections, *socket_context);
        }
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *address =
        MHD_get_connection_info(wire, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const union MHD_ConnectionInfo *descriptor =
        MHD_get_connection_info(wire, MHD_CONNECTION_INFO_CONNECTION_FD);
    *socket_context =
        http_connections_add(server->connections, descriptor->connect_fd, address->client_addr,
                             read_now() + HEADER_MS, server->options.body_size_max);
}

// Called with the target of a request before libmicrohttpd takes it apart in place.
static void *on_uri(void *context, const char *uri, struct MHD_Connection *wire) {
    (void)context;
    struct http_connection *connection = connection_of(wire);
    if (connection == NULL) return NULL;
    buffer_reset(&connection->uri);
    buffer_reset(&connection->body);
    connection->began = false;
    connection->too_large = false;
    buffer_append(&connection->uri, span_of(uri, strlen(uri) + 1));
    return NULL;
}

static void on_completed(void *context, struct MHD_Connection *wire, void **request,
                         enum MHD_RequestTerminationCode code) {
    (void)request;
    (void)code;
    struct http_server *server = context;
    struct http_connection *connection = connection_of(wire);
    if (connection == NULL) return;
    // A body may have been large; the next request on this connection rarely is.
    buffer_done(&connection->body);
    connection->began = false;
    http_connections_extend(server->connections, connection, read_now() + NEXT_MS);
}

static enum MHD_Result on_accept(void *context, const struct sockaddr *address, socklen_t size) {
    struct http_server *server = context;
    return http_connections_admit(server->connections, address, size) ? MHD_YES : MHD_NO;
}

// Sends the response, whose body it takes.
static enum MHD_Result send_response(struct MHD_Connection *wire, struct http_response *response) {
    struct buffer *body = &response->body;
    // libmicrohttpd frees the body with free, as buffer_done would. An empty one has no memory.
    bool empty = body->bytes == NULL;
    struct MHD_Response *made =
        MHD_create_response_from_buffer(body->size, empty ? (void *)(uintptr_t) "" : body->bytes,
                                        empty ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (made == NULL) {
        buffer_done(body);
        return MHD_NO;
    }
    bool good = MHD_add_response_header(made, "Content-Type", response->content_type) == MHD_YES &&
                MHD_add_response_header(made, "Cache-Control", "no-store") == MHD_YES &&
                MHD_add_response_header(made, "X-Content-Type-Options", "nosniff") == MHD_YES;
    // The rest of a body that was refused must not be read as the next request.
    if (response->status == MHD_HTTP_CONTENT_TOO_LARGE) {
        good = good && MHD_add_response_header(made, "Connection", "close") == MHD_YES;
    }
    enum MHD_Result result = good ? MHD_queue_response(wire, response->status, made) : MHD_NO;
    MHD_destroy_response(made);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *wire, uint32_t status, const char *text) {
    struct http_response response = {.status = status, .content_type = "text/plain; charset=utf-8"};
    buffer_init(&response.body, RESPONSE_SIZE_MAX);
    buffer_append_text(&response.body, text);
    return send_response(wire, &response);
}

// Whether the header announces a body larger than allowed. A chunked body announces nothing.
static bool announces_too_much(const struct http_server *server, struct MHD_Connection *wire) {
    const char *text = MHD_lookup_connection_value(wire, MHD_HEADER_KIND, "Content-Length");
    if (text == NULL) return false;
    // libmicrohttpd has refused what is no number.
    return strtoull(text, NULL, 10) > server->options.body_size_max;
}

// The header is complete: from here on the whole request has its time.
static enum MHD_Result begin_request(struct http_server *server, struct http_connection *connection,
                                     struct MHD_Connection *wire) {
    connection->began = true;
    http_connections_extend(server->connections, connection, read_now() + REQUEST_MS);
    if (announces_too_much(server, wire)) {
        return refuse(wire, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large.\n");
    }
    if (buffer_overflowed(&connection->uri)) {
        return refuse(wire, MHD_HTTP_URI_TOO_LONG, "The address is too long.\n");
    }
    return MHD_YES;
}

static enum MHD_Result answer(struct http_server *server, struct http_connection *connection,
                              struct MHD_Connection *wire, const char *method) {
    char *path = (char *)connection->uri.bytes;
    char *query = strchr(path, '?');
    if (query != NULL) *query++ = 0;
    const struct http_request request = {
        .method = method,
        .path = path,
        .query = query == NULL ? "" : query,
        .body = buffer_span(&connection->body),
        .internal = wire,
    };
    struct http_response response = {.status = MHD_HTTP_OK,
                                     .content_type = "text/plain; charset=utf-8"};
    buffer_init(&response.body, RESPONSE_SIZE_MAX);
    server->options.handle(server->options.context, &request, &response);
    assert(response.status >= 200);
    assert(response.status <= 599);
    if (!buffer_overflowed(&response.body)) return send_response(wire, &response);
    buffer_done(&response.body);
    return refuse(wire, MHD_HTTP_INTERNAL_SERVER_ERROR, "The answer is too large.\n");
}

// Called once with the header, then with each part of the body, then once at its end.
static enum MHD_Result on_request(void *context, struct MHD_Connection *wire, const char *url,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *bytes_size, void **request) {
    (void)url;
    (void)version;
    (void)request;
    struct http_server *server = context;
    struct http_connection *connection = connection_of(wire);
    if (connection == NULL || connection->uri.size == 0) return MHD_NO;
    if (!connection->began) return begin_request(server, connection, wire);
    if (*bytes_size > 0) {
        // No answer can be queued before the end of the body; its time is limited.
        buffer_append(&connection->body, span_of(bytes, *bytes_size));
        connection->too_large = connection->too_large || buffer_overflowed(&connection->body);
        *bytes_size = 0;
        return MHD_YES;
    }
    if (connection->too_large) {
        return refuse(wire, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large.\n");
    }
    return answer(server, connection, wire, method);
}

static void *sweep(void *context) {
    struct http_server *server = context;
    void *item;
    while (!queue_is_closed(server->stopped)) {
        uint32_t count = queue_pop(server->stopped, &item, 1, SWEEP_MS);
        assert(count == 0);
        http_connections_sweep(server->connections, read_now());
    }
    return NULL;
}

// Takes "127.0.0.1:80" or "[::1]:80" apart.
static bool parse_listen(const char *listen, struct sockaddr_storage *address, socklen_t *size,
                         struct fault *fault) {
    char host[HOST_SIZE] = "";
    const char *colon = strrchr(listen, ':');
    size_t host_size = colon == NULL ? 0 : (size_t)(colon - listen);
    bool is_six = host_size > 2 && listen[0] == '[' && listen[host_size - 1] == ']';
    if (host_size > 0 && host_size < sizeof host) {
        if (is_six) {
            memcpy(host, listen + 1, host_size - 2);
        } else {
            memcpy(host, listen, host_size);
        }
    }
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    bool good = colon != NULL && colon[1] >= '0' && colon[1] <= '9' && *end == 0 && port <= 65535;
    *address = (struct sockaddr_storage){0};
    if (is_six) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)address;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        good = good && inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
        *size = sizeof *six;
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)(void *)address;
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        good = good && inet_pton(AF_INET, host, &four->sin_addr) == 1;
        *size = sizeof *four;
    }
    if (good) return true;
    return fault_set(fault, FAULT_INPUT,
                     "listen address \"%s\": write it like 127.0.0.1:9090 or [::1]:9090", listen);
}

static enum fault_kind kind_of(int error) {
    if (error == EADDRINUSE || error == EMFILE || error == ENFILE || error == ENOBUFS) {
        return FAULT_RETRY;
    }
    if (error == EACCES || error == EPERM) return FAULT_DENIED;
    // EADDRNOTAVAIL, EAFNOSUPPORT: this machine has no such address.
    return FAULT_INPUT;
}

// Our own socket, because libmicrohttpd does not say why it could not make one.
static bool open_socket(const char *listen_text, int *descriptor, uint16_t *port,
                        struct fault *fault) {
    struct sockaddr_storage address;
    socklen_t size;
    if (!parse_listen(listen_text, &address, &size, fault)) return false;
    int made = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0) return fault_set_errno(fault, kind_of(errno), errno, "listen on %s", listen_text);
    int yes = 1;
    struct sockaddr *plain = (struct sockaddr *)(void *)&address;
    if (setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(made, plain, size) != 0 || listen(made, BACKLOG) != 0 ||
        getsockname(made, plain, &size) != 0) {
        fault_set_errno(fault, kind_of(errno), errno, "listen on %s", listen_text);
        close(made);
        return false;
    }
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)&address;
    *port = ntohs(address.ss_family == AF_INET6 ? six->sin6_port : four->sin_port);
    *descriptor = made;
    return true;
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int descriptor) {
    // At its own limit libmicrohttpd stops listening, and now and then forgets to begin again until
    // another connection stirs. So on_accept keeps the limit, and no thread ever reaches its share
    // of this one.
    uint32_t threads = server->options.threads < 2 ? 1 : server->options.threads;
    unsigned int share_sum = 2 * HTTP_CONNECTIONS_MAX * threads;
    struct MHD_OptionItem pool[] = {
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)server->options.threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    // One thread is not a pool.
    if (threads == 1) pool[0].option = MHD_OPTION_END;
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, on_accept, server, on_request, server,
        MHD_OPTION_LISTEN_SOCKET, descriptor, MHD_OPTION_CONNECTION_LIMIT, share_sum,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)MEMORY_SIZE, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
}

// Frees a server none of whose threads runs.
static void discard(struct http_server *server) {
    http_connections_destroy(server->connections);
    queue_destroy(server->stopped);
    free(server);
}

bool http_server_start(const struct http_server_options *options, struct http_server **server,
                       struct fault *fault) {
    assert(options->handle != NULL);
    assert(options->threads <= THREADS_MAX);
    int descriptor = -1;
    uint16_t port = 0;
    if (!open_socket(options->listen, &descriptor, &port, fault)) return false;
    struct http_server *made = calloc(1, sizeof *made);
    if (made == NULL) {
        close(descriptor);
        return fault_set(fault, FAULT_FULL, "HTTP server: no memory");
    }
    made->options = *options;
    made->port = port;
    made->connections = http_connections_create();
    made->stopped = queue_create(1, 1);
    bool good = made->connections != NULL && made->stopped != NULL &&
                pthread_create(&made->sweeper, NULL, sweep, made) == 0;
    if (!good) {
        close(descriptor);
        discard(made);
        return fault_set(fault, FAULT_FULL, "HTTP server: no memory");
    }
    made->daemon = start_daemon(made, descriptor);
    if (made->daemon == NULL) {
        // libmicrohttpd may or may not have closed the socket; a second close could hit another's.
        queue_close(made->stopped);
        pthread_join(made->sweeper, NULL);
        discard(made);
        return fault_set(fault, FAULT_RETRY, "HTTP server on %s: cannot start", options->listen);
    }
    *server = made;
    return true;
}

uint16_t http_server_port(const struct http_server *server) {
    return server->port;
}

void http_server_stop(struct http_server *server) {
    if (server == NULL) return;
    MHD_stop_daemon(server->daemon);
    queue_close(server->stopped);
    pthread_join(server->sweeper, NULL);
    discard(server);
}

const char *http_request_header(const struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->internal, MHD_HEADER_KIND, name);
}
