#include "cli/settings.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/files.h"

static const cyaml_schema_field_t organization_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_DEFAULT, struct settings_organization, id, 1, 64),
    CYAML_FIELD_STRING_PTR("management_account", CYAML_FLAG_DEFAULT, struct settings_organization,
                           management_account, 1, 64),
    CYAML_FIELD_STRING_PTR("home_region", CYAML_FLAG_OPTIONAL, struct settings_organization,
                           home_region, 1, 64),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t store_fields[] = {
    CYAML_FIELD_STRING_PTR("directory", CYAML_FLAG_DEFAULT, struct settings_store, directory, 1,
                           4096),
    // Limits are the collector's business.
    CYAML_FIELD_IGNORE("min_free", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("retention_days", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("size_max", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("quarantine_max", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t control_fields[] = {
    CYAML_FIELD_STRING_PTR("socket", CYAML_FLAG_OPTIONAL, struct settings_control, socket, 1, 4096),
    CYAML_FIELD_IGNORE("group", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("admin_group", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t region_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 64),
};

static const cyaml_schema_field_t account_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_DEFAULT, struct settings_account, id, 1, 64),
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_OPTIONAL, struct settings_account, name, 0, 256),
    CYAML_FIELD_IGNORE("unit", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_SEQUENCE("regions", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                         struct settings_account, regions, &region_schema, 0, SETTINGS_REGIONS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t account_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct settings_account, account_fields),
};

static const cyaml_schema_field_t roster_fields[] = {
    CYAML_FIELD_IGNORE("unknown", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_SEQUENCE("accounts", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                         struct settings_roster, accounts, &account_schema, 0,
                         SETTINGS_ACCOUNTS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t settings_fields[] = {
    CYAML_FIELD_MAPPING("organization", CYAML_FLAG_DEFAULT, struct settings, organization,
                        organization_fields),
    CYAML_FIELD_MAPPING("store", CYAML_FLAG_DEFAULT, struct settings, store, store_fields),
    CYAML_FIELD_MAPPING("roster", CYAML_FLAG_OPTIONAL, struct settings, roster, roster_fields),
    CYAML_FIELD_IGNORE("listen", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("deny", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("http", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("api", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("certificates", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("delivery", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("notify", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_MAPPING("control", CYAML_FLAG_OPTIONAL, struct settings, control, control_fields),
    CYAML_FIELD_IGNORE("heartbeat_ms", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("region_silent_s", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("future_max_hours", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("streams_max", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t settings_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings, settings_fields),
};

bool settings_load(const char *path, struct settings **settings, struct fault *fault) {
    struct buffer text;
    buffer_init(&text, CONFIG_SIZE_MAX);
    void *loaded = NULL;
    bool is_good = files_read_whole(files_system(), path, CONFIG_SIZE_MAX, &text, fault) &&
                   config_load(buffer_span(&text), path, &settings_schema, &loaded, fault);
    if (!is_good && fault->kind == FAULT_INPUT && settings_have(buffer_span(&text), "spool:")) {
        fault_set(fault, FAULT_INPUT,
                  "%s holds an agent's settings, the collector's are needed here; "
                  "\"orgtrail agent status --config %s\" asks that agent",
                  path, path);
    }
    buffer_done(&text);
    if (is_good) *settings = loaded;
    return is_good;
}

bool settings_have(struct span text, const char *key) {
    struct span wanted = span_text(key);
    while (text.size >= wanted.size) {
        if (memcmp(text.bytes, wanted.bytes, wanted.size) == 0) return true;
        const uint8_t *end = memchr(text.bytes, '\n', text.size);
        if (end == NULL) break;
        text = span_from(text, (size_t)(end - text.bytes) + 1);
    }
    return false;
}

void settings_destroy(struct settings *settings) {
    config_free(&settings_schema, settings);
}

const struct settings_account *settings_find_account(const struct settings *settings,
                                                     const char *id) {
    for (unsigned index = 0; index < settings->roster.accounts_count; index++) {
        const struct settings_account *account = &settings->roster.accounts[index];
        if (strcmp(account->id, id) == 0) return account;
    }
    return NULL;
}

bool settings_store_directory(const struct settings *settings, const char *path, char *text,
                              size_t text_size, struct fault *fault) {
    return config_resolve(path, settings->store.directory, text, text_size, fault);
}

bool settings_control_path(const struct settings *settings, const char *path, char *text,
                           size_t text_size, struct fault *fault) {
    const char *given = settings->control.socket;
    if (given != NULL) return config_resolve(path, given, text, text_size, fault);
    if (!settings_store_directory(settings, path, text, text_size, fault)) return false;
    size_t folder_size = strlen(text);
    int size = snprintf(text + folder_size, text_size - folder_size, "/%s", "control.sock");
    if (size >= 0 && (size_t)size < text_size - folder_size) return true;
    return fault_set(fault, FAULT_INPUT, "%s: store.directory is too long", path);
}
