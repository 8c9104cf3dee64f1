// certificate_internal.h: what certificate.c and certificate_check.c share; nobody else includes
// it.

#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "base/certificate.h"

// Sets a fault with OpenSSL's reason, and forgets what else OpenSSL had to say. Returns false.
bool certificate_set_fault(struct fault *fault, enum fault_kind kind, const char *what);

// A BIO over a PEM text. NULL if it is empty, too large, or memory is out.
BIO *certificate_open_pem(struct span pem);

// The first certificate of a PEM text, or NULL; the caller frees it.
X509 *certificate_read_x509(struct span pem);

// The key of a PEM text, or NULL, also if it is encrypted; the caller frees it.
EVP_PKEY *certificate_read_key(struct span pem);

// What a reader wants to know of it. False: unusual serial or dates.
bool certificate_read_facts(X509 *certificate, struct certificate_facts *facts);
