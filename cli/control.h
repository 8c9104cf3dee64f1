// control.h: how a command speaks with the running collector, over its control socket.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "cli/store.h"
#include "proto/control.pb-c.h"

enum { CONTROL_WAIT_MS = 30000 };  // for the first answer, and between two

// Calls a method ("Status") of the collector that keeps the chosen store; each reply goes to
// on_reply as it came. FAULT_RETRY if no collector runs there, FAULT_DENIED without the right to
// ask; otherwise what the collector says.
MUST_CHECK bool control_ask(const struct store_choice *choice, const char *method,
                            const ProtobufCMessage *request,
                            bool (*on_reply)(void *user, struct span reply), void *user,
                            struct fault *fault);

// The same for a method with one reply of a known kind. The caller frees it with
// protobuf_c_message_free_unpacked.
MUST_CHECK bool control_ask_one(const struct store_choice *choice, const char *method,
                                const ProtobufCMessage *request,
                                const ProtobufCMessageDescriptor *kind, ProtobufCMessage **reply,
                                struct fault *fault);
