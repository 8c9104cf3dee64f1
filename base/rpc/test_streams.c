#include "base/rpc/test_streams.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { WAIT_MS = 20000 };

// ---- the server

struct echo {
    struct test_server *server;
    struct rpc_stream *stream;
    struct buffer pending;  // one message that waits for the one before it
    bool is_pending;
    uint32_t messages;
};

static bool on_screen(void *context, const struct rpc_peer *peer) {
    struct test_server *server = context;
    pthread_mutex_lock(&server->lock);
    server->last_screened = *peer;
    pthread_mutex_unlock(&server->lock);
    atomic_fetch_add(&server->screened, 1);
    return !server->is_barred;
}

static bool on_open(void *context, struct rpc_stream *stream, const struct rpc_peer *peer,
                    void **stream_context, struct fault *fault) {
    struct test_server *server = context;
    pthread_mutex_lock(&server->lock);
    server->last_peer = *peer;
    pthread_mutex_unlock(&server->lock);
    enum fault_kind refusal = (enum fault_kind)atomic_load(&server->refusal);
    if (refusal != FAULT_NONE) return fault_set(fault, refusal, "refused for the test");
    struct echo *echo = calloc(1, sizeof *echo);
    if (echo == NULL) abort();
    echo->server = server;
    echo->stream = stream;
    buffer_init(&echo->pending, RPC_MESSAGE_SIZE_MAX);
    rpc_stream_hold(stream);
    struct rpc_stream *before = atomic_exchange(&server->last_stream, stream);
    if (before != NULL) rpc_stream_release(before);
    *stream_context = echo;
    atomic_fetch_add(&server->opened, 1);
    return true;
}

static void *resume_later(void *argument) {
    struct rpc_stream *stream = argument;
    usleep(1000);
    rpc_stream_resume(stream);
    rpc_stream_release(stream);
    return NULL;
}

static void resume_from_elsewhere(struct echo *echo) {
    atomic_fetch_add(&echo->server->pauses, 1);
    rpc_stream_hold(echo->stream);
    pthread_t thread;
    if (pthread_create(&thread, NULL, resume_later, echo->stream) != 0) abort();
    pthread_detach(thread);
}

static enum rpc_read on_message(void *stream_context, struct span message) {
    struct echo *echo = stream_context;
    struct test_server *server = echo->server;
    echo->messages++;
    atomic_fetch_add(&server->messages, 1);
    enum fault_kind closing = (enum fault_kind)atomic_load(&server->closing);
    if (closing != FAULT_NONE) {
        rpc_stream_close(echo->stream, closing, "closed for the test");
        rpc_stream_close(echo->stream, FAULT_IO, "a second close has no effect");
        return RPC_PAUSE;
    }
    if (server->is_stuck) return RPC_PAUSE;
    if (server->is_silent) return RPC_READ_ON;
    assert(!echo->is_pending);
    if (!rpc_stream_send(echo->stream, message)) {
        buffer_reset(&echo->pending);
        buffer_append(&echo->pending, message);
        echo->is_pending = true;
        return RPC_PAUSE;
    }
    if (server->pause_every != 0 && echo->messages % server->pause_every == 0) {
        resume_from_elsewhere(echo);
        return RPC_PAUSE;
    }
    return RPC_READ_ON;
}

static void on_sent(void *stream_context) {
    struct echo *echo = stream_context;
    if (!echo->is_pending) return;
    echo->is_pending = false;
    if (rpc_stream_send(echo->stream, buffer_span(&echo->pending))) {
        rpc_stream_resume(echo->stream);
    }
}

static void on_closed(void *stream_context, const struct fault *reason) {
    struct echo *echo = stream_context;
    struct test_server *server = echo->server;
    if (server->on_closing != NULL) server->on_closing(server, echo->stream);
    pthread_mutex_lock(&server->lock);
    server->last_reason = *reason;
    pthread_mutex_unlock(&server->lock);
    buffer_done(&echo->pending);
    free(echo);
    atomic_fetch_add(&server->closed, 1);
}

static const struct rpc_server_callbacks server_callbacks = {
    .open = on_open,
    .message = on_message,
    .sent = on_sent,
    .closed = on_closed,
    .screen = on_screen,
};

static void need(bool is_good, const struct fault *fault) {
    if (is_good) return;
    fprintf(stderr, "test setup: %s\n", fault->text);
    abort();
}

void test_server_start_again(struct test_server *server, uint16_t port) {
    char listen[64];
    snprintf(listen, sizeof listen, "127.0.0.1:%u", port);
    struct rpc_server_options options = {
        .listen = listen,
        .service = TEST_SERVICE,
        .credentials = test_credentials(&server->identity),
        .callbacks = &server_callbacks,
        .context = server,
        .workers = server->workers,
        .streams_max = server->streams_max == 0 ? 100 : server->streams_max,
    };
    struct fault fault;
    need(rpc_server_start(&options, &server->rpc, &fault), &fault);
    snprintf(server->target, sizeof server->target, "127.0.0.1:%u", rpc_server_port(server->rpc));
}

void test_server_start(struct test_server *server) {
    pthread_mutex_init(&server->lock, NULL);
    test_ca_make(&server->ca, "good");
    struct test_request request = {.names = "DNS:collector,IP:127.0.0.1", .serial = 2};
    test_identity_make(&server->identity, &server->ca, &request);
    test_server_start_again(server, 0);
}

void test_server_stop(struct test_server *server, int64_t grace_ms) {
    rpc_server_stop(server->rpc, grace_ms);
    server->rpc = NULL;
    struct rpc_stream *held = atomic_exchange(&server->last_stream, NULL);
    if (held != NULL) rpc_stream_release(held);
}

struct fault test_server_reason(struct test_server *server) {
    pthread_mutex_lock(&server->lock);
    struct fault reason = server->last_reason;
    pthread_mutex_unlock(&server->lock);
    return reason;
}

static int64_t now_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

void test_wait(atomic_uint *counter, unsigned value) {
    int64_t until = now_ms() + WAIT_MS;
    while (atomic_load(counter) < value) {
        if (now_ms() > until) {
            fprintf(stderr, "waited for %u, had %u\n", value, atomic_load(counter));
            abort();
        }
        usleep(1000);
    }
}

// ---- the client

static void on_connected(void *context, struct rpc_stream *stream) {
    struct test_client *client = context;
    client->stream = stream;
    client->connected++;
}

static void fill(uint8_t *bytes, size_t size, uint32_t which) {
    memcpy(bytes, &which, sizeof which);
    memset(bytes + sizeof which, (int)(which % 251), size - sizeof which);
}

static enum rpc_read on_echo(void *context, struct span message) {
    struct test_client *client = context;
    static uint8_t expected[RPC_MESSAGE_SIZE_MAX];
    fill(expected, client->message_size, client->received);
    if (!span_equal(message, span_of(expected, client->message_size))) client->is_wrong = true;
    client->received++;
    if (client->pause_every != 0 && client->received % client->pause_every == 0) {
        client->pauses++;
        return RPC_PAUSE;
    }
    return RPC_READ_ON;
}

static void on_client_sent(void *context) {
    (void)context;
}

static void on_client_closed(void *context, const struct fault *reason) {
    struct test_client *client = context;
    client->stream = NULL;
    client->closed++;
    client->reason = *reason;
    if (client->retries == 0) return;
    client->retries--;
    rpc_client_connect(client->rpc);
}

static const struct rpc_client_callbacks client_callbacks = {
    .connected = on_connected,
    .message = on_echo,
    .sent = on_client_sent,
    .closed = on_client_closed,
};

void test_client_make(struct test_client *client, const struct test_server *server,
                      const struct test_identity *identity) {
    if (client->message_size == 0) client->message_size = 1000;
    struct rpc_client_options options = {
        .target = server->target,
        .service = client->service == NULL ? TEST_SERVICE : client->service,
        .credentials = test_credentials(identity),
        .callbacks = &client_callbacks,
        .context = client,
    };
    struct fault fault;
    need(rpc_client_create(&options, &client->rpc, &fault), &fault);
}

bool test_client_step_until(struct test_client *client, const uint32_t *counter, uint32_t value) {
    int64_t until = now_ms() + WAIT_MS;
    while (*counter < value) {
        if (now_ms() > until) return false;
        rpc_client_step(client->rpc, 20);
    }
    return true;
}

bool test_client_connect(struct test_client *client) {
    uint32_t closed = client->closed;
    rpc_client_connect(client->rpc);
    int64_t until = now_ms() + WAIT_MS;
    while (client->stream == NULL && client->closed == closed && now_ms() < until) {
        rpc_client_step(client->rpc, 20);
    }
    return client->stream != NULL;
}

void test_client_send(struct test_client *client, uint32_t until) {
    static uint8_t bytes[RPC_MESSAGE_SIZE_MAX];
    while (client->sent < until && client->stream != NULL) {
        fill(bytes, client->message_size, client->sent);
        if (!rpc_stream_send(client->stream, span_of(bytes, client->message_size))) return;
        client->sent++;
    }
}

bool test_client_exchange(struct test_client *client, uint32_t count) {
    int64_t until = now_ms() + WAIT_MS;
    uint32_t pauses = client->pauses;
    while (client->received < count && client->stream != NULL && now_ms() < until) {
        test_client_send(client, count);
        rpc_client_step(client->rpc, 20);
        if (client->pauses > pauses && client->stream != NULL) {
            pauses = client->pauses;
            rpc_stream_resume(client->stream);
        }
    }
    return client->received == count && !client->is_wrong;
}

void test_identity_good(struct test_identity *identity, const struct test_server *server) {
    struct test_request request = {
        .names = "URI:spiffe://example.org/account/111122223333/region/eu-west-1",
        .serial = 0xabc123,
    };
    test_identity_make(identity, &server->ca, &request);
}
