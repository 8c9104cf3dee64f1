// rpc_handshake.c: what OpenSSL is told of the connections that gRPC makes: to keep no buffers,
// whom to turn away within the handshake, and that the peer hears of it. gRPC 1.51 has a place of
// ours for none of it: it makes its connections itself, asks nobody while they begin, and drops the
// alert that OpenSSL writes when one fails. OpenSSL calls whoever registered extra data for each
// connection it makes; gRPC shows each socket that it has accepted to a socket mutator, on the
// thread that makes the connection of it next.

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/rpc/rpc_internal.h"
#include "base/rpc/rpc_mutator.h"

// ---- sockets that were accepted

// Of which no connection has been made yet; closed by now if gRPC dropped it before it came to
// that.
static _Thread_local int accepted = -1;

static bool on_socket(const struct rpc_socket_facts *socket, grpc_socket_mutator *mutator) {
    (void)mutator;
    if (socket->use == RPC_SOCKET_ACCEPTED) accepted = socket->descriptor;
    return true;
}

static int compare(void *one, void *other) {
    return (one > other) - (one < other);
}

static int compare_mutators(grpc_socket_mutator *one, grpc_socket_mutator *other) {
    return compare(one, other);
}

static void keep_mutator(grpc_socket_mutator *mutator) {
    (void)mutator;
}

static void *copy_nothing(void *pointer) {
    return pointer;
}

static void free_nothing(void *pointer) {
    (void)pointer;
}

bool rpc_handshake_argument(grpc_arg *argument) {
    // Members in other places would end the process.
    const char *version = grpc_version_string();
    if (strncmp(version, RPC_MUTATOR_VERSION, strlen(RPC_MUTATOR_VERSION)) != 0) {
        LOG(LOG_WARNING,
            "this gRPC is not the one this was made for: who is on the deny list is refused when a "
            "stream opens and no longer in the TLS handshake",
            log_text("version", version), log_text("made_for", RPC_MUTATOR_VERSION));
        return false;
    }
    static const struct rpc_mutator_functions functions = {
        .compare = compare_mutators, .destroy = keep_mutator, .change_any = on_socket};
    static grpc_socket_mutator mutator = {&functions, {1}};
    static const grpc_arg_pointer_vtable table = {copy_nothing, free_nothing, compare};
    *argument =
        (grpc_arg){.type = GRPC_ARG_POINTER, .key = (char *)(uintptr_t)GRPC_ARG_SOCKET_MUTATOR};
    argument->value.pointer.p = &mutator;
    argument->value.pointer.vtable = &table;
    return true;
}

// ---- a server's connections

static int socket_index = -1;  // of a connection's data: its socket + 1; none: it was not accepted

// A handshake may outlive the server that it was begun for.
static pthread_rwlock_t screen_lock = PTHREAD_RWLOCK_INITIALIZER;
static const struct rpc_screen *present_screen;  // under screen_lock

void rpc_handshake_set_screen(const struct rpc_screen *screen) {
    pthread_rwlock_wrlock(&screen_lock);
    assert(screen == NULL || present_screen == NULL);
    present_screen = screen;
    pthread_rwlock_unlock(&screen_lock);
}

static int socket_of(SSL *connection) {
    return (int)(intptr_t)SSL_get_ex_data(connection, socket_index) - 1;
}

// False: who it is cannot be said, which whoever opens the stream will say.
static bool read_peer(X509 *certificate, int socket, struct rpc_peer *peer) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    struct certificate_facts facts;
    struct fault ignored;
    bool is_read = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;
    long size = is_read ? BIO_get_mem_data(bio, &text) : 0;
    is_read =
        is_read && certificate_read(span_of((const uint8_t *)text, (size_t)size), &facts, &ignored);
    BIO_free(bio);
    if (!is_read) return false;
    rpc_peer_of(&facts, socket, peer);
    return true;
}

static bool may_enter(X509 *certificate, int socket) {
    bool is_admitted = true;
    pthread_rwlock_rdlock(&screen_lock);
    struct rpc_peer peer;
    if (present_screen != NULL && read_peer(certificate, socket, &peer)) {
        is_admitted = present_screen->admits(present_screen->context, &peer);
    }
    pthread_rwlock_unlock(&screen_lock);
    return is_admitted;
}

// From a certificate that is not good on OpenSSL writes nothing but the alert. gRPC would drop it.
static long on_write(BIO *bio, int operation, const char *bytes, size_t size, int unused_int,
                     long unused_long, int result, size_t *processed) {
    (void)unused_int;
    (void)unused_long;
    (void)processed;
    if (operation == BIO_CB_WRITE) {
        int socket = (int)(intptr_t)BIO_get_callback_arg(bio);
        (void)!send(socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    return result;
}

// Called for each certificate of a chain, the peer's own last.
static int on_certificate(int is_good, X509_STORE_CTX *chain) {
    SSL *connection = X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
    // A client that was made on a thread where gRPC had dropped a socket. Which of the two it is,
    // OpenSSL did not know then.
    if (!SSL_is_server(connection)) return is_good;
    int socket = socket_of(connection);
    if (is_good == 1 && X509_STORE_CTX_get_error_depth(chain) == 0 &&
        !may_enter(X509_STORE_CTX_get_current_cert(chain), socket)) {
        X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REVOKED);
        is_good = 0;
    }
    if (is_good != 1) {
        BIO_set_callback_arg(SSL_get_wbio(connection), (char *)(intptr_t)socket);
        BIO_set_callback_ex(SSL_get_wbio(connection), on_write);
    }
    return is_good;
}

// ---- a client's connections

static _Atomic(uint64_t) alerts;  // how many came, and in the last byte the last of them
static _Thread_local bool is_alert_unlogged;  // by gRPC, which does it on the thread that read it

uint64_t rpc_handshake_alerts(void) {
    return atomic_load(&alerts);
}

int rpc_handshake_alert_since(uint64_t before) {
    uint64_t now = atomic_load(&alerts);
    return now == before ? -1 : (int)(now & 0xff);
}

bool rpc_handshake_take_logged(void) {
    bool is_taken = is_alert_unlogged;
    is_alert_unlogged = false;
    return is_taken;
}

static void on_message(int is_ours, int version, int type, const void *bytes, size_t size,
                       SSL *connection, void *context) {
    (void)version;
    (void)context;
    const uint8_t *alert = bytes;
    if (is_ours || type != SSL3_RT_ALERT || size != 2 || alert[0] != SSL3_AL_FATAL) return;
    // Before the handshake is done anybody can have sent it. Without a certificate it is none of
    // gRPC's: libcurl is another client of OpenSSL.
    if (SSL_is_server(connection) || !SSL_is_init_finished(connection) ||
        SSL_get_certificate(connection) == NULL) {
        return;
    }
    uint64_t before = atomic_load(&alerts);
    while (!atomic_compare_exchange_weak(&alerts, &before, ((before >> 8) + 1) << 8 | alert[1])) {
    }
    is_alert_unlogged = true;
}

// ---- both

static void on_connection(void *made, void *data, CRYPTO_EX_DATA *all, int index, long number,
                          void *context) {
    (void)data;
    (void)number;
    (void)context;
    SSL *connection = made;
    // 33 KB each otherwise, for a record that may come and one that may go.
    SSL_set_mode(connection, SSL_MODE_RELEASE_BUFFERS);
    // Nobody resumes sessions: an agent connects once and stays.
    (void)SSL_set_num_tickets(connection, 0);
    if (accepted >= 0) {
        (void)CRYPTO_set_ex_data(all, index, (void *)(intptr_t)(accepted + 1));
        accepted = -1;
        SSL_set_verify(connection, SSL_get_verify_mode(connection), on_certificate);
    }
    SSL_set_msg_callback(connection, on_message);
}

bool rpc_handshake_init(struct fault *fault) {
    if (socket_index < 0) socket_index = SSL_get_ex_new_index(0, NULL, on_connection, NULL, NULL);
    return socket_index >= 0 || fault_set(fault, FAULT_FULL, "no memory for OpenSSL");
}
