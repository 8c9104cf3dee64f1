#include "cli/agent_socket.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/files.h"
#include "cli/settings.h"

#define SOCKET_NAME "control.sock"

struct agent_settings_spool {
    char *directory;
};

struct agent_settings {
    struct agent_settings_spool spool;
};

static const cyaml_schema_field_t spool_fields[] = {
    CYAML_FIELD_STRING_PTR("directory", CYAML_FLAG_POINTER, struct agent_settings_spool, directory,
                           1, 4096),
    CYAML_FIELD_IGNORE("size_max", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

// The rest is the agent's business.
static const cyaml_schema_field_t settings_fields[] = {
    CYAML_FIELD_MAPPING("spool", CYAML_FLAG_DEFAULT, struct agent_settings, spool, spool_fields),
    CYAML_FIELD_IGNORE("organization", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("collector", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("certificates", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("event_selectors", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("http", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_IGNORE("sources", CYAML_FLAG_OPTIONAL),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t settings_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct agent_settings, settings_fields),
};

static bool find_by_settings(const char *name, char path[ORGANIZATION_PATH_SIZE],
                             struct fault *fault) {
    char spool[ORGANIZATION_PATH_SIZE];
    struct buffer text;
    void *loaded = NULL;
    buffer_init(&text, CONFIG_SIZE_MAX);
    bool is_good = files_read_whole(files_system(), name, CONFIG_SIZE_MAX, &text, fault) &&
                   config_load(buffer_span(&text), name, &settings_schema, &loaded, fault);
    if (!is_good && fault->kind == FAULT_INPUT && settings_have(buffer_span(&text), "store:")) {
        fault_set(fault, FAULT_INPUT,
                  "%s holds a collector's settings, an agent's are needed here; "
                  "\"orgtrail status --config %s\" asks that collector",
                  name, name);
    }
    buffer_done(&text);
    if (!is_good) return false;
    const struct agent_settings *settings = loaded;
    is_good = config_resolve(name, settings->spool.directory, spool, sizeof spool, fault);
    config_free(&settings_schema, loaded);
    return is_good && organization_path(spool, SOCKET_NAME, path, fault);
}

bool agent_socket_find(const char *settings, const char *place, char path[ORGANIZATION_PATH_SIZE],
                       struct fault *fault) {
    struct stat status;
    char bundled[ORGANIZATION_PATH_SIZE];
    if (settings != NULL) return find_by_settings(settings, path, fault);
    if (place == NULL && access(AGENT_SETTINGS_DEFAULT, R_OK) == 0)
        return find_by_settings(AGENT_SETTINGS_DEFAULT, path, fault);
    if (place == NULL) place = AGENT_SPOOL_DEFAULT;
    if (stat(place, &status) == 0 && S_ISREG(status.st_mode))
        return find_by_settings(place, path, fault);
    if (!organization_path(place, "agent.yaml", bundled, fault)) return false;
    if (access(bundled, F_OK) == 0) return find_by_settings(bundled, path, fault);
    return organization_path(place, SOCKET_NAME, path, fault);
}

// Whose the socket is, as far as one may see: its owner is that of the folders that hide it.
static const char *find_owner(const char *path) {
    char seen[ORGANIZATION_PATH_SIZE];
    struct stat status;
    snprintf(seen, sizeof seen, "%s", path);
    while (stat(seen, &status) != 0) {
        char *slash = strrchr(seen, '/');
        if (slash == NULL || slash == seen) return NULL;
        *slash = 0;
    }
    const struct passwd *user = getpwuid(status.st_uid);
    return user == NULL ? NULL : user->pw_name;
}

bool agent_socket_explain(const char *path, struct fault *fault) {
    const char *owner = find_owner(path);
    if (fault->kind == FAULT_DENIED && access(path, W_OK) != 0) {
        bool is_other = owner != NULL && strcmp(owner, "root") != 0;
        return fault_set(fault, FAULT_DENIED, "%s answers its owner and root alone: ask as %s%s",
                         path, is_other ? owner : "root", is_other ? " or root" : "");
    }
    bool is_there = access(path, F_OK) == 0;
    if ((fault->kind == FAULT_RETRY && !is_there) || fault->kind == FAULT_INPUT) {
        return fault_set(fault, FAULT_RETRY,
                         "%s: nobody serves there: the agent is down, or its spool is elsewhere "
                         "(give --config agent.yaml, or the folder of its bundle or spool)",
                         path);
    }
    return fault->kind == FAULT_RETRY ? fault_add(fault, "%s", path) : false;
}
