// test_certificates.h: an organization's certificates for the tests of base/rpc, good and bad ones.
//
// Made with OpenSSL directly, because the bad ones are what the product cannot make.

#pragma once

#include <stdbool.h>

#include "base/rpc/rpc.h"

enum { TEST_PEM_SIZE = 4096 };

struct test_ca {
    char certificate[TEST_PEM_SIZE];
    char key[TEST_PEM_SIZE];
};

struct test_identity {
    char ca[TEST_PEM_SIZE];  // accepted issuers of the other side
    char certificate[TEST_PEM_SIZE];
    char key[TEST_PEM_SIZE];
};

struct test_request {
    const char *names;  // as in OpenSSL's subjectAltName, "DNS:collector,IP:127.0.0.1"; or NULL
    int64_t serial;
    bool is_expired;
    bool is_rsa;
    bool is_for_clients;  // extendedKeyUsage clientAuth; none otherwise
};

// Makes a CA; the name tells two of them apart.
void test_ca_make(struct test_ca *ca, const char *name);

// Issues a certificate that is valid for an hour, or was until an hour ago.
void test_identity_make(struct test_identity *identity, const struct test_ca *ca,
                        const struct test_request *request);

// The identity's texts, borrowed.
struct rpc_credentials test_credentials(const struct test_identity *identity);
