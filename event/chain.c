#include "event/chain.h"

#include <string.h>

#include "base/crypto.h"

void chain_advance(uint8_t chain[CHAIN_SIZE], bool is_notice, struct span bytes) {
    uint8_t link[CHAIN_SIZE + 1 + SHA256_SIZE];
    memcpy(link, chain, CHAIN_SIZE);
    link[CHAIN_SIZE] = is_notice ? 1 : 0;
    crypto_leaf_hash(bytes, link + CHAIN_SIZE + 1);
    struct span whole = span_of(link, sizeof link);
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(&whole, 1, digest);
    memcpy(chain, digest, CHAIN_SIZE);
}
