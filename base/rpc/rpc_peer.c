#include <assert.h>
#include <grpc/support/alloc.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/certificate.h"
#include "base/rpc/rpc_internal.h"

// "ipv4:192.0.2.1:50123" or "ipv6:%5B2001:db8::1%5D:50123", as people write it.
static void read_address(grpc_call *call, char *address, size_t address_size) {
    char *peer = grpc_call_get_peer(call);
    const char *from = peer == NULL ? "" : peer;
    if (strncmp(from, "ipv4:", 5) == 0 || strncmp(from, "ipv6:", 5) == 0) from += 5;
    size_t size = 0;
    while (*from != 0 && size + 1 < address_size) {
        unsigned byte = 0;
        if (*from == '%' && sscanf(from + 1, "%2x", &byte) == 1) {
            address[size++] = (char)byte;
            from += 3;
        } else {
            address[size++] = *from++;
        }
    }
    address[size] = 0;
    gpr_free(peer);
}

void rpc_peer_of(const struct certificate_facts *facts, int descriptor, struct rpc_peer *peer) {
    *peer = (struct rpc_peer){.certificate_expires_s = facts->not_after_s};
    snprintf(peer->uri, sizeof peer->uri, "%s", facts->uri);
    snprintf(peer->serial, sizeof peer->serial, "%s", facts->serial);
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[48], port[8];
    if (getpeername(descriptor, (struct sockaddr *)&address, &size) != 0 ||
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return;
    }
    static const char mapped[] = "::ffff:";
    bool is_mapped = strncmp(host, mapped, sizeof mapped - 1) == 0;
    bool is_six = strchr(host, ':') != NULL && !is_mapped;
    snprintf(peer->address, sizeof peer->address, is_six ? "[%s]:%s" : "%s:%s",
             is_mapped ? host + sizeof mapped - 1 : host, port);
}

static bool read_uri(const grpc_auth_context *context, char uri[RPC_URI_SIZE],
                     struct fault *fault) {
    grpc_auth_property_iterator iterator =
        grpc_auth_context_find_properties_by_name(context, GRPC_PEER_URI_PROPERTY_NAME);
    const grpc_auth_property *property = grpc_auth_property_iterator_next(&iterator);
    if (property == NULL) {
        return fault_set(fault, FAULT_DENIED,
                         "your certificate holds no URI name (subject alternative name), so this "
                         "server cannot know who you are: have one issued with it");
    }
    if (grpc_auth_property_iterator_next(&iterator) != NULL) {
        return fault_set(fault, FAULT_DENIED,
                         "your certificate holds more than one URI name: have one issued with "
                         "exactly one");
    }
    if (property->value_length >= RPC_URI_SIZE ||
        memchr(property->value, 0, property->value_length) != NULL) {
        return fault_set(fault, FAULT_DENIED,
                         "the URI name in your certificate is too long or holds a zero byte");
    }
    memcpy(uri, property->value, property->value_length);
    uri[property->value_length] = 0;
    return true;
}

static bool read_certificate(const grpc_auth_context *context, struct rpc_peer *peer,
                             struct fault *fault) {
    grpc_auth_property_iterator iterator =
        grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
    const grpc_auth_property *property = grpc_auth_property_iterator_next(&iterator);
    struct span pem = {0};
    if (property != NULL) pem = span_of(property->value, property->value_length);
    struct certificate_facts facts;
    struct fault cause = {0};
    if (!certificate_read(pem, &facts, &cause)) {
        return fault_set(fault, FAULT_DENIED, "your certificate cannot be read: %s", cause.text);
    }
    static_assert(sizeof peer->serial == sizeof facts.serial, "both hold any serial number");
    memcpy(peer->serial, facts.serial, sizeof peer->serial);
    peer->certificate_expires_s = facts.not_after_s;
    peer->certificate = pem;
    // A server's OpenSSL leaves the peer's own certificate out of what came with it.
    iterator =
        grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME);
    property = grpc_auth_property_iterator_next(&iterator);
    if (property != NULL) peer->chain = span_of(property->value, property->value_length);
    return true;
}

bool rpc_peer_read(grpc_call *call, const grpc_auth_context *context, struct rpc_peer *peer,
                   struct fault *fault) {
    struct rpc_peer found = {0};
    read_address(call, found.address, sizeof found.address);
    if (context == NULL || grpc_auth_context_peer_is_authenticated(context) == 0) {
        return fault_set(fault, FAULT_DENIED, "a client certificate is needed");
    }
    if (!read_uri(context, found.uri, fault) || !read_certificate(context, &found, fault)) {
        return false;
    }
    *peer = found;
    return true;
}
