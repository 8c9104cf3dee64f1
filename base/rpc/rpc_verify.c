#include <assert.h>
#include <grpc/support/alloc.h>
#include <grpc/support/string_util.h>
#include <inttypes.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/certificate_check.h"
#include "base/clock.h"
#include "base/rpc/rpc_internal.h"

enum {
    CHAIN_SIZE_MAX = 64 * 1024,  // bytes of PEM that a server may show
    HOST_SIZE = 256,
};

// gRPC would say "certificate verify failed" and nothing else: not which certificate, why, or by
// which clock. So its own check is off and this one asks OpenSSL the same questions, after the
// handshake and before anything is sent. gRPC calls it on any thread, and frees it at last.
struct rpc_verifier {
    grpc_tls_certificate_verifier_external external;
    struct buffer ca;
    char host[HOST_SIZE];
    _Atomic(struct certificate_facts *) seen;  // of this attempt's server, if it was good
};

static int64_t now_s(void) {
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context) / 1000;
}

// What to do about it, by what is wrong.
static bool add_advice(struct fault *fault) {
    static const struct {
        const char *phrase;
        const char *advice;
    } advices[] = {
        {"not by an accepted CA",
         "check that address and ca.pem belong to the same organization; if its CA was replaced, "
         "bring the new ca.pem here"},
        {"expired at", "renew the server's certificate, or set the clock that is wrong"},
        {"not valid before", "set the clock that is wrong, this one or the server's"},
        {"another name",
         "use a name that stands in it (collector.name), or issue one with this name"},
        {"not made out for this use", "is it a collector that answers there?"},
    };
    for (size_t index = 0; index < sizeof advices / sizeof advices[0]; index++) {
        if (strstr(fault->text, advices[index].phrase) == NULL) continue;
        char text[FAULT_TEXT_SIZE];
        snprintf(text, sizeof text, "%s", fault->text);
        return fault_set(fault, fault->kind, "%s: %s", text, advices[index].advice);
    }
    return false;
}

static bool check(struct rpc_verifier *verifier, const char *leaf, const char *chain,
                  struct fault *fault) {
    struct buffer text;
    buffer_init(&text, CHAIN_SIZE_MAX);
    if (leaf != NULL) buffer_append_text(&text, leaf);
    if (chain != NULL) buffer_append_text(&text, chain);
    bool is_good = !buffer_overflowed(&text) ||
                   fault_set(fault, FAULT_DENIED, "the certificate comes with too many others");
    is_good = is_good &&
              certificate_check_peer(buffer_span(&text), buffer_span(&verifier->ca),
                                     CERTIFICATE_SERVER, now_s(), fault) &&
              certificate_check_host(buffer_span(&text), verifier->host, fault);
    struct certificate_facts *seen = is_good ? malloc(sizeof *seen) : NULL;
    struct fault ignored;
    if (seen != NULL && certificate_read(buffer_span(&text), seen, &ignored)) {
        seen = atomic_exchange(&verifier->seen, seen);
    }
    free(seen);
    buffer_done(&text);
    return is_good || add_advice(fault);
}

static int on_verify(void *user, grpc_tls_custom_verification_check_request *request,
                     grpc_tls_on_custom_verification_check_done_cb callback, void *callback_arg,
                     grpc_status_code *sync_status, char **sync_error_details) {
    (void)callback;
    (void)callback_arg;
    __tsan_acquire(user);
    struct fault fault;
    bool is_good =
        check(user, request->peer_info.peer_cert, request->peer_info.peer_cert_full_chain, &fault);
    *sync_status = is_good ? GRPC_STATUS_OK : GRPC_STATUS_UNAUTHENTICATED;
    if (!is_good) *sync_error_details = gpr_strdup(fault.text);
    __tsan_release(user);
    return 1;
}

static void on_cancel(void *user, grpc_tls_custom_verification_check_request *request) {
    (void)user;
    (void)request;
}

static void on_destruct(void *user) {
    struct rpc_verifier *verifier = user;
    // gRPC counts who uses it, unseen by the sanitizer.
    __tsan_acquire(user);
    free(atomic_load(&verifier->seen));
    buffer_done(&verifier->ca);
    free(verifier);
}

// "host:port", "[::1]:port" or "host".
static void copy_host(const char *from, char host[HOST_SIZE]) {
    bool is_six = from[0] == '[';
    if (is_six) from++;
    size_t size = strcspn(from, is_six ? "]" : ":");
    snprintf(host, HOST_SIZE, "%.*s", (int)size, from);
}

struct rpc_verifier *rpc_verifier_create(struct span ca, const char *name,
                                         grpc_tls_certificate_verifier **made) {
    struct rpc_verifier *verifier = calloc(1, sizeof *verifier);
    if (verifier == NULL) abort();
    verifier->external = (grpc_tls_certificate_verifier_external){
        .user_data = verifier,
        .verify = on_verify,
        .cancel = on_cancel,
        .destruct = on_destruct,
    };
    buffer_init(&verifier->ca, CHAIN_SIZE_MAX);
    buffer_append(&verifier->ca, ca);
    copy_host(name, verifier->host);
    __tsan_release(verifier);
    *made = grpc_tls_certificate_verifier_external_create(&verifier->external);
    return verifier;
}

// Why a server whose own certificate is good may have hung up on ours.
static void print_guess(const struct certificate_facts *ours, const struct certificate_facts *seen,
                        char *text, size_t text_size) {
    char begin[TIME_TEXT_SIZE], end[TIME_TEXT_SIZE], now[TIME_TEXT_SIZE];
    int64_t at_s = now_s();
    time_print(at_s, now);
    time_print(ours->not_before_s, begin);
    time_print(ours->not_after_s, end);
    if (at_s > ours->not_after_s) {
        snprintf(text, text_size,
                 "it expired at %s (the clock says %s): renew it with \"orgtrail enroll --renew\"",
                 end, now);
    } else if (at_s < ours->not_before_s) {
        snprintf(text, text_size, "it is not valid before %s and the clock says %s: set the clock",
                 begin, now);
    } else if (strcmp(ours->issuer, seen->issuer) != 0) {
        snprintf(
            text, text_size,
            "it was signed by \"%s\", the server's by \"%s\": if the CA was replaced, renew it "
            "with \"orgtrail enroll --renew\"",
            ours->issuer, seen->issuer);
    } else {
        snprintf(text, text_size,
                 "it is good by this clock (%s; valid from %s to %s): is the server's clock right, "
                 "does its ca.pem have our CA, \"%s\", and its deny list nothing of ours? Its log "
                 "says more",
                 now, begin, end, ours->issuer);
    }
}

void rpc_verifier_forget(struct rpc_verifier *verifier) {
    free(atomic_exchange(&verifier->seen, NULL));
}

void rpc_verifier_explain(struct rpc_verifier *verifier, const struct certificate_facts *ours,
                          const char *target, int alert, struct fault *fault) {
    struct certificate_facts *seen = atomic_exchange(&verifier->seen, NULL);
    if (seen == NULL) return;
    if (alert == SSL_AD_CERTIFICATE_REVOKED) {
        fault_set(fault, FAULT_DENIED,
                  "%s refuses our certificate: the collector's deny list has it, by its name %s or "
                  "its serial number %s: whoever runs the collector takes it off the list "
                  "(\"orgtrail deny remove\") or enrolls this agent anew",
                  target, ours->uri, ours->serial);
    } else {
        char guess[FAULT_TEXT_SIZE];
        print_guess(ours, seen, guess, sizeof guess);
        fault_set(fault, FAULT_RETRY, "%s hung up when it saw our certificate: %s%s%s%s", target,
                  guess, alert < 0 ? "" : " (it said: ",
                  alert < 0 ? "" : SSL_alert_desc_string_long(alert), alert < 0 ? "" : ")");
    }
    free(seen);
}
