// test_strangers.h: peers that are not ours: a bare gRPC client and a bare TLS client.

#pragma once

#include "base/rpc/test_certificates.h"

struct test_answer {
    int status;  // gRPC's number: 0 OK, 8 resource exhausted, 12 unimplemented, 14 unavailable
    char text[512];
};

// Calls a method with one message of this size and waits for the end, at most 10 s.
void test_stranger_call(const char *target, const struct test_identity *identity,
                        const char *method, size_t message_size, struct test_answer *answer);

// Whether a TLS client gets as far as reading the server's first bytes. identity may be NULL: no
// client certificate.
bool test_stranger_tls(uint16_t port, const struct test_identity *identity, bool is_tls_1_2);

// The fatal alert that ends the handshake of a TLS 1.3 client, as TLS numbers them; -1: none came.
int test_stranger_alert(uint16_t port, const struct test_identity *identity);

// Connects without TLS, sends bytes that mean nothing, and waits until the server hangs up. False
// if it does not within 10 s.
bool test_stranger_garbage(uint16_t port);

// A TCP connection to 127.0.0.1; aborts if there is none.
int test_stranger_connect(uint16_t port);

// A socket that listens on this port of 127.0.0.1 (0: a free one, which it sets) and never answers.
int test_stranger_listen(uint16_t *port);

// Takes the next connection of such a socket, reads what comes first, sends these bytes and hangs
// up.
void test_stranger_answer(int listener, const void *bytes, size_t size);
