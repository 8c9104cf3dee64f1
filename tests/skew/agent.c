// agent: an agent of another version. Sends the lines of standard input as one batch, waits until
// they are acknowledged, and prints what the collector said.
//
//   agent --address=HOST:PORT --folder=DIR [--protocol=N] [--next] [--behind=SECONDS]
//         [--wrong-chain]

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/chain.h"
#include "tests/skew/stand_in.h"

enum { LINES_MAX = 500, PATIENCE_MS = 20000 };

enum step { SAY_HELLO, AWAIT_WELCOME, SAY_NOVELTY, SEND_BATCH, AWAIT_ACK, DONE };

struct agent {
    struct stand_in stand_in;
    struct rpc_stream *stream;
    enum step step;
    char *lines[LINES_MAX];
    size_t lines_count;
    uint64_t resume;  // what the collector expects
    bool is_over;
    bool is_good;
};

static void pack_hello(struct agent *agent, struct span *message) {
    static const uint8_t stream_id[16] = {'s', 'k', 'e', 'w'};
    Skew__Hello hello = SKEW__HELLO__INIT;
    hello.protocol = agent->stand_in.protocol;
    hello.stream_id.data = (uint8_t *)(uintptr_t)stream_id;
    hello.stream_id.len = sizeof stream_id;
    hello.first_seq = 1;
    hello.next_seq = agent->lines_count + 1;
    const struct clock *clock = clock_system();
    int64_t behind_ms = agent->stand_in.behind_ms;
    if (behind_ms >= 0) hello.sent_at_ms = clock->now_ms(clock->context) - behind_ms;
    stand_in_extend(&agent->stand_in, &hello.base);
    Skew__AgentMessage body = SKEW__AGENT_MESSAGE__INIT;
    body.body_case = SKEW__AGENT_MESSAGE__BODY_HELLO;
    body.hello = &hello;
    *message = stand_in_pack(&agent->stand_in, &body.base);
}

// A message of a kind that only the next version knows.
static void pack_novelty(struct agent *agent, struct span *message) {
    Skew__AgentMessage body = SKEW__AGENT_MESSAGE__INIT;
    stand_in_extend(&agent->stand_in, &body.base);
    *message = stand_in_pack(&agent->stand_in, &body.base);
}

static void pack_batch(struct agent *agent, struct span *message) {
    static const uint8_t chains[2][CHAIN_SIZE] = {{0}, {1}};
    const uint8_t *chain = chains[agent->stand_in.is_wrong];
    Skew__Event events[LINES_MAX], *pointers[LINES_MAX];
    for (size_t index = 0; index < agent->lines_count; index++) {
        skew__event__init(&events[index]);
        events[index].record.data = (uint8_t *)agent->lines[index];
        events[index].record.len = strlen(agent->lines[index]);
        stand_in_extend(&agent->stand_in, &events[index].base);
        pointers[index] = &events[index];
    }
    Skew__EventBatch batch = SKEW__EVENT_BATCH__INIT;
    batch.first_seq = agent->stand_in.is_wrong ? agent->resume : 1;
    batch.n_events = agent->lines_count;
    batch.events = pointers;
    batch.chain.data = (uint8_t *)(uintptr_t)chain;
    batch.chain.len = CHAIN_SIZE;
    stand_in_extend(&agent->stand_in, &batch.base);
    Skew__AgentMessage body = SKEW__AGENT_MESSAGE__INIT;
    body.body_case = SKEW__AGENT_MESSAGE__BODY_BATCH;
    body.batch = &batch;
    *message = stand_in_pack(&agent->stand_in, &body.base);
}

// Says what the step asks for and goes to the next one.
static void speak(struct agent *agent) {
    struct span message;
    if (agent->step == SAY_HELLO) {
        pack_hello(agent, &message);
    } else if (agent->step == SAY_NOVELTY) {
        pack_novelty(agent, &message);
    } else if (agent->step == SEND_BATCH) {
        pack_batch(agent, &message);
    } else {
        return;
    }
    if (rpc_stream_send(agent->stream, message)) agent->step++;
}

static void on_connected(void *context, struct rpc_stream *stream) {
    struct agent *agent = context;
    agent->stream = stream;
    speak(agent);
}

static void on_welcome(struct agent *agent, const Skew__Welcome *welcome) {
    printf("welcome: protocol %" PRIu32 ", resume %" PRIu64 ", organization %s\n",
           welcome->protocol, welcome->resume_seq, welcome->organization_id);
    agent->resume = welcome->resume_seq;
    agent->step = agent->stand_in.is_next ? SAY_NOVELTY : SEND_BATCH;
}

static enum rpc_read on_message(void *context, struct span bytes) {
    struct agent *agent = context;
    Skew__CollectorMessage *message =
        skew__collector_message__unpack(NULL, bytes.size, bytes.bytes);
    assert(message != NULL);
    if (message->body_case == SKEW__COLLECTOR_MESSAGE__BODY_WELCOME) {
        on_welcome(agent, message->welcome);
        speak(agent);
    } else if (message->body_case == SKEW__COLLECTOR_MESSAGE__BODY_ACK &&
               message->ack->durable_seq == agent->lines_count && agent->step == AWAIT_ACK) {
        printf("acknowledged: %" PRIu64 ", quarantined %" PRIu64 "\n", message->ack->durable_seq,
               message->ack->quarantined);
        agent->step = DONE;
        agent->is_good = true;
    }
    skew__collector_message__free_unpacked(message, NULL);
    return RPC_READ_ON;
}

static void on_sent(void *context) {
    speak(context);
}

static void on_closed(void *context, const struct fault *reason) {
    struct agent *agent = context;
    agent->is_over = true;
    if (!agent->is_good) printf("refused: %s\n", reason->text);
}

static void read_lines(struct agent *agent) {
    size_t room = 0;
    while (agent->lines_count < LINES_MAX) {
        char **line = &agent->lines[agent->lines_count];
        ssize_t size = getline(line, &room, stdin);
        room = 0;
        if (size <= 0) {
            free(*line);
            *line = NULL;
            return;
        }
        (*line)[strcspn(*line, "\n")] = 0;
        agent->lines_count++;
    }
}

int main(int argc, char **argv) {
    static const struct rpc_client_callbacks callbacks = {on_connected, on_message, on_sent,
                                                          on_closed};
    static struct agent agent;
    struct fault fault = {.kind = FAULT_NONE};
    struct rpc_client *client = NULL;
    if (!stand_in_open(&agent.stand_in, "agent", argc, argv, &fault) || !rpc_init(&fault)) {
        fprintf(stderr, "agent: %s\n", fault.text);
        return 2;
    }
    read_lines(&agent);
    struct rpc_client_options options = {
        .target = agent.stand_in.address,
        .service = "/orgtrail.v1.Collector/Stream",
        .credentials = stand_in_credentials(&agent.stand_in),
        .callbacks = &callbacks,
        .context = &agent,
    };
    if (!rpc_client_create(&options, &client, &fault)) {
        fprintf(stderr, "agent: %s\n", fault.text);
        return 2;
    }
    rpc_client_connect(client);
    const struct clock *clock = clock_system();
    int64_t end_ms = clock->monotonic_ms(clock->context) + PATIENCE_MS;
    while (!agent.is_over && !agent.is_good && clock->monotonic_ms(clock->context) < end_ms) {
        rpc_client_step(client, 100);
    }
    rpc_client_destroy(client);
    rpc_done();
    for (size_t index = 0; index < agent.lines_count; index++) free(agent.lines[index]);
    stand_in_done(&agent.stand_in);
    return agent.is_good ? 0 : 1;
}
