#include "cli/s3_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/files.h"

#define SCHEME "s3://"

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct s3_choice *choice = state->input;
    switch (key) {
        case S3_OPTION_ENDPOINT:
            choice->endpoint = argument;
            return 0;
        case S3_OPTION_REGION:
            choice->region = argument;
            return 0;
        case S3_OPTION_CA:
            choice->ca = argument;
            return 0;
        case S3_OPTION_CREDENTIALS:
            choice->credentials = argument;
            return 0;
        case S3_OPTION_PROFILE:
            choice->profile = argument;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0,
     "How s3://BUCKET is reached (unless set, as the aws CLI is told by its environment):", 80},
    {"endpoint", S3_OPTION_ENDPOINT, "URL", 0, "of a store that is not AWS's, or of a collector",
     80},
    {"bucket-region", S3_OPTION_REGION, "REGION", 0, "the bucket's (us-east-1)", 80},
    {"ca", S3_OPTION_CA, "FILE", 0, "the only CA to trust, as PEM", 80},
    {"credentials", S3_OPTION_CREDENTIALS, "FILE", 0, "an access key, as in ~/.aws/credentials",
     80},
    {"profile", S3_OPTION_PROFILE, "NAME", 0, "of that file", 80},
    {0},
};

const struct argp s3_argp = {.options = argument_options, .parser = parse_argument};

bool s3_choice_is_place(const char *argument) {
    return strncmp(argument, SCHEME, strlen(SCHEME)) == 0;
}

bool s3_choice_parse(const char *argument, struct s3_place *place, struct fault *fault) {
    const char *bucket = argument + strlen(SCHEME);
    size_t bucket_size = strcspn(bucket, "/");
    const char *prefix = bucket + bucket_size;
    while (*prefix == '/') prefix++;
    size_t prefix_size = strlen(prefix);
    while (prefix_size > 0 && prefix[prefix_size - 1] == '/') prefix_size--;
    if (bucket_size == 0 || bucket_size >= sizeof place->bucket || prefix_size > S3_KEY_SIZE_MAX)
        return fault_set(fault, FAULT_INPUT, "%s: write it like s3://BUCKET or s3://BUCKET/PREFIX",
                         argument);
    snprintf(place->bucket, sizeof place->bucket, "%.*s", (int)bucket_size, bucket);
    snprintf(place->prefix, sizeof place->prefix, "%.*s%s", (int)prefix_size, prefix,
             prefix_size > 0 ? "/" : "");
    return true;
}

// The first that is set and not empty.
static const char *first_of(const char *said, const char *name, const char *other_name) {
    if (said != NULL) return said;
    const char *value = getenv(name);
    if ((value == NULL || value[0] == 0) && other_name != NULL) value = getenv(other_name);
    return value == NULL || value[0] == 0 ? NULL : value;
}

// The file of the access key; NULL: it is in the environment. FAULT_INPUT if there is neither.
static bool find_credentials(struct s3_choice *choice, const char **file, struct fault *fault) {
    bool is_said = choice->credentials != NULL || choice->profile != NULL;
    *file = NULL;
    if (!is_said && first_of(NULL, "AWS_ACCESS_KEY_ID", NULL) != NULL) return true;
    *file = first_of(choice->credentials, "AWS_SHARED_CREDENTIALS_FILE", NULL);
    if (*file != NULL) return true;
    const char *home = getenv("HOME");
    struct files_entry entry;
    bool exists = false;
    int size = snprintf(choice->path, sizeof choice->path, "%s/.aws/credentials",
                        home == NULL ? "" : home);
    if (home != NULL && size > 0 && size < (int)sizeof choice->path &&
        !files_find(files_system(), choice->path, &exists, &entry, fault)) {
        return false;
    }
    if (!exists)
        return fault_set(fault, FAULT_INPUT,
                         "no access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (for a "
                         "role: eval \"$(aws configure export-credentials --format env)\"), or "
                         "give --credentials FILE");
    *file = choice->path;
    return true;
}

bool s3_choice_open(struct s3_choice *choice, uint32_t count_max, struct s3_pool **pool,
                    struct fault *fault) {
    struct s3_options options = {
        .endpoint = first_of(choice->endpoint, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        .region = first_of(choice->region, "AWS_REGION", "AWS_DEFAULT_REGION"),
        .profile = first_of(choice->profile, "AWS_PROFILE", NULL),
        .http = {.ca_file = first_of(choice->ca, "AWS_CA_BUNDLE", NULL)},
        .clock = clock_system(),
        .files = files_system(),
    };
    return find_credentials(choice, &options.credentials_file, fault) &&
           s3_pool_create(&options, count_max, pool, fault);
}
