#include "agent/renewal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/rpc/rpc.h"

struct renewal {
    struct certificate_files files;
    struct rpc_client *client;
    int64_t until_ms;
    enum renewal_state state;
    struct fault fault;  // why it was refused
};

bool renewal_read(const struct agent_config *config, const char *uri, int64_t now_s,
                  struct certificate_files *read, struct fault *fault) {
    const struct certificate_paths paths = {config->ca_path, config->certificate_path,
                                            config->key_path};
    struct certificate_files found;
    if (!certificate_files_read(files_system(), &paths, CERTIFICATE_CLIENT, now_s, &found, fault)) {
        return false;
    }
    if (uri != NULL && strcmp(uri, found.facts.uri) != 0) {
        fault_set(
            fault, FAULT_INPUT,
            "%s is made out to %s, but this agent is %s: put the right one there, or stop the "
            "agent and give it another spool",
            config->certificate_path, found.facts.uri, uri);
        certificate_files_done(&found);
        return false;
    }
    *read = found;
    return true;
}

static void on_connected(void *context, struct rpc_stream *stream) {
    struct renewal *renewal = context;
    renewal->state = RENEWAL_ACCEPTED;
    rpc_stream_close(stream, FAULT_NONE, NULL);
}

static enum rpc_read on_message(void *context, struct span message) {
    (void)context;
    (void)message;
    return RPC_READ_ON;
}

static void on_sent(void *context) {
    (void)context;
}

static void on_closed(void *context, const struct fault *reason) {
    struct renewal *renewal = context;
    if (renewal->state != RENEWAL_TRYING) return;
    renewal->state = RENEWAL_REFUSED;
    renewal->fault = *reason;
}

bool renewal_begin(const struct agent_config *config, struct certificate_files *read,
                   int64_t monotonic_ms, struct renewal **renewal, struct fault *fault) {
    static const struct rpc_client_callbacks callbacks = {on_connected, on_message, on_sent,
                                                          on_closed};
    struct renewal *made = calloc(1, sizeof *made);
    if (made == NULL) {
        certificate_files_done(read);
        return fault_set(fault, FAULT_FULL, "out of memory for new certificates");
    }
    made->files = *read;
    made->until_ms = monotonic_ms + RENEWAL_MS;
    struct certificate_set set = certificate_files_set(&made->files);
    const struct rpc_client_options options = {
        .target = config->collector_address,
        .authority = config->collector_name,
        .service = RENEWAL_SERVICE,
        .credentials = {set.ca, set.certificate, set.key},
        .callbacks = &callbacks,
        .context = made,
    };
    if (!rpc_client_create(&options, &made->client, fault)) {
        renewal_destroy(made);
        return false;
    }
    rpc_client_connect(made->client);
    *renewal = made;
    return true;
}

enum renewal_state renewal_step(struct renewal *renewal, int64_t monotonic_ms,
                                struct fault *fault) {
    rpc_client_step(renewal->client, 0);
    if (renewal->state == RENEWAL_TRYING && monotonic_ms >= renewal->until_ms) {
        renewal->state = RENEWAL_REFUSED;
        fault_set(&renewal->fault, FAULT_RETRY, "the collector did not answer in %d s",
                  RENEWAL_MS / 1000);
    }
    if (renewal->state == RENEWAL_REFUSED) *fault = renewal->fault;
    return renewal->state;
}

void renewal_take(struct renewal *renewal, struct certificate_files *files) {
    assert(renewal->state == RENEWAL_ACCEPTED);
    *files = renewal->files;
    renewal->files = (struct certificate_files){0};
    renewal_destroy(renewal);
}

void renewal_destroy(struct renewal *renewal) {
    if (renewal == NULL) return;
    rpc_client_destroy(renewal->client);
    certificate_files_done(&renewal->files);
    free(renewal);
}
