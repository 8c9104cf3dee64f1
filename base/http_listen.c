#include "base/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 512,   // connections the kernel holds before we accept them
    HOST_SIZE = 64,  // bytes of a numeric address with the final zero
};

// Takes "127.0.0.1:80" or "[::1]:80" apart.
static bool parse_listen(const char *listen, struct sockaddr_storage *address, socklen_t *size,
                         struct fault *fault) {
    char host[HOST_SIZE] = "";
    const char *colon = strrchr(listen, ':');
    size_t host_size = colon == NULL ? 0 : (size_t)(colon - listen);
    bool is_six = host_size > 2 && listen[0] == '[' && listen[host_size - 1] == ']';
    if (host_size > 0 && host_size < sizeof host) {
        if (is_six) {
            memcpy(host, listen + 1, host_size - 2);
        } else {
            memcpy(host, listen, host_size);
        }
    }
    char *end = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &end, 10);
    bool good = colon != NULL && colon[1] >= '0' && colon[1] <= '9' && *end == 0 && port <= 65535;
    *address = (struct sockaddr_storage){0};
    if (is_six) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)address;
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        good = good && inet_pton(AF_INET6, host, &six->sin6_addr) == 1;
        *size = sizeof *six;
    } else {
        struct sockaddr_in *four = (struct sockaddr_in *)(void *)address;
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        good = good && inet_pton(AF_INET, host, &four->sin_addr) == 1;
        *size = sizeof *four;
    }
    if (good) return true;
    return fault_set(fault, FAULT_INPUT,
                     "listen address \"%s\": write it like 127.0.0.1:9090 or [::1]:9090", listen);
}

static enum fault_kind kind_of(int error) {
    if (error == EADDRINUSE || error == EMFILE || error == ENFILE || error == ENOBUFS) {
        return FAULT_RETRY;
    }
    if (error == EACCES || error == EPERM) return FAULT_DENIED;
    // EADDRNOTAVAIL, EAFNOSUPPORT: this machine has no such address.
    return FAULT_INPUT;
}

bool http_listen_open(const char *listen_text, int *descriptor, uint16_t *port,
                      struct fault *fault) {
    struct sockaddr_storage address;
    socklen_t size;
    if (!parse_listen(listen_text, &address, &size, fault)) return false;
    int made = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (made < 0) return fault_set_errno(fault, kind_of(errno), errno, "listen on %s", listen_text);
    int yes = 1;
    struct sockaddr *plain = (struct sockaddr *)(void *)&address;
    if (setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(made, plain, size) != 0 || listen(made, BACKLOG) != 0 ||
        getsockname(made, plain, &size) != 0) {
        if (errno == EADDRINUSE) {
            fault_set(fault, FAULT_RETRY,
                      "listen on %s: the address is in use: is another server running?",
                      listen_text);
        } else {
            fault_set_errno(fault, kind_of(errno), errno, "listen on %s", listen_text);
        }
        close(made);
        return false;
    }
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)&address;
    *port = ntohs(address.ss_family == AF_INET6 ? six->sin6_port : four->sin_port);
    *descriptor = made;
    return true;
}
