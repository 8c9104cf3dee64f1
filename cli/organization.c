#include "cli/organization.h"

#include <assert.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/certificate.h"
#include "base/config.h"
#include "base/crypto_seal.h"
#include "base/files.h"
#include "base/json.h"
#include "base/random.h"

enum { PEM_SIZE_MAX = 64 * 1024 };  // a key or a certificate is under 2 KiB; chains are short

bool organization_path(const char *directory, const char *name, char path[ORGANIZATION_PATH_SIZE],
                       struct fault *fault) {
    int size = snprintf(path, ORGANIZATION_PATH_SIZE, "%s/%s", directory, name);
    if (size >= 0 && size < ORGANIZATION_PATH_SIZE) return true;
    return fault_set(fault, FAULT_INPUT, "path is too long: %.100s...", directory);
}

// Writes a whole file. Of root's files each belongs to the owner of its folder.
static bool write_whole(const char *path, struct span bytes, uint32_t mode, struct fault *fault) {
    if (!files_write_whole(files_system(), path, bytes, mode, fault)) return false;
    if (geteuid() != 0) return true;
    char folder[ORGANIZATION_PATH_SIZE];
    struct stat status;
    const char *slash = strrchr(path, '/');
    int size = slash == NULL ? 0 : (int)(slash - path);
    snprintf(folder, sizeof folder, "%.*s/", size, path);
    if (slash == NULL || stat(folder, &status) != 0 || status.st_uid == 0) return true;
    if (lchown(path, status.st_uid, status.st_gid) == 0) return true;
    return fault_set_errno(fault, FAULT_IO, errno, "%s: give it to its folder's owner", path);
}

bool organization_write(const char *directory, const char *name, struct span bytes, uint32_t mode,
                        struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    return organization_path(directory, name, path, fault) && write_whole(path, bytes, mode, fault);
}

bool organization_read(const char *directory, const char *name, struct buffer *bytes,
                       struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    return organization_path(directory, name, path, fault) &&
           files_read_whole(files_system(), path, PEM_SIZE_MAX, bytes, fault);
}

// Makes a folder of a user (NULL: the caller's).
static bool make_folder(const char *path, uint32_t mode, const struct passwd *user,
                        struct fault *fault) {
    if (!files_make_directory(files_system(), path, fault)) return false;
    if (chmod(path, mode) != 0)
        return fault_set_errno(fault, FAULT_IO, errno, "%s: set mode %o", path, mode);
    if (user == NULL || chown(path, user->pw_uid, user->pw_gid) == 0) return true;
    enum fault_kind kind = errno == EPERM ? FAULT_DENIED : FAULT_IO;
    return fault_set_errno(fault, kind, errno, "%s: give it to user %s", path, user->pw_name);
}

static bool make_folder_in(const char *directory, const char *name, uint32_t mode,
                           const struct passwd *user, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    return organization_path(directory, name, path, fault) && make_folder(path, mode, user, fault);
}

static bool exists(const char *directory, const char *name, bool *found, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    struct files_entry entry;
    return organization_path(directory, name, path, fault) &&
           files_find(files_system(), path, found, &entry, fault);
}

// The keys and certificates of a new organization, or of a renewal.
struct secrets {
    struct buffer ca_key;
    struct buffer ca;
    struct buffer key;
    struct buffer certificate;
};

static void init_secrets(struct secrets *secrets) {
    buffer_init(&secrets->ca_key, PEM_SIZE_MAX);
    buffer_init(&secrets->ca, PEM_SIZE_MAX);
    buffer_init(&secrets->key, PEM_SIZE_MAX);
    buffer_init(&secrets->certificate, PEM_SIZE_MAX);
}

static void done_secrets(struct secrets *secrets) {
    buffer_done(&secrets->ca_key);
    buffer_done(&secrets->ca);
    buffer_done(&secrets->key);
    buffer_done(&secrets->certificate);
}

// The collector's certificate names the host that agents call; localhost too, so that an agent on
// the same machine needs nothing special.
static bool issue_collector(const char *host, int64_t valid_s, int64_t now_s,
                            struct secrets *secrets, struct fault *fault) {
    const char *names[] = {"localhost", host};
    bool is_local = strcmp(host, "localhost") == 0;
    struct certificate_request request = {
        .use = CERTIFICATE_SERVER,
        .common_name = "orgtrail collector",
        .dns_names = names,
        .dns_names_count = is_local ? 1 : 2,
        .valid_s = valid_s,
    };
    return certificate_make_key(&secrets->key, fault) &&
           certificate_issue(buffer_span(&secrets->ca), buffer_span(&secrets->ca_key),
                             buffer_span(&secrets->key), &request, now_s, &secrets->certificate,
                             fault);
}

bool organization_make_ca(const char *id, const char *suffix, int64_t valid_s, int64_t now_s,
                          struct buffer *key, struct buffer *certificate, struct fault *fault) {
    char name[65];  // X.509 allows 64 characters
    snprintf(name, sizeof name, "orgtrail CA of %s%s", id, suffix);
    struct certificate_request request = {
        .use = CERTIFICATE_CA,
        .common_name = name,
        .valid_s = valid_s,
    };
    return certificate_make_key(key, fault) &&
           certificate_make_ca(buffer_span(key), &request, now_s, certificate, fault);
}

static bool make_secrets(const struct organization_plan *plan, const char *host, int64_t now_s,
                         struct secrets *secrets, struct fault *fault) {
    return organization_make_ca(plan->id, "", ORGANIZATION_CA_DAYS * (int64_t)CERTIFICATE_DAY_S,
                                now_s, &secrets->ca_key, &secrets->ca, fault) &&
           issue_collector(host, ORGANIZATION_CERTIFICATE_DAYS * CERTIFICATE_DAY_S, now_s, secrets,
                           fault);
}

// JSON's string literals are YAML's double-quoted scalars, so any name is safe.
static void print_quoted(struct buffer *text, const char *value) {
    json_append_string(text, span_text(value));
}

static void print_account(struct buffer *text, const struct organization_account *account) {
    buffer_append_text(text, "    - {id: ");
    print_quoted(text, account->id);
    buffer_append_text(text, ", name: ");
    print_quoted(text, account->name != NULL ? account->name : account->id);
    buffer_append_text(text, "}\n");
}

static void print_config(struct buffer *text, const struct organization_plan *plan, uint16_t port) {
    buffer_append_text(text,
                       "# The collector's config. Relative paths count from this file's folder.\n"
                       "# After editing: orgtrail-collector --check --config collector.yaml\n"
                       "organization:\n  id: ");
    print_quoted(text, plan->id);
    buffer_append_text(text, "\n  management_account: ");
    print_quoted(text, plan->management_account);
    buffer_append_text(text, "\n  home_region: ");
    print_quoted(text, plan->home_region != NULL ? plan->home_region : "us-east-1");
    buffer_print(text,
                 "\nlisten: 0.0.0.0:%u  # agents, mutual TLS\n"
                 "http:\n  listen: 127.0.0.1:9090  # /metrics and /healthz\n"
                 "api: {listen: 127.0.0.1:8443}  # CloudTrail's API, TLS: orgtrail keys create\n"
                 "store:\n  directory: ",
                 port);
    print_quoted(text, plan->store != NULL ? plan->store : "../store");
    buffer_append_text(
        text,
        "\ncertificates:\n  ca: ca.pem\n  certificate: collector.pem\n"
        "  key: collector.key\n"
        "roster:\n  # Events of accounts not listed here: unknown: quarantine, or admit. "
        "Without it an\n  # account's agent has them quarantined and an organization's "
        "agent admitted.\n"
        "  accounts:\n");
    const struct organization_account management = {plan->management_account, "management"};
    bool is_listed = false;
    for (uint32_t index = 0; index < plan->accounts_count; index++) {
        if (strcmp(plan->accounts[index].id, management.id) == 0) is_listed = true;
    }
    if (!is_listed) print_account(text, &management);
    for (uint32_t index = 0; index < plan->accounts_count; index++) {
        print_account(text, &plan->accounts[index]);
    }
}

static void print_organization(struct buffer *text, const struct organization_plan *plan,
                               const char *host, uint16_t port) {
    buffer_append_text(text,
                       "# Read by orgtrail enroll. What is written here goes into bundles.\n"
                       "name: ");
    print_quoted(text, plan->name != NULL ? plan->name : plan->id);
    bool is_v6 = strchr(host, ':') != NULL;
    buffer_print(text, is_v6 ? "\ncollector: \"[%s]:%u\"\n" : "\ncollector: \"%s:%u\"\n", host,
                 port);
}

static bool is_aws_id(const char *text) {
    return strlen(text) == 12 && strspn(text, "0123456789") == 12;
}

static bool check_plan(const struct organization_plan *plan, struct fault *fault) {
    if (plan->store != NULL && plan->store[0] != '/')
        return fault_set(fault, FAULT_INPUT, "--store %.200s: must begin with /", plan->store);
    if (!names_check_organization(plan->id, fault)) return false;
    if (!names_check_account("management account", plan->management_account, fault)) return false;
    if (plan->home_region != NULL && !names_check_region(plan->home_region, fault)) return false;
    for (uint32_t index = 0; index < plan->accounts_count; index++) {
        const char *id = plan->accounts[index].id;
        const char *name = plan->accounts[index].name;
        if (!names_check_account("account", id, fault)) return false;
        if (name != NULL && is_aws_id(name) && !is_aws_id(id)) {
            return fault_set(fault, FAULT_INPUT,
                             "account \"%s=%s\": the id stands first, as in %s=%s", id, name, name,
                             id);
        }
        for (uint32_t before = 0; before < index; before++) {
            if (strcmp(plan->accounts[before].id, id) != 0) continue;
            return fault_set(fault, FAULT_INPUT, "account %s is given twice", id);
        }
    }
    return true;
}

static bool check_vacant(const char *directory, struct fault *fault) {
    bool has_organization = false;
    bool has_ca = false;
    bool has_config = false;
    if (!exists(directory, "organization.yaml", &has_organization, fault) ||
        !exists(directory, "ca", &has_ca, fault) ||
        !exists(directory, "collector", &has_config, fault)) {
        return false;
    }
    if (has_organization) {
        return fault_set(fault, FAULT_INPUT,
                         "%s holds an organization already: nothing was changed; use another "
                         "folder, or \"orgtrail enroll\" to add agents",
                         directory);
    }
    if (!has_ca && !has_config) return true;
    return fault_set(fault, FAULT_INPUT,
                     "%s holds \"ca\" or \"collector\" but no organization.yaml: an init that did "
                     "not finish, or something else; remove them or use another folder",
                     directory);
}

static bool make_folders(const char *directory, const struct organization_plan *plan,
                         struct fault *fault) {
    const struct passwd *user = plan->user == NULL ? NULL : getpwnam(plan->user);
    if (plan->user != NULL && user == NULL)
        return fault_set(fault, FAULT_INPUT, "there is no user \"%.64s\"", plan->user);
    return files_make_directory(files_system(), directory, fault) &&
           make_folder_in(directory, "ca", 0700, NULL, fault) &&
           make_folder_in(directory, "collector", 0750, user, fault) &&
           (plan->store != NULL ? make_folder(plan->store, 0750, user, fault)
                                : make_folder_in(directory, "store", 0750, user, fault)) &&
           make_folder_in(directory, "agents", 0700, NULL, fault);
}

// What seals the secrets of the API's access keys. The collector may not be able to make it: its
// folder can be closed to its writes.
static bool write_secret(const char *directory, struct fault *fault) {
    uint8_t secret[CRYPTO_SEAL_KEY_SIZE];
    random_fill(random_system(), secret, sizeof secret);
    bool is_good = organization_write(directory, "collector/secret.key",
                                      span_of(secret, sizeof secret), 0600, fault);
    crypto_wipe(secret, sizeof secret);
    return is_good;
}

// organization.yaml comes last: a folder that has it is complete.
static bool write_all(const char *directory, const struct organization_plan *plan,
                      const struct secrets *secrets, struct span config, struct span organization,
                      struct fault *fault) {
    return make_folders(directory, plan, fault) &&
           organization_write(directory, "ca/ca.key", buffer_span(&secrets->ca_key), 0600, fault) &&
           organization_write(directory, "ca/ca.pem", buffer_span(&secrets->ca), 0644, fault) &&
           organization_write(directory, "collector/ca.pem", buffer_span(&secrets->ca), 0644,
                              fault) &&
           organization_write(directory, "collector/collector.pem",
                              buffer_span(&secrets->certificate), 0644, fault) &&
           organization_write(directory, "collector/collector.key", buffer_span(&secrets->key),
                              0600, fault) &&
           write_secret(directory, fault) &&
           organization_write(directory, "collector/collector.yaml", config, 0640, fault) &&
           organization_write(directory, "organization.yaml", organization, 0640, fault);
}

bool organization_create(const char *directory, const struct organization_plan *plan, int64_t now_s,
                         struct fault *fault) {
    char host[NAMES_HOST_SIZE];
    uint16_t port;
    if (!check_plan(plan, fault)) return false;
    const char *collector = plan->collector != NULL ? plan->collector : "localhost";
    if (!names_split_address(collector, ORGANIZATION_PORT, host, &port, fault)) return false;
    if (!check_vacant(directory, fault)) return false;

    struct secrets secrets;
    struct buffer config;
    struct buffer organization;
    init_secrets(&secrets);
    buffer_init(&config, CONFIG_SIZE_MAX);
    buffer_init(&organization, CONFIG_SIZE_MAX);
    print_config(&config, plan, port);
    print_organization(&organization, plan, host, port);
    bool is_good = !buffer_overflowed(&config) && !buffer_overflowed(&organization);
    if (!is_good) fault_set(fault, FAULT_INPUT, "the roster is too large");
    is_good = is_good && make_secrets(plan, host, now_s, &secrets, fault) &&
              write_all(directory, plan, &secrets, buffer_span(&config), buffer_span(&organization),
                        fault);
    done_secrets(&secrets);
    buffer_done(&config);
    buffer_done(&organization);
    return is_good;
}

static const cyaml_schema_field_t organization_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_DEFAULT, struct organization, name, 1, 256),
    CYAML_FIELD_STRING_PTR("collector", CYAML_FLAG_DEFAULT, struct organization, collector, 1, 300),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t organization_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct organization, organization_fields),
};

static bool load_settings(const char *directory, struct settings **settings, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    return organization_path(directory, "collector/collector.yaml", path, fault) &&
           settings_load(path, settings, fault);
}

bool organization_load(const char *directory, struct organization **organization,
                       struct fault *fault) {
    bool found = false;
    if (!exists(directory, "organization.yaml", &found, fault)) return false;
    if (!found) {
        return fault_set(fault, FAULT_INPUT,
                         "%s holds no organization (no organization.yaml in it): \"orgtrail init\" "
                         "makes one",
                         directory);
    }
    struct buffer text;
    char path[ORGANIZATION_PATH_SIZE];
    void *loaded = NULL;
    buffer_init(&text, CONFIG_SIZE_MAX);
    bool is_good = organization_path(directory, "organization.yaml", path, fault) &&
                   files_read_whole(files_system(), path, CONFIG_SIZE_MAX, &text, fault) &&
                   config_load(buffer_span(&text), path, &organization_schema, &loaded, fault);
    buffer_done(&text);
    if (!is_good) return false;
    struct organization *made = loaded;
    made->settings = NULL;  // no part of the schema
    if (!load_settings(directory, &made->settings, fault)) {
        organization_destroy(made);
        return false;
    }
    *organization = made;
    return true;
}

void organization_destroy(struct organization *organization) {
    if (organization == NULL) return;
    settings_destroy(organization->settings);
    organization->settings = NULL;
    config_free(&organization_schema, organization);
}

// Where a line for a new account goes: behind the line "  accounts:". NULL if there is none.
static const char *find_accounts(const char *text) {
    const char *roster = strncmp(text, "roster:", 7) == 0 ? text : strstr(text, "\nroster:");
    if (roster == NULL) return NULL;
    const char *accounts = strstr(roster, "\n  accounts:");
    if (accounts == NULL) return NULL;
    return accounts + 1;
}

static void print_with_accounts(const char *text, const char *accounts,
                                const struct organization_account *added, uint32_t added_count,
                                struct buffer *output) {
    const char *line_end = accounts + strcspn(accounts, "\n");
    buffer_append(output, span_of(text, (size_t)(accounts - text)));
    buffer_append_text(output, "  accounts:\n");
    for (uint32_t index = 0; index < added_count; index++) print_account(output, &added[index]);
    if (*line_end == '\n') line_end++;
    buffer_append_text(output, line_end);
}

static bool has_accounts(const struct settings *settings, const struct organization_account *added,
                         uint32_t added_count) {
    for (uint32_t index = 0; index < added_count; index++) {
        if (settings_find_account(settings, added[index].id) == NULL) return false;
    }
    return true;
}

// The edit is made on text, so that comments survive; that it did what was meant is checked by
// loading the result before it takes the file's place.
static bool write_checked(const char *path, struct span text,
                          const struct organization_account *added, uint32_t added_count,
                          struct fault *fault) {
    char draft[ORGANIZATION_PATH_SIZE + 8];
    snprintf(draft, sizeof draft, "%s.draft", path);
    struct settings *settings = NULL;
    bool is_good = files_write_whole(files_system(), draft, text, 0640, fault) &&
                   settings_load(draft, &settings, fault);
    if (is_good && !has_accounts(settings, added, added_count)) {
        is_good = fault_set(fault, FAULT_INPUT, "its list of accounts is in another form");
    }
    settings_destroy(settings);
    struct fault ignored;
    bool is_removed = files_remove(files_system(), draft, &ignored);
    (void)is_removed;  // a draft left behind harms nobody
    if (is_good) return write_whole(path, text, 0640, fault);
    return fault_add(fault, "%s is unchanged: add the account by hand", path);
}

bool organization_add_accounts(const char *path, const struct organization_account *added,
                               uint32_t added_count, struct fault *fault) {
    for (uint32_t index = 0; index < added_count; index++) {
        if (!names_check_account("account", added[index].id, fault)) return false;
    }
    struct buffer text;
    struct buffer output;
    buffer_init(&text, CONFIG_SIZE_MAX);
    buffer_init(&output, CONFIG_SIZE_MAX);
    bool is_good = files_read_whole(files_system(), path, CONFIG_SIZE_MAX - 1, &text, fault);
    if (is_good) {
        buffer_append_byte(&text, 0);
        const char *accounts = find_accounts((const char *)text.bytes);
        if (accounts == NULL) {
            is_good = fault_set(fault, FAULT_INPUT, "%s: no line \"  accounts:\" below \"roster:\"",
                                path);
        } else {
            print_with_accounts((const char *)text.bytes, accounts, added, added_count, &output);
            is_good = write_checked(path, buffer_span(&output), added, added_count, fault);
        }
    }
    buffer_done(&text);
    buffer_done(&output);
    return is_good;
}

bool organization_add_account(const char *directory, const struct organization_account *account,
                              struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    return organization_path(directory, "collector/collector.yaml", path, fault) &&
           organization_add_accounts(path, account, 1, fault);
}

bool organization_read_ca(const char *directory, struct buffer *certificate, struct buffer *key,
                          struct fault *fault) {
    return organization_read(directory, "ca/ca.pem", certificate, fault) &&
           organization_read(directory, "ca/ca.key", key, fault);
}

bool organization_renew_collector(const char *directory, const struct organization *organization,
                                  int64_t valid_s, int64_t now_s, struct fault *fault) {
    char host[NAMES_HOST_SIZE];
    uint16_t port;
    if (!names_split_address(organization->collector, ORGANIZATION_PORT, host, &port, fault)) {
        return fault_add(fault, "%s/organization.yaml: collector", directory);
    }
    struct secrets secrets;
    init_secrets(&secrets);
    bool is_good = organization_read_ca(directory, &secrets.ca, &secrets.ca_key, fault) &&
                   issue_collector(host, valid_s, now_s, &secrets, fault) &&
                   organization_write(directory, "collector/collector.key",
                                      buffer_span(&secrets.key), 0600, fault) &&
                   organization_write(directory, "collector/collector.pem",
                                      buffer_span(&secrets.certificate), 0644, fault);
    done_secrets(&secrets);
    return is_good;
}
