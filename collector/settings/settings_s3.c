#include "collector/settings/settings_s3.h"

#include <stddef.h>

#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

enum { TEXT_SIZE_MAX = 1024, PATH_SIZE_MAX = 4096 };

static const cyaml_strval_t styles[] = {
    {"auto", S3_STYLE_AUTO},
    {"path", S3_STYLE_PATH},
    {"virtual", S3_STYLE_VIRTUAL},
};

static const cyaml_strval_t encryptions[] = {
    {"bucket", S3_ENCRYPTION_NONE},
    {"s3", S3_ENCRYPTION_S3},
    {"kms", S3_ENCRYPTION_KMS},
};

const cyaml_schema_field_t settings_s3_fields[] = {
    CYAML_FIELD_STRING_PTR("region", CYAML_FLAG_POINTER, struct settings_s3, region, 1,
                           S3_REGION_SIZE - 1),
    CYAML_FIELD_STRING_PTR("endpoint", OPTIONAL, struct settings_s3, endpoint, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_ENUM("style", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct settings_s3, style,
                     styles, 3),
    CYAML_FIELD_STRING_PTR("ca", OPTIONAL, struct settings_s3, ca, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("credentials", OPTIONAL, struct settings_s3, credentials, 1,
                           PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("profile", OPTIONAL, struct settings_s3, profile, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_ENUM("encryption", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct settings_s3,
                     encryption, encryptions, 3),
    CYAML_FIELD_STRING_PTR("kms_key", OPTIONAL, struct settings_s3, kms_key, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("acl", OPTIONAL, struct settings_s3, acl, 1, 64),
    CYAML_FIELD_STRING_PTR("proxy", OPTIONAL, struct settings_s3, proxy, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_END,
};

bool settings_s3_check(const struct settings_s3 *s3, struct fault *fault) {
    char region[S3_REGION_SIZE];
    if (s3->region == NULL) return true;
    if (!s3_answer_take_region(span_text(s3->region), region)) {
        return fault_set(fault, FAULT_INPUT, "delivery.s3.region: write it like eu-central-1");
    }
    if (s3->kms_key != NULL && s3->encryption != S3_ENCRYPTION_KMS) {
        return fault_set(fault, FAULT_INPUT, "delivery.s3.kms_key: only with encryption: kms");
    }
    if (s3->profile != NULL && s3->credentials == NULL) {
        return fault_set(fault, FAULT_INPUT, "delivery.s3.profile: of which credentials file?");
    }
    return true;
}
