// settings_notify.h: the part notify of the collector's settings: who is told of delivered files.

#pragma once

#include "base/config.h"
#include "collector/notify/target.h"
#include "collector/settings/settings_internal.h"

enum {
    SETTINGS_NOTIFY_HELPS = 20,
    SETTINGS_NOTIFY_TARGETS_MAX = 64,
    SETTINGS_NOTIFY_TOPICS_MAX = 64,
};

// As the file has it.
struct settings_notify_target {
    char *name;
    char *trail;
    char *account;
    char *webhook;  // one of these three
    char *queue;
    char *topic;
    enum message_form form;
    char *secret;
    char *region;
    char *ca;
    char *credentials;
    char *profile;
    char *proxy;
    bool allow_private;
};

struct settings_notify_sns {
    char **topics;
    uint32_t topics_count;  // 0: there is no such part
    char *endpoint;
    char *ca;
    char *credentials;
    char *profile;
    char *proxy;
};

struct settings_notify {
    struct settings_notify_sns sns;
    struct settings_notify_target *targets;
    uint32_t targets_count;
};

// For the schema of settings.
extern const cyaml_schema_field_t settings_notify_fields[];

// What each is, for people.
extern const struct config_help settings_notify_helps[SETTINGS_NOTIFY_HELPS];

// Makes the targets, and checks that their parts go together. FAULT_INPUT, FAULT_FULL.
MUST_CHECK bool settings_notify_fill(struct settings *settings,
                                     const struct settings_notify *notify,
                                     const struct settings_origin *origin, struct fault *fault);
