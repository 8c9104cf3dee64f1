#include "cli/control.h"

#include <stdio.h>

#include "base/buffer.h"
#include "base/rpc/rpc.h"
#include "base/rpc/rpc_local.h"
#include "cli/organization.h"

bool control_ask(const struct store_choice *choice, const char *method,
                 const ProtobufCMessage *request, bool (*on_reply)(void *user, struct span reply),
                 void *user, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    char name[128];
    if (!store_find_socket(choice, path, sizeof path, fault)) return false;
    snprintf(name, sizeof name, "/orgtrail.v1.Control/%s", method);
    struct buffer bytes;
    buffer_init(&bytes, RPC_MESSAGE_SIZE_MAX);
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = buffer_reserve(&bytes, size);
    bool is_good = packed != NULL || fault_set(fault, FAULT_INPUT, "the request is too large");
    if (is_good) {
        protobuf_c_message_pack(request, packed);
        is_good = rpc_init(fault);
    }
    if (is_good) {
        is_good = rpc_local_call(path, name, span_of(packed, size), on_reply, user, CONTROL_WAIT_MS,
                                 fault);
        rpc_done();
    }
    buffer_done(&bytes);
    return is_good;
}

// The one reply that is waited for.
struct expected {
    const ProtobufCMessageDescriptor *kind;
    ProtobufCMessage *message;
};

static bool on_one(void *user, struct span reply) {
    struct expected *expected = user;
    if (expected->message != NULL) return false;
    expected->message = protobuf_c_message_unpack(expected->kind, NULL, reply.size, reply.bytes);
    return true;
}

bool control_ask_one(const struct store_choice *choice, const char *method,
                     const ProtobufCMessage *request, const ProtobufCMessageDescriptor *kind,
                     ProtobufCMessage **reply, struct fault *fault) {
    struct expected expected = {.kind = kind};
    if (!control_ask(choice, method, request, on_one, &expected, fault)) {
        if (expected.message != NULL) protobuf_c_message_free_unpacked(expected.message, NULL);
        return false;
    }
    if (expected.message == NULL) {
        return fault_set(fault, FAULT_CORRUPT,
                         "the collector's answer cannot be read: is it of another version?");
    }
    *reply = expected.message;
    return true;
}
