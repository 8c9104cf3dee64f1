#include "base/crypto.h"

#include <assert.h>
#include <stdlib.h>

// The older interface of SHA-256: it allocates nothing, so it cannot fail, and costs no look-up of
// the algorithm for each record. The code behind both is the same.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/crypto.h>
#include <openssl/sha.h>

_Static_assert(SHA256_SIZE == SHA256_DIGEST_LENGTH, "SHA-256 has 32 bytes");

struct crypto_sha256_stream {
    SHA256_CTX context;
};

static void update(SHA256_CTX *context, struct span bytes) {
    if (bytes.size > 0) SHA256_Update(context, bytes.bytes, bytes.size);
}

void crypto_sha256(const struct span *parts, uint32_t parts_count, uint8_t digest[SHA256_SIZE]) {
    assert(parts_count >= 1);
    assert(parts_count <= 4);
    SHA256_CTX context;
    SHA256_Init(&context);
    for (uint32_t index = 0; index < parts_count; index++) update(&context, parts[index]);
    SHA256_Final(digest, &context);
}

struct crypto_sha256_stream *crypto_sha256_create(void) {
    struct crypto_sha256_stream *stream = malloc(sizeof *stream);
    if (stream != NULL) SHA256_Init(&stream->context);
    return stream;
}

void crypto_sha256_update(struct crypto_sha256_stream *stream, struct span bytes) {
    update(&stream->context, bytes);
}

void crypto_sha256_finish(struct crypto_sha256_stream *stream, uint8_t digest[SHA256_SIZE]) {
    SHA256_Final(digest, &stream->context);
    SHA256_Init(&stream->context);
}

void crypto_sha256_destroy(struct crypto_sha256_stream *stream) {
    free(stream);
}

void crypto_hmac_sha256(struct span key, const struct span *parts, uint32_t parts_count,
                        uint8_t digest[SHA256_SIZE]) {
    assert(parts_count <= 4);
    uint8_t block[SHA256_CBLOCK] = {0};
    uint8_t inner[SHA256_CBLOCK];
    SHA256_CTX context;
    if (key.size > sizeof block) {
        crypto_sha256(&key, 1, block);
    } else if (key.size > 0) {
        memcpy(block, key.bytes, key.size);
    }
    for (size_t index = 0; index < sizeof block; index++) {
        inner[index] = block[index] ^ 0x36;
        block[index] ^= 0x5c;
    }
    SHA256_Init(&context);
    SHA256_Update(&context, inner, sizeof inner);
    for (uint32_t index = 0; index < parts_count; index++) update(&context, parts[index]);
    SHA256_Final(digest, &context);
    SHA256_Init(&context);
    SHA256_Update(&context, block, sizeof block);
    SHA256_Update(&context, digest, SHA256_SIZE);
    SHA256_Final(digest, &context);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(&context, sizeof context);
}

bool crypto_equal(struct span left, struct span right) {
    if (left.size != right.size) return false;
    return left.size == 0 || CRYPTO_memcmp(left.bytes, right.bytes, left.size) == 0;
}

void crypto_leaf_hash(struct span bytes, uint8_t digest[SHA256_SIZE]) {
    static const uint8_t leaf = 0;
    crypto_sha256((const struct span[]){span_of(&leaf, 1), bytes}, 2, digest);
}

void crypto_print_hex(struct span bytes, char *text) {
    static const char digits[] = "0123456789abcdef";
    for (size_t index = 0; index < bytes.size; index++) {
        text[2 * index] = digits[bytes.bytes[index] >> 4];
        text[2 * index + 1] = digits[bytes.bytes[index] & 15];
    }
    text[2 * bytes.size] = 0;
}

// The value of a hex digit, or -1.
static int parse_digit(uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

bool crypto_parse_hex(struct span text, uint8_t *bytes, size_t size) {
    if (text.size / 2 != size || text.size % 2 != 0) return false;
    for (size_t index = 0; index < text.size; index++) {
        if (parse_digit(text.bytes[index]) < 0) return false;
    }
    for (size_t index = 0; index < size; index++) {
        bytes[index] = (uint8_t)(parse_digit(text.bytes[2 * index]) << 4 |
                                 parse_digit(text.bytes[2 * index + 1]));
    }
    return true;
}
