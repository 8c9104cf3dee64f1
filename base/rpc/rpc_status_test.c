// What a person is told about an end that gRPC reports in its own words.

#include <string.h>

#include "base/rpc/rpc_internal.h"
#include "tests/kit/cases.h"

static struct fault read_status(grpc_status_code status, const char *details, bool was_begun) {
    struct fault fault = {.kind = FAULT_CORRUPT};
    rpc_status_read(status, span_text(details), "collector:7443", was_begun, &fault);
    return fault;
}

static void test_kinds_come_back(void **state) {
    (void)state;
    static const enum fault_kind kinds[] = {FAULT_NONE,  FAULT_INPUT, FAULT_DENIED, FAULT_FULL,
                                            FAULT_RETRY, FAULT_IO,    FAULT_CORRUPT};
    for (size_t index = 0; index < sizeof kinds / sizeof kinds[0]; index++) {
        struct fault fault = read_status(rpc_status_of(kinds[index]), "the text", true);
        assert_int_equal(fault.kind, kinds[index]);
        if (kinds[index] != FAULT_NONE) assert_string_equal(fault.text, "the text");
    }
    assert_int_equal(read_status(GRPC_STATUS_DATA_LOSS, "x", true).kind, FAULT_CORRUPT);
    assert_int_equal(read_status(GRPC_STATUS_UNAUTHENTICATED, "x", true).kind, FAULT_DENIED);
    assert_int_equal(read_status(GRPC_STATUS_CANCELLED, "x", true).kind, FAULT_RETRY);
}

struct row {
    grpc_status_code status;
    bool was_begun;
    const char *details;
    enum fault_kind kind;
    const char *text;  // begins so
};

static void test_advice(void **state) {
    (void)state;
    static const struct row rows[] = {
        {GRPC_STATUS_UNAVAILABLE, false,
         "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:7443: Failed to "
         "connect to remote host: Connection refused",
         FAULT_RETRY, "connection to collector:7443 refused: is the server running"},
        {GRPC_STATUS_UNAVAILABLE, true, "keepalive watchdog timeout", FAULT_RETRY,
         "collector:7443 fell silent"},
        {GRPC_STATUS_UNAVAILABLE, false, "last error: UNKNOWN: tcp handshaker shutdown",
         FAULT_RETRY, "collector:7443 did not answer in time"},
        {GRPC_STATUS_UNAVAILABLE, false, "Socket closed", FAULT_RETRY,
         "collector:7443 closed the connection during the TLS handshake"},
        {GRPC_STATUS_UNAVAILABLE, true, "Socket closed", FAULT_RETRY,
         "the connection to collector:7443 was closed"},
        {GRPC_STATUS_UNAVAILABLE, true, "Broken pipe", FAULT_RETRY,
         "the connection to collector:7443 was cut"},
        {GRPC_STATUS_UNAVAILABLE, true, "Too many pings", FAULT_RETRY,
         "collector:7443 wants fewer pings"},
        {GRPC_STATUS_UNAVAILABLE, false,
         "last error: Ssl handshake failed: SSL_ERROR_SSL: error:0A00010B:SSL routines::wrong "
         "version number",
         FAULT_INPUT, "collector:7443 does not speak TLS"},
        {GRPC_STATUS_UNAVAILABLE, false,
         "last error: UNKNOWN: ipv4:10.0.0.1:7443: Cannot check peer: missing selected ALPN "
         "property.",
         FAULT_INPUT, "collector:7443 does not speak gRPC"},
        {GRPC_STATUS_RESOURCE_EXHAUSTED, true,
         "Received message larger than max (3000000 vs. 2097152)", FAULT_INPUT,
         "collector:7443 refused a message that was too large"},
        {GRPC_STATUS_UNIMPLEMENTED, false, "no such method", FAULT_INPUT,
         "collector:7443 does not know this service"},
        {GRPC_STATUS_UNAVAILABLE, false, "last error: UNKNOWN: something new", FAULT_RETRY,
         "UNKNOWN: something new"},
        {GRPC_STATUS_UNKNOWN, true, "", FAULT_RETRY, "the peer gave no reason"},
        // A server's own words are never taken for gRPC's.
        {GRPC_STATUS_PERMISSION_DENIED, false, "Connection refused", FAULT_DENIED,
         "Connection refused"},
    };
    for (size_t index = 0; index < sizeof rows / sizeof rows[0]; index++) {
        const struct row *row = &rows[index];
        struct fault fault = read_status(row->status, row->details, row->was_begun);
        if (strncmp(fault.text, row->text, strlen(row->text)) != 0) {
            fail_msg("\"%s\" does not begin with \"%s\"", fault.text, row->text);
        }
        assert_int_equal(fault.kind, row->kind);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_come_back),
        cmocka_unit_test(test_advice),
    };
    return cases_run("rpc_status", tests, sizeof tests / sizeof tests[0]);
}
