#include "collector/control/operate.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/rpc/rpc.h"
#include "base/version.h"
#include "collector/append/append_change.h"
#include "collector/append/append_disk.h"
#include "collector/append/append_quarantine.h"
#include "collector/control/operate_keys.h"
#include "collector/control/roster_reload.h"
#include "collector/metrics.h"
#include "proto/control.pb-c.h"

enum {
    STATUS_AGENTS_MAX = 4096,         // of one reply
    STATUS_REPLY_SIZE = 1024 * 1024,  // bytes of them
};

// Sends a message as one of the call's replies. False: it is too large, or the caller has gone.
static bool send_reply(struct control_call *call, const ProtobufCMessage *message) {
    size_t size = protobuf_c_message_get_packed_size(message);
    struct buffer buffer;
    buffer_init(&buffer, RPC_MESSAGE_SIZE_MAX);
    uint8_t *bytes = buffer_reserve(&buffer, size);
    bool is_sent = bytes != NULL;
    if (is_sent) {
        protobuf_c_message_pack(message, bytes);
        is_sent = control_call_reply(call, span_of(bytes, size));
    }
    buffer_done(&buffer);
    return is_sent;
}

// Sends a message as the call's reply and ends the call.
static void answer(struct control_call *call, const ProtobufCMessage *message) {
    struct fault fault;
    if (send_reply(call, message)) {
        control_call_end(call, NULL);
    } else {
        fault_set(&fault, FAULT_FULL, "the answer is too large");
        control_call_end(call, &fault);
    }
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

// A call for status while the list of streams is visited.
struct status_visit {
    struct server_visit visit;  // first: the status is found from it
    struct control_call *call;
    struct buffer texts;  // of the agents that wait to be sent
    ProtobufCBinaryData agents[STATUS_AGENTS_MAX];
    size_t agents_count;
};

// Sends the agents that wait, as a reply of their own.
static void send_agents(struct status_visit *status) {
    Orgtrail__V1__StatusReply reply = ORGTRAIL__V1__STATUS_REPLY__INIT;
    size_t offset = 0;
    for (size_t index = 0; index < status->agents_count; index++) {
        status->agents[index].data = status->texts.bytes + offset;
        offset += status->agents[index].len;
    }
    reply.agents = status->agents;
    reply.n_agents = status->agents_count;
    if (status->agents_count > 0) send_reply(status->call, &reply.base);
    status->agents_count = 0;
    buffer_reset(&status->texts);
}

static void on_agent(struct server_visit *visit, struct span live) {
    struct status_visit *status = (struct status_visit *)visit;
    if (status->agents_count == STATUS_AGENTS_MAX ||
        status->texts.size + live.size > STATUS_REPLY_SIZE) {
        send_agents(status);
    }
    buffer_append(&status->texts, live);
    if (!buffer_overflowed(&status->texts)) {
        status->agents[status->agents_count++].len = live.size;
    }
}

static void on_agents_done(struct server_visit *visit) {
    struct status_visit *status = (struct status_visit *)visit;
    send_agents(status);
    control_call_end(status->call, NULL);
    buffer_done(&status->texts);
    free(status);
}

// What the metrics say is wrong, in words.
struct wrongs {
    char texts[8][160];
    char *list[8];
    size_t count;
};

__attribute__((format(printf, 2, 3))) static void add_wrong(struct wrongs *wrongs,
                                                            const char *format, ...) {
    assert(wrongs->count < sizeof wrongs->list / sizeof wrongs->list[0]);
    va_list arguments;
    va_start(arguments, format);
    char *text = wrongs->texts[wrongs->count];
    (void)vsnprintf(text, sizeof wrongs->texts[0], format, arguments);
    va_end(arguments);
    wrongs->list[wrongs->count++] = text;
}

// Of all values of its label.
static int64_t sum(enum metrics_index index) {
    int64_t all = 0;
    for (uint32_t label = 0; label < METRIC_LABELS_MAX; label++) {
        all += metric_get(&metrics_table[index], label);
    }
    return all;
}

static void find_alarms(struct wrongs *wrongs) {
    int64_t size = metric_get(&metrics_table[METRICS_DISK], 0);
    int64_t free_size = metric_get(&metrics_table[METRICS_DISK_FREE], 0);
    int64_t left_s = metric_get(&metrics_table[METRICS_DISK_LEFT], 0);
    int64_t failing = metric_get(&metrics_table[METRICS_FOLLOWERS_FAILING], 0);
    int64_t targets = metric_get(&metrics_table[METRICS_TARGETS_FAILING], 0);
    if (free_size < size / 100 * APPEND_DISK_LOW_PERCENT)
        add_wrong(wrongs, "less than a tenth of the store's disk is free");
    if (left_s >= 0)
        add_wrong(wrongs,
                  "the store's disk will be full in %" PRId64
                  " hours: lookup --event-name "
                  "DiskFullSoon",
                  left_s / 3600);
    if (metric_get(&metrics_table[METRICS_SLOW_STORE], 0) != 0)
        add_wrong(wrongs, "commits take longer than a second: the store's disk is slow");
    if (failing > 0)
        add_wrong(wrongs, "%" PRId64 " %s: lookup --event-name FollowerFails", failing,
                  failing == 1 ? "trail cannot deliver" : "trails cannot deliver");
    if (targets > 0)
        add_wrong(wrongs, "%" PRId64 " %s not told of files: lookup --event-name TargetFails",
                  targets, targets == 1 ? "target is" : "targets are");
}

static void find_warnings(struct wrongs *wrongs) {
    int64_t refused = metric_get(&metrics_table[METRICS_STREAMS_REFUSED], FAULT_DENIED);
    int64_t different = metric_get(&metrics_table[METRICS_STREAMS_ENDED], FAULT_CORRUPT);
    int64_t left_out = sum(METRICS_LOG_GROUP_LEFT_OUT);
    if (refused > 0)
        add_wrong(wrongs,
                  "%" PRId64
                  " %s refused since the start: lookup --event-name "
                  "StreamRefused",
                  refused, refused == 1 ? "stream was" : "streams were");
    if (different > 0)
        add_wrong(wrongs,
                  "%" PRId64
                  " %s a spool that is not the one before, since the start: "
                  "lookup --event-name SpoolDiffers",
                  different, different == 1 ? "stream brought" : "streams brought");
    if (left_out > 0)
        add_wrong(wrongs,
                  "%" PRId64
                  " %s left out of a log group since the start: lookup --event-name "
                  "EventsLeftOut",
                  left_out, left_out == 1 ? "event was" : "events were");
}

static void run_status(void *context, struct control_call *call) {
    const struct operate *operate = context;
    Orgtrail__V1__StatusReply reply = ORGTRAIL__V1__STATUS_REPLY__INIT;
    const char *complaint = server_complaint(operate->server);
    server_measure(operate->server);
    reply.version = (char *)(uintptr_t)VERSION_TEXT;
    reply.pid = (uint64_t)getpid();
    reply.started_ms = operate->started_ms;
    reply.disk_free_min = operate->free_min;
    if (complaint != NULL) reply.complaint = (char *)(uintptr_t)complaint;
    reply.streams = (uint32_t)metric_get(&metrics_table[METRICS_STREAMS], 0);
    reply.queued_batches = (uint32_t)metric_get(&metrics_table[METRICS_QUEUE_BATCHES], 0);
    reply.queued_bytes = (uint64_t)metric_get(&metrics_table[METRICS_QUEUE_BYTES], 0);
    reply.certificate_expires_s = metric_get(&metrics_table[METRICS_CERTIFICATE_EXPIRY], 0);
    reply.throttled = (uint32_t)metric_get(&metrics_table[METRICS_AGENTS_THROTTLED], 0);
    reply.stuck_readers = (uint32_t)metric_get(&metrics_table[METRICS_STUCK_READERS], 0);
    reply.damaged_parts = (uint32_t)metric_get(&metrics_table[METRICS_DAMAGED_PARTS], 0);
    reply.mismatched_texts = (uint64_t)metric_get(&metrics_table[METRICS_MISMATCHED_TEXTS], 0);
    reply.lost_own_events = (uint64_t)metric_get(&metrics_table[METRICS_LOST_NOTES], 0);
    struct wrongs alarms = {.count = 0};
    struct wrongs warnings = {.count = 0};
    find_alarms(&alarms);
    find_warnings(&warnings);
    reply.alarms = alarms.list;
    reply.n_alarms = alarms.count;
    reply.warnings = warnings.list;
    reply.n_warnings = warnings.count;
    struct status_visit *status = calloc(1, sizeof *status);
    if (status == NULL) {
        answer(call, &reply.base);
        return;
    }
    send_reply(call, &reply.base);
    status->visit = (struct server_visit){on_agent, on_agents_done};
    status->call = call;
    buffer_init(&status->texts, RPC_MESSAGE_SIZE_MAX);
    if (!server_visit(operate->server, &status->visit)) on_agents_done(&status->visit);
}

// Ends a call with a fault of our own words.
static void refuse(struct control_call *call, enum fault_kind kind, const char *text) {
    struct fault fault;
    fault_set(&fault, kind, "%s", text);
    control_call_end(call, &fault);
}

// ---- reload: main does it

static void run_reload(void *context, struct control_call *call) {
    const struct operate *operate = context;
    if (!queue_push(operate->reloads, call, 1)) {
        refuse(call, FAULT_RETRY, "too many ask for this: try again");
        return;
    }
    // What main waits for.
    if (kill(getpid(), SIGUSR1) != 0) abort();
}

void operate_end_reload(struct control_call *call, const struct roster_changes *changes,
                        const struct fault *fault) {
    if (fault != NULL) {
        control_call_end(call, fault);
        return;
    }
    Orgtrail__V1__ReloadReply reply = ORGTRAIL__V1__RELOAD_REPLY__INIT;
    reply.accounts = changes->accounts;
    reply.added = changes->added;
    reply.removed = changes->removed;
    reply.changed = changes->changed;
    reply.retried = changes->retried;
    reply.waiting = (char *)(uintptr_t)changes->waiting;
    answer(call, &reply.base);
}

// ---- quarantine: the writer does it

static void on_quarantine_done(void *context, const struct append_quarantine_counts *counts,
                               const struct fault *fault) {
    struct control_call *call = context;
    if (fault != NULL) {
        control_call_end(call, fault);
        return;
    }
    Orgtrail__V1__QuarantineReply reply = ORGTRAIL__V1__QUARANTINE_REPLY__INIT;
    reply.entries = counts->entries;
    reply.missing = counts->missing;
    reply.admitted = counts->admitted;
    reply.unchanged = counts->unchanged;
    reply.other = counts->other;
    reply.discarded = counts->discarded;
    reply.records = counts->records;
    reply.stored = counts->stored;
    reply.bytes = counts->bytes;
    answer(call, &reply.base);
}

// The keys of a request in one piece; NULL if it is not good.
static uint8_t (
    *copy_keys(const Orgtrail__V1__QuarantineRequest *request))[TRAIL_REFUSED_KEY_SIZE] {
    if (request->n_keys == 0 || request->n_keys > APPEND_QUARANTINE_KEYS_MAX) return NULL;
    uint8_t(*keys)[TRAIL_REFUSED_KEY_SIZE] = malloc(request->n_keys * sizeof *keys);
    for (size_t index = 0; keys != NULL && index < request->n_keys; index++) {
        if (request->keys[index].len != TRAIL_REFUSED_KEY_SIZE) {
            free(keys);
            return NULL;
        }
        memcpy(keys[index], request->keys[index].data, TRAIL_REFUSED_KEY_SIZE);
    }
    return keys;
}

static void change_quarantine(const struct operate *operate, struct control_call *call,
                              bool is_discard) {
    struct span bytes = control_call_request(call);
    Orgtrail__V1__QuarantineRequest *request =
        orgtrail__v1__quarantine_request__unpack(NULL, bytes.size, bytes.bytes);
    uint8_t(*keys)[TRAIL_REFUSED_KEY_SIZE] = request == NULL ? NULL : copy_keys(request);
    if (keys == NULL) {
        refuse(call, FAULT_INPUT, "a request without keys of 32 bytes, or with more than 50,000");
    } else {
        const struct append_quarantine_options options = {
            .is_discard = is_discard,
            .keys = (const uint8_t(*)[TRAIL_REFUSED_KEY_SIZE])keys,
            .keys_count = (uint32_t)request->n_keys,
            .user = control_call_user(call),
            .organization = operate->settings->organization,
            .roster = operate->roster,
            .future_max_s = (int64_t)operate->settings->future_max_hours * 3600,
            .done = on_quarantine_done,
            .context = call,
        };
        struct fault fault;
        if (!append_quarantine_submit(server_append(operate->server), &options, &fault)) {
            control_call_end(call, &fault);
        }
    }
    free(keys);
    if (request != NULL) orgtrail__v1__quarantine_request__free_unpacked(request, NULL);
}

static void run_retry(void *context, struct control_call *call) {
    change_quarantine(context, call, false);
}

static void run_discard(void *context, struct control_call *call) {
    change_quarantine(context, call, true);
}

// ---- what is forgotten: the writer does it

static void on_changed(void *context, const struct fault *fault) {
    struct control_call *call = context;
    if (fault != NULL) {
        control_call_end(call, fault);
        return;
    }
    Orgtrail__V1__ForgetReply reply = ORGTRAIL__V1__FORGET_REPLY__INIT;
    answer(call, &reply.base);
}

static void forget(const struct operate *operate, struct control_call *call,
                   enum append_change_kind kind) {
    struct span bytes = control_call_request(call);
    Orgtrail__V1__ForgetRequest *request =
        orgtrail__v1__forget_request__unpack(NULL, bytes.size, bytes.bytes);
    if (request == NULL) {
        refuse(call, FAULT_INPUT, "the request cannot be read");
        return;
    }
    const struct append_change_options options = {
        .kind = kind,
        .name = request->name,
        .user = control_call_user(call),
        .done = on_changed,
        .context = call,
    };
    struct fault fault;
    if (!append_change_submit(server_append(operate->server), &options, &fault)) {
        control_call_end(call, &fault);
    }
    orgtrail__v1__forget_request__free_unpacked(request, NULL);
}

static void run_drop_follower(void *context, struct control_call *call) {
    forget(context, call, APPEND_CHANGE_DROP_FOLLOWER);
}

static void run_forget_agent(void *context, struct control_call *call) {
    forget(context, call, APPEND_CHANGE_FORGET_AGENT);
}

const struct control_method operate_methods[] = {
    {"Status", false, run_status},
    {"DenyList", false, run_deny_list},
    {"DenyAdd", true, run_deny_add},
    {"DenyRemove", true, run_deny_remove},
    {"Reload", true, run_reload},
    {"RetryQuarantine", true, run_retry},
    {"DiscardQuarantine", true, run_discard},
    {"DropFollower", true, run_drop_follower},
    {"ForgetAgent", true, run_forget_agent},
    {"KeyList", false, operate_run_key_list},
    {"KeyCreate", true, operate_run_key_create},
    {"KeyChange", true, operate_run_key_change},
};
const uint32_t operate_methods_count = sizeof operate_methods / sizeof operate_methods[0];
