#include "collector/operate.h"

#include <stdlib.h>
#include <string.h>
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

// A request for a change of the deny list, on its way to the main thread and back.
struct deny_call {
    struct reload_request request;
    struct control_call *call;
};

static void on_denied(struct reload_request *request, struct span text, const struct fault *fault) {
    struct deny_call *deny = (struct deny_call *)request;
    if (fault == NULL) {
        Orgtrail__V1__DenyReply reply = ORGTRAIL__V1__DENY_REPLY__INIT;
        reply.text = (ProtobufCBinaryData){text.size, (uint8_t *)(uintptr_t)text.bytes};
        answer(deny->call, &reply.base);
    } else {
        control_call_end(deny->call, fault);
    }
    free(deny);
}

static void ask_deny(struct operate *operate, struct control_call *call,
                     enum reload_change change) {
    struct fault fault;
    struct span bytes = control_call_request(call);
    struct deny_call *deny = calloc(1, sizeof *deny);
    Orgtrail__V1__DenyRequest *request =
        orgtrail__v1__deny_request__unpack(NULL, bytes.size, bytes.bytes);
    if (request == NULL || deny == NULL) {
        fault_set(&fault, FAULT_INPUT, "the request cannot be read");
    } else if (strlen(request->entry) >= sizeof deny->request.entry ||
               strlen(request->note) >= sizeof deny->request.note) {
        fault_set(&fault, FAULT_INPUT, "an entry has at most %d bytes, a note %d",
                  DENY_ENTRY_SIZE - 1, DENY_NOTE_SIZE_MAX);
    } else {
        memcpy(deny->request.entry, request->entry, strlen(request->entry));
        memcpy(deny->request.note, request->note, strlen(request->note));
        deny->request.change = change;
        deny->request.who = control_call_user(call);
        deny->request.done = on_denied;
        deny->call = call;
        if (reload_ask(operate->reload, &deny->request)) {
            orgtrail__v1__deny_request__free_unpacked(request, NULL);
            return;
        }
        fault_set(&fault, FAULT_RETRY, "too many requests wait");
    }
    if (request != NULL) orgtrail__v1__deny_request__free_unpacked(request, NULL);
    free(deny);
    control_call_end(call, &fault);
}

static void run_deny_list(void *context, struct control_call *call) {
    ask_deny(context, call, RELOAD_DENY_LIST);
}

static void run_deny_add(void *context, struct control_call *call) {
    ask_deny(context, call, RELOAD_DENY_ADD);
}

static void run_deny_remove(void *context, struct control_call *call) {
    ask_deny(context, call, RELOAD_DENY_REMOVE);
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
    {"DenyList", false, run_deny_list},
    {"DenyAdd", true, run_deny_add},
    {"DenyRemove", true, run_deny_remove},
};
const uint32_t operate_methods_count = sizeof operate_methods / sizeof operate_methods[0];
