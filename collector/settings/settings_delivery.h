// settings_delivery.h: the part delivery of the collector's settings.

#pragma once

#include "base/config.h"
#include "collector/settings/settings_internal.h"
#include "collector/settings/settings_logs.h"
#include "collector/settings/settings_s3.h"

enum { SETTINGS_DELIVERY_HELPS = 25 };

// As the file has it.
struct settings_delivery {
    char *directory;
    struct settings_s3 s3;
    struct settings_logs logs;
    uint32_t interval_s;
    uint32_t digest_interval_s;
    uint32_t digest_key_lifetime_s;
    char *file_size_max;
    uint32_t compression;
};

// For the schema of settings.
extern const cyaml_schema_field_t settings_delivery_fields[];

// What each is, for people.
extern const struct config_help settings_delivery_helps[SETTINGS_DELIVERY_HELPS];

// Fills in what is not set, and checks what is. FAULT_INPUT.
MUST_CHECK bool settings_delivery_fill(struct settings *settings,
                                       const struct settings_delivery *delivery,
                                       const struct settings_origin *origin, struct fault *fault);

// Makes its paths absolute, and checks that its parts go together. FAULT_INPUT, FAULT_FULL.
MUST_CHECK bool settings_delivery_resolve(struct settings *settings,
                                          const struct settings_delivery *delivery,
                                          const struct settings_origin *origin,
                                          struct fault *fault);
