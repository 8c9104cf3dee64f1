// rpc_bench: how fast one stream carries messages over mutual TLS, both sides in one process.
//
//   rpc_bench [MESSAGES [EVENTS_PER_MESSAGE [EVENT_SIZE]]]
//
// Prints events and megabytes a second, and CPU time of an event on both sides together. Each
// message is answered by a small one, as an acknowledgement would; up to 8 are unanswered.

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/rpc/rpc.h"
#include "base/rpc/test_certificates.h"

enum { WINDOW = 8 };

struct receiver {
    struct rpc_stream *stream;
    uint64_t size;
    uint32_t count;
    uint32_t answered;
    bool is_sending;
};

static struct receiver receiver;

static bool on_open(void *context, struct rpc_stream *stream, const struct rpc_peer *peer,
                    void **stream_context, struct fault *fault) {
    (void)context;
    (void)peer;
    (void)fault;
    receiver.stream = stream;
    *stream_context = &receiver;
    return true;
}

// Answers are cumulative: one under way at a time is enough.
static void answer(struct receiver *to) {
    if (to->answered == to->count) return;
    if (!rpc_stream_send(to->stream, span_of(&to->count, sizeof to->count))) return;
    to->answered = to->count;
}

static enum rpc_read on_message(void *stream_context, struct span message) {
    struct receiver *to = stream_context;
    to->size += message.size;
    to->count++;
    answer(to);
    return RPC_READ_ON;
}

static void on_sent(void *stream_context) {
    answer(stream_context);
}

static void on_closed(void *stream_context, const struct fault *reason) {
    (void)stream_context;
    (void)reason;
}

struct sender {
    struct rpc_stream *stream;
    struct span message;
    uint32_t messages_max;
    uint32_t sent;
    uint32_t answered;
    bool is_closed;
};

static void push(struct sender *sender) {
    while (sender->sent < sender->messages_max && sender->sent - sender->answered < WINDOW) {
        if (!rpc_stream_send(sender->stream, sender->message)) return;
        sender->sent++;
    }
}

static void on_connected(void *context, struct rpc_stream *stream) {
    struct sender *sender = context;
    sender->stream = stream;
    push(sender);
}

static enum rpc_read on_answer(void *context, struct span message) {
    struct sender *sender = context;
    if (message.size == sizeof sender->answered) {
        memcpy(&sender->answered, message.bytes, message.size);
    }
    push(sender);
    return RPC_READ_ON;
}

static void on_pushed(void *context) {
    push(context);
}

static void on_ended(void *context, const struct fault *reason) {
    struct sender *sender = context;
    sender->is_closed = true;
    if (reason->kind != FAULT_NONE) fprintf(stderr, "rpc_bench: %s\n", reason->text);
}

static const struct rpc_server_callbacks server_callbacks = {
    .open = on_open, .message = on_message, .sent = on_sent, .closed = on_closed};
static const struct rpc_client_callbacks client_callbacks = {on_connected, on_answer, on_pushed,
                                                             on_ended};

static struct rpc_server *start_server(const struct test_ca *ca, struct fault *fault) {
    static struct test_identity identity;
    struct test_request request = {.names = "DNS:collector,IP:127.0.0.1", .serial = 2};
    test_identity_make(&identity, ca, &request);
    struct rpc_server_options options = {
        .listen = "127.0.0.1:0",
        .service = "/bench.v1.Bench/Stream",
        .credentials = test_credentials(&identity),
        .callbacks = &server_callbacks,
        .streams_max = 1,
    };
    struct rpc_server *server = NULL;
    return rpc_server_start(&options, &server, fault) ? server : NULL;
}

static struct rpc_client *make_client(const struct test_ca *ca, uint16_t port,
                                      struct sender *sender, struct fault *fault) {
    static struct test_identity identity;
    struct test_request request = {.names = "URI:spiffe://bench/account/111122223333", .serial = 3};
    test_identity_make(&identity, ca, &request);
    char target[64];
    snprintf(target, sizeof target, "127.0.0.1:%u", port);
    struct rpc_client_options options = {
        .target = target,
        .service = "/bench.v1.Bench/Stream",
        .credentials = test_credentials(&identity),
        .callbacks = &client_callbacks,
        .context = sender,
    };
    struct rpc_client *client = NULL;
    return rpc_client_create(&options, &client, fault) ? client : NULL;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double now_seconds(void) {
    const struct clock *clock = clock_system();
    return (double)clock->monotonic_ms(clock->context) / 1e3;
}

static uint32_t number_of(int count, char **texts, int index, uint32_t otherwise) {
    return index < count ? (uint32_t)strtoul(texts[index], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
    uint32_t messages = number_of(argc, argv, 1, 4000);
    uint32_t events = number_of(argc, argv, 2, 500);
    uint32_t event_size = number_of(argc, argv, 3, 1200);
    size_t size = (size_t)events * event_size;
    struct fault fault;
    uint8_t *bytes = size <= RPC_MESSAGE_SIZE_MAX ? calloc(1, size) : NULL;
    if (bytes == NULL || !rpc_init(&fault)) return 1;

    struct test_ca ca;
    test_ca_make(&ca, "bench");
    struct sender sender = {.message = span_of(bytes, size), .messages_max = messages};
    struct rpc_server *server = start_server(&ca, &fault);
    if (server == NULL) return 1;
    struct rpc_client *client = make_client(&ca, rpc_server_port(server), &sender, &fault);
    if (client == NULL) return 1;

    rpc_client_connect(client);
    while (sender.stream == NULL && !sender.is_closed) rpc_client_step(client, 1000);
    double wall = now_seconds();
    double cpu = cpu_seconds();
    while (sender.answered < messages && !sender.is_closed) rpc_client_step(client, 1000);
    wall = now_seconds() - wall;
    cpu = cpu_seconds() - cpu;
    double total = (double)messages * events;
    printf("%.0f events of %" PRIu32 " bytes, %" PRIu32
           " a message: %.0f events/s, %.0f MB/s, %.2f us CPU an event on both sides together\n",
           total, event_size, events, total / wall, total * event_size / wall / 1e6,
           cpu / total * 1e6);
    rpc_client_destroy(client);
    rpc_server_stop(server, 0);
    rpc_done();
    free(bytes);
    return sender.answered == messages ? 0 : 1;
}
