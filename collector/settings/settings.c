#include "collector/settings/settings.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/files.h"
#include "collector/settings/settings_delivery.h"
#include "collector/settings/settings_notify.h"
#include "event/key.h"

// One file for each part of the settings, because a setting is one thing: its place in the file,
// its words and its check change together.

enum {
    PATH_SIZE_MAX = SETTINGS_PATH_SIZE_MAX,
    REGIONS_MAX = 256,  // expected regions of one account
    ARENA_SIZE_MAX = 1024 * 1024,
};

// The file as it is written.

struct organization {
    char *id;
    char *management_account;
    char *home_region;
};

struct http {
    char *listen;
};

struct store {
    char *directory;
    char *min_free;
    char *size_max;
    char *quarantine_max;
    uint32_t retention_days;
};

struct certificates {
    char *ca;
    char *certificate;
    char *key;
};

struct control {
    char *socket;
    char *group;
    char *admin_group;
};

struct api {
    char *listen;
    char *certificate;
    char *key;
    char *secret_key;
    uint32_t readers;
    uint32_t connections_max;
    uint32_t lookups_per_second;
};

struct file_roster {
    enum roster_unknown unknown;
    struct roster_account *accounts;
    uint32_t accounts_count;
};

struct settings_file {
    struct organization organization;
    char *listen;
    struct http http;
    struct store store;
    struct certificates certificates;
    struct control control;
    struct api api;
    struct settings_delivery delivery;
    struct settings_notify notify;
    struct file_roster roster;
    char *deny;
    uint32_t heartbeat_ms;
    uint32_t region_silent_s;
    uint32_t future_max_hours;
    uint32_t streams_max;
};

#define NEEDED CYAML_FLAG_POINTER
#define OPTIONAL (CYAML_FLAG_POINTER_NULL | CYAML_FLAG_OPTIONAL)

static const cyaml_schema_field_t organization_fields[] = {
    CYAML_FIELD_STRING_PTR("id", NEEDED, struct organization, id, 1, 64),
    CYAML_FIELD_STRING_PTR("management_account", NEEDED, struct organization, management_account, 1,
                           KEY_ACCOUNT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("home_region", OPTIONAL, struct organization, home_region, 1, 64),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t http_fields[] = {
    CYAML_FIELD_STRING_PTR("listen", NEEDED, struct http, listen, 1, 256),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t store_fields[] = {
    CYAML_FIELD_STRING_PTR("directory", NEEDED, struct store, directory, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("min_free", OPTIONAL, struct store, min_free, 1, 32),
    CYAML_FIELD_STRING_PTR("size_max", OPTIONAL, struct store, size_max, 1, 32),
    CYAML_FIELD_STRING_PTR("quarantine_max", OPTIONAL, struct store, quarantine_max, 1, 32),
    CONFIG_FIELD_RANGE("retention_days", struct store, retention_days, 1,
                       SETTINGS_RETENTION_DAYS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t certificates_fields[] = {
    CYAML_FIELD_STRING_PTR("ca", NEEDED, struct certificates, ca, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("certificate", NEEDED, struct certificates, certificate, 1,
                           PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("key", NEEDED, struct certificates, key, 1, PATH_SIZE_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t control_fields[] = {
    CYAML_FIELD_STRING_PTR("socket", OPTIONAL, struct control, socket, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("group", OPTIONAL, struct control, group, 1, 64),
    CYAML_FIELD_STRING_PTR("admin_group", OPTIONAL, struct control, admin_group, 1, 64),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t api_fields[] = {
    CYAML_FIELD_STRING_PTR("listen", NEEDED, struct api, listen, 1, 256),
    CYAML_FIELD_STRING_PTR("certificate", OPTIONAL, struct api, certificate, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("key", OPTIONAL, struct api, key, 1, PATH_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("secret_key", OPTIONAL, struct api, secret_key, 1, PATH_SIZE_MAX),
    CONFIG_FIELD_RANGE("readers", struct api, readers, 1, SETTINGS_API_READERS_MAX),
    CONFIG_FIELD_RANGE("connections_max", struct api, connections_max, 1,
                       SETTINGS_API_CONNECTIONS_MAX),
    CONFIG_FIELD_RANGE("lookups_per_second", struct api, lookups_per_second, 1,
                       SETTINGS_API_RATE_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t region_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 64),
};

static const cyaml_schema_field_t account_fields[] = {
    CYAML_FIELD_STRING_PTR("id", NEEDED, struct roster_account, id, 1, KEY_ACCOUNT_SIZE_MAX),
    CYAML_FIELD_STRING_PTR("name", OPTIONAL, struct roster_account, name, 0, 256),
    CYAML_FIELD_STRING_PTR("unit", OPTIONAL, struct roster_account, unit, 0, 256),
    CYAML_FIELD_SEQUENCE("regions", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct roster_account,
                         regions, &region_schema, 0, REGIONS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t account_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct roster_account, account_fields),
};

static const cyaml_strval_t unknown_names[] = {
    {"quarantine", ROSTER_UNKNOWN_QUARANTINE},
    {"admit", ROSTER_UNKNOWN_ADMIT},
};

static const cyaml_schema_field_t roster_fields[] = {
    CYAML_FIELD_ENUM("unknown", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct file_roster,
                     unknown, unknown_names, 2),
    CYAML_FIELD_SEQUENCE("accounts", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct file_roster,
                         accounts, &account_schema, 0, ROSTER_ACCOUNTS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_MAPPING("organization", CYAML_FLAG_DEFAULT, struct settings_file, organization,
                        organization_fields),
    CYAML_FIELD_STRING_PTR("listen", NEEDED, struct settings_file, listen, 1, 256),
    CYAML_FIELD_MAPPING("http", CYAML_FLAG_OPTIONAL, struct settings_file, http, http_fields),
    CYAML_FIELD_MAPPING("store", CYAML_FLAG_DEFAULT, struct settings_file, store, store_fields),
    CYAML_FIELD_MAPPING("certificates", CYAML_FLAG_DEFAULT, struct settings_file, certificates,
                        certificates_fields),
    CYAML_FIELD_MAPPING("control", CYAML_FLAG_OPTIONAL, struct settings_file, control,
                        control_fields),
    CYAML_FIELD_MAPPING("api", CYAML_FLAG_OPTIONAL, struct settings_file, api, api_fields),
    CYAML_FIELD_MAPPING("delivery", CYAML_FLAG_OPTIONAL, struct settings_file, delivery,
                        settings_delivery_fields),
    CYAML_FIELD_MAPPING("notify", CYAML_FLAG_OPTIONAL, struct settings_file, notify,
                        settings_notify_fields),
    CYAML_FIELD_MAPPING("roster", CYAML_FLAG_OPTIONAL, struct settings_file, roster, roster_fields),
    CYAML_FIELD_STRING_PTR("deny", OPTIONAL, struct settings_file, deny, 1, PATH_SIZE_MAX),
    CONFIG_FIELD_RANGE("heartbeat_ms", struct settings_file, heartbeat_ms,
                       SETTINGS_HEARTBEAT_MS_MIN, SETTINGS_HEARTBEAT_MS_MAX),
    CONFIG_FIELD_RANGE("region_silent_s", struct settings_file, region_silent_s, 1,
                       SETTINGS_REGION_SILENT_S_MAX),
    CONFIG_FIELD_RANGE("future_max_hours", struct settings_file, future_max_hours, 1,
                       SETTINGS_FUTURE_HOURS_MAX),
    CONFIG_FIELD_RANGE("streams_max", struct settings_file, streams_max, 1, SETTINGS_STREAMS_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t file_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct settings_file, file_fields),
};

static const struct config_help helps[] = {
    {"organization.id", NULL, NULL, "The organization's id, as AWS Organizations prints it."},
    {"organization.management_account", "account", NULL, "The account that own events belong to."},
    {"organization.home_region", NULL, "`us-east-1`", "The region that own events belong to."},
    {"listen", "address", NULL,
     "Where agents connect, over mutual TLS: `0.0.0.0:7443`, `[::]:7443`."},
    {"http.listen", "address", "no HTTP",
     "Where /metrics and /healthz are, without TLS: keep it on 127.0.0.1 or behind a firewall."},
    {"store.directory", "path", NULL, "The trail's folder. It is made if it is missing."},
    {"store.min_free", "size", "1GiB, or 2 % of the disk if that is less",
     "Below this room on the disk nothing is acknowledged until there is room again."},
    {"store.size_max", "size, 64MiB or more", "no limit",
     "The trail's largest size. At it nothing is acknowledged."},
    {"store.quarantine_max", "size", "256MiB",
     "Bytes in quarantine of one agent, beyond which that agent alone is throttled."},
    {"store.retention_days", NULL, "all are kept",
     "Days, leave it out to keep all. Older ones, by eventTime, are dropped; older events that "
     "come are counted, not stored."},
    {"certificates.ca", "path", NULL, "The CAs that agents' certificates come from, PEM."},
    {"certificates.certificate", "path", NULL, "The collector's certificate, PEM."},
    {"certificates.key", "path", NULL, "Its key, PEM; readable by the collector's user only."},
    {"control.socket", "path", "`control.sock` in the store's folder",
     "Where `orgtrail` speaks with the running collector."},
    {"control.group", NULL, "`orgtrail`", "Who may ask it."},
    {"control.admin_group", NULL, "`orgtrail-admin`", "Who, beside root, may change something."},
    {"api.listen", "address", "no API",
     "Where CloudTrail's API is served, over TLS: `127.0.0.1:8443`, `0.0.0.0:8443`."},
    {"api.certificate", "path", "`certificates.certificate`",
     "The certificate that clients of the API see, PEM, with those between it and its CA."},
    {"api.key", "path", "`certificates.key`", "Its key, PEM."},
    {"api.secret_key", "path", "`secret.key` beside `certificates.key`",
     "What seals the secrets of access keys: 32 random bytes, made if it is missing. Keep a copy "
     "apart from backups of the store."},
    {"api.readers", NULL, "2", "How many calls are run at a time."},
    {"api.connections_max", NULL, "1024", "Connections of clients that are open at a time."},
    {"api.lookups_per_second", NULL, "no limit",
     "LookupEvents calls of one account, whatever the region. AWS allows 2 in each."},
    {"roster.unknown", NULL, "an account's agent: `quarantine`, an organization's: `admit`",
     "What becomes of events of accounts that are not listed."},
    {"roster.accounts[].id", "account", NULL,
     "12 digits with AWS; other clouds: up to 64 letters, digits and signs. In quotes."},
    {"roster.accounts[].name", NULL, "none", "What people call it."},
    {"roster.accounts[].unit", NULL, "none", "Its organizational unit."},
    {"roster.accounts[].regions", "list of regions", "none", "Where events are expected."},
    {"deny", "path", "`deny.txt` in the store's folder",
     "The list of agents that are refused although their certificate is good."},
    {"heartbeat_ms", NULL, "15000",
     "How often each side says that it is there; three missed ones end a stream."},
    {"region_silent_s", NULL, "86400",
     "After how long without an event a region that the roster expects is called silent."},
    {"future_max_hours", NULL, "24",
     "How far ahead of the collector's clock an eventTime may be; later: quarantine, `future`."},
    {"streams_max", NULL, "2048", "Agents that are connected at a time."},
};

bool settings_print_reference(struct buffer *text, struct fault *fault) {
    enum { OWN = sizeof helps / sizeof helps[0] };
    enum { BEFORE = OWN + SETTINGS_DELIVERY_HELPS };
    struct config_help all[BEFORE + SETTINGS_NOTIFY_HELPS];
    memcpy(all, helps, sizeof helps);
    memcpy(all + OWN, settings_delivery_helps, sizeof settings_delivery_helps);
    memcpy(all + BEFORE, settings_notify_helps, sizeof settings_notify_helps);
    return config_print_reference(&file_schema, all, sizeof all / sizeof all[0], text, fault);
}

bool settings_refuse(const struct settings_origin *origin, const char *key, const char *value,
                     struct fault *fault) {
    const char *dot = strrchr(key, '.');
    return config_refuse(origin->text, origin->path, dot == NULL ? key : dot + 1, value, fault);
}

bool settings_parse_size(const struct settings_origin *origin, const char *key, const char *text,
                         uint64_t *size, struct fault *fault) {
    *size = 0;
    if (text == NULL || config_parse_size(text, size, fault)) return true;
    fault_add(fault, "%s", key);
    return settings_refuse(origin, key, text, fault);
}

uint32_t settings_choose(uint32_t given, uint32_t otherwise) {
    return given == 0 ? otherwise : given;
}

// The host and port of an address to listen on: an IP address (IPv6 in brackets) and a number.
static bool check_address(const struct settings_origin *origin, const char *key,
                          const char *address, struct fault *fault) {
    const char *colon = strrchr(address, ':');
    size_t host_size = colon == NULL ? 0 : (size_t)(colon - address);
    char host[INET6_ADDRSTRLEN + 2] = "";
    uint8_t binary[16];
    bool is_good = host_size > 0 && host_size < sizeof host;
    if (is_good) {
        memcpy(host, address, host_size);
        bool is_six = host[0] == '[' && host[host_size - 1] == ']';
        if (is_six) host[host_size - 1] = '\0';
        is_good = is_six ? inet_pton(AF_INET6, host + 1, binary) == 1
                         : inet_pton(AF_INET, host, binary) == 1;
    }
    if (is_good) {
        char *end = NULL;
        unsigned long port = colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
        is_good = end != NULL && *end == '\0' && port <= UINT16_MAX;
    }
    if (is_good) return true;
    fault_set(fault, FAULT_INPUT,
              "%s: \"%s\" is no address to listen on: 0.0.0.0:7443 and [::]:7443 are", key,
              address);
    return settings_refuse(origin, key, address, fault);
}

static bool check_accounts(const struct settings_origin *origin, const struct settings *settings,
                           struct fault *fault) {
    if (!key_check_account(settings->management_account, fault)) {
        fault_add(fault, "organization.management_account");
        return settings_refuse(origin, "management_account", settings->management_account, fault);
    }
    for (uint32_t index = 0; index < settings->accounts_count; index++) {
        const char *id = settings->accounts[index].id;
        if (key_check_account(id, fault)) continue;
        fault_add(fault, "roster.accounts");
        return settings_refuse(origin, "id", id, fault);
    }
    struct roster *roster = NULL;
    if (!roster_create(settings->accounts, settings->accounts_count, settings->unknown, &roster,
                       fault)) {
        return fault_add(fault, "%s", origin->path);
    }
    roster_destroy(roster);
    return true;
}

bool settings_resolve(struct settings *settings, const struct settings_origin *origin,
                      const char *given, const char **resolved, struct fault *fault) {
    char text[PATH_SIZE_MAX];
    if (!config_resolve(origin->path, given, text, sizeof text, fault)) return false;
    *resolved = arena_print(settings->arena, "%s", text);
    if (*resolved == NULL) return fault_set(fault, FAULT_FULL, "no memory for the settings");
    return true;
}

// The control socket lies in the store's folder unless its place is set.
static bool resolve_control(struct settings *settings, const struct settings_origin *origin,
                            struct fault *fault) {
    const char *given = settings->file->control.socket;
    if (given != NULL)
        return settings_resolve(settings, origin, given, &settings->control_path, fault);
    settings->control_path =
        arena_print(settings->arena, "%s/%s", settings->store_directory, SETTINGS_CONTROL_SOCKET);
    if (settings->control_path != NULL) return true;
    return fault_set(fault, FAULT_FULL, "no memory for the settings");
}

// The deny list lies in the store's folder unless the settings say where: the collector may write
// there.
static bool resolve_deny(struct settings *settings, const struct settings_origin *origin,
                         struct fault *fault) {
    settings->is_deny_given = settings->file->deny != NULL;
    const char *given = settings->file->deny;
    if (given != NULL)
        return settings_resolve(settings, origin, given, &settings->deny_path, fault);
    settings->deny_path =
        arena_print(settings->arena, "%s/%s", settings->store_directory, SETTINGS_DENY_FILE);
    if (settings->deny_path != NULL) return true;
    return fault_set(fault, FAULT_FULL, "no memory for the settings");
}

// The API shows the collector's certificate unless it has one of its own. secret.key lies beside
// the collector's key: both are for its user alone.
static bool resolve_api(struct settings *settings, const struct settings_origin *origin,
                        struct fault *fault) {
    const struct api *api = &settings->file->api;
    settings->api_certificate_path = settings->certificate_path;
    settings->api_key_path = settings->key_path;
    if ((api->certificate == NULL) != (api->key == NULL)) {
        fault_set(fault, FAULT_INPUT, "api: certificate and key come together");
        return settings_refuse(origin, "api", api->listen, fault);
    }
    if (api->certificate != NULL &&
        (!settings_resolve(settings, origin, api->certificate, &settings->api_certificate_path,
                           fault) ||
         !settings_resolve(settings, origin, api->key, &settings->api_key_path, fault))) {
        return false;
    }
    if (api->secret_key != NULL) {
        return settings_resolve(settings, origin, api->secret_key, &settings->secret_path, fault);
    }
    const char *slash = strrchr(settings->key_path, '/');
    int folder_size = slash == NULL ? 0 : (int)(slash - settings->key_path) + 1;
    settings->secret_path = arena_print(settings->arena, "%.*s%s", folder_size, settings->key_path,
                                        SETTINGS_SECRET_KEY);
    if (settings->secret_path != NULL) return true;
    return fault_set(fault, FAULT_FULL, "no memory for the settings");
}

static bool resolve_paths(struct settings *settings, const struct settings_origin *origin,
                          struct fault *fault) {
    const struct settings_file *file = settings->file;
    return settings_resolve(settings, origin, file->store.directory, &settings->store_directory,
                            fault) &&
           resolve_control(settings, origin, fault) && resolve_deny(settings, origin, fault) &&
           settings_resolve(settings, origin, file->certificates.ca, &settings->ca_path, fault) &&
           settings_resolve(settings, origin, file->certificates.certificate,
                            &settings->certificate_path, fault) &&
           settings_resolve(settings, origin, file->certificates.key, &settings->key_path, fault) &&
           resolve_api(settings, origin, fault) &&
           settings_delivery_resolve(settings, &file->delivery, origin, fault) &&
           settings_notify_fill(settings, &file->notify, origin, fault);
}

// Fills the settings from the file and checks each value.
static bool fill(struct settings *settings, const struct settings_origin *origin,
                 struct fault *fault) {
    const struct settings_file *file = settings->file;
    settings->organization = file->organization.id;
    settings->management_account = file->organization.management_account;
    settings->home_region =
        file->organization.home_region == NULL ? "us-east-1" : file->organization.home_region;
    settings->listen = file->listen;
    settings->http_listen = file->http.listen;
    settings->control_group = file->control.group == NULL ? "orgtrail" : file->control.group;
    settings->control_admin_group =
        file->control.admin_group == NULL ? "orgtrail-admin" : file->control.admin_group;
    settings->unknown = file->roster.unknown;
    settings->accounts = file->roster.accounts;
    settings->accounts_count = file->roster.accounts_count;
    if (!settings_parse_size(origin, "store.min_free", file->store.min_free,
                             &settings->free_size_min, fault) ||
        !settings_parse_size(origin, "store.size_max", file->store.size_max,
                             &settings->store_size_max, fault) ||
        !settings_parse_size(origin, "store.quarantine_max", file->store.quarantine_max,
                             &settings->quarantine_size_max, fault)) {
        return false;
    }
    if (settings->store_size_max != 0 && settings->store_size_max < SETTINGS_STORE_SIZE_MIN) {
        fault_set(fault, FAULT_INPUT, "store.size_max: \"%s\" is less than 64MiB",
                  file->store.size_max);
        return settings_refuse(origin, "size_max", file->store.size_max, fault);
    }
    if (settings->quarantine_size_max == 0) {
        settings->quarantine_size_max = SETTINGS_QUARANTINE_SIZE;
    }
    if (!settings_delivery_fill(settings, &file->delivery, origin, fault)) return false;
    settings->heartbeat_ms = settings_choose(file->heartbeat_ms, SETTINGS_HEARTBEAT_MS);
    settings->region_silent_s = settings_choose(file->region_silent_s, SETTINGS_REGION_SILENT_S);
    settings->future_max_hours = settings_choose(file->future_max_hours, SETTINGS_FUTURE_HOURS);
    settings->streams_max = settings_choose(file->streams_max, SETTINGS_STREAMS);
    settings->retention_days = file->store.retention_days;
    settings->api_listen = file->api.listen;
    settings->api_readers = settings_choose(file->api.readers, SETTINGS_API_READERS);
    settings->api_connections_max =
        settings_choose(file->api.connections_max, SETTINGS_API_CONNECTIONS);
    settings->api_lookups_per_second = file->api.lookups_per_second;
    if (settings->api_listen != NULL &&
        !check_address(origin, "api.listen", settings->api_listen, fault)) {
        return false;
    }
    if (!check_address(origin, "listen", settings->listen, fault)) return false;
    if (settings->http_listen != NULL &&
        !check_address(origin, "http.listen", settings->http_listen, fault)) {
        return false;
    }
    return check_accounts(origin, settings, fault);
}

bool settings_load(const char *path, struct settings **settings, struct fault *fault) {
    struct settings *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for the settings");
    struct buffer text;
    buffer_init(&text, CONFIG_SIZE_MAX);
    void *loaded = NULL;
    bool is_good = files_read_whole(files_system(), path, CONFIG_SIZE_MAX, &text, fault) &&
                   config_load(buffer_span(&text), path, &file_schema, &loaded, fault);
    made->file = loaded;
    if (is_good) {
        const struct settings_origin origin = {buffer_span(&text), path};
        made->arena = arena_create(ARENA_SIZE_MAX);
        is_good = made->arena != NULL ||
                  fault_set(fault, FAULT_FULL, "%s: no memory for the settings", path);
        is_good = is_good && fill(made, &origin, fault) && resolve_paths(made, &origin, fault);
    }
    buffer_done(&text);
    if (!is_good) {
        settings_destroy(made);
        return false;
    }
    *settings = made;
    return true;
}

void settings_destroy(struct settings *settings) {
    if (settings == NULL) return;
    config_free(&file_schema, settings->file);
    arena_destroy(settings->arena);
    free(settings);
}

bool settings_read_certificates(const struct settings *settings, int64_t now_s,
                                struct certificate_files *read, struct fault *fault) {
    const struct certificate_paths paths = {settings->ca_path, settings->certificate_path,
                                            settings->key_path};
    return certificate_files_read(files_system(), &paths, CERTIFICATE_SERVER, now_s, read, fault);
}

bool settings_check(const struct settings *settings, int64_t now_s, struct fault *fault) {
    struct certificate_files read;
    if (!settings_read_certificates(settings, now_s, &read, fault)) return false;
    certificate_files_done(&read);

    bool exists = false;
    struct files_entry entry;
    if (!files_find(files_system(), settings->store_directory, &exists, &entry, fault)) {
        return false;
    }
    if (exists && !entry.is_directory) {
        return fault_set(fault, FAULT_INPUT, "store.directory: %s is no folder",
                         settings->store_directory);
    }
    return true;
}
