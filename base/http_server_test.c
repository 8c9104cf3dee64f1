#include "base/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/kit/cases.h"

// Answers with all it was asked.
static void echo(void *context, const struct http_request *request,
                 struct http_response *response) {
    const char *header = http_request_header(request, "x-test");
    if (strcmp(request->path, "/none") == 0) {
        response->status = 404;
        return;
    }
    if (strcmp(request->path, "/large") == 0) {
        uint8_t *to = buffer_reserve(&response->body, 5000000);
        assert_non_null(to);
        memset(to, 'x', 5000000);
        response->body.size = 5000000;
        return;
    }
    response->content_type = "application/json";
    buffer_print(&response->body, "%s|%s|%s|%s|%.*s|%s", request->method, request->path,
                 request->query, header == NULL ? "-" : header, SPAN_PRINT(request->body),
                 (const char *)context);
}

static struct http_server *start(const char *address, uint64_t body_size_max, uint32_t threads) {
    const struct http_server_options options = {.listen = address,
                                                .threads = threads,
                                                .body_size_max = body_size_max,
                                                .handle = echo,
                                                .context = (void *)(uintptr_t) "context"};
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
    struct timeval patience = {.tv_sec = 20};
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

static void send_all(int descriptor, struct span bytes) {
    while (bytes.size > 0) {
        ssize_t part = send(descriptor, bytes.bytes, bytes.size, MSG_NOSIGNAL);
        if (part <= 0) return;
        bytes = span_from(bytes, (size_t)part);
    }
}

// Sends a request and returns all that comes until the server closes. The caller frees it.
static char *ask(const struct http_server *server, struct span request) {
    int descriptor = dial(server);
    send_all(descriptor, request);
    struct buffer answer;
    buffer_init(&answer, 1 << 24);
    for (;;) {
        uint8_t *to = buffer_reserve(&answer, 65536);
        assert_non_null(to);
        ssize_t got = recv(descriptor, to, 65536, 0);
        if (got <= 0) break;
        answer.size += (size_t)got;
    }
    close(descriptor);
    buffer_append_byte(&answer, 0);
    return (char *)answer.bytes;
}

static void assert_answer(const struct http_server *server, struct span request, const char *begin,
                          const char *part) {
    char *answer = ask(server, request);
    if (strncmp(answer, begin, strlen(begin)) != 0 || strstr(answer, part) == NULL) {
        fail_msg("\"%s\" and \"%s\" expected in: %.500s", begin, part, answer);
    }
    free(answer);
}

static void test_requests(void **state) {
    (void)state;
    struct http_server *server = start("127.0.0.1:0", 100, 2);
    assert_answer(server,
                  SPAN_LITERAL("GET /a%20b%00c?q=%41&r HTTP/1.1\r\nHost: x\r\nX-TEST: yes\r\n"
                               "Connection: close\r\n\r\n"),
                  "HTTP/1.1 200 OK\r\n", "\r\n\r\nGET|/a%20b%00c|q=%41&r|yes||context");
    assert_answer(server, SPAN_LITERAL("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                  "HTTP/1.1 200 OK\r\n", "Content-Type: application/json\r\n");
    assert_answer(server,
                  SPAN_LITERAL("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                               "Connection: close\r\n\r\nhello"),
                  "HTTP/1.1 200 OK\r\n", "\r\n\r\nPOST|/p||-|hello|context");
    assert_answer(server,
                  SPAN_LITERAL("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                               "Connection: close\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
                  "HTTP/1.1 200 OK\r\n", "\r\n\r\nPOST|/p||-|hello|context");
    assert_answer(server,
                  SPAN_LITERAL("GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                  "HTTP/1.1 404 Not Found\r\n", "Content-Length: 0\r\n");
    // Two on one connection; the second has no body of the first.
    assert_answer(server,
                  SPAN_LITERAL("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                               "GET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                  "HTTP/1.1 200 OK\r\n", "GET|/2||-||context");
    char *answer = ask(server, SPAN_LITERAL("GET /large HTTP/1.1\r\nHost: x\r\n"
                                            "Connection: close\r\n\r\n"));
    assert_true(strlen(answer) > 5000000);
    free(answer);
    http_server_stop(server);
    http_server_stop(NULL);
}

static void test_bad_requests(void **state) {
    (void)state;
    struct http_server *server = start("127.0.0.1:0", 10, 0);
    assert_answer(
        server,
        SPAN_LITERAL("POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n01234567890"),
        "HTTP/1.1 413 ", "Connection: close");
    assert_answer(server,
                  SPAN_LITERAL("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "9\r\n012345678\r\n9\r\n012345678\r\n0\r\n\r\n"),
                  "HTTP/1.1 413 ", "too large");
    assert_answer(server, SPAN_LITERAL("GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 ", "");
    assert_answer(server, SPAN_LITERAL("complete nonsense\r\n\r\n"), "", "");
    assert_answer(server, SPAN_LITERAL("\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03\r\n\r\n"), "",
                  "");
    // It goes on after all that.
    assert_answer(server, SPAN_LITERAL("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                  "HTTP/1.1 200 OK\r\n", "GET|/||-||context");
    http_server_stop(server);
    // Without bodies even one byte is too many.
    server = start("127.0.0.1:0", 0, 0);
    assert_answer(server, SPAN_LITERAL("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"),
                  "HTTP/1.1 413 ", "Connection: close");
    assert_answer(server,
                  SPAN_LITERAL("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n"),
                  "HTTP/1.1 200 ", "POST|/||-||context");
    http_server_stop(server);
}

static void test_large_headers(void **state) {
    (void)state;
    struct http_server *server = start("127.0.0.1:0", 0, 0);
    static const struct {
        int size;
        const char *begin;
    } cases[] = {{1000, "HTTP/1.1 200 "}, {16000, "HTTP/1.1 200 "}, {40000, "HTTP/1.1 431 "}};
    for (int index = 0; index < 3; index++) {
        struct buffer request;
        buffer_init(&request, 100000);
        buffer_print(&request,
                     "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: %0*d\r\n\r\n",
                     cases[index].size, 1);
        assert_answer(server, buffer_span(&request), cases[index].begin, "");
        buffer_done(&request);
    }
    http_server_stop(server);
}

// One byte a second keeps a connection from being idle, but not past its deadline.
// A client that sends a byte now and then.
struct slow {
    int descriptor;
    time_t ended_s;  // after how long it was cut off; -1: not yet
};

static struct slow begin_slowly(const struct http_server *server, const char *text) {
    struct slow slow = {dial(server), -1};
    struct timeval patience = {.tv_usec = 250000};
    setsockopt(slow.descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    send_all(slow.descriptor, span_text(text));
    return slow;
}

static void send_slowly(struct slow *slow, time_t waited_s) {
    char byte;
    if (slow->ended_s >= 0) return;
    send_all(slow->descriptor, SPAN_LITERAL("x"));
    ssize_t got = recv(slow->descriptor, &byte, 1, 0);
    // A reset is an end too.
    if (got == 0 || (got < 0 && errno == ECONNRESET)) slow->ended_s = waited_s;
    assert_true(got <= 0);
}

static void test_slow_clients_are_cut(void **state) {
    (void)state;
    struct http_server *server = start("127.0.0.1:0", 1000, 2);
    struct slow header = begin_slowly(server, "GET / HTTP/1.1\r\nX: ");
    struct slow body =
        begin_slowly(server, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
    struct slow chunk = begin_slowly(
        server, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n");
    struct timespec began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    time_t waited_s = 0;
    while (waited_s < 30 && (header.ended_s < 0 || body.ended_s < 0 || chunk.ended_s < 0)) {
        send_slowly(&header, waited_s);
        send_slowly(&body, waited_s);
        send_slowly(&chunk, waited_s);
        clock_gettime(CLOCK_MONOTONIC, &now);
        waited_s = now.tv_sec - began.tv_sec;
    }
    assert_in_range(header.ended_s, 9, 14);
    assert_in_range(body.ended_s, 19, 25);
    assert_in_range(chunk.ended_s, 19, 25);
    close(header.descriptor);
    close(body.descriptor);
    close(chunk.descriptor);
    http_server_stop(server);
}

static void test_many_connections_and_stop(void **state) {
    (void)state;
    struct http_server *server = start("127.0.0.1:0", 0, 2);
    int held[300];
    for (int index = 0; index < 300; index++) held[index] = dial(server);
    // Beyond the limit connections are closed at once; when some are gone, others are served.
    char byte;
    assert_true(recv(held[299], &byte, 1, 0) <= 0);
    for (int index = 0; index < 200; index++) close(held[index]);
    char *answer = NULL;
    for (int turn = 0; turn < 50; turn++) {
        answer =
            ask(server, SPAN_LITERAL("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        if (answer[0] != 0) break;
        free(answer);
        answer = NULL;
        usleep(50000);
    }
    assert_non_null(answer);
    assert_memory_equal(answer, "HTTP/1.1 200 OK", 15);
    free(answer);
    http_server_stop(server);
    for (int index = 200; index < 300; index++) close(held[index]);
}

static void test_addresses(void **state) {
    (void)state;
    static const char *const bad[] = {"",           "9090",         "localhost:1", "127.0.0.1",
                                      "127.0.0.1:", "[::1]",        "[::1:80",     "::1:80",
                                      "1.2.3.4:x",  "1.2.3.4:65536"};
    struct http_server *server = NULL;
    struct fault fault = {0};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        const struct http_server_options options = {.listen = bad[index], .handle = echo};
        if (http_server_start(&options, &server, &fault)) fail_msg("%s", bad[index]);
        assert_int_equal(fault.kind, FAULT_INPUT);
        assert_non_null(strstr(fault.text, "write it like"));
    }
    struct http_server *first = start("127.0.0.1:0", 0, 0);
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", http_server_port(first));
    const struct http_server_options options = {.listen = taken, .handle = echo};
    assert_false(http_server_start(&options, &server, &fault));
    assert_int_equal(fault.kind, FAULT_RETRY);
    assert_non_null(strstr(fault.text, "the address is in use"));
    http_server_stop(first);
    // Free again at once.
    first = start(taken, 0, 0);
    http_server_stop(first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_large_headers),
        cmocka_unit_test(test_slow_clients_are_cut),
        cmocka_unit_test(test_many_connections_and_stop),
        cmocka_unit_test(test_addresses),
    };
    return cases_run("http_server_test", tests, sizeof tests / sizeof tests[0]);
}
