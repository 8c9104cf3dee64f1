#include "collector/settings/settings_logs.h"

#include <stddef.h>

#include "collector/settings/settings.h"

#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

enum { REGION_SIZE_MAX = 64, TEXT_SIZE_MAX = 1024, PATH_SIZE_MAX = 4096 };

const cyaml_schema_field_t settings_logs_fields[] = {
    CYAML_FIELD_STRING_PTR("region", CYAML_FLAG_POINTER, struct settings_logs, region, 1,
                           REGION_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("endpoint", OPTIONAL, struct settings_logs, endpoint, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("ca", OPTIONAL, struct settings_logs, ca, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("credentials", OPTIONAL, struct settings_logs, credentials, 1,
                           PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("profile", OPTIONAL, struct settings_logs, profile, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("proxy", OPTIONAL, struct settings_logs, proxy, 1, TEXT_SIZE_MAX),
    CONFIG_FIELD_RANGE("interval_s", struct settings_logs, interval_s, 1, SETTINGS_INTERVAL_S_MAX),
    CYAML_FIELD_STRING_PTR("event_size_max", OPTIONAL, struct settings_logs, event_size_max, 1, 32),
    CYAML_FIELD_END,
};

bool settings_logs_check(const struct settings_logs *logs, struct fault *fault) {
    if (logs->region == NULL) return true;
    size_t size = strlen(logs->region);
    if (strspn(logs->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != size) {
        return fault_set(fault, FAULT_INPUT, "delivery.logs.region: write it like eu-central-1");
    }
    if (logs->profile != NULL && logs->credentials == NULL) {
        return fault_set(fault, FAULT_INPUT, "delivery.logs.profile: of which credentials file?");
    }
    return true;
}
