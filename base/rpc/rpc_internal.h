// rpc_internal.h: what the files of base/rpc share; nobody else includes it.
//
// Everything given to gRPC as a tag is a struct rpc_tag, which knows what to do when it comes back.
// A loop is one completion queue with its one thread (a server's worker, a client's caller); its
// streams are touched by that thread only, except through rpc_stream_post and what builds on it.
// Never wait for a disk in a loop's thread: it also does TLS and HTTP/2 for its connections.

#pragma once

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <stdatomic.h>

#include "base/certificate.h"
#include "base/rpc/rpc.h"
#include "base/rpc/rpc_local.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#else
#define __tsan_acquire(tag) (void)(tag)
#define __tsan_release(tag) (void)(tag)
#endif

enum {
    RPC_LOOKAHEAD_SIZE = 64 * 1024,     // bytes a peer may have under way to a stream that pauses
    RPC_READ_SIZE = 8 * 1024,           // bytes read of a socket at once
    RPC_SERVER_RECORD_SIZE = 4 * 1024,  // bytes of a TLS record that a server sends
    RPC_KEEPALIVE_MS = 20000,
    RPC_KEEPALIVE_TIMEOUT_MS = 10000,
    RPC_PING_INTERVAL_MIN_MS = 5000,  // must be below RPC_KEEPALIVE_MS, or peers are thrown out
    RPC_HANDSHAKE_TIMEOUT_MS = 20000,
    RPC_CONNECTION_IDLE_MS = 60000,  // a connection without a stream
    RPC_CONNECTION_STREAMS_MAX = 4,
    RPC_DESCRIPTORS_SPARE = 256,  // beside one for each stream: files, pipes, handshakes
};

// What comes back from a completion queue. done is called once for each time it was started.
struct rpc_tag {
    void (*done)(struct rpc_tag *tag, bool is_ok);
    void *owner;
};

struct rpc_loop {
    grpc_completion_queue *queue;
    struct rpc_stream *streams;  // doubly linked
    struct buffer inbox;         // the message being delivered, when gRPC has it in pieces
    int64_t check_ms;  // monotonic: the earliest end of a lingering close; INT64_MAX: none
};

struct rpc_post {
    struct rpc_post *next;
    void (*function)(void *argument, bool is_closed);
    void *argument;
    bool is_allocated;
};

// What a stream tells its user. The same for both sides.
struct rpc_listener {
    enum rpc_read (*message)(void *context, struct span message);
    void (*sent)(void *context);
    void *context;
};

struct rpc_stream {
    // Any thread.
    atomic_uint references;            // one is the loop's, until the stream has finished
    _Atomic(struct rpc_post *) posts;  // newest first; a mark of rpc_stream.c once finished
    atomic_uint posting_count;         // threads inside rpc_stream_post that may use the call
    atomic_bool is_resume_wanted;
    atomic_bool is_close_wanted;
    struct rpc_post resume_post;
    struct rpc_post close_post;
    enum fault_kind wanted_kind;  // written by whoever set is_close_wanted, before the post
    char wanted_text[FAULT_TEXT_SIZE];
    struct rpc_tag wake_tag;

    // The loop's thread.
    struct rpc_loop *loop;
    struct rpc_stream *next;
    struct rpc_stream *previous;
    grpc_call *call;
    bool is_client;
    const char *target;  // client: for texts
    struct rpc_listener listener;
    void (*on_begun)(struct rpc_stream *stream);  // client: the server accepted
    void (*on_finished)(struct rpc_stream *stream, const struct fault *reason);
    void *owner;

    uint32_t tags_count;  // batches started and not come back, without the wake
    bool is_begun;        // initial metadata sent (server) or seen (client)
    bool is_reading;
    bool is_paused;
    bool is_read_ended;
    bool is_sending;
    bool is_unknown;    // the method called is not ours
    bool is_closing;    // our side wants the end; no more sends
    bool is_end_sent;   // status (server) or half-close (client) was given to gRPC
    bool is_over;       // gRPC said so
    bool is_cancelled;  // the linger ran out
    bool is_finished;   // on_finished was called
    bool was_hung_up;   // client: the server hung up during the handshake
    int64_t linger_until_ms;
    enum fault_kind close_kind;
    char close_text[FAULT_TEXT_SIZE];

    struct rpc_tag begin_tag;
    struct rpc_tag begun_tag;
    struct rpc_tag read_tag;
    struct rpc_tag send_tag;
    struct rpc_tag end_tag;
    struct rpc_tag over_tag;
    grpc_byte_buffer *incoming;
    grpc_byte_buffer *outgoing;
    grpc_metadata begin_metadata;
    grpc_metadata_array begun_metadata;
    grpc_metadata_array over_metadata;
    grpc_status_code status;
    grpc_slice status_details;
    int was_cancelled;
};

// The system's monotonic clock: gRPC's own timers run by it too.
int64_t rpc_now_ms(void);

// Whom a server turns away within the handshake.
struct rpc_screen {
    bool (*admits)(void *context, const struct rpc_peer *peer);
    void *context;
};

// Has a say in the TLS connections made from now on; before any is made. FAULT_FULL.
MUST_CHECK bool rpc_handshake_init(struct fault *fault);

// A server's channel argument, without which its handshakes ask nobody. False, and logged: this
// version of gRPC must not be given it.
MUST_CHECK bool rpc_handshake_argument(grpc_arg *argument);

// The one screen of the process, borrowed; NULL: none, and nobody is in the last one when it
// returns.
void rpc_handshake_set_screen(const struct rpc_screen *screen);

// Where the fatal alerts stand that servers sent to clients of this process, each once its
// handshake was done; and the last one since then, as TLS numbers them (-1: none came). Two clients
// that try at the same time see each other's.
uint64_t rpc_handshake_alerts(void);
int rpc_handshake_alert_since(uint64_t before);

// Whether the error that gRPC now logs on this thread is such an alert. Asked once for each.
bool rpc_handshake_take_logged(void);

// A channel argument that is a number.
grpc_arg rpc_argument(const char *name, int value);

// A loop with a completion queue of its own.
void rpc_loop_init(struct rpc_loop *loop);

// Shuts the queue down and frees it. No stream and no tag of it is left.
void rpc_loop_done(struct rpc_loop *loop);

// Handles one event, waiting up to wait_ms (negative: until there is one) but not past the end of a
// lingering close. False if there was none.
bool rpc_loop_step(struct rpc_loop *loop, int64_t wait_ms);

// Ends all streams of the loop, as a server does that is stopping.
void rpc_loop_end_streams(struct rpc_loop *loop);

// Makes a stream on a call, which it owns from now on. NULL when memory is out.
struct rpc_stream *rpc_stream_create(struct rpc_loop *loop, grpc_call *call, bool is_client);

// Server: sends the initial metadata, once; the peer knows it is accepted.
void rpc_stream_accept(struct rpc_stream *stream);

// Server: waits for the stream's end; needed by every stream, refused or not.
void rpc_stream_watch(struct rpc_stream *stream);

// Client: starts all four halves of a call.
void rpc_stream_begin(struct rpc_stream *stream);

// Asks for the next message, unless paused, ended or asked already.
void rpc_stream_read(struct rpc_stream *stream);

// Begins the end with this status; on the loop's thread.
void rpc_stream_end(struct rpc_stream *stream, enum fault_kind kind, const char *text);

// Gives up on the peer: the stream is over as soon as gRPC says so.
void rpc_stream_cancel(struct rpc_stream *stream);

// Does what became possible; the stream may be gone afterwards.
void rpc_stream_settle(struct rpc_stream *stream);

// The status that tells a peer of this kind.
grpc_status_code rpc_status_of(enum fault_kind kind);

// What a client's stream ended with, as a fault with advice; kind is FAULT_NONE for OK. True if
// the server hung up during the handshake without a word.
bool rpc_status_read(grpc_status_code status, struct span details, const char *target,
                     bool was_begun, struct fault *fault);

// Whether these can be used: PEM, a key that fits the certificate and is no RSA key. FAULT_INPUT.
MUST_CHECK bool rpc_credentials_check(const struct rpc_credentials *credentials,
                                      struct fault *fault);

// Checks a server's certificate for a client: CA, dates, use, and the name it is made out to.
struct rpc_verifier;

// Makes one that accepts what a CA of this PEM text signed for the host of `name` ("host:port").
// gRPC owns both from the credentials on; the caller releases *made.
struct rpc_verifier *rpc_verifier_create(struct span ca, const char *name,
                                         grpc_tls_certificate_verifier **made);

// A new attempt begins: what is known of a server is of another one.
void rpc_verifier_forget(struct rpc_verifier *verifier);

// If the server that was spoken to since then was a good one: why it hung up on ours, as its alert
// says
// (-1: it sent none), or why it may have.
void rpc_verifier_explain(struct rpc_verifier *verifier, const struct certificate_facts *ours,
                          const char *target, int alert, struct fault *fault);

// What gRPC makes of checked credentials. The verifier lives as long as the client's.
MUST_CHECK bool rpc_credentials_for_client(const struct rpc_credentials *credentials,
                                           const char *name, grpc_channel_credentials **made,
                                           struct rpc_verifier **verifier, struct fault *fault);
MUST_CHECK bool rpc_credentials_for_server(const struct rpc_credentials *credentials,
                                           grpc_ssl_server_certificate_config **made,
                                           struct fault *fault);

// Connects to a socket file; the descriptor does not block. FAULT_RETRY if nobody serves there,
// FAULT_DENIED, FAULT_INPUT for a path that is none, FAULT_IO.
MUST_CHECK bool rpc_socket_connect(const char *path, int *descriptor, struct fault *fault);

// Listens on a socket file. Faults as rpc_local_start.
MUST_CHECK bool rpc_socket_listen(const struct rpc_local_options *options, int *descriptor,
                                  struct fault *fault);

// Who called; what it borrows is the call's context's. FAULT_DENIED without exactly one URI.
MUST_CHECK bool rpc_peer_read(grpc_call *call, const grpc_auth_context *context,
                              struct rpc_peer *peer, struct fault *fault);

// Who shakes hands on a socket (-1: none is known). The spans are empty.
void rpc_peer_of(const struct certificate_facts *facts, int descriptor, struct rpc_peer *peer);

// How often a listener of this process has died.
unsigned rpc_deaf_count(void);

// What gRPC logged on this thread since rpc_log_capture(true); empty text if nothing.
void rpc_log_capture(bool is_on);
const char *rpc_log_captured(void);
