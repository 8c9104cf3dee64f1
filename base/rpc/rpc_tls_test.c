// Who may speak to whom: certificates good and bad, versions of TLS, and strangers on the port.

#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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
    test_server_stop(&server, 0);
    return 0;
}

// One round trip by a client with a good certificate.
static void assert_serves(void) {
    struct test_client good = {0};
    test_client_make(&good, &server, &identity);
    assert_true(test_client_connect(&good));
    assert_true(test_client_exchange(&good, 1));
    rpc_client_destroy(good.rpc);
}

static void assert_refused(enum fault_kind kind, const char *text) {
    test_client_make(&client, &server, &identity);
    assert_false(test_client_connect(&client));
    assert_int_equal(client.connected, 0);
    assert_int_equal(client.closed, 1);
    if (strstr(client.reason.text, text) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", text, client.reason.text);
    }
    assert_int_equal(client.reason.kind, kind);
    assert_int_equal(server.opened, 0);
}

static void test_knows_the_peer(void **state) {
    (void)state;
    assert_serves();
    pthread_mutex_lock(&server.lock);
    struct rpc_peer peer = server.last_peer;
    pthread_mutex_unlock(&server.lock);
    assert_string_equal(peer.uri, "spiffe://example.org/account/111122223333/region/eu-west-1");
    assert_string_equal(peer.serial, "abc123");
    int64_t left_s = peer.certificate_expires_s - (int64_t)time(NULL);
    assert_true(left_s > 3500 && left_s <= 3600);
    assert_int_equal(strncmp(peer.address, "127.0.0.1:", 10), 0);
}

static void test_client_of_another_ca(void **state) {
    (void)state;
    struct test_ca other;
    test_ca_make(&other, "other");
    struct test_request request = {.names = "URI:spiffe://example.org/x", .serial = 9};
    test_identity_make(&identity, &other, &request);
    memcpy(identity.ca, server.ca.certificate, sizeof identity.ca);
    assert_refused(FAULT_RETRY,
                   "hung up when it saw our certificate: it was signed by \"other\", the server's "
                   "by \"good\": if the CA was replaced, renew it");
}

static void test_server_of_another_ca(void **state) {
    (void)state;
    struct test_ca other;
    test_ca_make(&other, "other");
    memcpy(identity.ca, other.certificate, sizeof identity.ca);
    assert_refused(FAULT_INPUT,
                   "is not good: the certificate was signed by \"good\", not by an accepted CA: "
                   "check that address and ca.pem belong to the same organization");
}

static void test_expired_client(void **state) {
    (void)state;
    struct test_request request = {
        .names = "URI:spiffe://example.org/x", .serial = 9, .is_expired = true};
    test_identity_make(&identity, &server.ca, &request);
    assert_refused(FAULT_RETRY, "hung up when it saw our certificate: it expired at ");
}

static void test_expired_server(void **state) {
    (void)state;
    struct test_request request = {
        .names = "DNS:collector,IP:127.0.0.1", .serial = 9, .is_expired = true};
    struct test_identity expired;
    test_identity_make(&expired, &server.ca, &request);
    struct rpc_credentials credentials = test_credentials(&expired);
    struct fault fault;
    assert_true(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_refused(FAULT_INPUT, "is not good: the certificate expired at ");
}

// Who answers must be a server: an agent with a good certificate is none.
static void test_server_with_a_certificate_for_clients(void **state) {
    (void)state;
    struct test_request request = {
        .names = "DNS:collector,IP:127.0.0.1", .serial = 9, .is_for_clients = true};
    struct test_identity false_server;
    test_identity_make(&false_server, &server.ca, &request);
    struct rpc_credentials credentials = test_credentials(&false_server);
    struct fault fault;
    assert_true(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_refused(FAULT_INPUT, "not made out for this use: is it a collector that answers");
}

static void test_client_without_uri(void **state) {
    (void)state;
    struct test_request request = {.names = "DNS:agent", .serial = 9};
    test_identity_make(&identity, &server.ca, &request);
    assert_refused(FAULT_DENIED, "holds no URI name");
}

static void test_client_without_names(void **state) {
    (void)state;
    struct test_request request = {.serial = 9};
    test_identity_make(&identity, &server.ca, &request);
    assert_refused(FAULT_DENIED, "holds no URI name");
}

static void test_client_with_two_uris(void **state) {
    (void)state;
    struct test_request request = {.names = "URI:spiffe://a/b,URI:spiffe://a/c", .serial = 9};
    test_identity_make(&identity, &server.ca, &request);
    assert_refused(FAULT_DENIED, "more than one URI name");
}

static void test_client_with_long_uri(void **state) {
    (void)state;
    char names[400] = "URI:spiffe://a/";
    memset(names + strlen(names), 'x', 300);
    struct test_request request = {.names = names, .serial = 9};
    test_identity_make(&identity, &server.ca, &request);
    assert_refused(FAULT_DENIED, "too long");
}

static void test_server_of_another_name(void **state) {
    (void)state;
    struct test_request request = {.names = "DNS:elsewhere.example", .serial = 9};
    struct test_identity renamed;
    test_identity_make(&renamed, &server.ca, &request);
    struct rpc_credentials credentials = test_credentials(&renamed);
    struct fault fault;
    assert_true(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_refused(FAULT_INPUT, "is made out to another name");
}

static void test_strangers_do_not_get_in(void **state) {
    (void)state;
    uint16_t port = rpc_server_port(server.rpc);
    assert_true(test_stranger_tls(port, &identity, false));
    assert_false(test_stranger_tls(port, NULL, false));
    assert_serves();
}

// Turned away within the handshake, by name and address, and told so by TLS; asked once each time.
static void test_who_is_screened_out(void **state) {
    (void)state;
    atomic_store(&server.is_barred, true);
    uint16_t port = rpc_server_port(server.rpc);
    assert_int_equal(test_stranger_alert(port, &identity), SSL_AD_CERTIFICATE_REVOKED);
    assert_int_equal(server.screened, 1);
    pthread_mutex_lock(&server.lock);
    struct rpc_peer peer = server.last_screened;
    pthread_mutex_unlock(&server.lock);
    assert_string_equal(peer.uri, "spiffe://example.org/account/111122223333/region/eu-west-1");
    assert_string_equal(peer.serial, "abc123");
    assert_int_equal(strncmp(peer.address, "127.0.0.1:", 10), 0);
    assert_refused(FAULT_DENIED, "refuses our certificate: the collector's deny list has it, by");
    assert_non_null(strstr(client.reason.text, "serial number abc123"));
    atomic_store(&server.is_barred, false);
    assert_serves();
}

// Each stranger hears why; nobody of them is asked about.
static void test_alerts_arrive(void **state) {
    (void)state;
    uint16_t port = rpc_server_port(server.rpc);
    struct test_identity bad;
    struct test_request request = {
        .names = "URI:spiffe://example.org/x", .serial = 9, .is_expired = true};
    test_identity_make(&bad, &server.ca, &request);
    assert_int_equal(test_stranger_alert(port, &bad), SSL_AD_CERTIFICATE_EXPIRED);
    struct test_ca other;
    test_ca_make(&other, "other");
    test_identity_make(&bad, &other, &request);
    assert_int_equal(test_stranger_alert(port, &bad), SSL_AD_UNKNOWN_CA);
    assert_int_equal(server.screened, 0);
    assert_int_equal(test_stranger_alert(port, &identity), -1);
    assert_int_equal(server.screened, 1);
}

struct false_server {
    int listener;
    const void *bytes;
    size_t size;
};

static void *answer_falsely(void *argument) {
    const struct false_server *other = argument;
    test_stranger_answer(other->listener, other->bytes, other->size);
    return NULL;
}

// Somebody without a certificate answers in the collector's place.
static void assert_not_believed(uint16_t port, const void *bytes, size_t size) {
    struct false_server other = {test_stranger_listen(&port), bytes, size};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_falsely, &other), 0);
    assert_false(test_client_connect(&client));
    pthread_join(thread, NULL);
    close(other.listener);
    assert_int_equal(client.reason.kind, FAULT_RETRY);
    assert_null(strstr(client.reason.text, "deny list"));
    assert_null(strstr(client.reason.text, "saw our certificate"));
}

// Nor what was seen of the collector the last time makes it one.
static void test_an_alert_of_anybody_is_not_believed(void **state) {
    (void)state;
    test_client_make(&client, &server, &identity);
    assert_true(test_client_connect(&client));
    assert_true(test_client_exchange(&client, 1));
    rpc_stream_close(client.stream, FAULT_NONE, "");
    assert_true(test_client_step_until(&client, &client.closed, 1));
    uint16_t port = rpc_server_port(server.rpc);
    test_server_stop(&server, 0);
    static const uint8_t revoked[] = {0x15, 3, 3, 0, 2, SSL3_AL_FATAL, SSL_AD_CERTIFICATE_REVOKED};
    assert_not_believed(port, revoked, sizeof revoked);
    assert_not_believed(port, "", 0);
    test_server_start_again(&server, port);
}

// Who was let in is told nothing of what another client of the process was.
static void test_an_alert_of_another_client_is_not_ours(void **state) {
    (void)state;
    test_client_make(&client, &server, &identity);
    assert_true(test_client_connect(&client));
    assert_true(test_client_exchange(&client, 1));
    atomic_store(&server.is_barred, true);
    uint16_t port = rpc_server_port(server.rpc);
    assert_int_equal(test_stranger_alert(port, &identity), SSL_AD_CERTIFICATE_REVOKED);
    test_server_stop(&server, 0);
    assert_true(test_client_step_until(&client, &client.closed, 1));
    assert_int_equal(client.reason.kind, FAULT_RETRY);
    assert_null(strstr(client.reason.text, "deny list"));
    test_server_start_again(&server, port);
}

static void test_tls_1_2_is_refused(void **state) {
    (void)state;
    uint16_t port = rpc_server_port(server.rpc);
    assert_true(test_stranger_tls(port, &identity, false));
    assert_false(test_stranger_tls(port, &identity, true));
    assert_serves();
}

static void test_garbage_on_the_port(void **state) {
    (void)state;
    assert_true(test_stranger_garbage(rpc_server_port(server.rpc)));
    assert_serves();
}

static void test_credentials_are_checked(void **state) {
    (void)state;
    struct fault fault;
    struct rpc_credentials credentials = test_credentials(&identity);
    struct test_identity other;
    test_identity_good(&other, &server);
    credentials.key = span_text(other.key);
    assert_false(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_string_equal(fault.text, "the key does not belong to the certificate");

    struct test_request request = {.names = "DNS:collector", .serial = 9, .is_rsa = true};
    test_identity_make(&other, &server.ca, &request);
    credentials = test_credentials(&other);
    assert_false(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fault.text, "RSA"));

    credentials = test_credentials(&identity);
    credentials.certificate = SPAN_LITERAL("not a certificate");
    assert_false(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_non_null(strstr(fault.text, "the certificate cannot be read"));

    credentials = test_credentials(&identity);
    credentials.ca = span_text("");
    assert_false(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_string_equal(fault.text, "the CA certificate is empty");

    credentials = test_credentials(&identity);
    credentials.key = span_of("a\0b", 3);
    assert_false(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_non_null(strstr(fault.text, "zero byte"));
    assert_serves();
}

// A second CA accepted beside the first, as while one is replaced.
static void test_two_cas(void **state) {
    (void)state;
    struct test_ca other;
    test_ca_make(&other, "other");
    char both[2 * TEST_PEM_SIZE];
    snprintf(both, sizeof both, "%s%s", server.ca.certificate, other.certificate);
    struct rpc_credentials credentials = test_credentials(&server.identity);
    credentials.ca = span_text(both);
    struct fault fault;
    assert_true(rpc_server_reload(server.rpc, &credentials, &fault));
    assert_serves();
    struct test_request request = {.names = "URI:spiffe://example.org/y", .serial = 9};
    test_identity_make(&identity, &other, &request);
    memcpy(identity.ca, server.ca.certificate, sizeof identity.ca);
    assert_serves();
}

static void test_reload_with_a_live_stream(void **state) {
    (void)state;
    test_client_make(&client, &server, &identity);
    assert_true(test_client_connect(&client));
    assert_true(test_client_exchange(&client, 1));

    struct test_ca other;
    test_ca_make(&other, "other");
    struct test_identity renewed;
    struct test_request request = {.names = "DNS:collector,IP:127.0.0.1", .serial = 7};
    test_identity_make(&renewed, &other, &request);
    struct rpc_credentials credentials = test_credentials(&renewed);
    struct fault fault;
    assert_true(rpc_server_reload(server.rpc, &credentials, &fault));

    // Who knows only the old CA does not get in any more; who knows the new one does.
    struct test_client late = {0};
    test_client_make(&late, &server, &identity);
    assert_false(test_client_connect(&late));
    assert_non_null(strstr(late.reason.text, "not by an accepted CA"));
    rpc_client_destroy(late.rpc);
    struct test_request good = {.names = "URI:spiffe://example.org/z", .serial = 8};
    struct test_identity joined;
    test_identity_make(&joined, &other, &good);
    identity = joined;
    assert_serves();

    assert_true(test_client_exchange(&client, 2));
    assert_int_equal(client.closed, 0);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    struct fault fault;
    if (!rpc_init(&fault)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_knows_the_peer, begin, end),
        cmocka_unit_test_setup_teardown(test_client_of_another_ca, begin, end),
        cmocka_unit_test_setup_teardown(test_server_of_another_ca, begin, end),
        cmocka_unit_test_setup_teardown(test_expired_client, begin, end),
        cmocka_unit_test_setup_teardown(test_expired_server, begin, end),
        cmocka_unit_test_setup_teardown(test_server_with_a_certificate_for_clients, begin, end),
        cmocka_unit_test_setup_teardown(test_client_without_uri, begin, end),
        cmocka_unit_test_setup_teardown(test_client_without_names, begin, end),
        cmocka_unit_test_setup_teardown(test_client_with_two_uris, begin, end),
        cmocka_unit_test_setup_teardown(test_client_with_long_uri, begin, end),
        cmocka_unit_test_setup_teardown(test_server_of_another_name, begin, end),
        cmocka_unit_test_setup_teardown(test_strangers_do_not_get_in, begin, end),
        cmocka_unit_test_setup_teardown(test_who_is_screened_out, begin, end),
        cmocka_unit_test_setup_teardown(test_alerts_arrive, begin, end),
        cmocka_unit_test_setup_teardown(test_an_alert_of_anybody_is_not_believed, begin, end),
        cmocka_unit_test_setup_teardown(test_an_alert_of_another_client_is_not_ours, begin, end),
        cmocka_unit_test_setup_teardown(test_tls_1_2_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_garbage_on_the_port, begin, end),
        cmocka_unit_test_setup_teardown(test_credentials_are_checked, begin, end),
        cmocka_unit_test_setup_teardown(test_two_cas, begin, end),
        cmocka_unit_test_setup_teardown(test_reload_with_a_live_stream, begin, end),
    };
    int code = cases_run("rpc_tls", tests, sizeof tests / sizeof tests[0]);
    rpc_done();
    return code;
}
