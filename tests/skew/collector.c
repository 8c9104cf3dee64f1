// collector: a collector of another version. Prints who says Hello and every record it is sent, and
// acknowledges them, until its standard input ends. It keeps nothing.
//
//   collector --address=HOST:PORT --folder=DIR [--protocol=N] [--next]

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "event/chain.h"
#include "tests/skew/stand_in.h"

// Of one stream: what is to be said, and what was heard. The worker's.
struct session {
    struct stand_in *stand_in;
    struct rpc_stream *stream;
    bool owes_welcome;
    bool owes_novelty;
    bool owes_ack;
    uint64_t last_seq;
    uint8_t chain[CHAIN_SIZE];
};

static void pack_welcome(struct session *session, struct span *message) {
    static const uint8_t epoch[16] = {'s', 'k', 'e', 'w'};
    Skew__Welcome welcome = SKEW__WELCOME__INIT;
    welcome.protocol = session->stand_in->protocol;
    welcome.resume_seq = 1;
    welcome.collector_epoch.data = (uint8_t *)(uintptr_t)epoch;
    welcome.collector_epoch.len = sizeof epoch;
    welcome.session = 1;
    welcome.organization_id = (char *)(uintptr_t) "o-example123";
    stand_in_extend(session->stand_in, &welcome.base);
    Skew__CollectorMessage body = SKEW__COLLECTOR_MESSAGE__INIT;
    body.body_case = SKEW__COLLECTOR_MESSAGE__BODY_WELCOME;
    body.welcome = &welcome;
    *message = stand_in_pack(session->stand_in, &body.base);
}

// A message of a kind that only the next version knows.
static void pack_novelty(struct session *session, struct span *message) {
    Skew__CollectorMessage body = SKEW__COLLECTOR_MESSAGE__INIT;
    stand_in_extend(session->stand_in, &body.base);
    *message = stand_in_pack(session->stand_in, &body.base);
}

static void pack_ack(struct session *session, struct span *message) {
    Skew__Ack ack = SKEW__ACK__INIT;
    ack.durable_seq = session->last_seq;
    ack.chain.data = session->chain;
    ack.chain.len = sizeof session->chain;
    stand_in_extend(session->stand_in, &ack.base);
    Skew__CollectorMessage body = SKEW__COLLECTOR_MESSAGE__INIT;
    body.body_case = SKEW__COLLECTOR_MESSAGE__BODY_ACK;
    body.ack = &ack;
    *message = stand_in_pack(session->stand_in, &body.base);
}

static void speak(struct session *session) {
    struct span message;
    bool *owes = session->owes_welcome   ? &session->owes_welcome
                 : session->owes_novelty ? &session->owes_novelty
                 : session->owes_ack     ? &session->owes_ack
                                         : NULL;
    if (owes == NULL) return;
    if (owes == &session->owes_welcome) {
        pack_welcome(session, &message);
    } else if (owes == &session->owes_novelty) {
        pack_novelty(session, &message);
    } else {
        pack_ack(session, &message);
    }
    if (rpc_stream_send(session->stream, message)) *owes = false;
}

// One stream at a time is enough here.
static bool on_open(void *context, struct rpc_stream *stream, const struct rpc_peer *peer,
                    void **stream_context, struct fault *fault) {
    static struct session session;
    (void)peer;
    (void)fault;
    session = (struct session){.stand_in = context, .stream = stream};
    *stream_context = &session;
    return true;
}

static void take_batch(struct session *session, const Skew__EventBatch *batch) {
    for (size_t index = 0; index < batch->n_events; index++) {
        const Skew__Event *event = batch->events[index];
        struct span record = span_of(event->record.data, event->record.len);
        chain_advance(session->chain, event->kind == SKEW__EVENT__KIND__NOTICE, record);
        printf("record: %.*s\n", SPAN_PRINT(record));
    }
    session->last_seq = batch->first_seq + batch->n_events - 1;
    session->owes_ack = true;
}

static enum rpc_read on_message(void *stream_context, struct span bytes) {
    struct session *session = stream_context;
    Skew__AgentMessage *message = skew__agent_message__unpack(NULL, bytes.size, bytes.bytes);
    if (message == NULL) {
        rpc_stream_close(session->stream, FAULT_INPUT, "undecodable message");
        return RPC_READ_ON;
    }
    if (message->body_case == SKEW__AGENT_MESSAGE__BODY_HELLO) {
        const Skew__Hello *hello = message->hello;
        printf("hello: protocol %" PRIu32 ", stream of %zu bytes, numbers %" PRIu64 " to %" PRIu64
               "\n",
               hello->protocol, hello->stream_id.len, hello->first_seq, hello->next_seq);
        session->owes_welcome = true;
        session->owes_novelty = session->stand_in->is_next;
    } else if (message->body_case == SKEW__AGENT_MESSAGE__BODY_BATCH) {
        take_batch(session, message->batch);
    }
    skew__agent_message__free_unpacked(message, NULL);
    fflush(stdout);
    speak(session);
    return RPC_READ_ON;
}

static void on_sent(void *stream_context) {
    speak(stream_context);
}

static void on_closed(void *stream_context, const struct fault *reason) {
    (void)stream_context;
    printf("closed: %s\n", reason->text);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static const struct rpc_server_callbacks callbacks = {
        .open = on_open, .message = on_message, .sent = on_sent, .closed = on_closed};
    static struct stand_in stand_in;
    struct fault fault = {.kind = FAULT_NONE};
    struct rpc_server *server = NULL;
    if (!stand_in_open(&stand_in, "collector", argc, argv, &fault) || !rpc_init(&fault)) {
        fprintf(stderr, "collector: %s\n", fault.text);
        return 2;
    }
    struct rpc_server_options options = {
        .listen = stand_in.address,
        .service = "/orgtrail.v1.Collector/Stream",
        .credentials = stand_in_credentials(&stand_in),
        .callbacks = &callbacks,
        .context = &stand_in,
        .streams_max = 4,
    };
    if (!rpc_server_start(&options, &server, &fault)) {
        fprintf(stderr, "collector: %s\n", fault.text);
        return 2;
    }
    printf("port: %u\n", rpc_server_port(server));
    fflush(stdout);
    while (getchar() != EOF) continue;
    rpc_server_stop(server, 0);
    rpc_done();
    stand_in_done(&stand_in);
    return 0;
}
