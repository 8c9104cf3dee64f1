// api_bench: clients of the AWS API that keep their connections, over TLS, each call signed.
//
//   api_bench --address=127.0.0.1:PORT --ca=FILE --calls=FILE [--connections=8] [--seconds=10]
//             [--rate=0]
//
// The access key is taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Each line of the file
// is a region and the body of a LookupEvents call; they are asked for in turn, and again from the
// first one. With a rate, each call has its moment, and takes as long as from there to the end of
// its answer, so that waiting for a connection counts; without one, each connection calls as fast
// as it is answered. Prints a line of JSON. Cheap, since it shares the machine with what it
// measures: a call costs it about as much as the decryption of its answer.

#include <argp.h>
#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/aws/sigv4.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/files.h"

enum {
    CONNECTIONS_MAX = 256,
    CALLS_MAX = 8 * 1024 * 1024,  // of a run, whose times are kept
    CALLS_SIZE_MAX = 256 * 1024 * 1024,
    CA_SIZE_MAX = 1024 * 1024,
    ANSWER_S = 30,  // that a client waits for an answer to begin or go on
    ANSWER_SIZE = 64 * 1024 * 1024,
    REQUEST_SIZE = 64 * 1024,
};

#define TYPE "application/x-amz-json-1.1"

struct call {
    struct span region;
    struct span operation;
    struct span body;
};

static struct {
    const char *address;
    const char *ca;
    const char *calls;
    uint32_t connections;
    uint32_t seconds;
    uint32_t rate;  // calls a second; 0: as many as there are answers
} request = {.connections = 8, .seconds = 10};

static char host[64];
static struct call *calls;
static size_t calls_count;
static struct span key_id, secret;
static SSL_CTX *tls;

// Shared by the connections.
static int64_t begin_ns, end_ns;
static atomic_ullong next_call;
static uint32_t *times_us;      // by number of call
static atomic_ullong answered;  // of these, good ones
static atomic_ullong refused;   // with another status than 200
static atomic_ullong broken;    // connections that had to be made again
static atomic_ullong bytes;     // of bodies
static atomic_ullong events;    // in answers that were looked into

struct client {
    pthread_t thread;
    int descriptor;
    SSL *session;
    struct buffer text;     // a request
    struct buffer claim;    // its Authorization
    char *answer;           // ANSWER_SIZE bytes
    uint64_t calls_number;  // made
};

static void stop(const char *what) {
    fprintf(stderr, "api_bench: %s\n", what);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void wait_until(int64_t ns) {
    const struct timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) != 0) {
    }
}

// ---- one connection

static void disconnect(struct client *client) {
    if (client->session != NULL) SSL_free(client->session);
    if (client->descriptor >= 0) close(client->descriptor);
    client->session = NULL;
    client->descriptor = -1;
}

static bool connect_tls(struct client *client) {
    const int yes = 1;
    const char *colon = strrchr(request.address, ':');
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->descriptor < 0 ||
        connect(client->descriptor, (const struct sockaddr *)&address, sizeof address) != 0) {
        return false;
    }
    const struct timeval wait = {.tv_sec = ANSWER_S};
    (void)setsockopt(client->descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(client->descriptor, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    client->session = SSL_new(tls);
    return client->session != NULL && SSL_set1_host(client->session, "localhost") == 1 &&
           SSL_set_tlsext_host_name(client->session, "localhost") == 1 &&
           SSL_set_fd(client->session, client->descriptor) == 1 &&
           SSL_connect(client->session) == 1;
}

static void write_request(struct client *client, const struct call *call) {
    struct fault fault;
    char time[SIGV4_TIME_SIZE], target[128];
    const struct clock *clock = clock_system();
    sigv4_print_time(clock->now_ms(clock->context), time);
    // The name that all clients send, and moto alone understands.
    snprintf(target, sizeof target, "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.%.*s",
             SPAN_PRINT(call->operation));
    const struct sigv4_header headers[] = {
        {SPAN_LITERAL("content-type"), SPAN_LITERAL(TYPE)},
        {SPAN_LITERAL("host"), span_text(host)},
        {SPAN_LITERAL("x-amz-date"), span_text(time)},
        {SPAN_LITERAL("x-amz-target"), span_text(target)},
    };
    const struct sigv4_request wire = {
        .method = SPAN_LITERAL("POST"),
        .path = SPAN_LITERAL("/"),
        .headers = headers,
        .headers_count = sizeof headers / sizeof headers[0],
        .body = call->body,
    };
    const struct sigv4_signer signer = {key_id, secret, call->region, SPAN_LITERAL("cloudtrail")};
    buffer_reset(&client->claim);
    if (!sigv4_sign(&wire, &signer, &client->claim, &fault)) stop(fault.text);
    buffer_reset(&client->text);
    buffer_print(&client->text,
                 "POST / HTTP/1.1\r\nHost: %s\r\nX-Amz-Date: %s\r\nContent-Type: " TYPE
                 "\r\nX-Amz-Target: %s\r\nContent-Length: %zu\r\nAuthorization: ",
                 host, time, target, call->body.size);
    buffer_append(&client->text, buffer_span(&client->claim));
    buffer_append_text(&client->text, "\r\n\r\n");
    buffer_append(&client->text, call->body);
}

// Reads an answer; its status, 0 if the connection broke. *body is its body, with a zero behind it.
static uint32_t read_answer(struct client *client, char **body, size_t *body_size) {
    size_t used = 0, wanted = 0;
    *body = NULL;
    while (*body == NULL || used < wanted) {
        size_t took = 0;
        if (used == ANSWER_SIZE - 1) return 0;
        if (SSL_read_ex(client->session, client->answer + used, ANSWER_SIZE - 1 - used, &took) != 1)
            return 0;
        used += took;
        client->answer[used] = 0;
        if (*body != NULL) continue;
        char *end = strstr(client->answer, "\r\n\r\n");
        if (end == NULL) continue;
        const char *length = strcasestr(client->answer, "\r\ncontent-length: ");
        if (length == NULL || length > end) return 0;
        *body = end + 4;
        *body_size = strtoull(length + 18, NULL, 10);
        wanted = (size_t)(*body - client->answer) + *body_size;
    }
    return (uint32_t)strtoul(client->answer + strlen("HTTP/1.1 "), NULL, 10);
}

static uint64_t count_events(const char *body) {
    uint64_t count = 0;
    for (const char *at = body; (at = strstr(at, "{\"EventId\":")) != NULL; at++) count++;
    return count;
}

// Makes a call; false if the connection broke.
static bool make_call(struct client *client, const struct call *call) {
    char *body;
    size_t size = 0, sent = 0;
    write_request(client, call);
    if (SSL_write_ex(client->session, client->text.bytes, client->text.size, &sent) != 1)
        return false;
    uint32_t status = read_answer(client, &body, &size);
    if (status == 0) return false;
    if (status != 200) {
        if (atomic_fetch_add(&refused, 1) == 0) fprintf(stderr, "api_bench: %u %s\n", status, body);
        return true;
    }
    atomic_fetch_add(&answered, 1);
    atomic_fetch_add(&bytes, size);
    // Looking into every one would cost as much as the rest.
    if (client->calls_number++ % 16 == 0) atomic_fetch_add(&events, count_events(body));
    return true;
}

static void *run_client(void *context) {
    struct client *client = context;
    while (true) {
        uint64_t number = atomic_fetch_add(&next_call, 1);
        int64_t due_ns = now_ns();
        if (request.rate > 0) due_ns = begin_ns + (int64_t)(number * 1000000000 / request.rate);
        // What is still due when the time is over is not made: calls a second say so.
        if (due_ns >= end_ns || now_ns() >= end_ns || number >= CALLS_MAX) return NULL;
        if (request.rate > 0) wait_until(due_ns);
        while (!make_call(client, &calls[number % calls_count])) {
            atomic_fetch_add(&broken, 1);
            disconnect(client);
            if (now_ns() > end_ns || !connect_tls(client)) return NULL;
        }
        int64_t took_us = (now_ns() - due_ns) / 1000;
        times_us[number] = took_us < 1 ? 1 : took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)took_us;
    }
}

// ---- the run

// What is before the byte, or all of it; the rest begins behind it.
static struct span cut(struct span *rest, uint8_t byte) {
    struct span found = span_of(rest->bytes, span_find(*rest, byte));
    *rest = span_from(*rest, found.size < rest->size ? found.size + 1 : found.size);
    return found;
}

static void load_calls(struct buffer *text) {
    struct fault fault;
    buffer_init(text, CALLS_SIZE_MAX);
    if (!files_read_whole(files_system(), request.calls, CALLS_SIZE_MAX, text, &fault))
        stop(fault.text);
    for (struct span rest = buffer_span(text); rest.size > 0;) {
        struct span line = cut(&rest, '\n');
        if (calls_count % 4096 == 0) {
            calls = realloc(calls, (calls_count + 4096) * sizeof *calls);
            if (calls == NULL) stop("no memory");
        }
        struct call *call = &calls[calls_count++];
        call->region = cut(&line, ' ');
        call->operation = cut(&line, ' ');
        call->body = line;
        if (line.size == 0) stop("a line of --calls is no call");
    }
    if (calls_count == 0) stop("--calls is empty");
}

static void open_clients(struct client *clients) {
    for (uint32_t index = 0; index < request.connections; index++) {
        struct client *client = &clients[index];
        client->descriptor = -1;
        client->answer = malloc(ANSWER_SIZE);
        buffer_init(&client->text, REQUEST_SIZE);
        buffer_init(&client->claim, REQUEST_SIZE);
        if (client->answer == NULL) stop("no memory");
        if (!connect_tls(client)) {
            ERR_print_errors_fp(stderr);
            stop("cannot connect");
        }
    }
}

static int compare_times(const void *left, const void *right) {
    uint32_t first = *(const uint32_t *)left, second = *(const uint32_t *)right;
    return (first > second) - (first < second);
}

static double seconds_of(const struct timeval *time) {
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void print_result(const struct client *clients, double passed_s) {
    uint64_t count = 0, looked = 0;
    for (uint64_t index = 0; index < CALLS_MAX; index++) {
        if (times_us[index] > 0) times_us[count++] = times_us[index];
    }
    for (uint32_t index = 0; index < request.connections; index++) {
        looked += (clients[index].calls_number + 15) / 16;
    }
    if (count == 0 || looked == 0) stop("no call was answered");
    qsort(times_us, count, sizeof times_us[0], compare_times);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu_s = seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
    printf("{\"calls\": %" PRIu64
           ", \"refused\": %llu, \"reconnected\": %llu, \"calls_per_s\": %.0f"
           ", \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"bytes\": %.0f"
           ", \"events\": %.1f, \"client_cpu_ms\": %.3f}\n",
           count, atomic_load(&refused), atomic_load(&broken),
           (double)atomic_load(&answered) / passed_s, times_us[count / 2] / 1e3,
           times_us[count * 99 / 100] / 1e3, times_us[count - 1] / 1e3,
           (double)atomic_load(&bytes) / (double)count,
           (double)atomic_load(&events) / (double)looked, cpu_s * 1e3 / (double)count);
}

static error_t take_option(int key, char *argument, struct argp_state *state) {
    uint32_t number = argument == NULL ? 0 : (uint32_t)strtoul(argument, NULL, 10);
    (void)state;
    switch (key) {
        case 'a':
            request.address = argument;
            return 0;
        case 'C':
            request.ca = argument;
            return 0;
        case 'f':
            request.calls = argument;
            return 0;
        case 'n':
            request.connections = number;
            return 0;
        case 's':
            request.seconds = number;
            return 0;
        case 'r':
            request.rate = number;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static void start_tls(void) {
    tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL || SSL_CTX_load_verify_file(tls, request.ca) != 1) stop("--ca cannot be read");
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    // A record at a time is what the other side sends; larger reads save calls of the kernel.
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_default_read_buffer_len(tls, 128 * 1024);
}

int main(int argc, char **argv) {
    static const struct argp_option known[] = {
        {"address", 'a', "HOST:PORT", 0, "where the API is, on this machine", 0},
        {"ca", 'C', "FILE", 0, "the CA that signed its certificate", 0},
        {"calls", 'f', "FILE", 0, "region, operation and body of each call, one a line", 0},
        {"connections", 'n', "N", 0, "at a time (8)", 0},
        {"seconds", 's', "N", 0, "to call for (10)", 0},
        {"rate", 'r', "N", 0, "calls a second; 0: as fast as they are answered", 0},
        {0},
    };
    const struct argp parser = {known, take_option, NULL, "Calls the AWS API.", NULL, NULL, NULL};
    static struct client clients[CONNECTIONS_MAX];
    struct buffer text;
    argp_parse(&parser, argc, argv, 0, NULL, NULL);
    const char *id = getenv("AWS_ACCESS_KEY_ID"), *key = getenv("AWS_SECRET_ACCESS_KEY");
    if (request.address == NULL || strchr(request.address, ':') == NULL || request.ca == NULL ||
        request.calls == NULL || request.connections == 0 ||
        request.connections > CONNECTIONS_MAX || id == NULL || key == NULL) {
        stop("--address, --ca, --calls and an access key in the environment are needed");
    }
    // A server may close a connection behind each answer.
    signal(SIGPIPE, SIG_IGN);
    key_id = span_text(id);
    secret = span_text(key);
    snprintf(host, sizeof host, "localhost:%s", strrchr(request.address, ':') + 1);
    times_us = calloc(CALLS_MAX, sizeof *times_us);
    if (times_us == NULL) stop("no memory");
    load_calls(&text);
    start_tls();
    open_clients(clients);
    begin_ns = now_ns();
    end_ns = begin_ns + request.seconds * INT64_C(1000000000);
    for (uint32_t index = 0; index < request.connections; index++) {
        int status = pthread_create(&clients[index].thread, NULL, run_client, &clients[index]);
        assert(status == 0);
    }
    for (uint32_t index = 0; index < request.connections; index++) {
        pthread_join(clients[index].thread, NULL);
        disconnect(&clients[index]);
    }
    print_result(clients, (double)(now_ns() - begin_ns) / 1e9);
    return 0;
}
