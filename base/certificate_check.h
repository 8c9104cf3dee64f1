// certificate_check.h: whether certificates are good: ours before they are used, a peer's whenever
// it matters.
//
// The texts say "the certificate", what is wrong with it and, where dates are the matter, the dates
// and the clock they were compared with. "The CA" is one PEM text of one or more certificates that
// may sign: two while one replaces the other. Pure: the time is the caller's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/certificate.h"

enum { CERTIFICATE_CAS_MAX = 16 };  // certificates of one CA text

// The PEM texts of one side of TLS; borrowed.
struct certificate_set {
    struct span ca;           // who may sign the peer's, and signed ours
    struct span certificate;  // ours, perhaps with certificates between it and the CA behind it
    struct span key;
};

// Checks all that a program must know before it uses them: readable; key and certificate one pair
// and elliptic; signed by the CA, for this use; valid now; a client with its one URI, a server with
// a host name. Then *facts are the certificate's. FAULT_INPUT.
MUST_CHECK bool certificate_check(const struct certificate_set *set, enum certificate_use use,
                                  int64_t now_s, struct certificate_facts *facts,
                                  struct fault *fault);

// Checks what a peer showed, its own certificate first: signed by the CA, for this use, valid now.
// FAULT_DENIED.
MUST_CHECK bool certificate_check_peer(struct span chain, struct span ca, enum certificate_use use,
                                       int64_t now_s, struct fault *fault);

// The certificates of a CA text, read once for many questions; any thread may ask.
struct certificate_cas;

// Faults as certificate_read_cas, and FAULT_FULL. The caller destroys *cas.
MUST_CHECK bool certificate_cas_create(struct span ca, struct certificate_cas **cas,
                                       struct fault *fault);

// NULL is allowed.
void certificate_cas_destroy(struct certificate_cas *cas);

// certificate_check_peer with these.
MUST_CHECK bool certificate_cas_check(const struct certificate_cas *cas, struct span chain,
                                      enum certificate_use use, int64_t now_s, struct fault *fault);

// Checks that a server's certificate is made out to this host name or IP address. FAULT_DENIED.
MUST_CHECK bool certificate_check_host(struct span certificate, const char *host,
                                       struct fault *fault);

// Reads every certificate of a CA text. FAULT_INPUT: there is none, more than CERTIFICATE_CAS_MAX,
// or one that is no CA's.
MUST_CHECK bool certificate_read_cas(struct span ca,
                                     struct certificate_facts facts[CERTIFICATE_CAS_MAX],
                                     uint32_t *count, struct fault *fault);
