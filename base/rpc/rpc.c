#include "base/rpc/rpc.h"

#include <assert.h>
#include <errno.h>
#include <grpc/support/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rpc/rpc_internal.h"

// gRPC's log function is one for the process, so this is too.
static atomic_uint deaf_count;
static _Thread_local bool is_capturing;
// The reason stands behind the places in gRPC where it passed, in no fixed order.
static _Thread_local char captured[4096];

// A stranger who knocks without end must not fill the log: one line a second, with a count.
static void report(const gpr_log_func_args *arguments) {
    static atomic_llong next_ms;
    static atomic_llong unreported;
    const struct clock *clock = clock_system();
    long long now = clock->monotonic_ms(clock->context);
    long long next = atomic_load(&next_ms);
    if (now < next || !atomic_compare_exchange_strong(&next_ms, &next, now + 1000)) {
        atomic_fetch_add(&unreported, 1);
        return;
    }
    LOG(LOG_WARNING, "gRPC reports an error", log_text("error", arguments->message),
        log_number("unreported", atomic_exchange(&unreported, 0)));
}

// Called by any thread; must not call gRPC.
static void on_log(gpr_log_func_args *arguments) {
    if (arguments->severity != GPR_LOG_SEVERITY_ERROR) return;
    // Its word for an alert of the server, which whoever asks for the alert tells better.
    if (strstr(arguments->message, "Corruption detected") != NULL && rpc_handshake_take_logged()) {
        return;
    }
    // Its accept loop ends for ever with any error that is not momentary.
    if (strstr(arguments->message, "Failed accept4") != NULL) atomic_fetch_add(&deaf_count, 1);
    if (is_capturing) {
        snprintf(captured, sizeof captured, "%s", arguments->message);
    } else {
        report(arguments);
    }
}

unsigned rpc_deaf_count(void) {
    return atomic_load(&deaf_count);
}

void rpc_log_capture(bool is_on) {
    is_capturing = is_on;
    captured[0] = 0;
}

const char *rpc_log_captured(void) {
    return captured;
}

// GRPC_* variables change gRPC behind our back: tracing, pollers, root certificates.
static void clean_environment(void) {
    extern char **environ;
    for (char **entry = environ; entry != NULL && *entry != NULL;) {
        size_t size = strcspn(*entry, "=");
        char name[64];
        if (strncmp(*entry, "GRPC_", 5) == 0 && size < sizeof name) {
            memcpy(name, *entry, size);
            name[size] = 0;
            unsetenv(name);
            entry = environ;
        } else {
            entry++;
        }
    }
    // gRPC 1.51 has no setting for the lowest TLS version. With ECDSA certificates no TLS 1.2
    // handshake can use this cipher, and TLS 1.3 has ciphers of its own.
    setenv("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384", 1);
    // Reads by a connection's need instead of in blocks of 64 KiB, of which each connection that
    // was once busy would keep one.
    setenv("GRPC_EXPERIMENTS", "-tcp_read_chunks", 1);
    // The system's resolver knows hosts, search domains and containers as every other program does.
    setenv("GRPC_DNS_RESOLVER", "native", 1);
}

static bool raise_descriptor_limit(struct fault *fault) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fault_set_errno(fault, FAULT_IO, errno, "read the limit of open files");
    }
    if (limit.rlim_cur == limit.rlim_max) return true;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return fault_set_errno(fault, FAULT_IO, errno, "raise the limit of open files");
    }
    return true;
}

bool rpc_init(struct fault *fault) {
    if (!raise_descriptor_limit(fault)) return false;
    clean_environment();
    if (!rpc_handshake_init(fault)) return false;
    gpr_set_log_function(on_log);
    gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
    grpc_init();
    return true;
}

void rpc_done(void) {
    grpc_shutdown_blocking();
}
