#include "base/rpc/test_strangers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static void need(bool is_good) {
    if (!is_good) abort();
}

// ---- gRPC

static void run_batches(grpc_call *call, grpc_completion_queue *queue, size_t message_size,
                        struct test_answer *answer) {
    uint8_t *bytes = calloc(1, message_size + 1);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes, message_size);
    grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    free(bytes);
    grpc_op send[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_MESSAGE}};
    send[1].data.send_message.send_message = message;
    need(grpc_call_start_batch(call, send, 2, send, NULL) == GRPC_CALL_OK);

    // gRPC gives no end before somebody has asked for the beginning.
    grpc_metadata_array initial;
    grpc_metadata_array_init(&initial);
    grpc_op begin = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    begin.data.recv_initial_metadata.recv_initial_metadata = &initial;
    need(grpc_call_start_batch(call, &begin, 1, &begin, NULL) == GRPC_CALL_OK);

    grpc_metadata_array trailing;
    grpc_metadata_array_init(&trailing);
    grpc_status_code status = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    grpc_op end = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    end.data.recv_status_on_client.trailing_metadata = &trailing;
    end.data.recv_status_on_client.status = &status;
    end.data.recv_status_on_client.status_details = &details;
    need(grpc_call_start_batch(call, &end, 1, &end, NULL) == GRPC_CALL_OK);

    gpr_timespec never = gpr_inf_future(GPR_CLOCK_REALTIME);
    grpc_completion_queue_pluck(queue, &end, never, NULL);
    grpc_completion_queue_pluck(queue, &begin, never, NULL);
    grpc_completion_queue_pluck(queue, send, never, NULL);
    answer->status = (int)status;
    snprintf(answer->text, sizeof answer->text, "%.*s", (int)GRPC_SLICE_LENGTH(details),
             (const char *)GRPC_SLICE_START_PTR(details));
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&initial);
    grpc_metadata_array_destroy(&trailing);
    grpc_byte_buffer_destroy(message);
}

void test_stranger_call(const char *target, const struct test_identity *identity,
                        const char *method, size_t message_size, struct test_answer *answer) {
    grpc_ssl_pem_key_cert_pair pair = {identity->key, identity->certificate};
    grpc_channel_credentials *credentials =
        grpc_ssl_credentials_create_ex(identity->ca, &pair, NULL, NULL);
    grpc_channel *channel = grpc_channel_create(target, credentials, NULL);
    grpc_completion_queue *queue = grpc_completion_queue_create_for_pluck(NULL);
    grpc_slice name = grpc_slice_from_copied_string(method);
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(10, GPR_TIMESPAN));
    grpc_call *call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue, name,
                                               NULL, deadline, NULL);
    run_batches(call, queue, message_size, answer);
    grpc_call_unref(call);
    grpc_slice_unref(name);
    grpc_completion_queue_shutdown(queue);
    grpc_completion_queue_destroy(queue);
    grpc_channel_destroy(channel);
    grpc_channel_credentials_release(credentials);
}

// ---- sockets

int test_stranger_connect(uint16_t port) {
    int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(handle >= 0);
    struct timeval limit = {.tv_sec = 10};
    setsockopt(handle, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    need(connect(handle, (struct sockaddr *)&address, sizeof address) == 0);
    return handle;
}

int test_stranger_listen(uint16_t *port) {
    int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    int is_on = 1;  // past connections of a server that was there
    setsockopt(handle, SOL_SOCKET, SO_REUSEADDR, &is_on, sizeof is_on);
    need(handle >= 0 && bind(handle, (struct sockaddr *)&address, size) == 0);
    need(listen(handle, 16) == 0);
    need(getsockname(handle, (struct sockaddr *)&address, &size) == 0);
    *port = ntohs(address.sin_port);
    return handle;
}

void test_stranger_answer(int listener, const void *bytes, size_t size) {
    int handle = accept(listener, NULL, NULL);
    need(handle >= 0);
    char hello[4096];
    need(recv(handle, hello, sizeof hello, 0) > 0);
    need(send(handle, bytes, size, MSG_NOSIGNAL) == (ssize_t)size);
    close(handle);
}

bool test_stranger_garbage(uint16_t port) {
    int handle = test_stranger_connect(port);
    static const char garbage[] = "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n\x01\x02\x03";
    (void)!send(handle, garbage, sizeof garbage, MSG_NOSIGNAL);
    char answer[256];
    ssize_t got = 0;
    do {
        got = recv(handle, answer, sizeof answer, 0);
    } while (got > 0);
    bool is_hung_up = got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
    close(handle);
    return is_hung_up;
}

// ---- TLS

static void use_identity(SSL_CTX *context, const struct test_identity *identity) {
    BIO *bio = BIO_new_mem_buf(identity->certificate, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    bio = BIO_new_mem_buf(identity->key, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    need(SSL_CTX_use_certificate(context, certificate) == 1);
    need(SSL_CTX_use_PrivateKey(context, key) == 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static bool shake_hands(uint16_t port, const struct test_identity *identity, bool is_tls_1_2,
                        int *alert) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (identity != NULL) use_identity(context, identity);
    if (is_tls_1_2) SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    static const uint8_t protocols[] = {2, 'h', '2'};
    need(SSL_CTX_set_alpn_protos(context, protocols, sizeof protocols) == 0);
    SSL *tls = SSL_new(context);
    int handle = test_stranger_connect(port);
    SSL_set_fd(tls, handle);
    // With TLS 1.3 the client finishes first: only reading tells whether the server agreed.
    char byte = 0;
    bool is_good = SSL_connect(tls) == 1 && SSL_read(tls, &byte, 1) == 1;
    int reason = is_good ? 0 : ERR_GET_REASON(ERR_peek_last_error());
    *alert = reason > SSL_AD_REASON_OFFSET ? reason - SSL_AD_REASON_OFFSET : -1;
    ERR_clear_error();
    SSL_free(tls);
    SSL_CTX_free(context);
    close(handle);
    return is_good;
}

bool test_stranger_tls(uint16_t port, const struct test_identity *identity, bool is_tls_1_2) {
    int alert;
    return shake_hands(port, identity, is_tls_1_2, &alert);
}

int test_stranger_alert(uint16_t port, const struct test_identity *identity) {
    int alert;
    (void)shake_hands(port, identity, false, &alert);
    return alert;
}
