#include "tests/deliver/fake_store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/crypto_rsa.h"

enum { OBJECTS_MAX = 64, REQUEST_SIZE_MAX = 256 * 1024, HEAD_SIZE = 2048 };

struct fake_store {
    pthread_t thread;
    pthread_mutex_t lock;  // of all below
    pthread_cond_t is_open;
    struct sockaddr_in address;
    char endpoint[64];
    int listener;  // -1: connections are refused
    bool is_over;
    bool has_checksums;
    bool has_conditions;
    struct fake_store_object objects[OBJECTS_MAX];
    uint32_t objects_count;
    uint64_t nth;  // 0: no failure is to come
    enum fake_store_failure failure;
    bool has_failed;
    bool is_lasting;  // the failure, until it is mended
};

// A request as it came, and what it is answered.
struct exchange {
    struct fake_store *store;
    char bytes[REQUEST_SIZE_MAX + 1];
    size_t head_size;
    size_t size;  // of all
    bool is_put;
    bool is_head;
    char key[1024];
    char head[HEAD_SIZE];
    const uint8_t *body;
    size_t body_size;
};

static void expect(bool is_so, const char *what) {
    if (is_so) return;
    fprintf(stderr, "fake store: %s: %s\n", what, strerror(errno));
    abort();
}

// ---- connections

static void open_listener(struct fake_store *store) {
    const int yes = 1;
    socklen_t size = sizeof store->address;
    store->listener = socket(AF_INET, SOCK_STREAM, 0);
    expect(store->listener >= 0, "socket");
    expect(setsockopt(store->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0, "option");
    expect(bind(store->listener, (const struct sockaddr *)&store->address, size) == 0, "bind");
    expect(listen(store->listener, 16) == 0, "listen");
    expect(getsockname(store->listener, (struct sockaddr *)&store->address, &size) == 0, "name");
    pthread_cond_signal(&store->is_open);
}

// Whoever waits for a connection wakes.
static void close_listener(struct fake_store *store) {
    if (store->listener < 0) return;
    (void)shutdown(store->listener, SHUT_RDWR);
    (void)close(store->listener);
    store->listener = -1;
}

// The next connection; -1: the store is over.
static int accept_next(struct fake_store *store) {
    for (;;) {
        pthread_mutex_lock(&store->lock);
        while (store->listener < 0 && !store->is_over) {
            pthread_cond_wait(&store->is_open, &store->lock);
        }
        bool is_over = store->is_over;
        // A copy: the other may be closed at any time.
        int listener = is_over ? -1 : dup(store->listener);
        pthread_mutex_unlock(&store->lock);
        if (is_over) return -1;
        expect(listener >= 0, "dup");
        int connection = accept(listener, NULL, NULL);
        (void)close(listener);
        if (connection >= 0) return connection;
    }
}

// ---- objects

static struct fake_store_object *find_object(struct fake_store *store, const char *key) {
    for (uint32_t index = 0; index < store->objects_count; index++) {
        if (strcmp(store->objects[index].key, key) == 0) return &store->objects[index];
    }
    return NULL;
}

static bool find_header(const struct exchange *exchange, const char *name, char *value,
                        size_t value_size) {
    const char *line = exchange->bytes;
    while ((line = strstr(line, "\r\n")) != NULL && line < exchange->bytes + exchange->head_size) {
        line += 2;
        size_t size = strlen(name);
        if (strncasecmp(line, name, size) != 0 || line[size] != ':') continue;
        line += size + 1;
        line += strspn(line, " ");
        snprintf(value, value_size, "%.*s", (int)strcspn(line, "\r"), line);
        return true;
    }
    return false;
}

static void answer(struct exchange *exchange, const char *status, const char *headers,
                   const uint8_t *body, size_t body_size) {
    snprintf(exchange->head, sizeof exchange->head, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n",
             status, body_size, headers);
    exchange->body = body;
    exchange->body_size = exchange->is_head ? 0 : body_size;
}

static void answer_error(struct exchange *exchange, const char *status, const char *text) {
    answer(exchange, status, "", (const uint8_t *)text, strlen(text));
}

static void put(struct exchange *exchange) {
    char value[16];
    struct fake_store *store = exchange->store;
    struct fake_store_object *object = find_object(store, exchange->key);
    if (object != NULL && store->has_conditions &&
        find_header(exchange, "If-None-Match", value, sizeof value)) {
        answer_error(exchange, "412 Precondition Failed",
                     "<Error><Code>PreconditionFailed</Code></Error>");
        return;
    }
    if (object == NULL) {
        expect(store->objects_count < OBJECTS_MAX, "too many objects");
        object = &store->objects[store->objects_count++];
        *object = (struct fake_store_object){0};
        snprintf(object->key, sizeof object->key, "%s", exchange->key);
    }
    free(object->bytes);
    object->size = exchange->size - exchange->head_size;
    object->bytes = malloc(object->size + 1);
    expect(object->bytes != NULL, "memory");
    memcpy(object->bytes, exchange->bytes + exchange->head_size, object->size);
    object->signature[0] = 0;
    (void)find_header(exchange, "x-amz-meta-signature", object->signature,
                      sizeof object->signature);
    answer(exchange, "200 OK", "ETag: \"it\"\r\n", NULL, 0);
}

static void get(struct exchange *exchange) {
    char headers[256] = "ETag: \"it\"\r\n";
    struct fake_store *store = exchange->store;
    const struct fake_store_object *object = find_object(store, exchange->key);
    if (object == NULL) {
        answer_error(exchange, "404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
        return;
    }
    if (store->has_checksums) {
        struct buffer text;
        uint8_t hash[SHA256_SIZE];
        const struct span bytes = span_of(object->bytes, object->size);
        crypto_sha256(&bytes, 1, hash);
        buffer_init(&text, sizeof headers);
        crypto_append_base64(&text, span_of(hash, sizeof hash));
        snprintf(headers, sizeof headers, "ETag: \"it\"\r\nx-amz-checksum-sha256: %.*s\r\n",
                 SPAN_PRINT(buffer_span(&text)));
        buffer_done(&text);
    }
    answer(exchange, "200 OK", headers, object->bytes, object->size);
}

static void work(struct exchange *exchange) {
    if (exchange->is_put) {
        put(exchange);
    } else {
        get(exchange);
    }
}

// ---- failures

static const char BUSY[] = "<Error><Code>SlowDown</Code></Error>";
static const char DOWN[] = "<Error><Code>ServiceUnavailable</Code></Error>";

static void lie(struct exchange *exchange) {
    if (exchange->is_put) {
        answer(exchange, "200 OK", "ETag: \"it\"\r\n", NULL, 0);
    } else {
        answer_error(exchange, "404 Not Found", "<Error><Code>NoSuchKey</Code></Error>");
    }
}

// Somebody changes the object: as it is put, or just before it is looked at.
static void alter(struct exchange *exchange) {
    struct fake_store *store = exchange->store;
    if (exchange->is_put) exchange->bytes[exchange->size - 1] ^= 1;
    struct fake_store_object *object = find_object(store, exchange->key);
    if (!exchange->is_put && object != NULL) object->bytes[object->size - 1] ^= 1;
    work(exchange);
}

// Does what the failure leaves of a request. False: the connection ends without an answer.
static bool fail(struct exchange *exchange) {
    switch (exchange->store->failure) {
        case FAKE_STORE_UNAVAILABLE:
        case FAKE_STORE_IS_DOWN:
            answer_error(exchange, "503 Service Unavailable", DOWN);
            return true;
        case FAKE_STORE_SLOWS_DOWN:
            answer_error(exchange, "503 Slow Down", BUSY);
            return true;
        case FAKE_STORE_LIES:
            lie(exchange);
            return true;
        case FAKE_STORE_ALTERS:
            alter(exchange);
            return true;
        case FAKE_STORE_IS_LATE:
            work(exchange);
            return false;
        case FAKE_STORE_CLIENT_DIED:
            // The dead ask for nothing more.
            exchange->store->failure = FAKE_STORE_CLIENT_DIES;
            work(exchange);
            return false;
        case FAKE_STORE_CUTS_ANSWER:
            work(exchange);
            // In the body if there is one, else in the head.
            if (exchange->body_size > 0) {
                exchange->body_size /= 2;
            } else {
                exchange->head[strlen(exchange->head) / 2] = 0;
            }
            return true;
        default:
            return false;
    }
}

static bool lasts(enum fake_store_failure failure) {
    return failure == FAKE_STORE_IS_DOWN || failure == FAKE_STORE_CLIENT_DIES ||
           failure == FAKE_STORE_CLIENT_DIED;
}

// Whether the request is the one that fails, or comes while a failure lasts.
static bool is_failing(struct fake_store *store) {
    if (store->is_lasting) return true;
    if (store->nth == 0 || store->failure == FAKE_STORE_REFUSES || --store->nth > 0) return false;
    store->has_failed = true;
    store->is_lasting = lasts(store->failure);
    return true;
}

// Whether the connection goes on behind this request. Refused is the one behind it: the next one.
static bool refuses_next(struct fake_store *store) {
    if (store->nth == 0 || store->failure != FAKE_STORE_REFUSES || --store->nth != 1) return false;
    close_listener(store);
    return true;
}

// ---- requests

// Reads a request: false: the connection has ended, or is to end within it.
static bool read_request(int connection, struct exchange *exchange) {
    struct fake_store *store = exchange->store;
    size_t wanted = 0;
    exchange->head_size = 0;
    exchange->size = 0;
    do {
        ssize_t count =
            read(connection, exchange->bytes + exchange->size, REQUEST_SIZE_MAX - exchange->size);
        if (count <= 0) return false;
        exchange->size += (size_t)count;
        exchange->bytes[exchange->size] = 0;
        const char *end = strstr(exchange->bytes, "\r\n\r\n");
        if (exchange->head_size == 0 && end != NULL) {
            char length[32] = "0";
            exchange->head_size = (size_t)(end - exchange->bytes) + 4;
            (void)find_header(exchange, "Content-Length", length, sizeof length);
            wanted = exchange->head_size + strtoul(length, NULL, 10);
            expect(wanted <= REQUEST_SIZE_MAX, "too large a request");
            pthread_mutex_lock(&store->lock);
            bool is_cut = store->failure == FAKE_STORE_CUTS_REQUEST && is_failing(store);
            pthread_mutex_unlock(&store->lock);
            if (is_cut) return false;
        }
    } while (exchange->head_size == 0 || exchange->size < wanted);
    return true;
}

static void parse(struct exchange *exchange) {
    char method[8];
    const char *path = strchr(exchange->bytes, ' ');
    expect(path != NULL, "no request");
    snprintf(method, sizeof method, "%.*s", (int)(path - exchange->bytes), exchange->bytes);
    exchange->is_put = strcmp(method, "PUT") == 0;
    exchange->is_head = strcmp(method, "HEAD") == 0;
    expect(exchange->is_put || exchange->is_head || strcmp(method, "GET") == 0, method);
    expect(strncmp(path, " /bucket/", 9) == 0, "another bucket");
    path += 9;
    size_t size = strcspn(path, " ");
    expect(size < sizeof exchange->key && memchr(path, '%', size) == NULL, "a strange key");
    memcpy(exchange->key, path, size);
    exchange->key[size] = 0;
}

static bool send_all(int connection, const void *bytes, size_t size) {
    const char *at = bytes;
    while (size > 0) {
        ssize_t count = send(connection, at, size, MSG_NOSIGNAL);
        if (count <= 0) return false;
        at += count;
        size -= (size_t)count;
    }
    return true;
}

// Answers one request. False: the connection ends.
static bool serve(int connection, struct exchange *exchange) {
    struct fake_store *store = exchange->store;
    if (!read_request(connection, exchange)) return false;
    parse(exchange);
    pthread_mutex_lock(&store->lock);
    bool is_failure = store->failure != FAKE_STORE_CUTS_REQUEST && is_failing(store);
    bool is_answered = true;
    if (is_failure) {
        is_answered = fail(exchange);
    } else {
        work(exchange);
    }
    bool goes_on =
        !refuses_next(store) && !(is_failure && store->failure == FAKE_STORE_CUTS_ANSWER);
    // Sent under the lock: bodies are the objects' own.
    if (is_answered) {
        is_answered = send_all(connection, exchange->head, strlen(exchange->head)) &&
                      send_all(connection, exchange->body, exchange->body_size);
    }
    pthread_mutex_unlock(&store->lock);
    return is_answered && goes_on;
}

static void *run(void *context) {
    struct fake_store *store = context;
    struct exchange *exchange = calloc(1, sizeof *exchange);
    expect(exchange != NULL, "memory");
    exchange->store = store;
    int connection;
    while ((connection = accept_next(store)) >= 0) {
        const int yes = 1;
        (void)setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        while (serve(connection, exchange)) continue;
        (void)close(connection);
    }
    free(exchange);
    return NULL;
}

// ---- what tests do

struct fake_store *fake_store_create(bool has_checksums, bool has_conditions) {
    struct fake_store *store = calloc(1, sizeof *store);
    expect(store != NULL, "memory");
    store->has_checksums = has_checksums;
    store->has_conditions = has_conditions;
    store->address.sin_family = AF_INET;
    store->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    expect(pthread_mutex_init(&store->lock, NULL) == 0, "mutex");
    expect(pthread_cond_init(&store->is_open, NULL) == 0, "condition");
    open_listener(store);
    snprintf(store->endpoint, sizeof store->endpoint, "http://127.0.0.1:%u",
             (unsigned)ntohs(store->address.sin_port));
    expect(pthread_create(&store->thread, NULL, run, store) == 0, "thread");
    return store;
}

void fake_store_destroy(struct fake_store *store) {
    pthread_mutex_lock(&store->lock);
    store->is_over = true;
    close_listener(store);
    pthread_cond_signal(&store->is_open);
    pthread_mutex_unlock(&store->lock);
    (void)pthread_join(store->thread, NULL);
    fake_store_empty(store);
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_cond_destroy(&store->is_open);
    free(store);
}

const char *fake_store_endpoint(const struct fake_store *store) {
    return store->endpoint;
}

void fake_store_empty(struct fake_store *store) {
    for (uint32_t index = 0; index < store->objects_count; index++) {
        free(store->objects[index].bytes);
    }
    store->objects_count = 0;
}

void fake_store_fail(struct fake_store *store, uint64_t nth, enum fake_store_failure failure) {
    fake_store_mend(store);
    pthread_mutex_lock(&store->lock);
    store->nth = nth;
    store->failure = failure;
    store->has_failed = false;
    if (nth == 1 && failure == FAKE_STORE_REFUSES) close_listener(store);
    pthread_mutex_unlock(&store->lock);
}

bool fake_store_has_failed(struct fake_store *store) {
    pthread_mutex_lock(&store->lock);
    bool has_failed = store->has_failed;
    pthread_mutex_unlock(&store->lock);
    return has_failed;
}

void fake_store_mend(struct fake_store *store) {
    pthread_mutex_lock(&store->lock);
    store->is_lasting = false;
    if (store->listener < 0) {
        store->has_failed = true;
        store->nth = 0;
        open_listener(store);
    }
    pthread_mutex_unlock(&store->lock);
}

const struct fake_store_object *fake_store_object(const struct fake_store *store, uint32_t index) {
    return index < store->objects_count ? &store->objects[index] : NULL;
}
