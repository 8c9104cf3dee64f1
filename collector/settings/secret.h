// secret.h: secret.key, the 32 random bytes that seal what the store keeps secret.

#pragma once

#include <stdint.h>

#include "base/crypto_seal.h"
#include "base/fault.h"
#include "base/random.h"

// Whether the file could be used; *is_there is false if it would have to be made. Faults as
// secret_load.
MUST_CHECK bool secret_check(const char *path, bool *is_there, struct fault *fault);

// Reads the file; makes it if it is missing. The caller wipes what it got. FAULT_DENIED if others
// may read it, FAULT_INPUT if it has another size; otherwise as reading and writing files.
MUST_CHECK bool secret_load(const char *path, const struct random *random,
                            uint8_t secret[CRYPTO_SEAL_KEY_SIZE], struct fault *fault);
