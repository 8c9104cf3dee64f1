#include <assert.h>
#include <grpc/grpc_posix.h>
#include <grpc/slice.h>
#include <stdlib.h>

#include "base/rpc/rpc_internal.h"

// One call under way. Its loop is stepped by the caller's thread alone.
struct local_call {
    struct rpc_stream *stream;  // NULL once it has finished
    bool (*on_reply)(void *user, struct span reply);
    void *user;
    bool is_unwanted;  // on_reply has had enough
    bool is_heard;     // something came since the last step
    struct fault reason;
};

static enum rpc_read on_message(void *context, struct span message) {
    struct local_call *call = context;
    call->is_heard = true;
    if (!call->is_unwanted && !call->on_reply(call->user, message)) {
        call->is_unwanted = true;
        rpc_stream_cancel(call->stream);
    }
    return RPC_READ_ON;
}

// The server ends the call. A half-close from our side would ask it to end before its last reply.
static void on_sent(void *context) {
    (void)context;
}

static void on_begun(struct rpc_stream *stream) {
    struct local_call *call = stream->owner;
    call->is_heard = true;
}

static void on_finished(struct rpc_stream *stream, const struct fault *reason) {
    struct local_call *call = stream->owner;
    call->stream = NULL;
    call->reason = *reason;
}

static void wait_patiently(struct local_call *call, struct rpc_loop *loop, int64_t wait_ms) {
    int64_t until_ms = rpc_now_ms() + wait_ms;
    while (call->stream != NULL) {
        int64_t left_ms = until_ms - rpc_now_ms();
        rpc_loop_step(loop, left_ms > 0 ? left_ms : 0);
        if (call->is_heard) until_ms = rpc_now_ms() + wait_ms;
        call->is_heard = false;
        if (rpc_now_ms() < until_ms) continue;
        if (call->stream != NULL) {
            rpc_stream_cancel(call->stream);
            while (call->stream != NULL) rpc_loop_step(loop, -1);
            fault_set(&call->reason, FAULT_RETRY, "no answer within %lld s",
                      (long long)(wait_ms / 1000));
        }
    }
}

static void run_call(struct local_call *call, grpc_channel *channel, const char *method,
                     struct span request, int64_t wait_ms) {
    struct rpc_loop loop;
    rpc_loop_init(&loop);
    grpc_slice name = grpc_slice_from_copied_string(method);
    grpc_call *made =
        grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, loop.queue, name, NULL,
                                 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_slice_unref(name);
    struct rpc_stream *stream = rpc_stream_create(&loop, made, true);
    if (stream == NULL) abort();
    stream->owner = call;
    stream->target = "the daemon";
    stream->on_begun = on_begun;
    stream->on_finished = on_finished;
    stream->listener = (struct rpc_listener){on_message, on_sent, call};
    call->stream = stream;
    rpc_stream_begin(stream);
    bool is_sent = rpc_stream_send(stream, request);
    assert(is_sent);
    wait_patiently(call, &loop, wait_ms);
    while (loop.streams != NULL) rpc_loop_step(&loop, -1);
    rpc_loop_done(&loop);
}

bool rpc_local_call(const char *path, const char *method, struct span request,
                    bool (*on_reply)(void *user, struct span reply), void *user, int64_t wait_ms,
                    struct fault *fault) {
    int descriptor = -1;
    if (!rpc_socket_connect(path, &descriptor, fault)) return false;
    grpc_arg arguments[] = {
        rpc_argument(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_SIZE_MAX),
        rpc_argument(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        rpc_argument(GRPC_ARG_ENABLE_RETRIES, 0),
        rpc_argument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
    };
    grpc_channel_args list = {sizeof arguments / sizeof arguments[0], arguments};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_channel *channel =
        grpc_channel_create_from_fd("localhost", descriptor, credentials, &list);
    struct local_call call = {.on_reply = on_reply, .user = user};
    run_call(&call, channel, method, request, wait_ms);
    grpc_channel_destroy(channel);
    grpc_channel_credentials_release(credentials);
    if (call.is_unwanted || call.reason.kind == FAULT_NONE) return true;
    return fault_set(fault, call.reason.kind, "%s", call.reason.text);
}
