#include "collector/operate.h"

#include <unistd.h>

#include "base/buffer.h"
#include "base/rpc/rpc.h"
#include "base/version.h"
#include "collector/metrics.h"
#include "proto/control.pb-c.h"

// Sends a message as the call's reply and ends the call.
static void answer(struct control_call *call, const ProtobufCMessage *message) {
    size_t size = protobuf_c_message_get_packed_size(message);
    struct fault fault;
    struct buffer buffer;
    buffer_init(&buffer, RPC_MESSAGE_SIZE_MAX);
    uint8_t *bytes = buffer_reserve(&buffer, size);
    if (bytes == NULL) {
        fault_set(&fault, FAULT_FULL, "the answer is too large");
        control_call_end(call, &fault);
    } else {
        protobuf_c_message_pack(message, bytes);
        control_call_reply(call, span_of(bytes, size));
        control_call_end(call, NULL);
    }
    buffer_done(&buffer);
}

static void run_status(void *context, struct control_call *call) {
    const struct operate *operate = context;
    Orgtrail__V1__StatusReply reply = ORGTRAIL__V1__STATUS_REPLY__INIT;
    const char *complaint = server_complaint(operate->server);
    server_measure(operate->server);
    reply.version = (char *)(uintptr_t)VERSION_TEXT;
    reply.pid = (uint64_t)getpid();
    reply.started_ms = operate->started_ms;
    if (complaint != NULL) reply.complaint = (char *)(uintptr_t)complaint;
    reply.streams = (uint32_t)metric_get(&metrics_table[METRICS_STREAMS], 0);
    reply.queued_batches = (uint32_t)metric_get(&metrics_table[METRICS_QUEUE_BATCHES], 0);
    reply.queued_bytes = (uint64_t)metric_get(&metrics_table[METRICS_QUEUE_BYTES], 0);
    reply.certificate_expires_s = metric_get(&metrics_table[METRICS_CERTIFICATE_EXPIRY], 0);
    answer(call, &reply.base);
}

const struct control_method operate_methods[] = {
    {"Status", false, run_status},
};
const uint32_t operate_methods_count = sizeof operate_methods / sizeof operate_methods[0];
