// What goes through a stream: messages, pauses, posts.

#include "base/rpc/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rpc/test_streams.h"
#include "tests/kit/cases.h"

static struct test_server server;
static struct test_client client;
static struct test_identity identity;

static int begin(void **state) {
    (void)state;
    memset(&server, 0, sizeof server);
    memset(&client, 0, sizeof client);
    return 0;
}

static void start(void) {
    test_server_start(&server);
    test_identity_good(&identity, &server);
    test_client_make(&client, &server, &identity);
}

static void stop(void) {
    rpc_client_destroy(client.rpc);
    client.rpc = NULL;
    test_server_stop(&server, 0);
    assert_int_equal(server.opened, server.closed);
}

static void exchange(uint32_t count) {
    assert_true(test_client_exchange(&client, count));
}

static void test_echoes(void **state) {
    (void)state;
    start();
    assert_true(test_client_connect(&client));
    exchange(3);
    assert_int_equal(client.connected, 1);
    stop();
    assert_int_equal(client.closed, 1);
}

static void test_echoes_ten_thousand(void **state) {
    (void)state;
    start();
    assert_true(test_client_connect(&client));
    exchange(10000);
    stop();
}

static void test_pauses_and_resumes(void **state) {
    (void)state;
    server.pause_every = 7;
    client.pause_every = 5;
    start();
    assert_true(test_client_connect(&client));
    exchange(500);
    assert_int_equal(client.pauses, 100);
    assert_true(server.pauses > 10);
    stop();
}

// Messages of every size gRPC treats differently: none, one piece, many pieces, the largest.
static void test_sizes(void **state) {
    (void)state;
    static const size_t sizes[] = {4, 5, 1000, 16 * 1024, 100000, RPC_MESSAGE_SIZE_MAX};
    start();
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        client.message_size = sizes[index];
        client.received = 0;
        client.sent = 0;
        if (client.stream == NULL) assert_true(test_client_connect(&client));
        exchange(3);
    }
    stop();
}

static void test_many_clients_on_two_workers(void **state) {
    (void)state;
    enum { CLIENTS = 12 };
    static struct test_client clients[CLIENTS];
    memset(clients, 0, sizeof clients);
    server.workers = 2;
    start();
    for (int index = 0; index < CLIENTS; index++) {
        test_client_make(&clients[index], &server, &identity);
        assert_true(test_client_connect(&clients[index]));
    }
    for (int index = 0; index < CLIENTS; index++) {
        for (uint32_t count = 1; count <= 20; count++) {
            assert_true(test_client_exchange(&clients[index], count));
        }
    }
    for (int index = 0; index < CLIENTS; index++) rpc_client_destroy(clients[index].rpc);
    test_wait(&server.closed, CLIENTS);
    assert_int_equal(server.messages, CLIENTS * 20);
    stop();
}

// A server that does not read holds the sender back after 64 KiB, beside what the sender's own
// buffer takes, and nothing is lost of it.
static void test_flow_control_stops_the_sender(void **state) {
    (void)state;
    server.is_stuck = true;
    client.message_size = 16 * 1024;
    start();
    assert_true(test_client_connect(&client));
    for (uint32_t turn = 0; turn < 100; turn++) {
        test_client_send(&client, 10000);
        rpc_client_step(client.rpc, 10);
    }
    size_t taken = client.sent * client.message_size;
    assert_true(taken >= 32 * 1024);
    assert_true(taken <= 256 * 1024);
    assert_int_equal(server.messages, 1);

    // Once it reads again, all of it arrives.
    server.is_stuck = false;
    server.is_silent = true;
    struct rpc_stream *stream = atomic_load(&server.last_stream);
    rpc_stream_resume(stream);
    uint32_t sent = client.sent;
    for (uint32_t turn = 0; turn < 1000 && server.messages < sent; turn++) {
        rpc_client_step(client.rpc, 10);
    }
    assert_int_equal(server.messages, sent);
    stop();
}

static void test_step_waits_without_a_stream(void **state) {
    (void)state;
    start();
    const struct clock *clock = clock_system();
    int64_t before = clock->monotonic_ms(clock->context);
    rpc_client_step(client.rpc, 50);
    int64_t waited = clock->monotonic_ms(clock->context) - before;
    assert_true(waited >= 45);
    stop();
}

// ---- posts

enum { POSTERS = 4, POSTS = 5000 };

struct posting {
    struct rpc_stream *stream;
    atomic_uint runs;
    atomic_uint closed_runs;
    uint32_t unlocked;  // touched by the stream's worker only, while the stream is open
};

static void note_post(void *argument, bool is_closed) {
    struct posting *posting = argument;
    if (is_closed) {
        atomic_fetch_add(&posting->closed_runs, 1);
    } else {
        posting->unlocked++;
    }
    atomic_fetch_add(&posting->runs, 1);
}

static void *post_many(void *argument) {
    struct posting *posting = argument;
    for (int index = 0; index < POSTS; index++) {
        rpc_stream_post(posting->stream, note_post, posting);
    }
    return NULL;
}

static void start_posters(struct posting *posting, pthread_t threads[POSTERS]) {
    posting->stream = atomic_load(&server.last_stream);
    for (int index = 0; index < POSTERS; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, post_many, posting), 0);
    }
}

static void test_posts_from_four_threads(void **state) {
    (void)state;
    start();
    assert_true(test_client_connect(&client));
    struct posting posting = {0};
    pthread_t threads[POSTERS];
    start_posters(&posting, threads);
    exchange(200);
    for (int index = 0; index < POSTERS; index++) pthread_join(threads[index], NULL);
    test_wait(&posting.runs, POSTERS * POSTS);
    assert_int_equal(posting.unlocked, POSTERS * POSTS);
    assert_int_equal(posting.closed_runs, 0);
    stop();
}

static void test_posts_run_once_while_it_closes(void **state) {
    (void)state;
    start();
    assert_true(test_client_connect(&client));
    struct posting posting = {0};
    pthread_t threads[POSTERS];
    start_posters(&posting, threads);
    test_wait(&posting.runs, 100);
    rpc_client_destroy(client.rpc);
    client.rpc = NULL;
    for (int index = 0; index < POSTERS; index++) pthread_join(threads[index], NULL);
    test_wait(&posting.runs, POSTERS * POSTS);
    assert_int_equal(posting.unlocked + posting.closed_runs, POSTERS * POSTS);
    test_wait(&server.closed, 1);
    stop();
}

static void test_post_after_close_says_so(void **state) {
    (void)state;
    start();
    assert_true(test_client_connect(&client));
    rpc_client_destroy(client.rpc);
    client.rpc = NULL;
    test_wait(&server.closed, 1);
    struct posting posting = {.stream = atomic_load(&server.last_stream)};
    rpc_stream_hold(posting.stream);
    // Even when the server and all of it is gone.
    test_server_stop(&server, 0);
    rpc_stream_post(posting.stream, note_post, &posting);
    rpc_stream_resume(posting.stream);
    rpc_stream_close(posting.stream, FAULT_IO, "too late");
    assert_int_equal(posting.runs, 1);
    assert_int_equal(posting.closed_runs, 1);
    rpc_stream_release(posting.stream);
}

int main(void) {
    struct fault fault;
    if (!rpc_init(&fault)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_echoes, begin),
        cmocka_unit_test_setup(test_echoes_ten_thousand, begin),
        cmocka_unit_test_setup(test_pauses_and_resumes, begin),
        cmocka_unit_test_setup(test_sizes, begin),
        cmocka_unit_test_setup(test_many_clients_on_two_workers, begin),
        cmocka_unit_test_setup(test_flow_control_stops_the_sender, begin),
        cmocka_unit_test_setup(test_step_waits_without_a_stream, begin),
        cmocka_unit_test_setup(test_posts_from_four_threads, begin),
        cmocka_unit_test_setup(test_posts_run_once_while_it_closes, begin),
        cmocka_unit_test_setup(test_post_after_close_says_so, begin),
    };
    int code = cases_run("rpc", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return code;
}
