#include "base/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/certificate.h"
#include "base/http_server.h"
#include "tests/kit/cases.h"

enum { URL_SIZE = 256, ANSWER_MAX = 100000 };

// ---- a server that answers with all it was asked, and one whose every answer is the same bytes

static void echo(void *context, const struct http_request *request,
                 struct http_response *response) {
    (void)context;
    const char *type = http_request_header(request, "content-type");
    const char *mark = http_request_header(request, "x-mark");
    const char *coding = http_request_header(request, "accept-encoding");
    const char *expect = http_request_header(request, "expect");
    if (strcmp(request->path, "/moved") == 0) {
        response->status = 301;
        http_response_add(response, "Location", "/elsewhere");
    }
    if (strcmp(request->path, "/large") == 0) {
        assert_non_null(buffer_reserve(&response->body, ANSWER_MAX + 1));
        memset(response->body.bytes, 'x', ANSWER_MAX + 1);
        response->body.size = ANSWER_MAX + 1;
        return;
    }
    http_response_add(response, "X-Seen", "  twice  ");
    buffer_print(&response->body, "%s|%s|%s|%s|%s|%s%s|%.*s", request->method, request->path,
                 request->query, type == NULL ? "-" : type, mark == NULL ? "-" : mark,
                 coding == NULL ? "" : coding, expect == NULL ? "" : expect,
                 SPAN_PRINT(request->body));
}

static struct http_server *serve(struct span certificate, struct span key) {
    const struct http_server_options options = {.listen = "127.0.0.1:0",
                                                .body_size_max = 20000000,
                                                .certificate = certificate,
                                                .key = key,
                                                .handle = echo};
    struct http_server *server = NULL;
    struct fault fault;
    if (!http_server_start(&options, &server, &fault)) fail_msg("%s", fault.text);
    return server;
}

struct stub {
    int listener;
    uint16_t port;
    const char *answer;  // NULL: none, and the connection stays
    pthread_t thread;
};

static void *run_stub(void *user) {
    struct stub *stub = user;
    char request[4096];
    for (;;) {
        int descriptor = accept4(stub->listener, NULL, NULL, SOCK_CLOEXEC);
        if (descriptor < 0) return NULL;
        (void)!recv(descriptor, request, sizeof request, 0);
        if (stub->answer == NULL) {
            // Until the other side has had enough.
            while (recv(descriptor, request, sizeof request, 0) > 0) continue;
        } else {
            send(descriptor, stub->answer, strlen(stub->answer), MSG_NOSIGNAL);
        }
        close(descriptor);
    }
}

static void start_stub(struct stub *stub, const char *answer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    stub->answer = answer;
    stub->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(stub->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(stub->listener, 8), 0);
    assert_int_equal(getsockname(stub->listener, (struct sockaddr *)&address, &size), 0);
    stub->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&stub->thread, NULL, run_stub, stub), 0);
}

static void end_stub(struct stub *stub) {
    shutdown(stub->listener, SHUT_RDWR);
    pthread_join(stub->thread, NULL);
    close(stub->listener);
}

// ---- a client and what it gets

struct session {
    struct http_client *client;
    struct http_client_answer answer;
    struct fault fault;
};

static void open_session(struct session *session, const struct http_client_options *options) {
    if (!http_client_create(options, &session->client, &session->fault)) {
        fail_msg("%s", session->fault.text);
    }
    http_client_answer_init(&session->answer, ANSWER_MAX);
}

static void close_session(struct session *session) {
    http_client_answer_done(&session->answer);
    http_client_destroy(session->client);
}

static bool get(struct session *session, const char *scheme, uint16_t port, const char *path) {
    char url[URL_SIZE];
    snprintf(url, sizeof url, "%s://127.0.0.1:%u%s", scheme, port, path);
    const struct http_client_call call = {.method = "GET", .url = url};
    return http_client_send(session->client, &call, &session->answer, &session->fault);
}

static void expect_fault(struct session *session, bool sent, enum fault_kind kind,
                         const char *words) {
    if (sent) fail_msg("no fault, %s was expected", words);
    if (strstr(session->fault.text, words) == NULL || session->fault.kind != kind) {
        fail_msg("%s: %s, %s was expected", fault_kind_name(session->fault.kind),
                 session->fault.text, words);
    }
}

static void test_methods_and_bodies(void **state) {
    (void)state;
    struct http_server *server = serve((struct span){0}, (struct span){0});
    struct session session;
    open_session(&session, &(struct http_client_options){0});
    static const struct {
        const char *method;
        const char *body;
        const char *type;
        const char *expected;
    } calls[] = {
        {"GET", "", NULL, "GET|/a/%2F/../b//c|x=1&a|-|one||"},
        {"PUT", "", NULL, "PUT|/a/%2F/../b//c|x=1&a|-|one||"},
        {"PUT", "bytes", "a/b", "PUT|/a/%2F/../b//c|x=1&a|a/b|one||bytes"},
        {"POST", "bytes", NULL, "POST|/a/%2F/../b//c|x=1&a|-|one||bytes"},
        {"DELETE", "", NULL, "DELETE|/a/%2F/../b//c|x=1&a|-|one||"},
        {"HEAD", "", NULL, ""},
    };
    char url[URL_SIZE];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/a/%%2F/../b//c?x=1&a", http_server_port(server));
    for (size_t index = 0; index < sizeof calls / sizeof calls[0]; index++) {
        struct http_client_header headers[2] = {{SPAN_LITERAL("X-Mark"), SPAN_LITERAL("one")}};
        struct http_client_call call = {.method = calls[index].method,
                                        .url = url,
                                        .headers = headers,
                                        .headers_count = 1,
                                        .body = span_text(calls[index].body)};
        if (calls[index].type != NULL) {
            headers[call.headers_count++] = (struct http_client_header){
                SPAN_LITERAL("content-type"), span_text(calls[index].type)};
        }
        if (!http_client_send(session.client, &call, &session.answer, &session.fault)) {
            fail_msg("%s", session.fault.text);
        }
        assert_int_equal(session.answer.status, 200);
        if (!span_is(buffer_span(&session.answer.body), calls[index].expected)) {
            fail_msg("%.*s", SPAN_PRINT(buffer_span(&session.answer.body)));
        }
        struct span value;
        assert_true(http_client_find(&session.answer, "x-seen", &value));
        assert_true(span_is(value, "twice"));
        assert_false(http_client_find(&session.answer, "x-see", &value));
    }
    close_session(&session);
    http_server_stop(server);
}

static void test_large_body(void **state) {
    (void)state;
    enum { SIZE = 16000000 };
    struct http_server *server = serve((struct span){0}, (struct span){0});
    struct session session;
    open_session(&session, &(struct http_client_options){0});
    http_client_answer_done(&session.answer);
    http_client_answer_init(&session.answer, SIZE + 100);
    char url[URL_SIZE];
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", http_server_port(server));
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    for (size_t at = 0; at < SIZE; at++) bytes[at] = (uint8_t)(at * 7 + at / 251) | 1;
    const struct http_client_call call = {
        .method = "PUT", .url = url, .body = span_of(bytes, SIZE)};
    if (!http_client_send(session.client, &call, &session.answer, &session.fault)) {
        fail_msg("%s", session.fault.text);
    }
    assert_true(span_ends(buffer_span(&session.answer.body), span_of(bytes, SIZE)));
    free(bytes);
    close_session(&session);
    http_server_stop(server);
}

static void test_manners(void **state) {
    (void)state;
    // What the environment says is not asked.
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    struct http_server *server = serve((struct span){0}, (struct span){0});
    struct session session;
    open_session(&session, &(struct http_client_options){0});
    assert_true(get(&session, "http", http_server_port(server), "/moved"));
    assert_int_equal(session.answer.status, 301);
    expect_fault(&session, get(&session, "http", http_server_port(server), "/large"), FAULT_FULL,
                 "larger than 100000 bytes");
    // And goes on after it.
    assert_true(get(&session, "http", http_server_port(server), "/"));
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    close_session(&session);

    open_session(&session, &(struct http_client_options){.proxy = "http://127.0.0.1:1"});
    expect_fault(&session, get(&session, "http", http_server_port(server), "/"), FAULT_RETRY,
                 "Connection refused");
    close_session(&session);
    http_server_stop(server);
}

static void test_refused_calls(void **state) {
    (void)state;
    struct session session;
    open_session(&session, &(struct http_client_options){0});
    static const struct http_client_header broken[] = {
        {{(const uint8_t *)"X-A", 3}, {(const uint8_t *)"a\r\nX-B: b", 9}},
        {{(const uint8_t *)"X-A", 3}, {(const uint8_t *)"a\0b", 3}},
        {{(const uint8_t *)"X-A\n", 4}, {(const uint8_t *)"a", 1}},
    };
    for (size_t index = 0; index < 3; index++) {
        const struct http_client_call call = {.method = "GET",
                                              .url = "http://127.0.0.1:1/",
                                              .headers = &broken[index],
                                              .headers_count = 1};
        expect_fault(&session,
                     http_client_send(session.client, &call, &session.answer, &session.fault),
                     FAULT_INPUT, "one line each");
    }
    static const char *const urls[] = {"file:///etc/passwd", "gopher://127.0.0.1/", "http://[::"};
    for (size_t index = 0; index < 3; index++) {
        const struct http_client_call call = {.method = "GET", .url = urls[index]};
        expect_fault(&session,
                     http_client_send(session.client, &call, &session.answer, &session.fault),
                     FAULT_INPUT, "not a URL");
    }
    close_session(&session);
}

static void test_servers_that_fail(void **state) {
    (void)state;
    struct session session;
    open_session(&session, &(struct http_client_options){.call_ms = 300});
    const struct http_client_call unknown = {.method = "GET", .url = "http://no.such.invalid/"};
    expect_fault(&session,
                 http_client_send(session.client, &unknown, &session.answer, &session.fault),
                 FAULT_RETRY, "host not found: no.such.invalid");
    expect_fault(&session, get(&session, "http", 1, "/"), FAULT_RETRY,
                 "connect to 127.0.0.1:1: Connection refused");
    static const struct {
        const char *answer;
        const char *words;
    } stubs[] = {
        {NULL, "timed out"},
        {"", "connection ended"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "connection ended"},
        {"nonsense\r\n\r\n", "127.0.0.1:"},
    };
    for (size_t index = 0; index < sizeof stubs / sizeof stubs[0]; index++) {
        struct stub stub;
        start_stub(&stub, stubs[index].answer);
        expect_fault(&session, get(&session, "http", stub.port, "/"), FAULT_RETRY,
                     stubs[index].words);
        expect_fault(&session, get(&session, "https", stub.port, "/"), FAULT_RETRY, "127.0.0.1:");
        end_stub(&stub);
    }
    close_session(&session);
}

static void *stop_soon(void *user) {
    usleep(100000);
    http_client_stop(user);
    return NULL;
}

static void test_stop(void **state) {
    (void)state;
    struct session session;
    struct stub stub;
    pthread_t thread;
    start_stub(&stub, NULL);
    open_session(&session, &(struct http_client_options){0});
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, session.client), 0);
    time_t begin = time(NULL);
    expect_fault(&session, get(&session, "http", stub.port, "/"), FAULT_RETRY, "stopped");
    assert_true(time(NULL) - begin < 10);
    pthread_join(thread, NULL);
    expect_fault(&session, get(&session, "http", stub.port, "/"), FAULT_RETRY, "stopped");
    close_session(&session);
    end_stub(&stub);
}

static void test_guard(void **state) {
    (void)state;
    struct http_server *server = serve((struct span){0}, (struct span){0});
    struct session session;
    open_session(&session, &(struct http_client_options){.is_guarded = true});
    uint16_t port = http_server_port(server);
    expect_fault(&session, get(&session, "http", port, "/"), FAULT_DENIED, "not public");
    char url[URL_SIZE];
    // Other spellings of the same address.
    static const char *const hosts[] = {
        "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0"};
    for (size_t index = 0; index < sizeof hosts / sizeof hosts[0]; index++) {
        snprintf(url, sizeof url, "http://%s:%u/", hosts[index], port);
        const struct http_client_call call = {.method = "GET", .url = url};
        expect_fault(&session,
                     http_client_send(session.client, &call, &session.answer, &session.fault),
                     FAULT_DENIED, "not public");
    }
    close_session(&session);
    const struct http_client_options both = {.is_guarded = true, .proxy = "http://proxy:1"};
    assert_false(http_client_create(&both, &session.client, &session.fault));
    assert_int_equal(session.fault.kind, FAULT_INPUT);
    http_server_stop(server);
}

// ---- TLS

struct pair {
    struct buffer certificate;
    struct buffer key;
};

static void make_ca(struct pair *ca) {
    struct fault fault;
    const struct certificate_request request = {
        .use = CERTIFICATE_CA, .common_name = "ca", .valid_s = CERTIFICATE_DAY_S};
    buffer_init(&ca->certificate, 65536);
    buffer_init(&ca->key, 65536);
    assert_true(certificate_make_key(&ca->key, &fault));
    assert_true(
        certificate_make_ca(buffer_span(&ca->key), &request, time(NULL), &ca->certificate, &fault));
}

static void make_server(struct pair *pair, const struct pair *ca, const char *name) {
    struct fault fault;
    const struct certificate_request request = {.use = CERTIFICATE_SERVER,
                                                .common_name = "s3",
                                                .dns_names = &name,
                                                .dns_names_count = 1,
                                                .valid_s = CERTIFICATE_DAY_S};
    buffer_init(&pair->certificate, 65536);
    buffer_init(&pair->key, 65536);
    assert_true(certificate_make_key(&pair->key, &fault));
    assert_true(certificate_issue(buffer_span(&ca->certificate), buffer_span(&ca->key),
                                  buffer_span(&pair->key), &request, time(NULL), &pair->certificate,
                                  &fault));
}

static void end_pair(struct pair *pair) {
    buffer_done(&pair->certificate);
    buffer_done(&pair->key);
}

static void write_file(char *path, struct span bytes) {
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, bytes.bytes, bytes.size), (ssize_t)bytes.size);
    close(descriptor);
}

static void test_tls(void **state) {
    (void)state;
    struct pair ca;
    struct pair other;
    struct pair good;
    struct pair misnamed;
    make_ca(&ca);
    make_ca(&other);
    make_server(&good, &ca, "127.0.0.1");
    make_server(&misnamed, &ca, "elsewhere.example");
    char trusted[] = "/tmp/http_client_test_XXXXXX";
    char untrusted[] = "/tmp/http_client_test_XXXXXX";
    char empty[] = "/tmp/http_client_test_XXXXXX";
    write_file(trusted, buffer_span(&ca.certificate));
    write_file(untrusted, buffer_span(&other.certificate));
    write_file(empty, SPAN_LITERAL("no PEM\n"));
    struct http_server *server = serve(buffer_span(&good.certificate), buffer_span(&good.key));
    struct http_server *liar =
        serve(buffer_span(&misnamed.certificate), buffer_span(&misnamed.key));
    uint16_t port = http_server_port(server);

    struct session session;
    open_session(&session, &(struct http_client_options){.ca_file = trusted});
    if (!get(&session, "https", port, "/")) fail_msg("%s", session.fault.text);
    expect_fault(&session, get(&session, "https", http_server_port(liar), "/"), FAULT_DENIED,
                 "TLS does not trust 127.0.0.1:");
    close_session(&session);
    static const struct {
        bool is_empty;
        enum fault_kind kind;
        const char *words;
    } refusals[] = {{false, FAULT_DENIED, "TLS does not trust"},
                    {true, FAULT_INPUT, "no certificate can be read"}};
    for (size_t index = 0; index < 2; index++) {
        open_session(&session, &(struct http_client_options){
                                   .ca_file = refusals[index].is_empty ? empty : untrusted});
        expect_fault(&session, get(&session, "https", port, "/"), refusals[index].kind,
                     refusals[index].words);
        close_session(&session);
    }
    // Another file under the name counts from the next connection on.
    open_session(&session, &(struct http_client_options){.ca_file = untrusted});
    expect_fault(&session, get(&session, "https", port, "/"), FAULT_DENIED, "TLS does not trust");
    assert_int_equal(rename(trusted, untrusted), 0);
    if (!get(&session, "https", port, "/")) fail_msg("%s", session.fault.text);
    close_session(&session);
    // The system's CAs do not know it either.
    open_session(&session, &(struct http_client_options){0});
    expect_fault(&session, get(&session, "https", port, "/"), FAULT_DENIED, "TLS does not trust");
    close_session(&session);
    http_server_stop(server);
    http_server_stop(liar);
    unlink(untrusted);
    unlink(empty);
    end_pair(&ca);
    end_pair(&other);
    end_pair(&good);
    end_pair(&misnamed);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_and_bodies),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_manners),
        cmocka_unit_test(test_refused_calls),
        cmocka_unit_test(test_servers_that_fail),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_tls),
    };
    return cases_run("http_client_test", tests, sizeof tests / sizeof tests[0]);
}
