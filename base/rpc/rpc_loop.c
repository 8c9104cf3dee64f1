#include <assert.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/rpc/rpc_internal.h"

grpc_arg rpc_argument(const char *name, int value) {
    grpc_arg argument = {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)name};
    argument.value.integer = value;
    return argument;
}

void rpc_loop_init(struct rpc_loop *loop) {
    *loop = (struct rpc_loop){.check_ms = INT64_MAX};
    loop->queue = grpc_completion_queue_create_for_next(NULL);
    buffer_init(&loop->inbox, RPC_MESSAGE_SIZE_MAX);
}

void rpc_loop_done(struct rpc_loop *loop) {
    assert(loop->streams == NULL);
    grpc_completion_queue_shutdown(loop->queue);
    grpc_event event =
        grpc_completion_queue_next(loop->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    assert(event.type == GRPC_QUEUE_SHUTDOWN);
    grpc_completion_queue_destroy(loop->queue);
    buffer_done(&loop->inbox);
}

int64_t rpc_now_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

// Cancels the streams whose peers did not take the end in time.
static void check_lingering(struct rpc_loop *loop) {
    int64_t now = rpc_now_ms();
    if (now < loop->check_ms) return;
    loop->check_ms = INT64_MAX;
    for (struct rpc_stream *stream = loop->streams; stream != NULL; stream = stream->next) {
        if (stream->linger_until_ms <= now) rpc_stream_cancel(stream);
        if (stream->linger_until_ms < loop->check_ms) loop->check_ms = stream->linger_until_ms;
    }
}

static gpr_timespec deadline_of(const struct rpc_loop *loop, int64_t wait_ms) {
    if (loop->check_ms != INT64_MAX) {
        int64_t left_ms = loop->check_ms - rpc_now_ms();
        if (left_ms < 0) left_ms = 0;
        if (wait_ms < 0 || left_ms < wait_ms) wait_ms = left_ms;
    }
    if (wait_ms < 0) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (wait_ms == 0) return gpr_inf_past(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait_ms, GPR_TIMESPAN));
}

bool rpc_loop_step(struct rpc_loop *loop, int64_t wait_ms) {
    if (loop->check_ms != INT64_MAX) check_lingering(loop);
    grpc_event event = grpc_completion_queue_next(loop->queue, deadline_of(loop, wait_ms), NULL);
    assert(event.type != GRPC_QUEUE_SHUTDOWN);
    if (event.type == GRPC_QUEUE_TIMEOUT) return false;
    struct rpc_tag *tag = event.tag;
    __tsan_acquire(tag);
    tag->done(tag, event.success != 0);
    return true;
}

void rpc_loop_end_streams(struct rpc_loop *loop) {
    struct rpc_stream *stream = loop->streams;
    while (stream != NULL) {
        struct rpc_stream *next = stream->next;
        rpc_stream_end(stream, FAULT_RETRY, "the server is stopping");
        rpc_stream_settle(stream);
        stream = next;
    }
}
