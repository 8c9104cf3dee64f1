#include "base/http_tls.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/certificate.h"
#include "base/http_server.h"
#include "tests/kit/cases.h"

struct pair {
    struct buffer certificate;
    struct buffer key;
};

static struct pair authority;

static void make_pair(struct pair *pair) {
    struct fault fault;
    static const char *const names[] = {"localhost", "127.0.0.1"};
    const struct certificate_request request = {.use = CERTIFICATE_SERVER,
                                                .common_name = "api",
                                                .dns_names = names,
                                                .dns_names_count = 2,
                                                .valid_s = CERTIFICATE_DAY_S};
    buffer_init(&pair->certificate, 65536);
    buffer_init(&pair->key, 65536);
    assert_true(certificate_make_key(&pair->key, &fault));
    assert_true(certificate_issue(buffer_span(&authority.certificate), buffer_span(&authority.key),
                                  buffer_span(&pair->key), &request, time(NULL), &pair->certificate,
                                  &fault));
}

static void end_pair(struct pair *pair) {
    buffer_done(&pair->certificate);
    buffer_done(&pair->key);
}

static int make_authority(void **state) {
    (void)state;
    struct fault fault;
    const struct certificate_request request = {
        .use = CERTIFICATE_CA, .common_name = "ca", .valid_s = CERTIFICATE_DAY_S};
    buffer_init(&authority.certificate, 65536);
    buffer_init(&authority.key, 65536);
    assert_true(certificate_make_key(&authority.key, &fault));
    assert_true(certificate_make_ca(buffer_span(&authority.key), &request, time(NULL),
                                    &authority.certificate, &fault));
    return 0;
}

static int end_authority(void **state) {
    (void)state;
    end_pair(&authority);
    return 0;
}

static atomic_int at_once;
static atomic_int at_once_max;

// Takes its time and says who worked.
static void slow(void *context, const struct http_request *request,
                 struct http_response *response) {
    (void)context;
    char address[HTTP_ADDRESS_SIZE];
    int now = atomic_fetch_add(&at_once, 1) + 1;
    if (now > atomic_load(&at_once_max)) atomic_store(&at_once_max, now);
    if (strcmp(request->path, "/slow") == 0) usleep(300000);
    atomic_fetch_sub(&at_once, 1);
    assert_in_range(request->worker, 0, 2);
    http_request_address(request, address);
    http_response_add(response, "x-amzn-RequestId", "seven");
    buffer_print(&response->body, "%s|%s|%.*s", request->method, address,
                 SPAN_PRINT(request->body));
}

static struct http_server *start(const struct pair *pair) {
    const struct http_server_options options = {
        .listen = "127.0.0.1:0",
        .threads = 2,
        .workers = 3,
        .body_size_max = 100,
        .handle = slow,
        .certificate = buffer_span(&pair->certificate),
        .key = buffer_span(&pair->key),
    };
    struct http_server *server = NULL;
    struct fault fault = {0};
    if (!http_server_start(&options, &server, &fault)) fail_msg("%s", fault.text);
    return server;
}

static int dial(const struct http_server *server) {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(http_server_port(server)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

struct client {
    int descriptor;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
};

// Whether the handshake succeeds, with the server's name and issuer checked.
static bool enter(struct client *client, const struct http_server *server, const char *priorities) {
    gnutls_datum_t trusted = {authority.certificate.bytes,
                              (unsigned int)authority.certificate.size};
    client->descriptor = dial(server);
    assert_int_equal(gnutls_init(&client->session, GNUTLS_CLIENT), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&client->credentials), 0);
    assert_int_equal(
        gnutls_certificate_set_x509_trust_mem(client->credentials, &trusted, GNUTLS_X509_FMT_PEM),
        1);
    assert_int_equal(gnutls_priority_set_direct(client->session, priorities, NULL), 0);
    gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->credentials);
    gnutls_session_set_verify_cert(client->session, "localhost", 0);
    gnutls_transport_set_int(client->session, client->descriptor);
    int status;
    do {
        status = gnutls_handshake(client->session);
    } while (status < 0 && gnutls_error_is_fatal(status) == 0);
    return status == 0;
}

static void leave(struct client *client) {
    gnutls_deinit(client->session);
    gnutls_certificate_free_credentials(client->credentials);
    close(client->descriptor);
}

static void say(struct client *client, const char *text) {
    size_t size = strlen(text);
    assert_int_equal(gnutls_record_send(client->session, text, size), size);
}

// Reads until the text has come.
static void hear(struct client *client, const char *end) {
    char answer[4096];
    size_t size = 0;
    while (size < sizeof answer - 1) {
        ssize_t got = gnutls_record_recv(client->session, answer + size, sizeof answer - 1 - size);
        if (got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED) continue;
        if (got <= 0) break;
        size += (size_t)got;
        answer[size] = 0;
        if (strstr(answer, end) != NULL) return;
    }
    fail_msg("\"%s\" has not come: %.*s", end, (int)size, answer);
}

static void test_serves_over_tls(void **state) {
    (void)state;
    struct pair pair;
    make_pair(&pair);
    struct http_server *server = start(&pair);
    struct client client;
    assert_true(enter(&client, server, "NORMAL"));
    // Two on one connection, the second after the first was answered by a worker.
    say(&client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    hear(&client, "POST|127.0.0.1|hello");
    say(&client,
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nagain");
    hear(&client, "POST|127.0.0.1|again");
    leave(&client);

    assert_true(enter(&client, server, "NORMAL:-VERS-ALL:+VERS-TLS1.2"));
    leave(&client);
    assert_false(enter(&client, server, "NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT"));
    leave(&client);
    http_server_stop(server);
    end_pair(&pair);
}

static void test_headers_of_an_answer(void **state) {
    (void)state;
    struct pair pair;
    make_pair(&pair);
    struct http_server *server = start(&pair);
    struct client client;
    assert_true(enter(&client, server, "NORMAL"));
    say(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(&client, "x-amzn-RequestId: seven\r\n");
    leave(&client);
    assert_true(enter(&client, server, "NORMAL"));
    say(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(&client, "Date: ");
    leave(&client);
    http_server_stop(server);
    end_pair(&pair);
}

static void serial_of(struct client *client, char text[128]) {
    unsigned int count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(client->session, &count);
    assert_true(count > 0);
    snprintf(text, 128, "%u", chain[0].size);
    for (unsigned int index = 15; index < 40; index++) {
        snprintf(text + 2 * (index - 15), 3, "%02x", chain[0].data[index]);
    }
}

static void test_another_certificate_while_it_serves(void **state) {
    (void)state;
    struct pair first, second;
    struct fault fault = {0};
    make_pair(&first);
    make_pair(&second);
    struct http_server *server = start(&first);
    struct client before, after;
    char shown[2][128];
    assert_true(enter(&before, server, "NORMAL"));
    // One that is none stays outside: not a key, a key of another.
    assert_false(http_server_replace_certificate(server, buffer_span(&second.certificate),
                                                 SPAN_LITERAL("none"), &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_false(http_server_replace_certificate(server, buffer_span(&second.certificate),
                                                 buffer_span(&first.key), &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
    assert_false(http_server_replace_certificate(server, SPAN_LITERAL("none"),
                                                 buffer_span(&first.key), &fault));
    assert_true(http_server_replace_certificate(server, buffer_span(&second.certificate),
                                                buffer_span(&second.key), &fault));
    assert_true(enter(&after, server, "NORMAL"));
    serial_of(&before, shown[0]);
    serial_of(&after, shown[1]);
    assert_string_not_equal(shown[0], shown[1]);
    // The older connection goes on.
    say(&before, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(&before, "GET|127.0.0.1|");
    leave(&before);
    leave(&after);
    http_server_stop(server);
    end_pair(&first);
    end_pair(&second);
}

// More requests than workers: none is refused, as many run at once as there are workers, and what
// waits when the server stops is answered or closed.
static void test_workers(void **state) {
    (void)state;
    struct pair pair;
    make_pair(&pair);
    struct http_server *server = start(&pair);
    struct client clients[8];
    for (int index = 0; index < 8; index++) assert_true(enter(&clients[index], server, "NORMAL"));
    for (int index = 0; index < 8; index++) {
        say(&clients[index], "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int index = 0; index < 8; index++) hear(&clients[index], "GET|127.0.0.1|");
    assert_int_equal(atomic_load(&at_once_max), 3);
    for (int index = 0; index < 8; index++) {
        say(&clients[index], "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    usleep(100000);
    http_server_stop(server);
    for (int index = 0; index < 8; index++) leave(&clients[index]);
    end_pair(&pair);
}

static void test_not_a_certificate(void **state) {
    (void)state;
    const struct http_server_options options = {.listen = "127.0.0.1:0",
                                                .handle = slow,
                                                .certificate = SPAN_LITERAL("none"),
                                                .key = SPAN_LITERAL("none")};
    struct http_server *server = NULL;
    struct fault fault = {0};
    assert_false(http_server_start(&options, &server, &fault));
    assert_int_equal(fault.kind, FAULT_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_serves_over_tls, make_authority, end_authority),
        cmocka_unit_test_setup_teardown(test_headers_of_an_answer, make_authority, end_authority),
        cmocka_unit_test_setup_teardown(test_another_certificate_while_it_serves, make_authority,
                                        end_authority),
        cmocka_unit_test_setup_teardown(test_workers, make_authority, end_authority),
        cmocka_unit_test(test_not_a_certificate),
    };
    return cases_run("http_tls_test", tests, sizeof tests / sizeof tests[0]);
}
