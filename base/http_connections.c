#include "base/http_connections.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/span.h"

struct http_connections {
    pthread_mutex_t mutex;
    struct http_connection *first;
    uint32_t connections_max;
};

struct http_connections *http_connections_create(uint32_t connections_max) {
    struct http_connections *connections = calloc(1, sizeof *connections);
    if (connections == NULL) return NULL;
    connections->connections_max = connections_max;
    if (pthread_mutex_init(&connections->mutex, NULL) != 0) {
        free(connections);
        return NULL;
    }
    return connections;
}

void http_connections_destroy(struct http_connections *connections) {
    if (connections == NULL) return;
    assert(connections->first == NULL);
    pthread_mutex_destroy(&connections->mutex);
    free(connections);
}

static void lock(struct http_connections *connections) {
    int status = pthread_mutex_lock(&connections->mutex);
    assert(status == 0);
}

static void unlock(struct http_connections *connections) {
    int status = pthread_mutex_unlock(&connections->mutex);
    assert(status == 0);
}

// The bytes that make one address for the limit: all of IPv4 (also when mapped into IPv6), the
// first half of IPv6, since one machine has a /64 to itself.
static struct span address_part(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        return span_of(&four->sin_addr, 4);
    }
    if (address->sa_family != AF_INET6) return (struct span){NULL, 0};
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    const uint8_t *bytes = six->sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) return span_of(bytes + 12, 4);
    return span_of(bytes, 8);
}

static bool is_loopback(const struct sockaddr *address) {
    struct span part = address_part(address);
    if (part.size == 4) return part.bytes[0] == 127;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
    return part.size == 8 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

bool http_connections_admit(struct http_connections *connections, const struct sockaddr *address,
                            socklen_t size) {
    assert(size <= sizeof(struct sockaddr_storage));
    struct span part = address_part(address);
    uint32_t all = 0, count = 0;
    lock(connections);
    for (const struct http_connection *other = connections->first; other != NULL;
         other = other->next) {
        const struct sockaddr *one = (const struct sockaddr *)(const void *)&other->address;
        count += span_equal(part, address_part(one));
        all++;
    }
    unlock(connections);
    if (all >= connections->connections_max) return false;
    return part.size == 0 || is_loopback(address) || count < HTTP_CONNECTIONS_OF_ADDRESS_MAX;
}

struct http_connection *http_connections_add(struct http_connections *connections, int descriptor,
                                             const struct sockaddr *address, int64_t deadline_ms,
                                             uint64_t body_size_max) {
    struct http_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) return NULL;
    connection->descriptor = descriptor;
    connection->deadline_ms = deadline_ms;
    buffer_init(&connection->uri, HTTP_URI_SIZE_MAX);
    buffer_init(&connection->body, body_size_max);
    if (address->sa_family == AF_INET) {
        memcpy(&connection->address, address, sizeof(struct sockaddr_in));
    } else if (address->sa_family == AF_INET6) {
        memcpy(&connection->address, address, sizeof(struct sockaddr_in6));
    }
    lock(connections);
    connection->next = connections->first;
    if (connection->next != NULL) connection->next->previous = connection;
    connections->first = connection;
    unlock(connections);
    return connection;
}

void http_connections_remove(struct http_connections *connections,
                             struct http_connection *connection) {
    lock(connections);
    if (connection->next != NULL) connection->next->previous = connection->previous;
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        assert(connections->first == connection);
        connections->first = connection->next;
    }
    unlock(connections);
    buffer_done(&connection->uri);
    buffer_done(&connection->body);
    buffer_done(&connection->response.body);
    buffer_done(&connection->response.header_texts);
    free(connection);
}

void http_connections_extend(struct http_connections *connections,
                             struct http_connection *connection, int64_t deadline_ms) {
    lock(connections);
    connection->deadline_ms = deadline_ms;
    unlock(connections);
}

uint32_t http_connections_sweep(struct http_connections *connections, int64_t now_ms) {
    uint32_t count = 0;
    lock(connections);
    for (struct http_connection *connection = connections->first; connection != NULL;
         connection = connection->next) {
        if (now_ms < connection->deadline_ms) continue;
        // The server sees the end of input and closes; a second call does no harm.
        shutdown(connection->descriptor, SHUT_RDWR);
        count++;
    }
    unlock(connections);
    return count;
}
