// What is said to gRPC and OpenSSL when they are other than they were, and what of alerts is kept.

#include <dlfcn.h>
#include <errno.h>
#include <grpc/support/log.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rpc/rpc.h"
#include "base/rpc/rpc_internal.h"
#include "base/rpc/rpc_mutator.h"
#include "base/rpc/test_strangers.h"
#include "base/rpc/test_streams.h"
#include "tests/kit/cases.h"

static struct test_server server;
static struct test_identity identity;

// ---- in the libraries' place

static const char *version = RPC_MUTATOR_VERSION "0";
static bool is_out_of_memory;

const char *grpc_version_string(void) {
    return version;
}

int CRYPTO_get_ex_new_index(int kind, long number, void *context, CRYPTO_EX_new *made,
                            CRYPTO_EX_dup *copied, CRYPTO_EX_free *freed) {
    if (is_out_of_memory) return -1;
    int (*real)(int, long, void *, CRYPTO_EX_new *, CRYPTO_EX_dup *, CRYPTO_EX_free *);
    *(void **)&real = dlsym(RTLD_NEXT, "CRYPTO_get_ex_new_index");
    if (real == NULL) abort();
    return real(kind, number, context, made, copied, freed);
}

// ---- the cases

static int begin(void **state) {
    (void)state;
    memset(&server, 0, sizeof server);
    test_server_start(&server);
    test_identity_good(&identity, &server);
    return 0;
}

static int end(void **state) {
    (void)state;
    test_server_stop(&server, 0);
    return 0;
}

// Before any other: what is registered once stays.
static void test_a_start_without_memory(void **state) {
    (void)state;
    struct fault fault;
    is_out_of_memory = true;
    assert_false(rpc_init(&fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    is_out_of_memory = false;
    assert_true(rpc_init(&fault));
}

// A gRPC with other members is given none of them: nobody is asked about in the handshake.
static void test_another_version(void **state) {
    (void)state;
    uint16_t port = rpc_server_port(server.rpc);
    assert_true(test_stranger_tls(port, &identity, false));
    assert_int_equal(server.screened, 1);
    test_server_stop(&server, 0);
    version = "29.1.0";
    test_server_start_again(&server, port);
    version = RPC_MUTATOR_VERSION "0";
    assert_true(test_stranger_tls(port, &identity, false));
    assert_int_equal(server.screened, 1);
}

// A client that is made on a thread where gRPC has dropped a socket since: nothing of what it does
// is another's business.
static void test_a_socket_that_was_dropped(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    grpc_arg argument;
    assert_true(rpc_handshake_argument(&argument));
    grpc_socket_mutator *mutator = argument.value.pointer.p;
    struct rpc_socket_facts dropped = {ends[0], RPC_SOCKET_ACCEPTED};
    assert_true(mutator->functions->change_any(&dropped, mutator));
    assert_true(test_stranger_tls(rpc_server_port(server.rpc), &identity, false));
    char byte;
    assert_int_equal(recv(ends[1], &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
    close(ends[0]);
    close(ends[1]);
}

// Each client sees what came since it asked last, and takes it from nobody.
static void test_alerts_are_counted(void **state) {
    (void)state;
    uint16_t port = rpc_server_port(server.rpc);
    uint64_t before = rpc_handshake_alerts();
    atomic_store(&server.is_barred, true);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(test_stranger_alert(port, &identity), SSL_AD_CERTIFICATE_REVOKED);
        assert_int_equal(rpc_handshake_alert_since(before), SSL_AD_CERTIFICATE_REVOKED);
    }
    uint64_t after = rpc_handshake_alerts();
    assert_int_equal(rpc_handshake_alert_since(after), -1);
    assert_int_equal(rpc_handshake_alert_since(before), SSL_AD_CERTIFICATE_REVOKED);
}

// An alert takes one line of gRPC's out of the log, and none after it.
static void test_one_line_is_not_logged(void **state) {
    (void)state;
    atomic_store(&server.is_barred, true);
    assert_int_equal(test_stranger_alert(rpc_server_port(server.rpc), &identity),
                     SSL_AD_CERTIFICATE_REVOKED);
    rpc_log_capture(true);
    gpr_log(GPR_ERROR, "Corruption detected.");
    assert_string_equal(rpc_log_captured(), "");
    gpr_log(GPR_ERROR, "Corruption detected.");
    assert_string_equal(rpc_log_captured(), "Corruption detected.");
    rpc_log_capture(false);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_start_without_memory),
        cmocka_unit_test_setup_teardown(test_another_version, begin, end),
        cmocka_unit_test_setup_teardown(test_a_socket_that_was_dropped, begin, end),
        cmocka_unit_test_setup_teardown(test_alerts_are_counted, begin, end),
        cmocka_unit_test_setup_teardown(test_one_line_is_not_logged, begin, end),
    };
    int code = cases_run("rpc_handshake", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return code;
}
