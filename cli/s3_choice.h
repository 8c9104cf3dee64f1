// s3_choice.h: a bucket that a command reads, s3://BUCKET[/PREFIX], and how it is reached: by
// arguments, and what is not said there by the environment and the files of AWS's own tools.

#pragma once

#include <argp.h>
#include <stdbool.h>

#include "base/aws/s3_pool.h"
#include "base/fault.h"

enum { S3_CHOICE_BUCKET_SIZE = 256, S3_CHOICE_PATH_SIZE = 4096 };

// What the arguments said.
struct s3_choice {
    const char *endpoint;
    const char *region;
    const char *ca;
    const char *credentials;  // a file
    const char *profile;
    char path[S3_CHOICE_PATH_SIZE];  // internal
};

enum {
    S3_OPTION_ENDPOINT = 1101,
    S3_OPTION_REGION,
    S3_OPTION_CA,
    S3_OPTION_CREDENTIALS,
    S3_OPTION_PROFILE,
};

// The options, as a child of a command's argp. Its input is a s3_choice.
extern const struct argp s3_argp;

struct s3_place {
    char bucket[S3_CHOICE_BUCKET_SIZE];
    char prefix[S3_KEY_SIZE_MAX + 2];  // "" or with a slash at its end
};

// Whether a command's argument is a bucket, not a folder.
bool s3_choice_is_place(const char *argument);

// Takes it apart. FAULT_INPUT.
MUST_CHECK bool s3_choice_parse(const char *argument, struct s3_place *place, struct fault *fault);

// A pool for it, of at most so many clients; the caller destroys it before the choice. FAULT_INPUT
// and FAULT_DENIED if settings are wrong or no access key is found.
MUST_CHECK bool s3_choice_open(struct s3_choice *choice, uint32_t count_max, struct s3_pool **pool,
                               struct fault *fault);
