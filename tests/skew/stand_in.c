#include "tests/skew/stand_in.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"

enum { PATH_SIZE = 4096, UNKNOWN_FIELD = 90 };

static bool take(struct stand_in *stand_in, const char *argument) {
    if (strncmp(argument, "--address=", 10) == 0) {
        stand_in->address = argument + 10;
    } else if (strncmp(argument, "--folder=", 9) == 0) {
        stand_in->folder = argument + 9;
    } else if (strncmp(argument, "--protocol=", 11) == 0) {
        stand_in->protocol = (uint32_t)strtoul(argument + 11, NULL, 10);
    } else if (strncmp(argument, "--behind=", 9) == 0) {
        stand_in->behind_ms = 1000 * strtoll(argument + 9, NULL, 10);
    } else if (strcmp(argument, "--next") == 0) {
        stand_in->is_next = true;
    } else if (strcmp(argument, "--wrong-chain") == 0) {
        stand_in->is_wrong = true;
    } else {
        return false;
    }
    return true;
}

static bool load(const struct stand_in *stand_in, const char *name, const char *suffix,
                 struct buffer *buffer, struct fault *fault) {
    char path[PATH_SIZE];
    int size = snprintf(path, sizeof path, "%s/%s.%s", stand_in->folder, name, suffix);
    if (size < 0 || size >= PATH_SIZE) return fault_set(fault, FAULT_INPUT, "path is too long");
    return files_read_whole(files_system(), path, STAND_IN_TEXT_SIZE, buffer, fault);
}

bool stand_in_open(struct stand_in *stand_in, const char *name, int argc, char **argv,
                   struct fault *fault) {
    *stand_in = (struct stand_in){.protocol = 1, .behind_ms = -1};
    buffer_init(&stand_in->ca, STAND_IN_TEXT_SIZE);
    buffer_init(&stand_in->certificate, STAND_IN_TEXT_SIZE);
    buffer_init(&stand_in->key, STAND_IN_TEXT_SIZE);
    buffer_init(&stand_in->message, STAND_IN_MESSAGE_SIZE);
    for (int index = 1; index < argc; index++) {
        if (take(stand_in, argv[index])) continue;
        return fault_set(fault, FAULT_INPUT, "cannot use \"%s\"", argv[index]);
    }
    if (stand_in->address == NULL || stand_in->folder == NULL) {
        return fault_set(fault, FAULT_INPUT, "--address=HOST:PORT and --folder=DIR are needed");
    }
    return load(stand_in, "ca", "pem", &stand_in->ca, fault) &&
           load(stand_in, name, "pem", &stand_in->certificate, fault) &&
           load(stand_in, name, "key", &stand_in->key, fault);
}

void stand_in_done(struct stand_in *stand_in) {
    buffer_done(&stand_in->ca);
    buffer_done(&stand_in->certificate);
    buffer_done(&stand_in->key);
    buffer_done(&stand_in->message);
}

struct rpc_credentials stand_in_credentials(const struct stand_in *stand_in) {
    return (struct rpc_credentials){
        .ca = buffer_span(&stand_in->ca),
        .certificate = buffer_span(&stand_in->certificate),
        .key = buffer_span(&stand_in->key),
    };
}

void stand_in_extend(const struct stand_in *stand_in, ProtobufCMessage *message) {
    static uint8_t bytes[] = {3, 'n', 'e', 'w'};
    static ProtobufCMessageUnknownField field = {
        .tag = UNKNOWN_FIELD,
        .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
        .len = sizeof bytes,
        .data = bytes,
    };
    if (!stand_in->is_next) return;
    message->n_unknown_fields = 1;
    message->unknown_fields = &field;
}

struct span stand_in_pack(struct stand_in *stand_in, const ProtobufCMessage *message) {
    buffer_reset(&stand_in->message);
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = buffer_reserve(&stand_in->message, size);
    assert(bytes != NULL);
    stand_in->message.size = protobuf_c_message_pack(message, bytes);
    return buffer_span(&stand_in->message);
}
