#include "collector/settings/settings_logs.h"

#include <stddef.h>

#include "collector/settings/settings.h"

#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

enum { REGION_SIZE_MAX = 64, TEXT_SIZE_MAX = 1024, PATH_SIZE_MAX = 4096 };

static const cyaml_schema_value_t group_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, TEXT_SIZE_MAX),
};

const cyaml_schema_field_t settings_logs_fields[] = {
    CYAML_FIELD_STRING_PTR("region", CYAML_FLAG_POINTER, struct settings_logs, region, 1,
                           REGION_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("endpoint", OPTIONAL, struct settings_logs, endpoint, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("ca", OPTIONAL, struct settings_logs, ca, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("credentials", OPTIONAL, struct settings_logs, credentials, 1,
                           PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("profile", OPTIONAL, struct settings_logs, profile, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("proxy", OPTIONAL, struct settings_logs, proxy, 1, TEXT_SIZE_MAX),
    CYAML_FIELD_SEQUENCE("groups", OPTIONAL, struct settings_logs, groups, &group_schema, 1,
                         SETTINGS_LOGS_GROUPS_MAX),
    CONFIG_FIELD_RANGE("interval_s", struct settings_logs, interval_s, 1, SETTINGS_INTERVAL_S_MAX),
    CYAML_FIELD_STRING_PTR("event_size_max", OPTIONAL, struct settings_logs, event_size_max, 1, 32),
    CYAML_FIELD_END,
};

// A name as CloudWatch Logs has them, which may end in '*'. No ARN: events go to the group of this
// name in the account of the collector's key, so that the account of an ARN would protect nothing.
static bool check_group(const char *group, struct fault *fault) {
    static const char signs[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_/.#";
    if (strncmp(group, "arn:", 4) == 0) {
        return fault_set(fault, FAULT_INPUT,
                         "delivery.logs.groups: \"%s\" is an ARN: write the group's name alone",
                         group);
    }
    const char *end = group + strspn(group, signs);
    if (strcmp(end, "*") == 0 || (end != group && *end == 0)) return true;
    return fault_set(fault, FAULT_INPUT,
                     "delivery.logs.groups: \"%s\" is no name of a log group, with or without '*' "
                     "at its end",
                     group);
}

bool settings_logs_check(const struct settings_logs *logs, const char **key, const char **value,
                         struct fault *fault) {
    if (logs->region == NULL) return true;
    *key = "region";
    *value = logs->region;
    size_t size = strlen(logs->region);
    if (strspn(logs->region, "abcdefghijklmnopqrstuvwxyz0123456789-") != size) {
        return fault_set(fault, FAULT_INPUT, "delivery.logs.region: write it like eu-central-1");
    }
    if (logs->profile != NULL && logs->credentials == NULL) {
        return fault_set(fault, FAULT_INPUT, "delivery.logs.profile: of which credentials file?");
    }
    for (uint32_t index = 0; index < logs->groups_count; index++) {
        *key = "";  // a list's items may stand on lines of their own
        *value = logs->groups[index];
        if (!check_group(logs->groups[index], fault)) return false;
    }
    return true;
}
