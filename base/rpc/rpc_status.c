#include <stdio.h>
#include <string.h>

#include "base/rpc/rpc_internal.h"

grpc_status_code rpc_status_of(enum fault_kind kind) {
    switch (kind) {
        case FAULT_NONE:
            return GRPC_STATUS_OK;
        case FAULT_INPUT:
            return GRPC_STATUS_INVALID_ARGUMENT;
        case FAULT_DENIED:
            return GRPC_STATUS_PERMISSION_DENIED;
        case FAULT_FULL:
            return GRPC_STATUS_RESOURCE_EXHAUSTED;
        case FAULT_RETRY:
            return GRPC_STATUS_UNAVAILABLE;
        case FAULT_IO:
            return GRPC_STATUS_INTERNAL;
        case FAULT_CORRUPT:
            return GRPC_STATUS_FAILED_PRECONDITION;
    }
    return GRPC_STATUS_UNKNOWN;
}

static enum fault_kind kind_of(grpc_status_code status) {
    switch (status) {
        case GRPC_STATUS_OK:
            return FAULT_NONE;
        case GRPC_STATUS_INVALID_ARGUMENT:
        case GRPC_STATUS_OUT_OF_RANGE:
        case GRPC_STATUS_UNIMPLEMENTED:
            return FAULT_INPUT;
        case GRPC_STATUS_PERMISSION_DENIED:
        case GRPC_STATUS_UNAUTHENTICATED:
            return FAULT_DENIED;
        case GRPC_STATUS_RESOURCE_EXHAUSTED:
            return FAULT_FULL;
        case GRPC_STATUS_INTERNAL:
            return FAULT_IO;
        case GRPC_STATUS_FAILED_PRECONDITION:
        case GRPC_STATUS_DATA_LOSS:
            return FAULT_CORRUPT;
        default:
            return FAULT_RETRY;
    }
}

// What gRPC says when no peer spoke, and what a person can do about it. The first match counts;
// %s is the target.
enum phase { ALWAYS, BEFORE_BEGUN, AFTER_BEGUN };
struct advice {
    const char *phrase;
    enum phase phase;
    enum fault_kind kind;
    const char *text;
};
static const struct advice advices[] = {
    {"Connection refused", ALWAYS, FAULT_RETRY,
     "connection to %s refused: is the server running there, on that port?"},
    {"wrong version number", ALWAYS, FAULT_INPUT,
     "%s does not speak TLS: is it the right port, without a proxy between?"},
    {"missing selected ALPN", ALWAYS, FAULT_INPUT,
     "%s does not speak gRPC: is it the right port, without a proxy between?"},
    {"no shared cipher", ALWAYS, FAULT_INPUT, "%s does not offer TLS 1.3, which is needed"},
    {"unsupported protocol", ALWAYS, FAULT_INPUT, "%s does not offer TLS 1.3, which is needed"},
    {"alert protocol version", ALWAYS, FAULT_INPUT, "%s does not offer TLS 1.3, which is needed"},
    {"alert handshake failure", ALWAYS, FAULT_INPUT, "%s does not offer TLS 1.3, which is needed"},
    {"DNS resolution failed", ALWAYS, FAULT_RETRY,
     "the name in %s cannot be resolved: check its spelling and DNS"},
    {"C-ares status", ALWAYS, FAULT_RETRY,
     "the name in %s cannot be resolved: check its spelling and DNS"},
    {"No route to host", ALWAYS, FAULT_RETRY, "no route to %s: check network and firewall"},
    {"Network is unreachable", ALWAYS, FAULT_RETRY,
     "the network of %s is unreachable: check network and routes"},
    {"handshaker shutdown", ALWAYS, FAULT_RETRY,
     "%s did not answer in time: check that a firewall lets connections through"},
    {"Connection timed out", ALWAYS, FAULT_RETRY,
     "%s did not answer in time: check that a firewall lets connections through"},
    {"keepalive watchdog timeout", ALWAYS, FAULT_RETRY,
     "%s fell silent: the machine or the network between does not answer"},
    {"ping timeout", ALWAYS, FAULT_RETRY,
     "%s fell silent: the machine or the network between does not answer"},
    {"Too many pings", ALWAYS, FAULT_RETRY,
     "%s wants fewer pings: is it of an older version, or a proxy?"},
    {"larger than max", ALWAYS, FAULT_INPUT, "%s refused a message that was too large"},
    {"Socket closed", BEFORE_BEGUN, FAULT_RETRY,
     "%s closed the connection during the TLS handshake: it probably refused our certificate "
     "(another CA, expired or revoked); its log says more"},
    {"Connection reset", BEFORE_BEGUN, FAULT_RETRY,
     "%s closed the connection during the TLS handshake: it probably refused our certificate "
     "(another CA, expired or revoked); its log says more"},
    {"Broken pipe", BEFORE_BEGUN, FAULT_RETRY,
     "%s closed the connection during the TLS handshake: it probably refused our certificate "
     "(another CA, expired or revoked); its log says more"},
    {"Socket closed", AFTER_BEGUN, FAULT_RETRY,
     "the connection to %s was closed: did the server stop?"},
    {"Connection reset", AFTER_BEGUN, FAULT_RETRY,
     "the connection to %s was cut: did the server or the network fail?"},
    {"Broken pipe", AFTER_BEGUN, FAULT_RETRY,
     "the connection to %s was cut: did the server or the network fail?"},
};

// What gRPC puts before a verifier's own text (rpc_verify.c).
static const char refused_mark[] = "Custom verification check failed with error: UNAUTHENTICATED: ";

static const struct advice *find_advice(const char *text, bool was_begun) {
    enum phase other = was_begun ? BEFORE_BEGUN : AFTER_BEGUN;
    for (size_t index = 0; index < sizeof advices / sizeof advices[0]; index++) {
        if (advices[index].phase == other) continue;
        if (strstr(text, advices[index].phrase) != NULL) return &advices[index];
    }
    return NULL;
}

static void set_advice(struct fault *fault, const struct advice *advice, const char *target) {
    const char *mark = strstr(advice->text, "%s");
    int before = mark == NULL ? (int)strlen(advice->text) : (int)(mark - advice->text);
    fault_set(fault, advice->kind, "%.*s%s%s", before, advice->text, mark == NULL ? "" : target,
              mark == NULL ? "" : mark + 2);
}

// gRPC wraps the cause: "failed to connect to all addresses; last error: UNKNOWN: ipv4:...: CAUSE".
static const char *skip_wrapping(const char *text) {
    const char *last = strstr(text, "last error: ");
    return last == NULL ? text : last + strlen("last error: ");
}

bool rpc_status_read(grpc_status_code status, struct span details, const char *target,
                     bool was_begun, struct fault *fault) {
    char text[FAULT_TEXT_SIZE];
    snprintf(text, sizeof text, "%.*s", SPAN_PRINT(details));
    if (status == GRPC_STATUS_OK) {
        *fault = (struct fault){.kind = FAULT_NONE};
        return false;
    }
    const char *verified = strstr(text, refused_mark);
    if (verified != NULL) {
        fault_set(fault, FAULT_INPUT, "the certificate of %s is not good: %s", target,
                  verified + sizeof refused_mark - 1);
        return false;
    }
    if (status == GRPC_STATUS_UNAVAILABLE || status == GRPC_STATUS_UNKNOWN ||
        status == GRPC_STATUS_RESOURCE_EXHAUSTED || status == GRPC_STATUS_INTERNAL) {
        const struct advice *advice = find_advice(text, was_begun);
        if (advice != NULL) {
            set_advice(fault, advice, target);
            return advice->phase == BEFORE_BEGUN;
        }
    }
    if (status == GRPC_STATUS_UNIMPLEMENTED) {
        fault_set(fault, FAULT_INPUT,
                  "%s does not know this service: is it the right port, and of a fitting version? "
                  "(%s)",
                  target, text);
        return false;
    }
    const char *cause = skip_wrapping(text);
    fault_set(fault, kind_of(status), "%s", cause[0] == 0 ? "the peer gave no reason" : cause);
    return false;
}
