// http_tls.h: the certificate that an HTTP server shows, replaced while it serves (GnuTLS).
//
// libmicrohttpd asks for it at each handshake. One that was replaced is kept as long as a handshake
// that took it may last, and freed with a later replacement or at the end.

#pragma once

#include <gnutls/abstract.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

struct http_tls;

// Takes a chain of certificates, the server's first, and its key, both PEM. FAULT_INPUT if one
// cannot be read or they do not belong together; FAULT_FULL if memory runs out.
MUST_CHECK bool http_tls_create(struct span certificate, struct span key, struct http_tls **tls,
                                struct fault *fault);

// Frees it; no handshake may be under way. NULL is allowed.
void http_tls_destroy(struct http_tls *tls);

// [any] Puts another certificate in place, for handshakes that begin from now on. Faults as
// http_tls_create: the old one stays.
MUST_CHECK bool http_tls_replace(struct http_tls *tls, struct span certificate, struct span key,
                                 int64_t now_ms, struct fault *fault);

// [any] The chain and key of the present certificate, for one handshake.
void http_tls_get(struct http_tls *tls, gnutls_pcert_st **chain, unsigned int *chain_count,
                  gnutls_privkey_t *key);
