// rpc_local.h: calls over a socket file on this machine; who calls is what the kernel says.
//
// The same streams as in rpc.h without TLS. A connection carries one call, so that the caller of a
// call is always the process that opened its connection (SO_PEERCRED, taken when it was accepted)
// and never another one that got the same descriptor later. All callbacks of a server run on its
// one worker thread; functions of rpc.h for streams hold as they stand there.

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/rpc/rpc.h"

enum {
    RPC_LOCAL_CONNECTIONS_MAX = 64,  // at a time; further ones are closed at once
    RPC_LOCAL_CALL_MS = 10000,       // a connection without a call is closed after this
    RPC_LOCAL_GROUPS_MAX = 1024,     // of a caller; further ones are not seen
};

struct rpc_local;

// The process at the other end when it connected. The groups are borrowed for the call of open.
struct rpc_caller {
    uid_t uid;
    gid_t gid;
    pid_t pid;
    const gid_t *groups;  // supplementary
    uint32_t groups_count;
};

// Whether the caller belongs to a group.
bool rpc_caller_is_in(const struct rpc_caller *caller, gid_t group);

struct rpc_local_callbacks {
    // A call came in. True accepts it and sets *stream_context; false refuses it with the fault.
    bool (*open)(void *context, struct rpc_stream *stream, const struct rpc_caller *caller,
                 const char *method, void **stream_context, struct fault *fault);
    // As in rpc_server_callbacks.
    enum rpc_read (*message)(void *stream_context, struct span message);
    void (*sent)(void *stream_context);
    void (*closed)(void *stream_context, const struct fault *reason);
};

struct rpc_local_options {
    const char *path;  // of the socket file; one that nobody serves any more is replaced
    bool has_group;    // the file belongs to `group` and its mode is 0660, otherwise 0600
    gid_t group;
    const struct rpc_local_callbacks *callbacks;
    void *context;
};

// Listens and serves. FAULT_RETRY if another process serves this path, FAULT_INPUT if the path is
// no place for a socket or holds another kind of file, FAULT_DENIED, FAULT_IO.
MUST_CHECK bool rpc_local_start(const struct rpc_local_options *options, struct rpc_local **local,
                                struct fault *fault);

// Removes the socket file, gives open calls grace_ms to end, closes the rest with FAULT_RETRY,
// waits until every closed callback has returned, frees it. NULL is allowed.
void rpc_local_stop(struct rpc_local *local, int64_t grace_ms);

// One call, from beginning to end: sends the request, gives each reply to on_reply (borrowed for
// the call; false: no more is wanted), waits at most wait_ms for the next message or the end.
// FAULT_RETRY if nobody serves the path or the server is silent, FAULT_DENIED if the file may not
// be opened; otherwise what the server ended the call with.
MUST_CHECK bool rpc_local_call(const char *path, const char *method, struct span request,
                               bool (*on_reply)(void *user, struct span reply), void *user,
                               int64_t wait_ms, struct fault *fault);
