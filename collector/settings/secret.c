#include "collector/settings/secret.h"

#include <string.h>

#include "base/buffer.h"
#include "base/files.h"
#include "base/log.h"

enum { SECRET_SIZE_MAX = 64, OTHERS_MODE = 077 };

// Makes the file; two collectors of one folder do not run at a time.
static bool make_secret(const char *path, const struct random *random,
                        uint8_t secret[CRYPTO_SEAL_KEY_SIZE], struct fault *fault) {
    random_fill(random, secret, CRYPTO_SEAL_KEY_SIZE);
    if (!files_write_whole(files_system(), path, span_of(secret, CRYPTO_SEAL_KEY_SIZE), 0600,
                           fault)) {
        return fault_add(fault,
                         "secret.key is missing and cannot be made (32 random bytes, mode 600, of "
                         "the collector's user)");
    }
    LOG(LOG_INFO, "secret.key was made", log_text("path", path));
    return true;
}

// *is_there is false, and nothing is read, if the file is missing.
static bool read_secret(const char *path, bool *is_there, uint8_t secret[CRYPTO_SEAL_KEY_SIZE],
                        struct fault *fault) {
    struct files_entry entry;
    struct buffer bytes;
    if (!files_find(files_system(), path, is_there, &entry, fault)) return false;
    if (!*is_there) return true;
    if ((entry.mode & OTHERS_MODE) != 0) {
        return fault_set(fault, FAULT_DENIED, "%s: others may read it: chmod 600 it", path);
    }
    buffer_init(&bytes, SECRET_SIZE_MAX);
    bool is_good = files_read_whole(files_system(), path, SECRET_SIZE_MAX, &bytes, fault);
    if (is_good && bytes.size != CRYPTO_SEAL_KEY_SIZE) {
        is_good = fault_set(fault, FAULT_INPUT, "%s: %zu bytes, not %d", path, bytes.size,
                            CRYPTO_SEAL_KEY_SIZE);
    }
    if (is_good) memcpy(secret, bytes.bytes, CRYPTO_SEAL_KEY_SIZE);
    if (bytes.size > 0) crypto_wipe(bytes.bytes, bytes.size);
    buffer_done(&bytes);
    return is_good;
}

bool secret_check(const char *path, bool *is_there, struct fault *fault) {
    uint8_t secret[CRYPTO_SEAL_KEY_SIZE];
    bool is_good = read_secret(path, is_there, secret, fault);
    crypto_wipe(secret, sizeof secret);
    return is_good;
}

bool secret_load(const char *path, const struct random *random,
                 uint8_t secret[CRYPTO_SEAL_KEY_SIZE], struct fault *fault) {
    bool is_there = false;
    if (!read_secret(path, &is_there, secret, fault)) return false;
    return is_there || make_secret(path, random, secret, fault);
}
