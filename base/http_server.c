#include "base/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/http_connections.h"
#include "base/http_listen.h"
#include "base/http_tls.h"
#include "base/queue.h"

enum {
    HEADER_MS = 10 * 1000,                 // from the connection to its first complete header
    BODY_MS = 20 * 1000,                   // from the complete header to the end of the body
    REQUEST_MS = 120 * 1000,               // from there to the end of the response
    IDLE_S = 30,                           // without a byte in either direction
    NEXT_MS = IDLE_S * 1000 + HEADER_MS,   // from one response to the next complete header
    SWEEP_MS = 1000,                       // between two looks for connections past their time
    WORKER_WAIT_MS = 60 * 1000,            // for a request; closing the line ends it at once
    MEMORY_SIZE = 20 * 1024,               // of one connection: 16 KiB of header, and the answer's
    RESPONSE_SIZE_MAX = 64 * 1024 * 1024,  // bytes of one body
    THREADS_MAX = 64,
};

// TLS 1.2 and 1.3, with the library's own choice of the rest.
static const char TLS_PRIORITIES[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

struct worker {
    struct http_server *server;
    uint32_t index;
    pthread_t thread;
};

struct http_server {
    struct http_server_options options;
    struct http_tls *tls;    // NULL: none
    struct queue *requests;  // of struct http_connection, for the workers; NULL: no workers
    struct worker workers[HTTP_WORKERS_MAX];
    uint32_t workers_count;  // that run
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
    struct http_connection *connection = *socket_context;
    if (connection != NULL) connection->tls = server->tls;
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
    connection->is_answered = false;
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

// Never called: nobody asks for the body of an answer to HEAD.
static ssize_t read_nothing(void *context, uint64_t offset, char *to, size_t size) {
    (void)context;
    (void)offset;
    (void)to;
    (void)size;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_response(struct http_response *response) {
    struct buffer *body = &response->body;
    if (response->is_head_only) {
        buffer_done(body);
        return MHD_create_response_from_callback(response->head_size, 1, read_nothing, NULL, NULL);
    }
    // libmicrohttpd frees the body with free, as buffer_done would. An empty one has no memory.
    bool empty = body->bytes == NULL;
    struct MHD_Response *made =
        MHD_create_response_from_buffer(body->size, empty ? (void *)(uintptr_t) "" : body->bytes,
                                        empty ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    if (made == NULL) buffer_done(body);
    return made;
}

// Sends the response, whose body it takes.
static enum MHD_Result send_response(struct MHD_Connection *wire, struct http_response *response) {
    struct MHD_Response *made = make_response(response);
    if (made == NULL) {
        buffer_done(&response->header_texts);
        return MHD_NO;
    }
    bool good = MHD_add_response_header(made, "Content-Type", response->content_type) == MHD_YES &&
                MHD_add_response_header(made, "Cache-Control", "no-store") == MHD_YES &&
                MHD_add_response_header(made, "X-Content-Type-Options", "nosniff") == MHD_YES;
    // The rest of a body that was refused must not be read as the next request.
    for (uint32_t index = 0; index < response->headers_count; index++) {
        const struct http_header *header = &response->headers[index];
        const char *value = (const char *)response->header_texts.bytes + header->value;
        good = good && MHD_add_response_header(made, header->name, value) == MHD_YES;
    }
    buffer_done(&response->header_texts);
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

// The header is complete: from here on the body has its time.
static enum MHD_Result begin_request(struct http_server *server, struct http_connection *connection,
                                     struct MHD_Connection *wire) {
    connection->began = true;
    http_connections_extend(server->connections, connection, read_now() + BODY_MS);
    if (announces_too_much(server, wire)) {
        return refuse(wire, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large.\n");
    }
    if (buffer_overflowed(&connection->uri)) {
        return refuse(wire, MHD_HTTP_URI_TOO_LONG, "The address is too long.\n");
    }
    return MHD_YES;
}

// Runs the handler. The response's body is initialised.
static void run_handler(const struct http_server *server, struct http_connection *connection,
                        uint32_t worker) {
    char *path = (char *)connection->uri.bytes;
    char *query = strchr(path, '?');
    if (query != NULL) *query++ = 0;
    const struct http_request request = {
        .worker = worker,
        .method = connection->method,
        .path = path,
        .query = query == NULL ? "" : query,
        .body = buffer_span(&connection->body),
        .internal = connection->wire,
        .address = (const struct sockaddr *)(const void *)&connection->address,
    };
    struct http_response *response = &connection->response;
    *response =
        (struct http_response){.status = MHD_HTTP_OK, .content_type = "text/plain; charset=utf-8"};
    buffer_init(&response->body, RESPONSE_SIZE_MAX);
    buffer_init(&response->header_texts, HTTP_HEADERS_SIZE_MAX);
    server->options.handle(server->options.context, &request, response);
    assert(response->status >= 200);
    assert(response->status <= 599);
}

static enum MHD_Result send_answer(struct http_connection *connection,
                                   struct MHD_Connection *wire) {
    struct http_response response = connection->response;
    connection->response = (struct http_response){0};
    bool is_whole =
        !buffer_overflowed(&response.body) && !buffer_overflowed(&response.header_texts);
    if (is_whole) return send_response(wire, &response);
    buffer_done(&response.body);
    buffer_done(&response.header_texts);
    return refuse(wire, MHD_HTTP_INTERNAL_SERVER_ERROR, "The answer is too large.\n");
}

// Gives the server's own answer to a request that no worker takes, and lets it be sent.
static void answer_stopped(struct http_connection *connection) {
    connection->response = (struct http_response){.status = MHD_HTTP_SERVICE_UNAVAILABLE,
                                                  .content_type = "text/plain; charset=utf-8"};
    buffer_init(&connection->response.body, RESPONSE_SIZE_MAX);
    buffer_append_text(&connection->response.body, "The server stops.\n");
    connection->is_answered = true;
    MHD_resume_connection(connection->wire);
}

// Answers at once, or hands the request to the workers: we are called again when it is answered.
static enum MHD_Result answer(struct http_server *server, struct http_connection *connection,
                              struct MHD_Connection *wire, const char *method) {
    if (connection->is_answered) return send_answer(connection, wire);
    http_connections_extend(server->connections, connection, read_now() + REQUEST_MS);
    connection->wire = wire;
    connection->method = method;
    if (server->requests == NULL) {
        run_handler(server, connection, 0);
        return send_answer(connection, wire);
    }
    MHD_suspend_connection(wire);
    if (queue_push(server->requests, connection, 1)) return MHD_YES;
    // Only when the server stops: the line is as long as there are connections.
    answer_stopped(connection);
    return MHD_YES;
}

static void *work(void *context) {
    struct worker *worker = context;
    struct http_server *server = worker->server;
    void *item;
    // Of this thread alone, as Linux has it. It is only a wish: nothing depends on it.
    if (server->options.nice != 0) (void)setpriority(PRIO_PROCESS, 0, server->options.nice);
    while (!queue_is_closed(server->requests)) {
        if (queue_pop(server->requests, &item, 1, WORKER_WAIT_MS) == 0) continue;
        struct http_connection *connection = item;
        run_handler(server, connection, worker->index);
        connection->is_answered = true;
        MHD_resume_connection(connection->wire);
    }
    return NULL;
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

// Called at a handshake. libmicrohttpd keeps its connection as the session's pointer, as its own
// callback for PSK relies on; there is no other way from here to the server.
static int on_handshake(gnutls_session_t session, const gnutls_datum_t *authorities,
                        int authorities_count, const gnutls_pk_algorithm_t *algorithms,
                        int algorithms_count, gnutls_pcert_st **chain, unsigned int *chain_count,
                        gnutls_privkey_t *key) {
    (void)authorities;
    (void)authorities_count;
    (void)algorithms;
    (void)algorithms_count;
    struct http_connection *connection = connection_of(gnutls_session_get_ptr(session));
    if (connection == NULL) return -1;
    http_tls_get(connection->tls, chain, chain_count, key);
    return 0;
}

static struct MHD_Daemon *start_daemon(struct http_server *server, int descriptor) {
    // At its own limit libmicrohttpd stops listening, and now and then forgets to begin again until
    // another connection stirs. So on_accept keeps the limit, and no thread ever reaches its share
    // of this one.
    uint32_t threads = server->options.threads < 2 ? 1 : server->options.threads;
    unsigned int share_sum = 2 * server->options.connections_max * threads;
    unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD;
    if (server->requests != NULL) flags |= MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem more[4];
    uint32_t count = 0;
    // One thread is not a pool.
    if (threads > 1) {
        more[count++] =
            (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)threads, NULL};
    }
    if (server->tls != NULL) {
        flags |= MHD_USE_TLS;
        more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0,
                                                (void *)(uintptr_t)on_handshake};
        more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                                (void *)(uintptr_t)TLS_PRIORITIES};
    }
    more[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(
        flags, 0, on_accept, server, on_request, server, MHD_OPTION_LISTEN_SOCKET, descriptor,
        MHD_OPTION_CONNECTION_LIMIT, share_sum, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_SIZE, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_ARRAY, more,
        MHD_OPTION_END);
}

// Ends the workers. Requests that still wait in line are answered here.
static void stop_workers(struct http_server *server) {
    if (server->requests == NULL) return;
    queue_close(server->requests);
    for (uint32_t index = 0; index < server->workers_count; index++) {
        pthread_join(server->workers[index].thread, NULL);
    }
    server->workers_count = 0;
    void *item;
    while (queue_pop(server->requests, &item, 1, 0) == 1) answer_stopped(item);
}

static bool start_workers(struct http_server *server) {
    if (server->options.workers == 0) return true;
    server->requests =
        queue_create(server->options.connections_max, server->options.connections_max);
    if (server->requests == NULL) return false;
    for (uint32_t index = 0; index < server->options.workers; index++) {
        struct worker *worker = &server->workers[index];
        *worker = (struct worker){.server = server, .index = index};
        if (pthread_create(&worker->thread, NULL, work, worker) != 0) return false;
        server->workers_count++;
    }
    return true;
}

static void stop_sweep(struct http_server *server) {
    queue_close(server->stopped);
    pthread_join(server->sweeper, NULL);
}

// Frees a server none of whose threads runs.
static void discard(struct http_server *server) {
    http_connections_destroy(server->connections);
    http_tls_destroy(server->tls);
    queue_destroy(server->stopped);
    queue_destroy(server->requests);
    free(server);
}

// What is needed before the first connection; what there is of it is left to stop.
static bool prepare(struct http_server *server, struct fault *fault) {
    const struct http_server_options *options = &server->options;
    if (options->certificate.size > 0 &&
        !http_tls_create(options->certificate, options->key, &server->tls, fault)) {
        return false;
    }
    server->connections = http_connections_create(options->connections_max);
    server->stopped = queue_create(1, 1);
    if (server->connections != NULL && server->stopped != NULL && start_workers(server)) {
        return true;
    }
    return fault_set(fault, FAULT_FULL, "HTTP server: no memory");
}

static bool start(struct http_server *server, int descriptor, struct fault *fault) {
    if (!prepare(server, fault)) {
        close(descriptor);
        return false;
    }
    if (pthread_create(&server->sweeper, NULL, sweep, server) != 0) {
        close(descriptor);
        return fault_set(fault, FAULT_FULL, "HTTP server: no memory");
    }
    server->daemon = start_daemon(server, descriptor);
    if (server->daemon != NULL) return true;
    // libmicrohttpd may or may not have closed the socket; a second close could hit another's.
    stop_sweep(server);
    return fault_set(fault, FAULT_RETRY, "HTTP server on %s: cannot start", server->options.listen);
}

bool http_server_start(const struct http_server_options *options, struct http_server **server,
                       struct fault *fault) {
    assert(options->handle != NULL);
    assert(options->threads <= THREADS_MAX);
    assert(options->workers <= HTTP_WORKERS_MAX);
    int descriptor = -1;
    uint16_t port = 0;
    if (!http_listen_open(options->listen, &descriptor, &port, fault)) return false;
    struct http_server *made = calloc(1, sizeof *made);
    if (made == NULL) {
        close(descriptor);
        return fault_set(fault, FAULT_FULL, "HTTP server: no memory");
    }
    made->options = *options;
    made->port = port;
    if (options->connections_max == 0) made->options.connections_max = HTTP_CONNECTIONS_DEFAULT;
    if (!start(made, descriptor, fault)) {
        stop_workers(made);
        discard(made);
        return false;
    }
    *server = made;
    return true;
}

bool http_server_replace_certificate(struct http_server *server, struct span certificate,
                                     struct span key, struct fault *fault) {
    assert(server->tls != NULL);
    return http_tls_replace(server->tls, certificate, key, read_now(), fault);
}

uint16_t http_server_port(const struct http_server *server) {
    return server->port;
}

void http_server_stop(struct http_server *server) {
    if (server == NULL) return;
    stop_workers(server);
    MHD_stop_daemon(server->daemon);
    stop_sweep(server);
    discard(server);
}

const char *http_request_header(const struct http_request *request, const char *name) {
    return MHD_lookup_connection_value(request->internal, MHD_HEADER_KIND, name);
}

// What MHD_get_connection_values takes, and what it is told to do.
struct visit {
    bool (*on_header)(void *user, const char *name, const char *value);
    void *user;
};

static enum MHD_Result on_value(void *context, enum MHD_ValueKind kind, const char *name,
                                const char *value) {
    (void)kind;
    const struct visit *visit = context;
    return visit->on_header(visit->user, name, value == NULL ? "" : value) ? MHD_YES : MHD_NO;
}

void http_request_headers(const struct http_request *request,
                          bool (*on_header)(void *user, const char *name, const char *value),
                          void *user) {
    struct visit visit = {on_header, user};
    MHD_get_connection_values(request->internal, MHD_HEADER_KIND, on_value, &visit);
}

void http_request_address(const struct http_request *request, char text[HTTP_ADDRESS_SIZE]) {
    const struct sockaddr *address = request->address;
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    bool is_six = address->sa_family == AF_INET6;
    const void *from = is_six ? (const void *)&six->sin6_addr : (const void *)&four->sin_addr;
    int family = address->sa_family;
    if (is_six && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        from = &six->sin6_addr.s6_addr[12];
        family = AF_INET;
    }
    if (inet_ntop(family, from, text, HTTP_ADDRESS_SIZE) == NULL) text[0] = 0;
}

void http_response_add(struct http_response *response, const char *name, const char *value) {
    assert(response->headers_count < HTTP_HEADERS_MAX);
    struct http_header *header = &response->headers[response->headers_count++];
    *header = (struct http_header){name, response->header_texts.size};
    for (const char *at = value; *at != 0; at++) {
        bool is_good = (uint8_t)*at >= 0x20 && *at != 0x7f;
        buffer_append_byte(&response->header_texts, is_good ? (uint8_t)*at : '?');
    }
    buffer_append_byte(&response->header_texts, 0);
}
