// crypto.h: the door to OpenSSL for hashing and text forms of bytes. Certificates: certificate.h.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum {
    SHA256_SIZE = 32,
    SHA256_HEX_SIZE = 65,  // lower-case hex with a final zero
};

// SHA-256 of up to four spans one after the other, without joining them in memory; count 1 to 4.
void crypto_sha256(const struct span *parts, uint32_t parts_count, uint8_t digest[SHA256_SIZE]);

// SHA-256 of a stream. Create, update any number of times, finish (which makes it ready for the
// next stream), destroy. NULL if memory runs out.
struct crypto_sha256_stream;
struct crypto_sha256_stream *crypto_sha256_create(void);
void crypto_sha256_update(struct crypto_sha256_stream *stream, struct span bytes);
void crypto_sha256_finish(struct crypto_sha256_stream *stream, uint8_t digest[SHA256_SIZE]);
void crypto_sha256_destroy(struct crypto_sha256_stream *stream);

// HMAC-SHA-256 of up to four spans one after the other; count 0 to 4.
void crypto_hmac_sha256(struct span key, const struct span *parts, uint32_t parts_count,
                        uint8_t digest[SHA256_SIZE]);

// Whether both hold the same bytes; takes as long for any difference. Sizes are no secret.
bool crypto_equal(struct span left, struct span right);

// The leaf hash of RFC 6962: SHA-256 of 0x00 and the bytes.
void crypto_leaf_hash(struct span bytes, uint8_t digest[SHA256_SIZE]);

// Prints bytes as lower-case hex with a final zero; text has room for 2 * size + 1.
void crypto_print_hex(struct span bytes, char *text);

// Reads exactly 2 * size hex digits of either case. False if the text is anything else.
bool crypto_parse_hex(struct span text, uint8_t *bytes, size_t size);
