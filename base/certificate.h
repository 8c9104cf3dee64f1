// certificate.h: X.509 for an organization's own CA: make keys, issue, read what a peer showed.
//
// Keys are ECDSA P-256 (PKCS#8 PEM), certificates PEM, serial numbers 16 bytes, random, signatures
// ECDSA with SHA-256. Validity begins five minutes in the past, so that small clock differences do
// not matter. PEM text is appended to buffers of the caller.
//
// Limits: valid for 1 s to 3650 days, a common name of 64 bytes, a URI of 255 printable ASCII
// bytes, 64 host names; what is beyond them is FAULT_INPUT. A buffer that overflows is FAULT_FULL.
// Encrypted keys are refused: nobody is there to type a passphrase.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    CERTIFICATE_DAY_S = 86400,
    CERTIFICATE_FINGERPRINT_TEXT_SIZE = 65,              // hex, with the final zero
    CERTIFICATE_VALID_S_MAX = 3650 * CERTIFICATE_DAY_S,  // a CA for ten years; agents get less
};

// What a certificate is for decides its extensions.
enum certificate_use {
    CERTIFICATE_CA,      // keyCertSign, cRLSign; path length 0
    CERTIFICATE_SERVER,  // serverAuth
    CERTIFICATE_CLIENT,  // clientAuth
};

struct certificate_request {
    enum certificate_use use;
    const char *common_name;
    const char *uri;               // URI SAN, or NULL
    const char *const *dns_names;  // DNS SANs; an IP address goes in as an IP SAN
    uint32_t dns_names_count;
    int64_t valid_s;  // from now
};

// What a reader wants to know of a certificate.
struct certificate_facts {
    char common_name[128];
    char issuer[128];      // the common name of who signed it
    char uri[256];         // the URI SAN; empty if there is none or more than one
    char serial[64];       // lower-case hex
    int64_t not_before_s;  // since the Unix epoch
    int64_t not_after_s;
    uint8_t fingerprint[32];  // SHA-256 of the DER
    bool is_elliptic;         // its key is ECDSA (or EdDSA), which TLS 1.3 only here requires
};

// Appends a new private key. FAULT_IO if OpenSSL fails.
MUST_CHECK bool certificate_make_key(struct buffer *key, struct fault *fault);

// Appends a self-signed CA certificate for the key. FAULT_INPUT for a bad key.
MUST_CHECK bool certificate_make_ca(struct span key, const struct certificate_request *request,
                                    int64_t now_s, struct buffer *certificate, struct fault *fault);

// Appends a certificate for subject_key's public half, signed by the CA. FAULT_INPUT for bad PEM or
// a CA key that is not the CA certificate's.
MUST_CHECK bool certificate_issue(struct span ca_certificate, struct span ca_key,
                                  struct span subject_key,
                                  const struct certificate_request *request, int64_t now_s,
                                  struct buffer *certificate, struct fault *fault);

// The same from a PEM certificate signing request whose signature is checked. Only its public key
// is used: names come from `request`. FAULT_INPUT, also for a key that is not elliptic.
MUST_CHECK bool certificate_issue_from_csr(struct span ca_certificate, struct span ca_key,
                                           struct span csr,
                                           const struct certificate_request *request, int64_t now_s,
                                           struct buffer *certificate, struct fault *fault);

// The same for the public key that another certificate has: its key stays in use.
MUST_CHECK bool certificate_issue_again(struct span ca_certificate, struct span ca_key,
                                        struct span certificate,
                                        const struct certificate_request *request, int64_t now_s,
                                        struct buffer *made, struct fault *fault);

// Reads the first certificate of a PEM text. FAULT_INPUT.
MUST_CHECK bool certificate_read(struct span pem, struct certificate_facts *facts,
                                 struct fault *fault);

// The fingerprint as people compare it: lower-case hex.
void certificate_print_fingerprint(const struct certificate_facts *facts,
                                   char text[CERTIFICATE_FINGERPRINT_TEXT_SIZE]);
