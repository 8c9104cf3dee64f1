// settings_s3.h: the part delivery.s3 of the collector's settings.

#pragma once

#include "base/aws/s3.h"
#include "base/config.h"

struct settings_s3 {
    char *endpoint;  // NULL: AWS's
    char *region;    // NULL: trails do not deliver to S3
    enum s3_style style;
    char *ca;           // PEM; NULL: the system's
    char *credentials;  // NULL: from the environment
    char *profile;      // NULL: default
    enum s3_encryption encryption;
    char *kms_key;
    char *acl;
    char *proxy;
};

// For the schema of settings.
extern const cyaml_schema_field_t settings_s3_fields[];

// Whether its parts go together. FAULT_INPUT; nothing of it is tried.
MUST_CHECK bool settings_s3_check(const struct settings_s3 *s3, struct fault *fault);
