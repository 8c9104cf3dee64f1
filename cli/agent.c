// agent.c: orgtrail agent: how the agent on this machine is, and one that is gone for good.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rpc/rpc.h"
#include "base/rpc/rpc_local.h"
#include "cli/agent_socket.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/organization.h"
#include "cli/store.h"
#include "proto/control.pb-c.h"
#include "query/format.h"
#include "query/status_coverage.h"

enum { OPTION_JSON = 256, WAIT_MS = 10000, OUTPUT_SIZE_MAX = 1 << 20 };

struct options {
    struct store_choice store;  // forget; status takes the agent's --config and --socket
    const char *action;
    const char *subject;  // which agent, or who is forgotten
    bool is_json;
};

static const struct argp_option argument_options[] = {
    {"json", OPTION_JSON, 0, 0, "status: one JSON object", 0},
    {0},
};

static bool is_forget(const struct options *options) {
    return strcmp(options->action, "forget") == 0;
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            state->child_inputs[1] = &options->store;
            return 0;
        case OPTION_JSON:
            options->is_json = true;
            return 0;
        case ARGP_KEY_ARG:
            if (options->action == NULL) {
                options->action = argument;
                if (!is_forget(options) && strcmp(argument, "status") != 0)
                    argp_error(state, "unknown: \"agent %s\"; there are status and forget",
                               argument);
            } else if (options->subject == NULL) {
                options->subject = argument;
            } else {
                argp_error(state, "one %s only: \"%s\" is too much",
                           is_forget(options) ? "agent" : "place", argument);
            }
            return 0;
        case ARGP_KEY_END:
            if (options->action == NULL) argp_error(state, "what? there are status and forget");
            if (!is_forget(options) && options->store.directory != NULL)
                argp_error(state, "status is of an agent and knows no --store");
            if (is_forget(options) && options->subject == NULL)
                argp_error(state, "whom? its name as orgtrail status shows it: spiffe://...");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static const char *name_state(Orgtrail__V1__AgentStatusReply__State state) {
    if (state == ORGTRAIL__V1__AGENT_STATUS_REPLY__STATE__STREAMING) return "streaming";
    if (state == ORGTRAIL__V1__AGENT_STATUS_REPLY__STATE__CONNECTING) return "connecting";
    return "waiting";
}

// As agent/source/source.h numbers them.
static const char *name_source_state(uint32_t state) {
    static const char *const names[] = {"unknown", "ok", "idle", "degraded", "failed"};
    return names[state < sizeof names / sizeof names[0] ? state : 0];
}

// Text that came from elsewhere: nothing that steers a terminal goes through.
static void print_text(const char *text, struct buffer *output) {
    format_cell(span_text(text), UINT32_MAX, false, output);
}

static void print_people(const Orgtrail__V1__AgentStatusReply *reply, int64_t now_ms,
                         struct buffer *output) {
    char age[STATUS_AGE_SIZE];
    char expires[TIME_TEXT_SIZE];
    time_print(reply->certificate_expires_s, expires);
    status_print_age((now_ms - reply->started_ms) / 1000, age);
    buffer_print(output, "agent        %s, process %" PRIu64 ", up %s\n", reply->version,
                 reply->pid, age);
    buffer_print(output, "collector    %s, ", name_state(reply->state));
    print_text(reply->collector, output);
    if (reply->connected_ms != 0) {
        status_print_age((now_ms - reply->connected_ms) / 1000, age);
        buffer_print(output, ", for %s", age);
    }
    if (reply->last_error[0] != 0) {
        buffer_append_text(output, "\nlast error   ");
        print_text(reply->last_error, output);
    }
    buffer_print(output, "\ncertificate  until %s\n", expires);
    buffer_append_text(output, "spool        ");
    print_text(reply->spool_directory, output);
    buffer_print(output, ", %" PRIu64 " bytes%s\n", reply->spool_size,
                 reply->spool_full ? ", FULL: sources wait" : "");
    buffer_print(output, "position     %" PRIu64 " of %" PRIu64 " acknowledged, %" PRIu64 " wait\n",
                 reply->acknowledged, reply->appended, reply->appended - reply->acknowledged);
    buffer_print(output,
                 "since start  %" PRIu64 " records and %" PRIu64 " notices read, %" PRIu64
                 " left out, %" PRIu64 " sent, %" PRIu64 " duplicates, %" PRIu64
                 " quarantined, %" PRIu64 " gaps\n",
                 reply->records, reply->notices, reply->left_out, reply->sent, reply->duplicates,
                 reply->quarantined, reply->gaps);
    buffer_print(output, "\n%-20s %-9s %10s %8s %12s  %s\n", "SOURCE", "STATE", "RECORDS", "ERRORS",
                 "BEHIND", "LAST ERROR");
    for (size_t index = 0; index < reply->n_sources; index++) {
        const Orgtrail__V1__AgentSource *source = reply->sources[index];
        format_cell(span_text(source->name), 20, true, output);
        buffer_print(output, " %-9s %10" PRIu64 " %8" PRIu64 " %12" PRIu64 "  ",
                     name_source_state(source->state), source->records, source->errors,
                     source->bytes_behind);
        print_text(source->last_error, output);
        buffer_append_byte(output, '\n');
    }
}

static void print_member(const char *name, const char *text, struct buffer *output) {
    buffer_print(output, "\"%s\":", name);
    json_append_string(output, span_text(text));
    buffer_append_byte(output, ',');
}

static void print_json(const Orgtrail__V1__AgentStatusReply *reply, struct buffer *output) {
    char expires[TIME_TEXT_SIZE];
    char started[TIME_TEXT_SIZE];
    time_print(reply->certificate_expires_s, expires);
    time_print_ms(reply->started_ms, started);
    buffer_append_byte(output, '{');
    print_member("version", reply->version, output);
    print_member("started", started, output);
    print_member("collector", reply->collector, output);
    print_member("state", name_state(reply->state), output);
    print_member("last_error", reply->last_error, output);
    print_member("certificate_expires", expires, output);
    print_member("spool", reply->spool_directory, output);
    buffer_print(output,
                 "\"pid\":%" PRIu64 ",\"spool_size\":%" PRIu64
                 ",\"spool_full\":%s,\"appended\":%" PRIu64 ",\"acknowledged\":%" PRIu64
                 ",\"records\":%" PRIu64 ",\"notices\":%" PRIu64 ",\"left_out\":%" PRIu64
                 ",\"sent\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"quarantined\":%" PRIu64
                 ",\"gaps\":%" PRIu64 ",\"sources\":[",
                 reply->pid, reply->spool_size, reply->spool_full ? "true" : "false",
                 reply->appended, reply->acknowledged, reply->records, reply->notices,
                 reply->left_out, reply->sent, reply->duplicates, reply->quarantined, reply->gaps);
    for (size_t index = 0; index < reply->n_sources; index++) {
        const Orgtrail__V1__AgentSource *source = reply->sources[index];
        buffer_append_text(output, index > 0 ? ",{" : "{");
        print_member("name", source->name, output);
        print_member("state", name_source_state(source->state), output);
        print_member("last_error", source->last_error, output);
        buffer_print(output,
                     "\"records\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"bytes_behind\":%" PRIu64 "}",
                     source->records, source->errors, source->bytes_behind);
    }
    buffer_append_text(output, "]}\n");
}

static bool on_reply(void *user, struct span bytes) {
    Orgtrail__V1__AgentStatusReply **reply = user;
    if (*reply == NULL) {
        *reply = orgtrail__v1__agent_status_reply__unpack(NULL, bytes.size, bytes.bytes);
    }
    return true;
}

static bool ask(const struct options *options, Orgtrail__V1__AgentStatusReply **reply,
                struct fault *fault) {
    char found[ORGANIZATION_PATH_SIZE];
    const char *path = options->store.socket;
    if (path == NULL) {
        if (!agent_socket_find(options->store.config, options->subject, found, fault)) return false;
        path = found;
    }
    if (!rpc_init(fault)) return false;
    bool is_good = rpc_local_call(path, "/orgtrail.v1.AgentControl/Status", span_of("", 0),
                                  on_reply, reply, WAIT_MS, fault);
    rpc_done();
    if (!is_good) return agent_socket_explain(path, fault);
    if (*reply != NULL) return true;
    return fault_set(fault, FAULT_CORRUPT,
                     "the agent's answer cannot be read: is it of another version?");
}

static bool forget(const struct options *options, struct fault *fault) {
    Orgtrail__V1__ForgetRequest request = ORGTRAIL__V1__FORGET_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.name = (char *)(uintptr_t)options->subject;
    if (!control_ask_one(&options->store, "ForgetAgent", &request.base,
                         &orgtrail__v1__forget_reply__descriptor, &reply, fault)) {
        return false;
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    printf("%s is forgotten: it is told as silent no more, and its events stay\n",
           options->subject);
    return true;
}

static bool show(const struct options *options, struct fault *fault) {
    const struct clock *clock = clock_system();
    Orgtrail__V1__AgentStatusReply *reply = NULL;
    bool is_good = ask(options, &reply, fault);
    if (is_good) {
        struct buffer output;
        buffer_init(&output, OUTPUT_SIZE_MAX);
        if (options->is_json) {
            print_json(reply, &output);
        } else {
            print_people(reply, clock->now_ms(clock->context), &output);
        }
        is_good = !buffer_overflowed(&output) || fault_set(fault, FAULT_FULL, "no memory");
        if (is_good) fwrite(output.bytes, 1, output.size, stdout);
        buffer_done(&output);
    }
    if (reply != NULL) orgtrail__v1__agent_status_reply__free_unpacked(reply, NULL);
    return is_good;
}

int agent_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&store_socket_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "status [AGENT]\nforget NAME",
        .doc =
            "Status shows how the agent on this machine is: its session with the collector, its "
            "spool and its sources. AGENT is the folder of its bundle or of its spool, or its "
            "settings (also --config), " AGENT_SETTINGS_DEFAULT
            " unless given. Only the agent's user and root may ask. Forget, on the collector's "
            "machine, says that an agent will not come back, so that it is told as silent no "
            "more; NAME as orgtrail status shows it. Its events stay; if it connects all the same "
            "it is as it was, and orgtrail deny keeps it out.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    bool is_good = is_forget(&options) ? forget(&options, &fault) : show(&options, &fault);
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
