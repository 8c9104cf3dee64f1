// chain.h: the hash chain over what a spool holds, which agent and collector both compute.
//
// chain(n) is the first 16 bytes of SHA-256 over chain(n-1), one byte for the kind (0 record,
// 1 Notice) and the leaf hash of RFC 6962 over the bytes on the wire; chain(0) is zeros. One pass
// over the bytes therefore serves the chain and, later, the tree. docs/protocol.md says what for.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum { CHAIN_SIZE = 16 };

// Moves the chain over one more record or Notice.
void chain_advance(uint8_t chain[CHAIN_SIZE], bool is_notice, struct span bytes);
