// test_streams.h: a server that echoes and a client that counts, for the tests of base/rpc.
//
// The server's callbacks run on its worker threads, so what it notes is atomic and tests read it
// while it runs; a failed expectation inside one is an assert.

#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/rpc/rpc.h"
#include "base/rpc/test_certificates.h"

#define TEST_SERVICE "/test.v1.Echo/Stream"

struct test_server {
    struct rpc_server *rpc;
    struct test_ca ca;
    struct test_identity identity;
    char target[64];

    // May be changed while it runs.
    atomic_bool is_silent;    // messages are counted, not echoed
    atomic_bool is_stuck;     // the first message pauses, for ever
    atomic_uint pause_every;  // every so many messages pause, resumed by another thread
    atomic_int refusal;       // a fault kind; FAULT_NONE: accept
    atomic_int closing;       // a fault kind, after the first message; FAULT_NONE: do not
    atomic_bool is_barred;    // nobody comes through the handshake
    // Set before it starts, or while it has no stream.
    void (*on_closing)(struct test_server *server,
                       struct rpc_stream *stream);  // in closed; or NULL
    uint32_t streams_max;                           // 0: 100
    uint32_t workers;                               // 0: 1

    atomic_uint screened;
    atomic_uint opened;
    atomic_uint messages;
    atomic_uint closed;
    atomic_uint pauses;
    _Atomic(struct rpc_stream *) last_stream;  // held; released at the end
    pthread_mutex_t lock;
    struct rpc_peer last_peer;      // under lock
    struct rpc_peer last_screened;  // under lock
    struct fault last_reason;       // under lock
};

// Makes a CA and a server certificate for 127.0.0.1 and "collector", and starts it on a free port.
void test_server_start(struct test_server *server);

// The same on a port and with an identity there is already.
void test_server_start_again(struct test_server *server, uint16_t port);

// Stops it and releases what it held.
void test_server_stop(struct test_server *server, int64_t grace_ms);

// How the last stream ended.
struct fault test_server_reason(struct test_server *server);

// Waits until the counter has reached the value; aborts the test program after 20 s.
void test_wait(atomic_uint *counter, unsigned value);

struct test_client {
    struct rpc_client *rpc;
    struct rpc_stream *stream;  // while connected
    uint32_t connected;
    uint32_t closed;
    uint32_t received;
    uint32_t sent;
    bool is_wrong;         // a message was not the one expected
    uint32_t pause_every;  // every so many messages pause; the caller resumes
    uint32_t pauses;
    uint32_t retries;     // attempts that the closed callback begins itself
    size_t message_size;  // what is sent and expected, at least 4
    const char *service;  // NULL: TEST_SERVICE
    struct fault reason;
};

// Makes a client of a server with an identity.
void test_client_make(struct test_client *client, const struct test_server *server,
                      const struct test_identity *identity);

// Steps until the counter has reached the value. False if it has not within 20 s.
bool test_client_step_until(struct test_client *client, const uint32_t *counter, uint32_t value);

// Connects and steps until it is connected or closed. True if connected.
bool test_client_connect(struct test_client *client);

// Sends messages numbered from `sent` while the stream takes them. The echo of one may arrive
// before it counts as sent, so try again after a step.
void test_client_send(struct test_client *client, uint32_t until);

// Sends and steps until `count` messages in all have come back. False if they have not within 20 s.
bool test_client_exchange(struct test_client *client, uint32_t count);

// An identity with a good URI, from the server's CA.
void test_identity_good(struct test_identity *identity, const struct test_server *server);
