// credentials.h: an access key of AWS, from the environment or a file as AWS's own tools write it.

#pragma once

#include <stdbool.h>

#include "base/fault.h"
#include "base/files.h"
#include "base/span.h"

enum {
    CREDENTIALS_KEY_ID_SIZE = 129,  // bytes, each with a final zero
    CREDENTIALS_SECRET_SIZE = 257,
    CREDENTIALS_TOKEN_SIZE = 4097,
    CREDENTIALS_FILE_SIZE_MAX = 256 * 1024,
};

struct credentials {
    char key_id[CREDENTIALS_KEY_ID_SIZE];
    char secret[CREDENTIALS_SECRET_SIZE];
    char token[CREDENTIALS_TOKEN_SIZE];  // "" for a key that does not expire
};

// Takes AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if it is there, AWS_SESSION_TOKEN.
// FAULT_INPUT if one is missing or longer than any key.
MUST_CHECK bool credentials_from_environment(struct credentials *credentials, struct fault *fault);

// Reads a profile (NULL: "default") of a file like ~/.aws/credentials. FAULT_INPUT if file, profile
// or key is missing, FAULT_DENIED if every user of the machine can read it; the text names the file
// and never what stands in it.
MUST_CHECK bool credentials_from_file(const struct files *files, const char *path,
                                      const char *profile, struct credentials *credentials,
                                      struct fault *fault);

// Finds a profile in the file's text. FAULT_INPUT as above. Pure.
MUST_CHECK bool credentials_parse(struct span text, const char *profile,
                                  struct credentials *credentials, struct fault *fault);

// Where a key comes from, again and again: a file's may be replaced while we run. One thread.
struct credentials_source {
    const struct files *files;
    char *path;  // NULL: from the environment, once
    char *profile;
    struct files_entry seen;  // as the file was when it was read
    struct credentials credentials;
};

// A source of a file (NULL: the environment) and profile (NULL: default), whose names are copied;
// nothing is read yet. The caller calls credentials_source_done, also after a fault: FAULT_FULL.
MUST_CHECK bool credentials_source_init(const struct files *files, const char *path,
                                        const char *profile, struct credentials_source *source,
                                        struct fault *fault);

// Reads the key, if it was not read yet or the file has changed. Faults as above.
MUST_CHECK bool credentials_source_read(struct credentials_source *source, struct fault *fault);

// Frees it, and wipes the secret. One of zeros is allowed.
void credentials_source_done(struct credentials_source *source);
