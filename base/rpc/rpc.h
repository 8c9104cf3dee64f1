// rpc.h: bidirectional streams of messages over mutual TLS 1.3, on gRPC's C core.
//
// Nothing of gRPC shows: no tag, no completion queue, no slice. Each stream belongs to one worker
// thread: all its callbacks run there, one at a time, and so do the functions marked [worker].
// Functions marked [any] may be called from any thread that holds the stream.
//
// Life of a stream: the open callback (server) or connected callback (client) hands it over; it is
// valid until the closed callback has returned, which comes exactly once and last. A thread other
// than the worker that keeps a stream calls rpc_stream_hold first and rpc_stream_release at its
// end; a held stream that is closed ignores what is asked of it.
//
// A kind of fault becomes a status on the wire and comes out as the same kind: input (invalid
// argument), denied (permission denied), full (resource exhausted), retry (unavailable), io
// (internal), corrupt (failed precondition: what the other side holds is not what ours holds). A
// method that is not served is input, a lost connection retry.
//
// Reading pauses by itself when a callback says so: no further message is taken from the network
// until rpc_stream_resume, and flow control stops the peer (it can have 64 KiB under
// way).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    RPC_MESSAGE_SIZE_MAX = 2 * 1024 * 1024,  // bytes of one message; see docs/limits.md
    RPC_URI_SIZE = 256,
    RPC_LINGER_MS = 3000,  // how long a close may wait for the peer to take the last bytes
};

struct rpc_server;
struct rpc_client;
struct rpc_stream;

// Starts gRPC once for the process: log hook, environment cleaned of what would change its
// behaviour, TLS 1.2 cipher list emptied in effect (see docs/decisions), descriptor limit raised.
// Call before any thread is started; signals should be blocked already. FAULT_IO.
MUST_CHECK bool rpc_init(struct fault *fault);

// Ends gRPC; all servers and clients are gone.
void rpc_done(void);

// Who is at the other end, as its verified certificate says.
struct rpc_peer {
    char uri[RPC_URI_SIZE];         // the one URI SAN; server side only
    char serial[64];                // of its certificate, lower-case hex
    int64_t certificate_expires_s;  // since the Unix epoch
    char address[64];               // "192.0.2.1:50123"
    struct span certificate;        // PEM; borrowed for the open callback
    struct span chain;  // PEM of others that came with it, as far as known; borrowed too
};

// PEM texts; copied.
struct rpc_credentials {
    struct span ca;           // accepted issuers of the peer, one or more certificates
    struct span certificate;  // ours; ECDSA
    struct span key;
};

enum rpc_read { RPC_READ_ON, RPC_PAUSE };

struct rpc_server_callbacks {
    // A stream was opened by a peer whose certificate is good. True accepts it and sets
    // *stream_context; false refuses it with the fault's text (denied, retry, full or input).
    bool (*open)(void *context, struct rpc_stream *stream, const struct rpc_peer *peer,
                 void **stream_context, struct fault *fault);
    // A message arrived; its bytes are borrowed for the call. Never wait for a disk or a lock here
    // or in another callback: the thread also does TLS for all its streams.
    enum rpc_read (*message)(void *stream_context, struct span message);
    // What rpc_stream_send took last is on its way: the next one may be sent.
    void (*sent)(void *stream_context);
    // The stream is over. FAULT_NONE if the peer ended it in order (all it sent was delivered);
    // what was given to rpc_stream_close if our side did; otherwise FAULT_RETRY.
    void (*closed)(void *stream_context, const struct fault *reason);
    // Within the TLS handshake, on any thread: whether a peer whose certificate is good may come in
    // at all; the spans are empty. False turns it away with TLS's alert certificate_revoked, which
    // is all that it hears. NULL: everybody may; one server of a process at a time has one. Never
    // wait here either.
    bool (*screen)(void *context, const struct rpc_peer *peer);
};

struct rpc_server_options {
    const char *listen;   // "0.0.0.0:7443", "[::]:7443", port 0: any free one
    const char *service;  // full method, "/orgtrail.v1.Collector/Stream"
    struct rpc_credentials credentials;
    const struct rpc_server_callbacks *callbacks;
    void *context;
    uint32_t workers;      // threads; 0 means 1
    uint32_t streams_max;  // refuse more than this with FAULT_RETRY; the descriptor limit is
                           // checked against it
};

// Listens and serves. FAULT_INPUT for credentials or address that cannot be used (an RSA key too),
// FAULT_RETRY if the address is in use.
MUST_CHECK bool rpc_server_start(const struct rpc_server_options *options,
                                 struct rpc_server **server, struct fault *fault);

// The port it listens on.
uint16_t rpc_server_port(const struct rpc_server *server);

// New connections get these credentials; open streams go on. FAULT_INPUT: the old ones stay.
MUST_CHECK bool rpc_server_reload(struct rpc_server *server,
                                  const struct rpc_credentials *credentials, struct fault *fault);

// True if the listener is dead (out of descriptors stops gRPC's accept loop for ever): the process
// should end, so that its supervisor starts it again. Ask every few seconds. gRPC does not say
// which listener, so all servers of the process that run then are called deaf.
bool rpc_server_is_deaf(const struct rpc_server *server);

// Stops listening, gives open streams grace_ms to end by themselves, closes the rest with
// FAULT_RETRY, waits until every closed callback has returned, frees the server. Takes at most
// about 3 s longer than grace_ms, for peers that do not answer.
void rpc_server_stop(struct rpc_server *server, int64_t grace_ms);

struct rpc_client_callbacks {
    // The stream is up: the server has accepted it.
    void (*connected)(void *context, struct rpc_stream *stream);
    enum rpc_read (*message)(void *context, struct span message);
    void (*sent)(void *context);
    // The stream, or the attempt to make it, is over. The text is for people: what happened and the
    // next thing to check ("connection to ... refused: is the server running there?"). FAULT_NONE
    // if it ended in order, FAULT_INPUT where the configuration is wrong (CA, name, port),
    // otherwise what the server said or FAULT_RETRY. A new attempt may begin inside.
    void (*closed)(void *context, const struct fault *reason);
};

struct rpc_client_options {
    const char *target;     // "collector.example:7443"
    const char *authority;  // name that must stand in the server's certificate; NULL: target's host
    const char *service;
    struct rpc_credentials credentials;
    const struct rpc_client_callbacks *callbacks;
    void *context;
};

// Makes a client that does nothing yet. It has no thread: the thread that steps it is the worker.
MUST_CHECK bool rpc_client_create(const struct rpc_client_options *options,
                                  struct rpc_client **client, struct fault *fault);

// Cuts the stream, if any (closed is called, with FAULT_NONE), and frees the client. For an end in
// order, rpc_stream_close with FAULT_NONE and step until closed first. Not from a callback. NULL is
// allowed.
void rpc_client_destroy(struct rpc_client *client);

// Begins one attempt; connected or closed follows from rpc_client_step. No attempt may be open. No
// effect while the client is being destroyed.
void rpc_client_connect(struct rpc_client *client);

// Runs what has happened since, waits up to wait_ms for something to happen. Callbacks run inside.
// While a stream is open, step at least every few seconds: nobody else answers the server.
void rpc_client_step(struct rpc_client *client, int64_t wait_ms);

// [worker] Sends a message; its bytes are copied or taken before it returns. False if the last one
// is still on its way (the sent callback will come) or the stream is closed; nothing was sent then.
bool rpc_stream_send(struct rpc_stream *stream, struct span message);

// [any] Reads on after RPC_PAUSE.
void rpc_stream_resume(struct rpc_stream *stream);

// [any] Ends the stream, after the message under way. A server's peer sees the status that fits the
// kind, and the text. FAULT_NONE ends it in order: a client sends no more, but is still given what
// the server sends until that ends it too. A peer that does not take it within RPC_LINGER_MS is cut
// off. text may be NULL. Again: no effect. closed still comes, later.
void rpc_stream_close(struct rpc_stream *stream, enum fault_kind kind, const char *text);

// [any] Runs function(argument) on the stream's worker. It runs exactly once, with is_closed true
// if the stream is over by then, so that the argument can always be freed. Never while a callback
// of the stream runs: what is posted before the closed callback has returned runs on the worker,
// before or after it; what is posted later may run on the calling thread, at once, and sees all
// that the worker did. The context is there only as long as the user keeps it. Posts of one thread
// run in order.
void rpc_stream_post(struct rpc_stream *stream, void (*function)(void *argument, bool is_closed),
                     void *argument);

// [any] Keeps the handle valid after closed, until released as often as held.
void rpc_stream_hold(struct rpc_stream *stream);
void rpc_stream_release(struct rpc_stream *stream);
