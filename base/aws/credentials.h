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
