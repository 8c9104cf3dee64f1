#include <assert.h>
#include <grpc/slice.h>
#include <stdlib.h>
#include <string.h>

#include "base/rpc/rpc_internal.h"

enum { STEP_EVENTS_MAX = 256 };  // of one step, so that its caller gets a turn

struct rpc_client {
    struct rpc_loop loop;
    struct rpc_stream *stream;  // NULL when no attempt is open
    bool is_ending;             // being destroyed: no new attempt
    grpc_channel_credentials *credentials;
    struct rpc_verifier *verifier;   // of the credentials
    struct certificate_facts facts;  // of our certificate
    grpc_channel *channel;           // of the present attempt
    uint64_t alerts;                 // where they stood when it began
    char *target;
    char *authority;  // may be NULL
    char *service;
    struct rpc_client_callbacks callbacks;
    void *context;
};

static char *copy_text(const char *text) {
    if (text == NULL) return NULL;
    char *copy = strdup(text);
    if (copy == NULL) abort();
    return copy;
}

bool rpc_client_create(const struct rpc_client_options *options, struct rpc_client **client,
                       struct fault *fault) {
    grpc_channel_credentials *credentials = NULL;
    struct rpc_verifier *verifier = NULL;
    const char *name = options->authority != NULL ? options->authority : options->target;
    struct certificate_facts facts;
    if (!rpc_credentials_for_client(&options->credentials, name, &credentials, &verifier, fault)) {
        return false;
    }
    if (!certificate_read(options->credentials.certificate, &facts, fault)) {
        grpc_channel_credentials_release(credentials);
        return false;
    }
    struct rpc_client *made = calloc(1, sizeof *made);
    if (made == NULL) abort();
    rpc_loop_init(&made->loop);
    made->credentials = credentials;
    made->verifier = verifier;
    made->facts = facts;
    made->target = copy_text(options->target);
    made->authority = copy_text(options->authority);
    made->service = copy_text(options->service);
    made->callbacks = *options->callbacks;
    made->context = options->context;
    *client = made;
    return true;
}

void rpc_client_destroy(struct rpc_client *client) {
    if (client == NULL) return;
    client->is_ending = true;
    if (client->stream != NULL) {
        rpc_stream_end(client->stream, FAULT_NONE, "ended by this side");
        rpc_stream_cancel(client->stream);
    }
    // A stream that has finished stays for posts that were made meanwhile.
    while (client->loop.streams != NULL) rpc_loop_step(&client->loop, -1);
    rpc_loop_done(&client->loop);
    grpc_channel_credentials_release(client->credentials);
    free(client->target);
    free(client->authority);
    free(client->service);
    free(client);
}

// A channel for one attempt: gRPC's own back-off and its stale errors stay out of it, and the
// caller decides when to try again.
static grpc_channel *make_channel(struct rpc_client *client) {
    grpc_arg arguments[] = {
        rpc_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_SIZE_MAX),
        rpc_argument(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        rpc_argument(GRPC_ARG_KEEPALIVE_TIME_MS, RPC_KEEPALIVE_MS),
        rpc_argument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, RPC_KEEPALIVE_TIMEOUT_MS),
        rpc_argument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
        rpc_argument(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        rpc_argument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RPC_LOOKAHEAD_SIZE),
        rpc_argument(GRPC_ARG_ENABLE_RETRIES, 0),
        rpc_argument(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
        rpc_argument(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
        rpc_argument(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
        rpc_argument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
        {.type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)GRPC_ARG_DEFAULT_AUTHORITY},
    };
    size_t count = sizeof arguments / sizeof arguments[0];
    arguments[count - 1].value.string = client->authority;
    if (client->authority == NULL) count--;
    grpc_channel_args list = {count, arguments};
    return grpc_channel_create(client->target, client->credentials, &list);
}

static void on_begun(struct rpc_stream *stream) {
    struct rpc_client *client = stream->owner;
    client->callbacks.connected(client->context, stream);
}

static void on_finished(struct rpc_stream *stream, const struct fault *reason) {
    struct rpc_client *client = stream->owner;
    assert(client->stream == stream);
    client->stream = NULL;
    grpc_channel_destroy(client->channel);
    client->channel = NULL;
    struct fault told = *reason;
    int alert = rpc_handshake_alert_since(client->alerts);
    // Who was let in was not refused: an alert since then is another client's.
    if (!stream->is_begun && (stream->was_hung_up || alert >= 0)) {
        rpc_verifier_explain(client->verifier, &client->facts, client->target, alert, &told);
    }
    client->callbacks.closed(client->context, &told);
}

void rpc_client_connect(struct rpc_client *client) {
    assert(client->stream == NULL);
    if (client->is_ending) return;
    rpc_verifier_forget(client->verifier);
    client->alerts = rpc_handshake_alerts();
    client->channel = make_channel(client);
    grpc_slice method = grpc_slice_from_copied_string(client->service);
    grpc_call *call =
        grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->loop.queue,
                                 method, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_slice_unref(method);
    struct rpc_stream *stream = rpc_stream_create(&client->loop, call, true);
    if (stream == NULL) abort();
    stream->owner = client;
    stream->target = client->target;
    stream->on_begun = on_begun;
    stream->on_finished = on_finished;
    stream->listener = (struct rpc_listener){
        .message = client->callbacks.message,
        .sent = client->callbacks.sent,
        .context = client->context,
    };
    client->stream = stream;
    rpc_stream_begin(stream);
}

void rpc_client_step(struct rpc_client *client, int64_t wait_ms) {
    for (int events = 0; events < STEP_EVENTS_MAX; events++) {
        if (!rpc_loop_step(&client->loop, events == 0 ? wait_ms : 0)) return;
    }
}
