#include <assert.h>
#include <errno.h>
#include <grpc/slice.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/rpc/rpc_internal.h"

enum { WORKERS_MAX = 64 };

// A place for one call that comes in. Each worker keeps one armed for our method and one for any
// other: a call nobody asks for would hang instead of being refused.
struct slot {
    struct rpc_tag tag;
    struct worker *worker;
    bool is_ours;
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    gpr_timespec deadline;
};

struct worker {
    struct rpc_server *server;
    pthread_t thread;
    struct rpc_loop loop;
    struct slot slots[2];
    uint32_t slots_armed;
    struct rpc_tag stopped_tag;
    bool is_stop_pending;  // the first worker: the server's own end has not come back yet
    int64_t stop_ms;       // monotonic: streams still open then are closed; INT64_MAX: not stopping
};

struct rpc_server {
    grpc_server *server;
    void *method;
    struct rpc_server_callbacks callbacks;
    void *context;
    struct rpc_screen screen;
    uint32_t streams_max;
    atomic_uint streams_count;
    uint16_t port;
    unsigned deaf_count;  // of the process when this server began
    _Atomic(grpc_ssl_server_certificate_config *) next_credentials;
    atomic_llong stop_ms;
    sem_t stopped;
    uint32_t workers_count;
    struct worker workers[];
};

// ---- streams

static void on_accepted_finished(struct rpc_stream *stream, const struct fault *reason) {
    struct rpc_server *server = stream->owner;
    atomic_fetch_sub(&server->streams_count, 1);
    server->callbacks.closed(stream->listener.context, reason);
}

static void on_refused_finished(struct rpc_stream *stream, const struct fault *reason) {
    (void)stream;
    (void)reason;
}

static bool open_for(struct rpc_server *server, struct rpc_stream *stream,
                     const struct rpc_peer *peer, struct fault *fault) {
    if (atomic_fetch_add(&server->streams_count, 1) >= server->streams_max) {
        atomic_fetch_sub(&server->streams_count, 1);
        return fault_set(fault, FAULT_RETRY,
                         "this server has %" PRIu32 " streams open, which is its limit",
                         server->streams_max);
    }
    void *context = NULL;
    if (!server->callbacks.open(server->context, stream, peer, &context, fault)) {
        atomic_fetch_sub(&server->streams_count, 1);
        return false;
    }
    stream->listener = (struct rpc_listener){
        .message = server->callbacks.message,
        .sent = server->callbacks.sent,
        .context = context,
    };
    return true;
}

static bool open_stream(struct rpc_server *server, struct rpc_stream *stream, struct fault *fault) {
    struct rpc_peer peer;
    grpc_auth_context *context = grpc_call_auth_context(stream->call);
    bool is_open = rpc_peer_read(stream->call, context, &peer, fault) &&
                   open_for(server, stream, &peer, fault);
    if (context != NULL) grpc_auth_context_release(context);
    return is_open;
}

static void take_call(struct slot *slot) {
    struct worker *worker = slot->worker;
    struct rpc_server *server = worker->server;
    struct rpc_stream *stream = rpc_stream_create(&worker->loop, slot->call, false);
    if (stream == NULL) abort();
    stream->owner = server;
    stream->on_finished = on_refused_finished;
    rpc_stream_watch(stream);

    struct fault fault = {.kind = FAULT_NONE};
    if (!slot->is_ours) {
        stream->is_unknown = true;
        rpc_stream_end(stream, FAULT_INPUT, "this server has no such method");
    } else if (!open_stream(server, stream, &fault)) {
        rpc_stream_end(stream, fault.kind, fault.text);
    } else {
        stream->on_finished = on_accepted_finished;
        rpc_stream_accept(stream);
        rpc_stream_read(stream);
    }
    rpc_stream_settle(stream);
}

// ---- calls that come in

static void arm(struct slot *slot) {
    struct rpc_server *server = slot->worker->server;
    grpc_completion_queue *queue = slot->worker->loop.queue;
    grpc_metadata_array_init(&slot->metadata);
    __tsan_release(&slot->tag);
    grpc_call_error error = GRPC_CALL_OK;
    if (slot->is_ours) {
        error = grpc_server_request_registered_call(server->server, server->method, &slot->call,
                                                    &slot->deadline, &slot->metadata, NULL, queue,
                                                    queue, &slot->tag);
    } else {
        grpc_call_details_init(&slot->details);
        error = grpc_server_request_call(server->server, &slot->call, &slot->details,
                                         &slot->metadata, queue, queue, &slot->tag);
    }
    assert(error == GRPC_CALL_OK);
    slot->worker->slots_armed++;
}

static void on_call(struct rpc_tag *tag, bool is_ok) {
    struct slot *slot = tag->owner;
    struct worker *worker = slot->worker;
    worker->slots_armed--;
    if (is_ok) take_call(slot);
    grpc_metadata_array_destroy(&slot->metadata);
    if (!slot->is_ours) grpc_call_details_destroy(&slot->details);
    if (is_ok) {
        arm(slot);
    } else {
        // The server is stopping. Each worker hears it here.
        worker->stop_ms = atomic_load(&worker->server->stop_ms);
    }
}

// ---- workers

static void on_stopped(struct rpc_tag *tag, bool is_ok) {
    (void)is_ok;
    struct worker *worker = tag->owner;
    worker->is_stop_pending = false;
    sem_post(&worker->server->stopped);
}

static void *work(void *argument) {
    struct worker *worker = argument;
    for (size_t index = 0; index < 2; index++) arm(&worker->slots[index]);
    while (worker->slots_armed > 0 || worker->is_stop_pending || worker->loop.streams != NULL) {
        int64_t wait_ms = -1;
        if (worker->stop_ms != INT64_MAX) {
            wait_ms = worker->stop_ms - rpc_now_ms();
            if (wait_ms <= 0) {
                rpc_loop_end_streams(&worker->loop);
                worker->stop_ms = INT64_MAX;
                wait_ms = -1;
            }
        }
        rpc_loop_step(&worker->loop, wait_ms);
    }
    return NULL;
}

static void init_worker(struct rpc_server *server, uint32_t index) {
    struct worker *worker = &server->workers[index];
    worker->server = server;
    worker->stop_ms = INT64_MAX;
    worker->is_stop_pending = index == 0;
    worker->stopped_tag = (struct rpc_tag){on_stopped, worker};
    rpc_loop_init(&worker->loop);
    for (size_t which = 0; which < 2; which++) {
        struct slot *slot = &worker->slots[which];
        slot->worker = worker;
        slot->is_ours = which == 0;
        slot->tag = (struct rpc_tag){on_call, slot};
    }
}

// ---- start

static bool check_descriptors(uint32_t streams_max, struct fault *fault) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fault_set_errno(fault, FAULT_IO, errno, "read the limit of open files");
    }
    uint64_t needed = (uint64_t)streams_max + RPC_DESCRIPTORS_SPARE;
    if (limit.rlim_cur >= needed) return true;
    return fault_set(fault, FAULT_INPUT,
                     "%" PRIu32 " streams need a limit of %" PRIu64
                     " open files, but it is %ju: raise it (LimitNOFILE in the systemd unit, or "
                     "ulimit -n) or allow fewer streams",
                     streams_max, needed, (uintmax_t)limit.rlim_cur);
}

static grpc_server *make_server(void) {
    grpc_arg arguments[] = {
        rpc_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_SIZE_MAX),
        rpc_argument(GRPC_ARG_MAX_CONCURRENT_STREAMS, RPC_CONNECTION_STREAMS_MAX),
        rpc_argument(GRPC_ARG_KEEPALIVE_TIME_MS, RPC_KEEPALIVE_MS),
        rpc_argument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, RPC_KEEPALIVE_TIMEOUT_MS),
        rpc_argument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        rpc_argument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                     RPC_PING_INTERVAL_MIN_MS),
        rpc_argument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        rpc_argument(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        rpc_argument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RPC_LOOKAHEAD_SIZE),
        rpc_argument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, RPC_HANDSHAKE_TIMEOUT_MS),
        rpc_argument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, RPC_CONNECTION_IDLE_MS),
        // A second server on the port must fail to start, not share it.
        rpc_argument(GRPC_ARG_ALLOW_REUSEPORT, 0),
        // A connection keeps what it reads into at this size, whatever came once; 8 KiB are less
        // than a batch of a busy agent and cost nothing measurable.
        rpc_argument(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, RPC_READ_SIZE),
        // What a server sends is short: it needs no buffer for a TLS record of 16 KiB.
        rpc_argument(GRPC_ARG_TSI_MAX_FRAME_SIZE, RPC_SERVER_RECORD_SIZE),
        // No compressed messages: what is read is what was sent, so limits mean what they say.
        rpc_argument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
        {0},
    };
    size_t count = sizeof arguments / sizeof arguments[0];
    if (!rpc_handshake_argument(&arguments[count - 1])) count--;
    grpc_channel_args list = {count, arguments};
    return grpc_server_create(&list, NULL);
}

// Called by gRPC at the start and for each new connection, on any thread.
static grpc_ssl_certificate_config_reload_status fetch_credentials(
    void *user, grpc_ssl_server_certificate_config **config) {
    struct rpc_server *server = user;
    *config = atomic_exchange(&server->next_credentials, NULL);
    return *config == NULL ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED
                           : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

static bool bind_port(struct rpc_server *server, const char *listen, struct fault *fault) {
    grpc_ssl_server_credentials_options *options =
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch_credentials, server);
    grpc_server_credentials *credentials = grpc_ssl_server_credentials_create_with_options(options);
    rpc_log_capture(true);
    int port = grpc_server_add_http2_port(server->server, listen, credentials);
    grpc_server_credentials_release(credentials);
    if (port > 0) {
        server->port = (uint16_t)port;
    } else if (strstr(rpc_log_captured(), "Address already in use") != NULL) {
        fault_set(fault, FAULT_RETRY,
                  "listen on %s: the address is in use: is another server running?", listen);
    } else {
        fault_set(fault, FAULT_INPUT, "listen on %s: %s", listen,
                  rpc_log_captured()[0] == 0 ? "not a usable address" : rpc_log_captured());
    }
    rpc_log_capture(false);
    return port > 0;
}

static void free_server(struct rpc_server *server) {
    for (uint32_t index = 0; index < server->workers_count; index++) {
        rpc_loop_done(&server->workers[index].loop);
    }
    grpc_server_destroy(server->server);
    grpc_ssl_server_certificate_config *unused = atomic_exchange(&server->next_credentials, NULL);
    if (unused != NULL) grpc_ssl_server_certificate_config_destroy(unused);
    sem_destroy(&server->stopped);
    free(server);
}

// Ends a server that could not be started: gRPC insists on the whole ceremony.
static bool abandon(struct rpc_server *server) {
    struct worker *worker = &server->workers[0];
    __tsan_release(&worker->stopped_tag);
    grpc_server_shutdown_and_notify(server->server, worker->loop.queue, &worker->stopped_tag);
    while (worker->is_stop_pending) rpc_loop_step(&worker->loop, -1);
    free_server(server);
    return false;
}

bool rpc_server_start(const struct rpc_server_options *options, struct rpc_server **server,
                      struct fault *fault) {
    uint32_t workers_count = options->workers == 0 ? 1 : options->workers;
    assert(workers_count <= WORKERS_MAX);
    if (!check_descriptors(options->streams_max, fault)) return false;
    grpc_ssl_server_certificate_config *config = NULL;
    if (!rpc_credentials_for_server(&options->credentials, &config, fault)) return false;

    struct rpc_server *made = calloc(1, sizeof *made + workers_count * sizeof made->workers[0]);
    if (made == NULL) abort();
    made->callbacks = *options->callbacks;
    made->context = options->context;
    made->streams_max = options->streams_max;
    made->deaf_count = rpc_deaf_count();
    made->workers_count = workers_count;
    atomic_init(&made->next_credentials, config);
    sem_init(&made->stopped, 0, 0);
    made->server = make_server();
    made->method =
        grpc_server_register_method(made->server, options->service, NULL, GRPC_SRM_PAYLOAD_NONE, 0);
    assert(made->method != NULL);
    for (uint32_t index = 0; index < workers_count; index++) {
        init_worker(made, index);
        grpc_server_register_completion_queue(made->server, made->workers[index].loop.queue, NULL);
    }
    if (!bind_port(made, options->listen, fault)) return abandon(made);
    made->screen = (struct rpc_screen){made->callbacks.screen, made->context};
    if (made->screen.admits != NULL) rpc_handshake_set_screen(&made->screen);
    grpc_server_start(made->server);
    for (uint32_t index = 0; index < workers_count; index++) {
        // A process that cannot have a few threads at its start is not worth saving.
        if (pthread_create(&made->workers[index].thread, NULL, work, &made->workers[index]) != 0) {
            abort();
        }
        pthread_setname_np(made->workers[index].thread, "rpc-worker");
    }
    *server = made;
    return true;
}

uint16_t rpc_server_port(const struct rpc_server *server) {
    return server->port;
}

bool rpc_server_is_deaf(const struct rpc_server *server) {
    return rpc_deaf_count() != server->deaf_count;
}

bool rpc_server_reload(struct rpc_server *server, const struct rpc_credentials *credentials,
                       struct fault *fault) {
    grpc_ssl_server_certificate_config *config = NULL;
    if (!rpc_credentials_for_server(credentials, &config, fault)) return false;
    grpc_ssl_server_certificate_config *unused = atomic_exchange(&server->next_credentials, config);
    if (unused != NULL) grpc_ssl_server_certificate_config_destroy(unused);
    return true;
}

// ---- stop

static bool wait_stopped(struct rpc_server *server, int64_t wait_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = (int64_t)until.tv_nsec + (wait_ms % 1000) * 1000000;
    until.tv_sec += (time_t)(wait_ms / 1000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    for (;;) {
        if (sem_clockwait(&server->stopped, CLOCK_MONOTONIC, &until) == 0) return true;
        if (errno != EINTR) return false;
    }
}

void rpc_server_stop(struct rpc_server *server, int64_t grace_ms) {
    assert(grace_ms >= 0);
    struct worker *first = &server->workers[0];
    atomic_store(&server->stop_ms, rpc_now_ms() + grace_ms);
    __tsan_release(&first->stopped_tag);
    grpc_server_shutdown_and_notify(server->server, first->loop.queue, &first->stopped_tag);
    if (!wait_stopped(server, grace_ms + RPC_LINGER_MS)) {
        // Connections without streams, handshakes under way, peers that do not answer.
        grpc_server_cancel_all_calls(server->server);
    }
    for (uint32_t index = 0; index < server->workers_count; index++) {
        pthread_join(server->workers[index].thread, NULL);
    }
    if (server->screen.admits != NULL) rpc_handshake_set_screen(NULL);
    free_server(server);
}
