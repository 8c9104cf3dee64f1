// How streams, attempts and servers end, and what each side is told.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rpc/rpc.h"
#include "base/rpc/test_strangers.h"
#include "base/rpc/test_streams.h"
#include "tests/kit/cases.h"

static struct test_server server;
static struct test_client client;
static struct test_identity identity;

static int begin(void **state) {
    (void)state;
    memset(&server, 0, sizeof server);
    memset(&client, 0, sizeof client);
    test_server_start(&server);
    test_identity_good(&identity, &server);
    return 0;
}

static int end(void **state) {
    (void)state;
    rpc_client_destroy(client.rpc);
    if (server.rpc != NULL) test_server_stop(&server, 0);
    return 0;
}

static void connect_client(void) {
    test_client_make(&client, &server, &identity);
    assert_true(test_client_connect(&client));
}

static void assert_reason(enum fault_kind kind, const char *text) {
    if (strstr(client.reason.text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, client.reason.text);
    }
    assert_int_equal(client.reason.kind, kind);
}

static int64_t now_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static const enum fault_kind kinds[] = {FAULT_INPUT, FAULT_DENIED, FAULT_FULL,
                                        FAULT_RETRY, FAULT_IO,     FAULT_CORRUPT};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

// Who is refused as a stream opens reaches nothing before: what it sent along is never read.
static void test_refused_peers_reach_nothing(void **state) {
    (void)state;
    enum { PERMISSION_DENIED = 7, UNIMPLEMENTED = 12, TURNS = 10 };
    server.refusal = FAULT_DENIED;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        static const size_t sizes[] = {0, 1000, RPC_MESSAGE_SIZE_MAX - 100};
        struct test_answer answer;
        test_stranger_call(server.target, &identity, TEST_SERVICE, sizes[turn % 3], &answer);
        assert_int_equal(answer.status, PERMISSION_DENIED);
        assert_non_null(strstr(answer.text, "refused for the test"));
        test_stranger_call(server.target, &identity, "/other.Service/Method", 10, &answer);
        assert_int_equal(answer.status, UNIMPLEMENTED);
    }
    assert_int_equal(server.messages, 0);
    assert_int_equal(server.closed, 0);
    server.refusal = FAULT_NONE;
    connect_client();
    assert_true(test_client_exchange(&client, 3));
    assert_int_equal(server.messages, 3);
}

static void test_refusals_arrive(void **state) {
    (void)state;
    test_client_make(&client, &server, &identity);
    for (uint32_t index = 0; index < KINDS; index++) {
        server.refusal = (int)kinds[index];
        assert_false(test_client_connect(&client));
        assert_reason(kinds[index], "refused for the test");
    }
    assert_int_equal(client.connected, 0);
    assert_int_equal(client.closed, KINDS);
    assert_int_equal(server.closed, 0);
    server.refusal = FAULT_NONE;
    assert_true(test_client_connect(&client));
}

static void test_server_closes_with_each_kind(void **state) {
    (void)state;
    test_client_make(&client, &server, &identity);
    for (uint32_t index = 0; index < KINDS; index++) {
        server.closing = (int)kinds[index];
        assert_true(test_client_connect(&client));
        client.sent = 0;
        test_client_send(&client, 1);
        assert_true(test_client_step_until(&client, &client.closed, index + 1));
        assert_reason(kinds[index], "closed for the test");
        test_wait(&server.closed, index + 1);
        struct fault reason = test_server_reason(&server);
        assert_int_equal(reason.kind, kinds[index]);
        assert_string_equal(reason.text, "closed for the test");
    }
}

static void test_client_ends_in_order(void **state) {
    (void)state;
    server.is_silent = true;
    connect_client();
    for (uint32_t turn = 0; client.sent < 50 && turn < 10000; turn++) {
        test_client_send(&client, 50);
        rpc_client_step(client.rpc, 10);
    }
    rpc_stream_close(client.stream, FAULT_NONE, NULL);
    struct rpc_stream *stream = client.stream;
    assert_false(rpc_stream_send(stream, SPAN_LITERAL("after the end")));
    assert_true(test_client_step_until(&client, &client.closed, 1));
    assert_int_equal(client.reason.kind, FAULT_NONE);
    test_wait(&server.closed, 1);
    assert_int_equal(test_server_reason(&server).kind, FAULT_NONE);
    assert_int_equal(server.messages, 50);
}

static void test_client_ends_with_a_fault(void **state) {
    (void)state;
    connect_client();
    rpc_stream_close(client.stream, FAULT_RETRY, "no answer for too long");
    assert_true(test_client_step_until(&client, &client.closed, 1));
    assert_reason(FAULT_RETRY, "no answer for too long");
    test_wait(&server.closed, 1);
    assert_int_equal(test_server_reason(&server).kind, FAULT_RETRY);
}

// A server that reads nothing cannot see the end: the close does not wait for it for ever.
static void test_closing_a_stuck_stream(void **state) {
    (void)state;
    server.is_stuck = true;
    client.message_size = 64 * 1024;
    connect_client();
    for (uint32_t turn = 0; turn < 30; turn++) {
        test_client_send(&client, 10000);
        rpc_client_step(client.rpc, 10);
    }
    rpc_stream_close(client.stream, FAULT_NONE, NULL);
    int64_t before = now_ms();
    assert_true(test_client_step_until(&client, &client.closed, 1));
    assert_true(now_ms() - before < 8000);
    test_wait(&server.closed, 1);
}

static void test_another_thread_closes(void **state) {
    (void)state;
    connect_client();
    rpc_stream_close(atomic_load(&server.last_stream), FAULT_DENIED, "on the deny list");
    assert_true(test_client_step_until(&client, &client.closed, 1));
    assert_reason(FAULT_DENIED, "on the deny list");
}

// A post made while the worker is inside the closed callback, by a thread that does not know.
struct late_post {
    struct rpc_stream *stream;
    pthread_t worker;
    atomic_bool is_in_closed;
    atomic_uint ran_in_closed;
    atomic_uint ran_elsewhere;
    atomic_uint ran;
};

static struct late_post late;

static void run_late(void *argument, bool is_closed) {
    (void)argument;
    assert_true(is_closed);
    if (atomic_load(&late.is_in_closed)) atomic_fetch_add(&late.ran_in_closed, 1);
    if (!pthread_equal(pthread_self(), late.worker)) atomic_fetch_add(&late.ran_elsewhere, 1);
    atomic_fetch_add(&late.ran, 1);
}

static void *post_late(void *argument) {
    (void)argument;
    rpc_stream_post(late.stream, run_late, NULL);
    return NULL;
}

static void post_in_closed(struct test_server *from, struct rpc_stream *stream) {
    (void)from;
    late.stream = stream;
    late.worker = pthread_self();
    atomic_store(&late.is_in_closed, true);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_late, NULL), 0);
    pthread_join(thread, NULL);
    rpc_stream_post(stream, run_late, NULL);
    atomic_store(&late.is_in_closed, false);
}

static void test_posts_wait_for_closed(void **state) {
    (void)state;
    memset(&late, 0, sizeof late);
    server.on_closing = post_in_closed;
    connect_client();
    rpc_stream_close(client.stream, FAULT_NONE, NULL);
    assert_true(test_client_step_until(&client, &client.closed, 1));
    test_wait(&late.ran, 2);
    assert_int_equal(atomic_load(&late.ran_in_closed), 0);
    assert_int_equal(atomic_load(&late.ran_elsewhere), 0);
    assert_int_equal(server.closed, 1);
    // One that comes when all is over runs where it is made.
    struct rpc_stream *stream = atomic_load(&server.last_stream);
    for (unsigned turn = 0; turn < 2000 && atomic_load(&late.ran_elsewhere) == 0; turn++) {
        unsigned before = atomic_load(&late.ran);
        rpc_stream_post(stream, run_late, NULL);
        test_wait(&late.ran, before + 1);
    }
    assert_true(atomic_load(&late.ran_elsewhere) > 0);
    assert_int_equal(server.closed, 1);
}

static void test_unknown_method(void **state) {
    (void)state;
    struct test_answer answer;
    test_stranger_call(server.target, &identity, "/other.Service/Method", 10, &answer);
    assert_int_equal(answer.status, 12);
    client.service = "/test.v1.Echo/Other";
    test_client_make(&client, &server, &identity);
    assert_false(test_client_connect(&client));
    assert_reason(FAULT_INPUT, "does not know this service");
}

static void test_message_too_large(void **state) {
    (void)state;
    server.is_silent = true;
    struct test_answer answer;
    test_stranger_call(server.target, &identity, TEST_SERVICE, RPC_MESSAGE_SIZE_MAX + 1, &answer);
    assert_int_equal(answer.status, 8);
    assert_non_null(strstr(answer.text, "larger than max"));
    test_wait(&server.closed, 1);
    assert_int_equal(server.messages, 0);
    connect_client();
}

static void test_streams_max(void **state) {
    (void)state;
    test_server_stop(&server, 0);
    server.streams_max = 1;
    test_server_start_again(&server, 0);
    connect_client();
    struct test_client second = {0};
    test_client_make(&second, &server, &identity);
    assert_false(test_client_connect(&second));
    assert_int_equal(second.reason.kind, FAULT_RETRY);
    assert_string_equal(second.reason.text, "this server has 1 streams open, which is its limit");
    rpc_client_destroy(client.rpc);
    client.rpc = NULL;
    test_wait(&server.closed, 1);
    assert_true(test_client_connect(&second));
    rpc_client_destroy(second.rpc);
}

static void test_stop_with_open_streams(void **state) {
    (void)state;
    connect_client();
    int64_t before = now_ms();
    test_server_stop(&server, 0);
    assert_true(now_ms() - before < 6000);
    assert_int_equal(server.closed, 1);
    assert_true(test_client_step_until(&client, &client.closed, 1));
    assert_reason(FAULT_RETRY, "the server is stopping");
}

static void *stop_in_peace(void *argument) {
    test_server_stop(argument, 15000);
    return NULL;
}

// Within the grace time streams work on and end by themselves; new ones are not taken.
static void test_stop_waits_for_streams(void **state) {
    (void)state;
    connect_client();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, stop_in_peace, &server), 0);
    int64_t before = now_ms();
    while (now_ms() - before < 200) rpc_client_step(client.rpc, 20);
    assert_true(test_client_exchange(&client, 1));
    rpc_stream_close(client.stream, FAULT_NONE, NULL);
    assert_true(test_client_step_until(&client, &client.closed, 1));
    assert_int_equal(client.reason.kind, FAULT_NONE);
    pthread_join(thread, NULL);
    assert_true(now_ms() - before < 10000);
    assert_int_equal(server.closed, 1);
    assert_int_equal(server.last_reason.kind, FAULT_NONE);
}

static void test_restart_and_reconnect(void **state) {
    (void)state;
    connect_client();
    uint16_t port = rpc_server_port(server.rpc);
    test_server_stop(&server, 0);
    assert_true(test_client_step_until(&client, &client.closed, 1));
    assert_false(test_client_connect(&client));
    assert_reason(FAULT_RETRY, "refused: is the server running");
    test_server_start_again(&server, port);
    assert_true(test_client_connect(&client));
    assert_true(test_client_exchange(&client, 1));
    assert_int_equal(client.connected, 2);
}

static void test_destroy_while_connecting(void **state) {
    (void)state;
    uint16_t port = 0;
    int listener = test_stranger_listen(&port);
    snprintf(server.target, sizeof server.target, "127.0.0.1:%u", port);
    test_client_make(&client, &server, &identity);
    rpc_client_connect(client.rpc);
    for (int turn = 0; turn < 5; turn++) rpc_client_step(client.rpc, 20);
    assert_int_equal(client.closed, 0);
    int64_t before = now_ms();
    rpc_client_destroy(client.rpc);
    assert_int_equal(client.closed, 1);
    assert_true(now_ms() - before < 5000);

    // Also before it was stepped at all.
    test_client_make(&client, &server, &identity);
    rpc_client_connect(client.rpc);
    rpc_client_destroy(client.rpc);
    client.rpc = NULL;
    assert_int_equal(client.closed, 2);
    assert_int_equal(client.connected, 0);
    close(listener);
}

static void test_closed_may_begin_again(void **state) {
    (void)state;
    server.refusal = FAULT_RETRY;
    test_client_make(&client, &server, &identity);
    client.retries = 2;
    rpc_client_connect(client.rpc);
    assert_true(test_client_step_until(&client, &client.closed, 3));
    // But not while the client is being destroyed.
    client.retries = 1000000;
    rpc_client_connect(client.rpc);
    rpc_client_destroy(client.rpc);
    client.rpc = NULL;
    assert_int_equal(client.closed, 4);
}

// Somebody who connects and says nothing does not keep the server from stopping.
static void test_stop_with_a_silent_connection(void **state) {
    (void)state;
    int silent = test_stranger_connect(rpc_server_port(server.rpc));
    connect_client();
    int64_t before = now_ms();
    test_server_stop(&server, 0);
    assert_true(now_ms() - before < 6000);
    close(silent);
}

static void test_unknown_host(void **state) {
    (void)state;
    snprintf(server.target, sizeof server.target, "no-such-host.invalid:7443");
    test_client_make(&client, &server, &identity);
    assert_false(test_client_connect(&client));
    assert_reason(FAULT_RETRY, "cannot be resolved");
}

static bool start_another(const char *listen, uint32_t streams_max, struct fault *fault) {
    struct rpc_server_callbacks callbacks = {0};
    struct rpc_server_options options = {
        .listen = listen,
        .service = TEST_SERVICE,
        .credentials = test_credentials(&server.identity),
        .callbacks = &callbacks,
        .streams_max = streams_max,
    };
    struct rpc_server *other = NULL;
    return rpc_server_start(&options, &other, fault);
}

static void test_addresses_that_cannot_be_used(void **state) {
    (void)state;
    struct fault fault;
    assert_false(start_another(server.target, 1, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    assert_non_null(strstr(fault.text, "the address is in use"));
    // On every address at once, gRPC's report is much longer, and the reason stands behind it.
    char wildcard[32];
    snprintf(wildcard, sizeof wildcard, "0.0.0.0:%u", rpc_server_port(server.rpc));
    assert_false(start_another(wildcard, 1, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    assert_non_null(strstr(fault.text, "the address is in use"));
    assert_false(start_another("192.0.2.1:0", 1, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "listen on 192.0.2.1:0: "));
    assert_false(start_another("nonsense", 1, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_false(start_another("127.0.0.1:0", 4000000000, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "LimitNOFILE"));
}

// gRPC stops accepting for ever when a connection finds no descriptor. We cannot heal that, but
// must know it.
static void test_running_out_of_descriptors(void **state) {
    (void)state;
    connect_client();
    assert_false(rpc_server_is_deaf(server.rpc));
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int knock = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit low = {.rlim_cur = (rlim_t)knock + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int filled[1024];
    int count = 0;
    while (count < 1024 && (filled[count] = dup(knock)) >= 0) count++;

    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons(rpc_server_port(server.rpc));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)!connect(knock, (struct sockaddr *)&address, sizeof address);
    for (int turn = 0; turn < 2000 && !rpc_server_is_deaf(server.rpc); turn++) usleep(1000);
    bool is_deaf = rpc_server_is_deaf(server.rpc);
    while (count > 0) close(filled[--count]);
    close(knock);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(is_deaf);

    // Streams that are open work on, and a new server hears again.
    assert_true(test_client_exchange(&client, 1));
    test_server_stop(&server, 0);
    test_server_start_again(&server, 0);
    assert_false(rpc_server_is_deaf(server.rpc));
    rpc_client_destroy(client.rpc);
    memset(&client, 0, sizeof client);
    connect_client();
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    struct fault fault;
    if (!rpc_init(&fault)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused_peers_reach_nothing, begin, end),
        cmocka_unit_test_setup_teardown(test_refusals_arrive, begin, end),
        cmocka_unit_test_setup_teardown(test_server_closes_with_each_kind, begin, end),
        cmocka_unit_test_setup_teardown(test_client_ends_in_order, begin, end),
        cmocka_unit_test_setup_teardown(test_client_ends_with_a_fault, begin, end),
        cmocka_unit_test_setup_teardown(test_closing_a_stuck_stream, begin, end),
        cmocka_unit_test_setup_teardown(test_another_thread_closes, begin, end),
        cmocka_unit_test_setup_teardown(test_posts_wait_for_closed, begin, end),
        cmocka_unit_test_setup_teardown(test_unknown_method, begin, end),
        cmocka_unit_test_setup_teardown(test_message_too_large, begin, end),
        cmocka_unit_test_setup_teardown(test_streams_max, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_with_open_streams, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_waits_for_streams, begin, end),
        cmocka_unit_test_setup_teardown(test_restart_and_reconnect, begin, end),
        cmocka_unit_test_setup_teardown(test_destroy_while_connecting, begin, end),
        cmocka_unit_test_setup_teardown(test_closed_may_begin_again, begin, end),
        cmocka_unit_test_setup_teardown(test_stop_with_a_silent_connection, begin, end),
        cmocka_unit_test_setup_teardown(test_unknown_host, begin, end),
        cmocka_unit_test_setup_teardown(test_addresses_that_cannot_be_used, begin, end),
        cmocka_unit_test_setup_teardown(test_running_out_of_descriptors, begin, end),
    };
    int code = cases_run("rpc_end", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return code;
}
