// settings_logs.h: the part delivery.logs of the collector's settings.

#pragma once

#include <stdint.h>

#include "base/config.h"

enum { SETTINGS_LOGS_GROUPS_MAX = 256 };

struct settings_logs {
    char *region;       // NULL: trails deliver to no log group
    char *endpoint;     // NULL: AWS's
    char *ca;           // PEM; NULL: the system's
    char *credentials;  // NULL: from the environment
    char *profile;      // NULL: default
    char *proxy;
    char **groups;          // that trails may name, as logs_trail_allows has them
    uint32_t groups_count;  // 0: any
    uint32_t interval_s;
    char *event_size_max;
};

// For the schema of settings.
extern const cyaml_schema_field_t settings_logs_fields[];

// Whether its parts go together. FAULT_INPUT, and what it is about: a key and its value; nothing of
// it is tried.
MUST_CHECK bool settings_logs_check(const struct settings_logs *logs, const char **key,
                                    const char **value, struct fault *fault);
