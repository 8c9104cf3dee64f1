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

// Sends and steps until `count` messages have come back, resuming when paused.
static void exchange(uint32_t count) {
    uint32_t pauses = 0;
    for (uint32_t turn = 0; client.received < count && client.closed == 0; turn++) {
        assert_true(turn < 1000000);
        test_client_send(&client, count);
        rpc_client_step(client.rpc, 20);
        if (client.pauses > pauses) {
            pauses = client.pauses;
            rpc_stream_resume(client.stream);
        }
    }
    assert_int_equal(client.received, count);
    assert_false(client.is_wrong);
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

int main(void) {
    struct fault fault;
    if (!rpc_init(&fault)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_echoes, begin),
        cmocka_unit_test_setup(test_echoes_ten_thousand, begin),
        cmocka_unit_test_setup(test_pauses_and_resumes, begin),
    };
    int code = cases_run("rpc", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return code;
}
