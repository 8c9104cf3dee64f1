// control.h: the collector's control socket, where an operator's command asks and changes things.
//
// A method of the service Control is a row in a table: a name and a function. The function is
// called on the socket's worker thread with the whole request and must not wait; it may answer at
// once or keep the call, hand it to another thread, and answer from there. Each call is ended
// exactly once, with control_call_end.
//
// Who may call what is decided here, before the function: whoever can open the socket file may
// read; methods that change anything need root, the collector's own user or the group of
// administrators.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum {
    CONTROL_GRACE_MS = 2000,                      // for calls under way when the collector stops
    CONTROL_PENDING_SIZE_MAX = 64 * 1024 * 1024,  // bytes of replies that wait for one caller
};

struct control;
struct control_call;

struct control_method {
    const char *name;  // "Status"
    bool is_change;
    // The call's request is checked by the function itself: bytes that cannot be decoded are
    // FAULT_INPUT.
    void (*run)(void *context, struct control_call *call);
};

struct control_options {
    const char *path;         // of the socket file
    const char *group;        // may open it; a group that does not exist: only the owner may
    const char *admin_group;  // may change things; a group that does not exist: only root
    const struct control_method *methods;  // borrowed
    uint32_t methods_count;
    void *context;  // for all methods
};

// Begins to serve. Faults as rpc_local_start.
MUST_CHECK bool control_start(const struct control_options *options, struct control **control,
                              struct fault *fault);

// Ends calls and frees it. Calls that another thread has kept may still be ended by it. NULL is
// allowed.
void control_stop(struct control *control);

// The bytes of the request; they live as long as the call.
struct span control_call_request(const struct control_call *call);

// Who calls, as a text for own events and logs: "root (uid 0)". Lives as long as the call.
const char *control_call_user(const struct control_call *call);

// [any] Sends a reply; the bytes are copied. False if the caller has gone or takes too long: no
// further one is wanted.
bool control_call_reply(struct control_call *call, struct span reply);

// [any] Ends the call, after the replies: in order if the fault is NULL, otherwise with it. The
// call is not to be used any more.
void control_call_end(struct control_call *call, const struct fault *fault);
