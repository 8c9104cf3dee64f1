#include "base/rpc/rpc_local.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grpc/grpc_posix.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rpc/rpc_internal.h"

enum { LOOK_MS = 1000, PAUSE_MS = 100 };

// A connection with a gRPC server of its own: what identifies the caller is the server its call
// came to. The acceptor makes it, from then on it is the worker's.
struct connection {
    struct rpc_local *local;
    struct connection *next;
    grpc_server *server;
    struct rpc_caller caller;
    gid_t *groups;
    struct rpc_tag call_tag;
    struct rpc_tag stopped_tag;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    bool is_waiting;  // for its call
    bool is_in_call;  // its stream has not finished
    bool is_stopping;
    bool is_stopped;
    bool is_cut;
    int64_t until_ms;  // monotonic: without a call it ends then; once stopping, it is cut off then
};

struct rpc_local {
    struct rpc_local_callbacks callbacks;
    void *context;
    char *path;
    int descriptor;
    atomic_bool is_ending;
    atomic_llong end_ms;
    atomic_uint connections_count;
    _Atomic(struct connection *) accepted;  // from the acceptor to the worker
    struct connection *connections;         // the worker's
    struct rpc_loop loop;
    pthread_t worker;
    pthread_t acceptor;
};

bool rpc_caller_is_in(const struct rpc_caller *caller, gid_t group) {
    if (caller->gid == group) return true;
    for (uint32_t index = 0; index < caller->groups_count; index++) {
        if (caller->groups[index] == group) return true;
    }
    return false;
}

// ---- on the worker

static void on_stream_finished(struct rpc_stream *stream, const struct fault *reason) {
    struct connection *connection = stream->owner;
    connection->is_in_call = false;
    connection->local->callbacks.closed(stream->listener.context, reason);
}

static void on_refused_finished(struct rpc_stream *stream, const struct fault *reason) {
    (void)reason;
    struct connection *connection = stream->owner;
    connection->is_in_call = false;
}

static void take_call(struct connection *connection) {
    struct rpc_local *local = connection->local;
    struct rpc_stream *stream = rpc_stream_create(&local->loop, connection->call, false);
    if (stream == NULL) abort();
    connection->is_in_call = true;
    stream->owner = connection;
    stream->on_finished = on_refused_finished;
    rpc_stream_watch(stream);

    char *method = grpc_slice_to_c_string(connection->details.method);
    struct fault fault = {.kind = FAULT_NONE};
    void *context = NULL;
    if (atomic_load(&local->is_ending)) {
        rpc_stream_end(stream, FAULT_RETRY, "the server is stopping");
    } else if (local->callbacks.open(local->context, stream, &connection->caller, method, &context,
                                     &fault)) {
        stream->listener = (struct rpc_listener){
            .message = local->callbacks.message,
            .sent = local->callbacks.sent,
            .context = context,
        };
        stream->on_finished = on_stream_finished;
        rpc_stream_accept(stream);
        rpc_stream_read(stream);
    } else {
        rpc_stream_end(stream, fault.kind, fault.text);
    }
    gpr_free(method);
    rpc_stream_settle(stream);
}

static void on_call(struct rpc_tag *tag, bool is_ok) {
    struct connection *connection = tag->owner;
    connection->is_waiting = false;
    if (is_ok) take_call(connection);
    grpc_metadata_array_destroy(&connection->metadata);
    grpc_call_details_destroy(&connection->details);
}

static void on_stopped(struct rpc_tag *tag, bool is_ok) {
    (void)is_ok;
    struct connection *connection = tag->owner;
    connection->is_stopped = true;
}

static void free_connection(struct connection *connection) {
    grpc_server_destroy(connection->server);
    atomic_fetch_sub(&connection->local->connections_count, 1);
    free(connection->groups);
    free(connection);
}

// Moves a connection on towards its end.
static void look_at(struct connection *connection, int64_t now_ms) {
    struct rpc_local *local = connection->local;
    bool is_ending = atomic_load(&local->is_ending) && !connection->is_in_call;
    bool is_late = connection->is_waiting && now_ms >= connection->until_ms;
    bool is_over = !connection->is_waiting && !connection->is_in_call;
    if (!connection->is_stopping && (is_ending || is_late || is_over)) {
        connection->is_stopping = true;
        connection->until_ms = now_ms + RPC_LINGER_MS;
        __tsan_release(&connection->stopped_tag);
        grpc_server_shutdown_and_notify(connection->server, local->loop.queue,
                                        &connection->stopped_tag);
        // A caller that never called has nothing to wait for.
        if (connection->is_waiting) connection->until_ms = now_ms;
    }
    if (connection->is_stopping && !connection->is_stopped && !connection->is_cut &&
        now_ms >= connection->until_ms) {
        connection->is_cut = true;
        grpc_server_cancel_all_calls(connection->server);
    }
}

static void adopt_accepted(struct rpc_local *local) {
    struct connection *list = atomic_exchange(&local->accepted, NULL);
    while (list != NULL) {
        struct connection *connection = list;
        list = connection->next;
        connection->next = local->connections;
        local->connections = connection;
    }
}

// Frees what is over and sees to the rest.
static void look_around(struct rpc_local *local) {
    adopt_accepted(local);
    int64_t now_ms = rpc_now_ms();
    struct connection **at = &local->connections;
    while (*at != NULL) {
        struct connection *connection = *at;
        look_at(connection, now_ms);
        if (connection->is_stopped && !connection->is_waiting && !connection->is_in_call) {
            *at = connection->next;
            free_connection(connection);
        } else {
            at = &connection->next;
        }
    }
}

static void *work(void *argument) {
    struct rpc_local *local = argument;
    while (!atomic_load(&local->is_ending) || atomic_load(&local->connections_count) > 0 ||
           local->loop.streams != NULL) {
        bool is_ending = atomic_load(&local->is_ending);
        rpc_loop_step(&local->loop, is_ending ? PAUSE_MS : LOOK_MS);
        look_around(local);
        if (is_ending && rpc_now_ms() >= atomic_load(&local->end_ms))
            rpc_loop_end_streams(&local->loop);
    }
    return NULL;
}

// ---- on the acceptor

static bool read_caller(struct connection *connection, int descriptor) {
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return false;
    connection->groups = calloc(RPC_LOCAL_GROUPS_MAX, sizeof *connection->groups);
    if (connection->groups == NULL) return false;
    size = RPC_LOCAL_GROUPS_MAX * sizeof *connection->groups;
    // A caller of more groups than that is taken for one of none: it may do less, not more.
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERGROUPS, connection->groups, &size) != 0) size = 0;
    connection->caller = (struct rpc_caller){
        .uid = credentials.uid,
        .gid = credentials.gid,
        .pid = credentials.pid,
        .groups = connection->groups,
        .groups_count = (uint32_t)(size / sizeof *connection->groups),
    };
    return true;
}

static grpc_server *make_server(void) {
    grpc_arg arguments[] = {
        rpc_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_SIZE_MAX),
        rpc_argument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1),
        rpc_argument(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        rpc_argument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
    };
    grpc_channel_args list = {sizeof arguments / sizeof arguments[0], arguments};
    return grpc_server_create(&list, NULL);
}

// Gives the connection a server and waits for its call. The descriptor is gRPC's from now on.
static void serve(struct connection *connection, int descriptor) {
    grpc_completion_queue *queue = connection->local->loop.queue;
    connection->server = make_server();
    grpc_server_register_completion_queue(connection->server, queue, NULL);
    grpc_server_start(connection->server);
    connection->call_tag = (struct rpc_tag){on_call, connection};
    connection->stopped_tag = (struct rpc_tag){on_stopped, connection};
    connection->is_waiting = true;
    connection->until_ms = rpc_now_ms() + RPC_LOCAL_CALL_MS;
    grpc_metadata_array_init(&connection->metadata);
    grpc_call_details_init(&connection->details);
    __tsan_release(&connection->call_tag);
    grpc_call_error error =
        grpc_server_request_call(connection->server, &connection->call, &connection->details,
                                 &connection->metadata, queue, queue, &connection->call_tag);
    assert(error == GRPC_CALL_OK);
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    grpc_server_add_channel_from_fd(connection->server, descriptor, credentials);
    grpc_server_credentials_release(credentials);
}

static void take_connection(struct rpc_local *local, int descriptor) {
    struct connection *connection = calloc(1, sizeof *connection);
    bool is_good = connection != NULL &&
                   atomic_load(&local->connections_count) < RPC_LOCAL_CONNECTIONS_MAX &&
                   read_caller(connection, descriptor);
    if (!is_good) {
        if (connection != NULL) free(connection->groups);
        free(connection);
        close(descriptor);
        return;
    }
    atomic_fetch_add(&local->connections_count, 1);
    connection->local = local;
    serve(connection, descriptor);
    struct connection *first = atomic_load(&local->accepted);
    do {
        connection->next = first;
    } while (!atomic_compare_exchange_weak(&local->accepted, &first, connection));
}

static void *accept_all(void *argument) {
    struct rpc_local *local = argument;
    while (!atomic_load(&local->is_ending)) {
        int descriptor = accept4(local->descriptor, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor >= 0) {
            take_connection(local, descriptor);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            // Out of descriptors, or the socket was shut down to end this.
            (void)poll(NULL, 0, PAUSE_MS);
        }
    }
    return NULL;
}

// ---- start and stop

bool rpc_local_start(const struct rpc_local_options *options, struct rpc_local **local,
                     struct fault *fault) {
    int descriptor = -1;
    if (!rpc_socket_listen(options, &descriptor, fault)) return false;
    struct rpc_local *made = calloc(1, sizeof *made);
    if (made == NULL) abort();
    made->callbacks = *options->callbacks;
    made->context = options->context;
    made->path = strdup(options->path);
    made->descriptor = descriptor;
    atomic_init(&made->end_ms, INT64_MAX);
    rpc_loop_init(&made->loop);
    // A process that cannot have a few threads at its start is not worth saving.
    if (made->path == NULL || pthread_create(&made->worker, NULL, work, made) != 0 ||
        pthread_create(&made->acceptor, NULL, accept_all, made) != 0) {
        abort();
    }
    pthread_setname_np(made->worker, "rpc-local");
    pthread_setname_np(made->acceptor, "rpc-accept");
    *local = made;
    return true;
}

void rpc_local_stop(struct rpc_local *local, int64_t grace_ms) {
    if (local == NULL) return;
    unlink(local->path);
    atomic_store(&local->end_ms, rpc_now_ms() + grace_ms);
    atomic_store(&local->is_ending, true);
    shutdown(local->descriptor, SHUT_RDWR);
    pthread_join(local->acceptor, NULL);
    pthread_join(local->worker, NULL);
    close(local->descriptor);
    rpc_loop_done(&local->loop);
    free(local->path);
    free(local);
}
