#include "agent/control.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rpc/rpc_local.h"
#include "base/version.h"
#include "proto/control.pb-c.h"

enum { PATH_SIZE = 4096, GRACE_MS = 500 };

static const char METHOD[] = "/orgtrail.v1.AgentControl/Status";

// A packed reply. Whoever takes it out of `published` owns it.
struct answer {
    size_t size;
    uint8_t bytes[];
};

struct control {
    struct rpc_local *local;
    const struct agent_config *config;
    int64_t started_ms;
    _Atomic(struct answer *) published;
};

// ---- on the loop's thread

static Orgtrail__V1__AgentStatusReply__State state_of(const struct uplink_status *uplink) {
    switch (uplink->state) {
        case UPLINK_STREAMING:
            return ORGTRAIL__V1__AGENT_STATUS_REPLY__STATE__STREAMING;
        case UPLINK_CONNECTING:
        case UPLINK_GREETING:
            return ORGTRAIL__V1__AGENT_STATUS_REPLY__STATE__CONNECTING;
        case UPLINK_WAITING:
        case UPLINK_CLOSING:
            break;
    }
    return ORGTRAIL__V1__AGENT_STATUS_REPLY__STATE__WAITING;
}

// The sources of a reply, with what they borrow.
struct sources {
    struct source_status statuses[AGENT_CONFIG_SOURCES_MAX];
    Orgtrail__V1__AgentSource messages[AGENT_CONFIG_SOURCES_MAX];
    Orgtrail__V1__AgentSource *list[AGENT_CONFIG_SOURCES_MAX];
    uint32_t count;
};

static void fill_sources(struct agent *agent, struct sources *sources) {
    const char *name;
    while (sources->count < AGENT_CONFIG_SOURCES_MAX) {
        struct source_status *status = &sources->statuses[sources->count];
        if (!agent_describe_source(agent, sources->count, &name, status)) return;
        Orgtrail__V1__AgentSource *source = &sources->messages[sources->count];
        orgtrail__v1__agent_source__init(source);
        source->name = (char *)(uintptr_t)name;
        source->state = (uint32_t)status->state;
        source->records = status->events_read;
        source->errors = status->errors;
        source->bytes_behind = status->bytes_behind;
        source->last_error = status->last_error;
        sources->list[sources->count++] = source;
    }
}

static struct answer *pack(const ProtobufCMessage *message) {
    size_t size = protobuf_c_message_get_packed_size(message);
    struct answer *answer = malloc(sizeof *answer + size);
    if (answer == NULL) return NULL;
    answer->size = protobuf_c_message_pack(message, answer->bytes);
    return answer;
}

static struct answer *describe(const struct control *control, struct agent *agent) {
    struct agent_status status;
    struct sources sources = {.count = 0};
    Orgtrail__V1__AgentStatusReply reply = ORGTRAIL__V1__AGENT_STATUS_REPLY__INIT;
    agent_describe(agent, &status);
    reply.version = (char *)(uintptr_t)VERSION_TEXT;
    reply.pid = (uint64_t)getpid();
    reply.started_ms = control->started_ms;
    reply.collector = (char *)(uintptr_t)control->config->collector_address;
    reply.state = state_of(&status.uplink);
    reply.connected_ms = status.uplink.connected_at_ms;
    if (status.uplink.last_fault.kind != FAULT_NONE) {
        reply.last_error = status.uplink.last_fault.text;
    }
    reply.certificate_expires_s = status.certificate_expires_s;
    reply.spool_directory = (char *)(uintptr_t)control->config->spool_directory;
    reply.spool_size = status.spool.size;
    reply.spool_full = status.is_full;
    reply.appended = status.spool.appended;
    reply.acknowledged = status.spool.acknowledged;
    reply.records = status.records;
    reply.notices = status.notices;
    reply.left_out = status.left_out;
    reply.sent = status.uplink.events_sent;
    reply.duplicates = status.uplink.duplicates;
    reply.quarantined = status.uplink.quarantined;
    reply.gaps = status.uplink.gaps_sent;
    fill_sources(agent, &sources);
    reply.sources = sources.list;
    reply.n_sources = sources.count;
    return pack(&reply.base);
}

void control_update(struct control *control, struct agent *agent) {
    if (control == NULL) return;
    struct answer *answer = describe(control, agent);
    // Without memory the old one stays.
    if (answer != NULL) free(atomic_exchange(&control->published, answer));
}

// ---- on the socket's thread

static bool on_open(void *context, struct rpc_stream *stream, const struct rpc_caller *caller,
                    const char *method, void **stream_context, struct fault *fault) {
    (void)caller;
    if (strcmp(method, METHOD) != 0) {
        return fault_set(fault, FAULT_INPUT,
                         "this agent does not know %s: is it of an older version?", method);
    }
    // A call needs its control and its stream: the stream's file lives as long as the call.
    void **call = malloc(2 * sizeof *call);
    if (call == NULL) return fault_set(fault, FAULT_FULL, "no memory for a call");
    call[0] = context;
    call[1] = stream;
    *stream_context = call;
    return true;
}

static enum rpc_read on_message(void *stream_context, struct span message) {
    void **call = stream_context;
    struct control *control = call[0];
    (void)message;
    struct answer *answer = atomic_exchange(&control->published, NULL);
    if (answer == NULL) {
        rpc_stream_close(call[1], FAULT_RETRY, "the agent has nothing to say yet: try again");
        return RPC_PAUSE;
    }
    (void)rpc_stream_send(call[1], span_of(answer->bytes, answer->size));
    // Back in its place, unless a newer one has come meanwhile.
    struct answer *none = NULL;
    if (!atomic_compare_exchange_strong(&control->published, &none, answer)) free(answer);
    return RPC_READ_ON;
}

static void on_sent(void *stream_context) {
    void **call = stream_context;
    rpc_stream_close(call[1], FAULT_NONE, NULL);
}

static void on_closed(void *stream_context, const struct fault *reason) {
    (void)reason;
    free(stream_context);
}

// ---- start and stop

bool control_start(struct agent *agent, const struct agent_config *config, struct control **control,
                   struct fault *fault) {
    static const struct rpc_local_callbacks callbacks = {on_open, on_message, on_sent, on_closed};
    const struct clock *clock = clock_system();
    char path[PATH_SIZE];
    int size = snprintf(path, sizeof path, "%s/" CONTROL_SOCKET, config->spool_directory);
    if (size < 0 || (size_t)size >= sizeof path) {
        return fault_set(fault, FAULT_INPUT, "the path of the spool is too long for a socket");
    }
    struct control *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for the control socket");
    made->config = config;
    made->started_ms = clock->now_ms(clock->context);
    control_update(made, agent);
    const struct rpc_local_options options = {
        .path = path, .callbacks = &callbacks, .context = made};
    if (!rpc_local_start(&options, &made->local, fault)) {
        free(atomic_load(&made->published));
        free(made);
        return false;
    }
    *control = made;
    return true;
}

void control_stop(struct control *control) {
    if (control == NULL) return;
    rpc_local_stop(control->local, GRACE_MS);
    free(atomic_load(&control->published));
    free(control);
}
