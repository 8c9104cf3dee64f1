#include <assert.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rpc/rpc_internal.h"

// Stands in a stream's list of posts when the stream has finished: nothing is taken any more.
static struct rpc_post finished_mark;

static void start_batch(struct rpc_stream *stream, struct rpc_tag *tag, const grpc_op *ops,
                        size_t ops_count) {
    stream->tags_count++;
    __tsan_release(tag);
    grpc_call_error error = grpc_call_start_batch(stream->call, ops, ops_count, tag, NULL);
    // gRPC refuses a batch only when it is misused; what the network does comes with the tag.
    assert(error == GRPC_CALL_OK);
}

static struct rpc_stream *come_back(struct rpc_tag *tag) {
    struct rpc_stream *stream = tag->owner;
    assert(stream->tags_count > 0);
    stream->tags_count--;
    return stream;
}

// ---- ends

// Why the stream is over: what our side wanted counts first, then what the other side said.
static void find_reason(struct rpc_stream *stream, struct fault *reason) {
    if (stream->is_closing && stream->close_kind != FAULT_NONE) {
        fault_set(reason, stream->close_kind, "%s", stream->close_text);
    } else if (stream->is_client && stream->is_cancelled) {
        // We ended in order; that the peer did not confirm it in time changes nothing for our user.
        reason->kind = FAULT_NONE;
    } else if (stream->is_client) {
        struct span details = span_of(GRPC_SLICE_START_PTR(stream->status_details),
                                      GRPC_SLICE_LENGTH(stream->status_details));
        stream->was_hung_up =
            rpc_status_read(stream->status, details, stream->target, stream->is_begun, reason);
    } else if (stream->was_cancelled != 0) {
        fault_set(reason, FAULT_RETRY, "the peer or the network cut the connection");
    }
}

// Tells the user, once.
static void tell_finished(struct rpc_stream *stream) {
    if (stream->is_finished) return;
    stream->is_finished = true;
    struct fault reason = {.kind = FAULT_NONE};
    find_reason(stream, &reason);
    stream->on_finished(stream, &reason);
}

static void finish(struct rpc_stream *stream) {
    // Before posts are refused: one that is made while the user hears of the end still runs here,
    // after it. From the mark on they run on the thread that posts, and the user's part is over.
    tell_finished(stream);
    struct rpc_post *none = NULL;
    // A post that is in the list has woken us or will: its tag comes first.
    if (!atomic_compare_exchange_strong(&stream->posts, &none, &finished_mark)) return;
    // A poster may still be on its last steps inside gRPC with our call.
    while (atomic_load(&stream->posting_count) > 0) sched_yield();

    struct rpc_loop *loop = stream->loop;
    if (stream->next != NULL) stream->next->previous = stream->previous;
    if (stream->previous != NULL) stream->previous->next = stream->next;
    if (loop->streams == stream) loop->streams = stream->next;

    if (stream->incoming != NULL) grpc_byte_buffer_destroy(stream->incoming);
    if (stream->outgoing != NULL) grpc_byte_buffer_destroy(stream->outgoing);
    grpc_metadata_array_destroy(&stream->begun_metadata);
    grpc_metadata_array_destroy(&stream->over_metadata);
    grpc_slice_unref(stream->status_details);
    grpc_call_unref(stream->call);
    stream->call = NULL;
    rpc_stream_release(stream);
}

static void send_status(struct rpc_stream *stream) {
    stream->is_end_sent = true;
    grpc_slice details = grpc_slice_from_copied_string(stream->close_text);
    grpc_op ops[2] = {{0}};
    size_t ops_count = 0;
    if (!stream->is_begun) {
        stream->is_begun = true;
        ops[ops_count++].op = GRPC_OP_SEND_INITIAL_METADATA;
    }
    ops[ops_count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[ops_count].data.send_status_from_server.status =
        stream->is_unknown ? GRPC_STATUS_UNIMPLEMENTED : rpc_status_of(stream->close_kind);
    ops[ops_count].data.send_status_from_server.status_details = &details;
    start_batch(stream, &stream->end_tag, ops, ops_count + 1);
    grpc_slice_unref(details);
}

static void send_end(struct rpc_stream *stream) {
    if (!stream->is_client) {
        send_status(stream);
    } else if (stream->close_kind != FAULT_NONE) {
        stream->is_end_sent = true;
        rpc_stream_cancel(stream);
    } else {
        stream->is_end_sent = true;
        grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
        start_batch(stream, &stream->end_tag, &op, 1);
    }
}

void rpc_stream_settle(struct rpc_stream *stream) {
    if (stream->is_closing && !stream->is_end_sent && !stream->is_sending && !stream->is_over) {
        send_end(stream);
    }
    if (stream->is_over && stream->tags_count == 0) finish(stream);
}

void rpc_stream_end(struct rpc_stream *stream, enum fault_kind kind, const char *text) {
    if (stream->is_closing) return;
    stream->is_closing = true;
    stream->close_kind = kind;
    snprintf(stream->close_text, sizeof stream->close_text, "%s", text);
    stream->linger_until_ms = rpc_now_ms() + RPC_LINGER_MS;
    if (stream->linger_until_ms < stream->loop->check_ms) {
        stream->loop->check_ms = stream->linger_until_ms;
    }
}

void rpc_stream_cancel(struct rpc_stream *stream) {
    stream->linger_until_ms = INT64_MAX;
    if (stream->is_cancelled || stream->is_over) return;
    stream->is_cancelled = true;
    grpc_status_code status =
        stream->is_client ? GRPC_STATUS_CANCELLED : rpc_status_of(stream->close_kind);
    if (status == GRPC_STATUS_OK) status = GRPC_STATUS_UNAVAILABLE;
    grpc_call_cancel_with_status(stream->call, status, stream->close_text, NULL);
}

// ---- tags

static void on_begin(struct rpc_tag *tag, bool is_ok) {
    (void)is_ok;  // if the beginning cannot be sent, the end says so
    rpc_stream_settle(come_back(tag));
}

static void on_end(struct rpc_tag *tag, bool is_ok) {
    (void)is_ok;
    rpc_stream_settle(come_back(tag));
}

static void on_over(struct rpc_tag *tag, bool is_ok) {
    (void)is_ok;
    struct rpc_stream *stream = come_back(tag);
    stream->is_over = true;
    rpc_stream_settle(stream);
}

static void announce(struct rpc_stream *stream) {
    if (stream->is_begun) return;
    stream->is_begun = true;
    stream->on_begun(stream);
}

static const char accepted_key[] = "stream-accepted";

// A refusal comes without initial metadata of its own, but gRPC reports an empty one then: only the
// server's mark says that the stream is up.
static void on_begun(struct rpc_tag *tag, bool is_ok) {
    struct rpc_stream *stream = come_back(tag);
    for (size_t index = 0; is_ok && index < stream->begun_metadata.count; index++) {
        grpc_slice key = stream->begun_metadata.metadata[index].key;
        if (grpc_slice_str_cmp(key, accepted_key) == 0 && !stream->is_over) announce(stream);
    }
    rpc_stream_settle(stream);
}

static void on_sent(struct rpc_tag *tag, bool is_ok) {
    struct rpc_stream *stream = come_back(tag);
    grpc_byte_buffer_destroy(stream->outgoing);
    stream->outgoing = NULL;
    stream->is_sending = false;
    if (is_ok && !stream->is_over) stream->listener.sent(stream->listener.context);
    rpc_stream_settle(stream);
}

// The message as one span: gRPC's own memory when it is in one piece, else copied into the inbox.
// False if it cannot be read.
static bool join_message(struct rpc_stream *stream, grpc_byte_buffer_reader *reader,
                         struct span *message) {
    struct buffer *inbox = &stream->loop->inbox;
    size_t size = grpc_byte_buffer_length(stream->incoming);
    grpc_slice *slice = NULL;
    *message = span_of("", 0);
    if (grpc_byte_buffer_reader_peek(reader, &slice) == 0) return size == 0;
    *message = span_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice));
    if (message->size == size) return true;
    buffer_reset(inbox);
    do {
        buffer_append(inbox, span_of(GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice)));
    } while (grpc_byte_buffer_reader_peek(reader, &slice) != 0);
    *message = buffer_span(inbox);
    return !buffer_overflowed(inbox);
}

static void deliver(struct rpc_stream *stream) {
    grpc_byte_buffer_reader reader;
    struct span message;
    if (grpc_byte_buffer_reader_init(&reader, stream->incoming) == 0) {
        rpc_stream_end(stream, FAULT_INPUT, "a message cannot be unpacked");
        return;
    }
    if (join_message(stream, &reader, &message)) {
        enum rpc_read read = stream->listener.message(stream->listener.context, message);
        if (read == RPC_PAUSE) stream->is_paused = true;
    } else {
        rpc_stream_end(stream, FAULT_FULL, "no memory for a message");
    }
    grpc_byte_buffer_reader_destroy(&reader);
}

static void on_read(struct rpc_tag *tag, bool is_ok) {
    struct rpc_stream *stream = come_back(tag);
    stream->is_reading = false;
    if (is_ok && stream->incoming != NULL) {
        if (stream->is_client) announce(stream);
        bool is_wanted = stream->is_client ? !stream->is_cancelled : !stream->is_closing;
        if (is_wanted) deliver(stream);
        grpc_byte_buffer_destroy(stream->incoming);
        stream->incoming = NULL;
        rpc_stream_read(stream);
    } else {
        // The peer sends no more. A client's half-close asks the server for the end.
        stream->is_read_ended = true;
        if (is_ok && !stream->is_client) rpc_stream_end(stream, FAULT_NONE, "");
    }
    rpc_stream_settle(stream);
}

void rpc_stream_read(struct rpc_stream *stream) {
    if (stream->is_reading || stream->is_paused || stream->is_read_ended || stream->is_over) return;
    if (stream->is_closing && !stream->is_client) return;
    stream->is_reading = true;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &stream->incoming;
    start_batch(stream, &stream->read_tag, &op, 1);
}

// ---- beginnings

static void on_wake(struct rpc_tag *tag, bool is_ok);
static void resume_now(void *argument, bool is_closed);
static void close_now(void *argument, bool is_closed);

struct rpc_stream *rpc_stream_create(struct rpc_loop *loop, grpc_call *call, bool is_client) {
    struct rpc_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) return NULL;
    atomic_init(&stream->references, 1);
    stream->resume_post = (struct rpc_post){.function = resume_now, .argument = stream};
    stream->close_post = (struct rpc_post){.function = close_now, .argument = stream};
    stream->wake_tag = (struct rpc_tag){on_wake, stream};
    stream->begin_tag = (struct rpc_tag){on_begin, stream};
    stream->begun_tag = (struct rpc_tag){on_begun, stream};
    stream->read_tag = (struct rpc_tag){on_read, stream};
    stream->send_tag = (struct rpc_tag){on_sent, stream};
    stream->end_tag = (struct rpc_tag){on_end, stream};
    stream->over_tag = (struct rpc_tag){on_over, stream};
    stream->loop = loop;
    stream->call = call;
    stream->is_client = is_client;
    stream->target = "";
    stream->linger_until_ms = INT64_MAX;
    stream->status_details = grpc_empty_slice();
    grpc_metadata_array_init(&stream->begun_metadata);
    grpc_metadata_array_init(&stream->over_metadata);
    stream->next = loop->streams;
    if (stream->next != NULL) stream->next->previous = stream;
    loop->streams = stream;
    return stream;
}

void rpc_stream_accept(struct rpc_stream *stream) {
    assert(!stream->is_client);
    if (stream->is_begun) return;
    stream->is_begun = true;
    stream->begin_metadata.key = grpc_slice_from_static_string(accepted_key);
    stream->begin_metadata.value = grpc_slice_from_static_string("1");
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    op.data.send_initial_metadata.count = 1;
    op.data.send_initial_metadata.metadata = &stream->begin_metadata;
    start_batch(stream, &stream->begin_tag, &op, 1);
}

void rpc_stream_watch(struct rpc_stream *stream) {
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &stream->was_cancelled;
    start_batch(stream, &stream->over_tag, &op, 1);
}

// Four batches, not one: a batch completes only when all of it has, and a server may wait for our
// first message before it answers.
void rpc_stream_begin(struct rpc_stream *stream) {
    assert(stream->is_client);
    grpc_op over = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    over.data.recv_status_on_client.trailing_metadata = &stream->over_metadata;
    over.data.recv_status_on_client.status = &stream->status;
    over.data.recv_status_on_client.status_details = &stream->status_details;
    start_batch(stream, &stream->over_tag, &over, 1);
    // Without wait-for-ready: a failure to connect ends the call at once, with its cause.
    grpc_op begin = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    start_batch(stream, &stream->begin_tag, &begin, 1);
    grpc_op begun = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    begun.data.recv_initial_metadata.recv_initial_metadata = &stream->begun_metadata;
    start_batch(stream, &stream->begun_tag, &begun, 1);
    rpc_stream_read(stream);
}

bool rpc_stream_send(struct rpc_stream *stream, struct span message) {
    assert(message.size <= RPC_MESSAGE_SIZE_MAX);
    if (stream->is_sending || stream->is_over || stream->is_closing) return false;
    if (atomic_load(&stream->is_close_wanted)) return false;
    if (!stream->is_client) rpc_stream_accept(stream);
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)message.bytes, message.size);
    stream->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    stream->is_sending = true;
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = stream->outgoing;
    start_batch(stream, &stream->send_tag, &op, 1);
    return true;
}

// ---- from any thread

static void run_posts(struct rpc_post *posts, bool is_closed) {
    struct rpc_post *ordered = NULL;
    while (posts != NULL) {
        struct rpc_post *next = posts->next;
        posts->next = ordered;
        ordered = posts;
        posts = next;
    }
    while (ordered != NULL) {
        // An embedded post may be posted again as soon as its function runs.
        struct rpc_post *post = ordered;
        ordered = post->next;
        bool is_allocated = post->is_allocated;
        post->function(post->argument, is_closed);
        if (is_allocated) free(post);
    }
}

static void on_wake(struct rpc_tag *tag, bool is_ok) {
    (void)is_ok;  // an empty batch cannot fail
    struct rpc_stream *stream = tag->owner;
    run_posts(atomic_exchange(&stream->posts, NULL), stream->is_over);
    rpc_stream_settle(stream);
}

// Puts a post into the list; whoever puts the first one wakes the loop, with an empty batch. While
// the list is not empty the stream cannot finish, so the call is there to be used.
static void push_post(struct rpc_stream *stream, struct rpc_post *post) {
    atomic_fetch_add(&stream->posting_count, 1);
    struct rpc_post *first = atomic_load(&stream->posts);
    do {
        if (first == &finished_mark) break;
        post->next = first;
    } while (!atomic_compare_exchange_weak(&stream->posts, &first, post));
    if (first == NULL) {
        __tsan_release(&stream->wake_tag);
        grpc_call_error error =
            grpc_call_start_batch(stream->call, NULL, 0, &stream->wake_tag, NULL);
        assert(error == GRPC_CALL_OK);
    }
    atomic_fetch_sub(&stream->posting_count, 1);
    if (first == &finished_mark) {
        post->next = NULL;
        run_posts(post, true);
    }
}

void rpc_stream_post(struct rpc_stream *stream, void (*function)(void *argument, bool is_closed),
                     void *argument) {
    struct rpc_post *post = malloc(sizeof *post);
    // The promise to run it exactly once cannot be kept otherwise.
    if (post == NULL) abort();
    *post = (struct rpc_post){.function = function, .argument = argument, .is_allocated = true};
    push_post(stream, post);
}

static void resume_now(void *argument, bool is_closed) {
    struct rpc_stream *stream = argument;
    atomic_store(&stream->is_resume_wanted, false);
    if (is_closed) return;
    stream->is_paused = false;
    rpc_stream_read(stream);
}

void rpc_stream_resume(struct rpc_stream *stream) {
    if (!atomic_exchange(&stream->is_resume_wanted, true)) push_post(stream, &stream->resume_post);
}

static void close_now(void *argument, bool is_closed) {
    struct rpc_stream *stream = argument;
    if (!is_closed) rpc_stream_end(stream, stream->wanted_kind, stream->wanted_text);
}

void rpc_stream_close(struct rpc_stream *stream, enum fault_kind kind, const char *text) {
    if (atomic_exchange(&stream->is_close_wanted, true)) return;
    stream->wanted_kind = kind;
    snprintf(stream->wanted_text, sizeof stream->wanted_text, "%s", text == NULL ? "" : text);
    push_post(stream, &stream->close_post);
}

void rpc_stream_hold(struct rpc_stream *stream) {
    atomic_fetch_add(&stream->references, 1);
}

void rpc_stream_release(struct rpc_stream *stream) {
    if (atomic_fetch_sub(&stream->references, 1) == 1) free(stream);
}
