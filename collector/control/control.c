#include "collector/control/control.h"

#include <assert.h>
#include <grp.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rpc/rpc_local.h"

enum { NAME_SIZE = 64, USER_SIZE = 128, LOOKUP_SIZE = 16384 };

static const char SERVICE[] = "/orgtrail.v1.Control/";

struct control {
    struct rpc_local *local;
    struct control_options options;
    bool has_admin_group;
    gid_t admin_group;
};

struct reply {
    struct reply *next;
    struct control_call *call;
    size_t size;
    uint8_t bytes[];
};

// Two hold it: the stream until it is closed, and whoever answers until the end.
struct control_call {
    struct control *control;
    const struct control_method *method;
    struct rpc_stream *stream;
    char user[USER_SIZE];
    atomic_uint holders;
    atomic_bool is_gone;
    atomic_size_t pending_size;

    // The worker's.
    bool is_asked;
    uint8_t *request;
    size_t request_size;
    struct reply *replies;  // in order; the first is not under way yet
    struct reply **replies_end;
    bool is_sending;
    bool is_ended;
    struct fault fault;  // to end with
};

static bool find_group(const char *name, gid_t *group) {
    char memory[LOOKUP_SIZE];
    struct group entry;
    struct group *found = NULL;
    if (name == NULL || getgrnam_r(name, &entry, memory, sizeof memory, &found) != 0) return false;
    if (found == NULL) return false;
    *group = found->gr_gid;
    return true;
}

static void name_user(uid_t uid, char user[USER_SIZE]) {
    char memory[LOOKUP_SIZE];
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwuid_r(uid, &entry, memory, sizeof memory, &found) == 0 && found != NULL) {
        snprintf(user, USER_SIZE, "%.*s (uid %u)", NAME_SIZE, found->pw_name, (unsigned)uid);
    } else {
        snprintf(user, USER_SIZE, "uid %u", (unsigned)uid);
    }
}

static void let_go(struct control_call *call) {
    if (atomic_fetch_sub(&call->holders, 1) > 1) return;
    while (call->replies != NULL) {
        struct reply *reply = call->replies;
        call->replies = reply->next;
        free(reply);
    }
    rpc_stream_release(call->stream);
    free(call->request);
    free(call);
}

// ---- on the socket's worker

static bool may_change(const struct control *control, const struct rpc_caller *caller) {
    if (caller->uid == 0 || caller->uid == geteuid()) return true;
    return control->has_admin_group && rpc_caller_is_in(caller, control->admin_group);
}

static const struct control_method *find_method(const struct control *control, const char *name) {
    size_t size = sizeof SERVICE - 1;
    if (strncmp(name, SERVICE, size) != 0) return NULL;
    for (uint32_t index = 0; index < control->options.methods_count; index++) {
        const struct control_method *method = &control->options.methods[index];
        if (strcmp(name + size, method->name) == 0) return method;
    }
    return NULL;
}

static bool on_open(void *context, struct rpc_stream *stream, const struct rpc_caller *caller,
                    const char *name, void **stream_context, struct fault *fault) {
    struct control *control = context;
    const struct control_method *method = find_method(control, name);
    if (method == NULL) {
        return fault_set(fault, FAULT_INPUT,
                         "this collector does not know %s: is it of an older version?", name);
    }
    char user[USER_SIZE];
    name_user(caller->uid, user);
    if (method->is_change && !may_change(control, caller)) {
        LOG(LOG_WARNING, "a change was refused", log_text("method", method->name),
            log_text("user", user));
        return fault_set(fault, FAULT_DENIED,
                         "%s may not do this: be root or a member of the group %s", user,
                         control->options.admin_group);
    }
    struct control_call *call = calloc(1, sizeof *call);
    if (call == NULL) return fault_set(fault, FAULT_FULL, "no memory for a call");
    call->control = control;
    call->method = method;
    call->stream = stream;
    call->replies_end = &call->replies;
    memcpy(call->user, user, sizeof call->user);
    atomic_init(&call->holders, 1);
    rpc_stream_hold(stream);
    *stream_context = call;
    return true;
}

static enum rpc_read on_message(void *stream_context, struct span message) {
    struct control_call *call = stream_context;
    if (call->is_asked) {
        rpc_stream_close(call->stream, FAULT_INPUT, "a call has one request");
        return RPC_PAUSE;
    }
    call->is_asked = true;
    call->request = malloc(message.size + 1);
    if (call->request == NULL) {
        rpc_stream_close(call->stream, FAULT_FULL, "no memory for a request");
        return RPC_PAUSE;
    }
    memcpy(call->request, message.bytes, message.size);
    call->request_size = message.size;
    atomic_fetch_add(&call->holders, 1);
    call->method->run(call->control->options.context, call);
    return RPC_READ_ON;
}

// Sends what waits; the end once nothing does.
static void go_on(struct control_call *call) {
    if (call->is_sending) return;
    struct reply *reply = call->replies;
    if (reply != NULL) {
        call->is_sending = rpc_stream_send(call->stream, span_of(reply->bytes, reply->size));
        if (!call->is_sending) return;
        call->replies = reply->next;
        if (call->replies == NULL) call->replies_end = &call->replies;
        atomic_fetch_sub(&call->pending_size, reply->size);
        free(reply);
    } else if (call->is_ended) {
        rpc_stream_close(call->stream, call->fault.kind, call->fault.text);
    }
}

static void on_sent(void *stream_context) {
    struct control_call *call = stream_context;
    call->is_sending = false;
    go_on(call);
}

static void on_closed(void *stream_context, const struct fault *reason) {
    (void)reason;
    struct control_call *call = stream_context;
    atomic_store(&call->is_gone, true);
    let_go(call);
}

static void run_reply(void *argument, bool is_closed) {
    struct reply *reply = argument;
    struct control_call *call = reply->call;
    if (is_closed) {
        free(reply);
    } else {
        *call->replies_end = reply;
        call->replies_end = &reply->next;
        go_on(call);
    }
    let_go(call);
}

static void run_end(void *argument, bool is_closed) {
    struct control_call *call = argument;
    call->is_ended = true;
    if (!is_closed) go_on(call);
    let_go(call);
}

// ---- from any thread

struct span control_call_request(const struct control_call *call) {
    return span_of(call->request, call->request_size);
}

const char *control_call_user(const struct control_call *call) {
    return call->user;
}

bool control_call_reply(struct control_call *call, struct span bytes) {
    assert(bytes.size <= RPC_MESSAGE_SIZE_MAX);
    if (atomic_load(&call->is_gone)) return false;
    if (atomic_fetch_add(&call->pending_size, bytes.size) > CONTROL_PENDING_SIZE_MAX) return false;
    struct reply *reply = malloc(sizeof *reply + bytes.size);
    if (reply == NULL) return false;
    *reply = (struct reply){.call = call, .size = bytes.size};
    if (bytes.size > 0) memcpy(reply->bytes, bytes.bytes, bytes.size);
    atomic_fetch_add(&call->holders, 1);
    rpc_stream_post(call->stream, run_reply, reply);
    return true;
}

void control_call_end(struct control_call *call, const struct fault *fault) {
    if (fault != NULL) call->fault = *fault;
    rpc_stream_post(call->stream, run_end, call);
}

// ---- start and stop

bool control_start(const struct control_options *options, struct control **control,
                   struct fault *fault) {
    static const struct rpc_local_callbacks callbacks = {on_open, on_message, on_sent, on_closed};
    struct control *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for the control socket");
    made->options = *options;
    made->has_admin_group = find_group(options->admin_group, &made->admin_group);
    struct rpc_local_options local = {
        .path = options->path,
        .callbacks = &callbacks,
        .context = made,
    };
    local.has_group = find_group(options->group, &local.group);
    if (!rpc_local_start(&local, &made->local, fault)) {
        free(made);
        return fault_add(fault, "control.socket");
    }
    *control = made;
    return true;
}

void control_stop(struct control *control) {
    if (control == NULL) return;
    rpc_local_stop(control->local, CONTROL_GRACE_MS);
    free(control);
}
