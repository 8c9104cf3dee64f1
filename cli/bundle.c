#include "cli/bundle.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/certificate.h"
#include "base/files.h"
#include "base/json.h"
#include "cli/issued.h"
#include "cli/tar.h"

enum { BUNDLE_SIZE_MAX = 1024 * 1024 };  // of a part: PEM texts and a config with many sources

// The parts of a bundle, in memory until all of them are there.
struct parts {
    struct buffer accepted;  // the CAs that agents accept
    struct buffer ca;
    struct buffer ca_key;
    struct buffer key;
    struct buffer certificate;
    struct buffer config;
};

static void init_parts(struct parts *parts) {
    buffer_init(&parts->accepted, BUNDLE_SIZE_MAX);
    buffer_init(&parts->ca, BUNDLE_SIZE_MAX);
    buffer_init(&parts->ca_key, BUNDLE_SIZE_MAX);
    buffer_init(&parts->key, BUNDLE_SIZE_MAX);
    buffer_init(&parts->certificate, BUNDLE_SIZE_MAX);
    buffer_init(&parts->config, BUNDLE_SIZE_MAX);
}

static void done_parts(struct parts *parts) {
    buffer_done(&parts->accepted);
    buffer_done(&parts->ca);
    buffer_done(&parts->ca_key);
    buffer_done(&parts->key);
    buffer_done(&parts->certificate);
    buffer_done(&parts->config);
}

bool bundle_print_uri(const char *organization_id, const struct bundle_identity *identity,
                      char uri[BUNDLE_URI_SIZE], struct fault *fault) {
    bool has_account = identity->account != NULL;
    bool has_region = identity->region != NULL;
    bool has_agent = identity->agent != NULL;
    assert(has_account || !has_region);
    int size =
        snprintf(uri, BUNDLE_URI_SIZE, "spiffe://%s/%s%s%s%s%s%s", organization_id,
                 has_account ? "account/" : "organization", has_account ? identity->account : "",
                 has_region ? "/region/" : "", has_region ? identity->region : "",
                 has_agent ? "/agent/" : "", has_agent ? identity->agent : "");
    if (size > 0 && size < BUNDLE_URI_SIZE) return true;
    return fault_set(fault, FAULT_INPUT, "the certificate's URI would pass %d bytes",
                     BUNDLE_URI_SIZE - 1);
}

static void print_name(const struct bundle_identity *identity, char name[BUNDLE_NAME_SIZE]) {
    int size = snprintf(
        name, BUNDLE_NAME_SIZE, "%s%s%s%s%s",
        identity->account != NULL ? identity->account : "organization",
        identity->region != NULL ? "_" : "", identity->region != NULL ? identity->region : "",
        identity->agent != NULL ? "_" : "", identity->agent != NULL ? identity->agent : "");
    assert(size > 0 && size < BUNDLE_NAME_SIZE);
}

static bool check_identity(const struct bundle_identity *identity, struct fault *fault) {
    if (identity->account != NULL && !names_check_account("account", identity->account, fault))
        return false;
    if (identity->region != NULL && !names_check_region(identity->region, fault)) return false;
    return identity->agent == NULL || names_check("agent", identity->agent, fault);
}

static bool issue(const struct organization *organization, const struct bundle_plan *plan,
                  int64_t now_s, struct parts *parts, struct fault *fault) {
    char uri[BUNDLE_URI_SIZE];
    char name[BUNDLE_NAME_SIZE];
    if (!bundle_print_uri(organization->settings->organization.id, &plan->identity, uri, fault))
        return false;
    print_name(&plan->identity, name);
    // X.509 allows a common name 64 characters; the identity is the URI, this is for people.
    name[64] = 0;
    struct certificate_request request = {
        .use = CERTIFICATE_CLIENT,
        .common_name = name,
        .uri = uri,
        .valid_s = plan->valid_s,
    };
    if (plan->csr.size > 0) {
        return certificate_issue_from_csr(buffer_span(&parts->ca), buffer_span(&parts->ca_key),
                                          plan->csr, &request, now_s, &parts->certificate, fault);
    }
    return certificate_make_key(&parts->key, fault) &&
           certificate_issue(buffer_span(&parts->ca), buffer_span(&parts->ca_key),
                             buffer_span(&parts->key), &request, now_s, &parts->certificate, fault);
}

static void print_member(struct buffer *text, const char *name, const char *value) {
    buffer_append_text(text, name);
    json_append_string(text, span_text(value));
    buffer_append_byte(text, '\n');
}

static void print_sources(struct buffer *text, const struct bundle_plan *plan) {
    if (plan->sources_count == 0) {
        buffer_append_text(text,
                           "# What to read. kind: directory (CloudTrail's .json.gz files below "
                           "path) or\n# tail (a growing file with one record a line; \"-\" is "
                           "standard input).\n"
                           "sources:\n"
                           "  - {name: cloudtrail, kind: directory, path: "
                           "/var/lib/orgtrail/cloudtrail}\n");
        return;
    }
    buffer_append_text(text, "sources:\n");
    for (uint32_t index = 0; index < plan->sources_count; index++) {
        const struct bundle_source *source = &plan->sources[index];
        print_member(text, "  - name: ", source->name);
        print_member(text, "    kind: ", source->kind);
        print_member(text, "    path: ", source->path);
    }
}

static bool print_config(struct buffer *text, const struct organization *organization,
                         const struct bundle_plan *plan, struct fault *fault) {
    char host[NAMES_HOST_SIZE];
    char certified[NAMES_HOST_SIZE];
    uint16_t port;
    uint16_t certified_port;
    const char *address = plan->collector != NULL ? plan->collector : organization->collector;
    if (!names_split_address(organization->collector, ORGANIZATION_PORT, certified, &certified_port,
                             fault)) {
        return fault_add(fault, "organization.yaml: collector");
    }
    if (!names_split_address(address, certified_port, host, &port, fault)) return false;
    char printed[NAMES_HOST_SIZE + 16];
    bool is_v6 = strchr(host, ':') != NULL;
    snprintf(printed, sizeof printed, is_v6 ? "[%s]:%u" : "%s:%u", host, port);

    buffer_append_text(text,
                       "# An agent's config. Relative paths count from this file's folder.\n"
                       "# After editing: orgtrail-agent --check --config agent.yaml\n");
    print_member(text, "organization: ", organization->settings->organization.id);
    buffer_append_text(text, "collector:\n");
    print_member(text, "  address: ", printed);
    // The name in the collector's certificate, which another address does not change.
    print_member(text, "  name: ", certified);
    buffer_append_text(text,
                       "certificates:\n  ca: ca.pem\n  certificate: agent.pem\n"
                       "  key: agent.key\n"
                       "spool:\n");
    print_member(text, "  directory: ", plan->spool != NULL ? plan->spool : "spool");
    buffer_append_text(text, "  size_max: 1GiB\n");
    print_sources(text, plan);
    if (!buffer_overflowed(text)) return true;
    return fault_set(fault, FAULT_INPUT, "agent.yaml would pass %d bytes", BUNDLE_SIZE_MAX);
}

static bool write_part(const char *folder, const char *name, const struct buffer *bytes,
                       uint32_t mode, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    return organization_path(folder, name, path, fault) &&
           files_write_whole(files_system(), path, buffer_span(bytes), mode, fault);
}

static bool write_folder(const char *folder, const struct bundle_plan *plan,
                         const struct parts *parts, struct fault *fault) {
    bool has_key = plan->csr.size == 0;
    if (!files_make_directory(files_system(), folder, fault)) return false;
    if (chmod(folder, 0700) != 0)
        return fault_set_errno(fault, FAULT_IO, errno, "%s: set mode 700", folder);
    if (has_key && !write_part(folder, "agent.key", &parts->key, 0600, fault)) return false;
    if (!write_part(folder, "agent.pem", &parts->certificate, 0644, fault)) return false;
    return write_part(folder, "ca.pem", &parts->accepted, 0644, fault) &&
           write_part(folder, "agent.yaml", &parts->config, 0640, fault);
}

bool bundle_write_tar(const char *out, const char *name, const struct bundle_files *files,
                      int64_t now_s, char path[ORGANIZATION_PATH_SIZE], struct fault *fault) {
    static const char *const names[] = {"ca.pem", "agent.pem", "agent.yaml", "agent.key"};
    static const uint32_t modes[] = {0644, 0644, 0640, 0600};
    const struct span bytes[] = {files->accepted, files->certificate, files->config, files->key};
    char file[TAR_NAME_SIZE_MAX + BUNDLE_NAME_SIZE];
    snprintf(file, sizeof file, "%s.tar", name);
    if (!organization_path(out, file, path, fault)) return false;
    struct buffer archive;
    buffer_init(&archive, (size_t)8 * BUNDLE_SIZE_MAX);
    for (uint32_t index = 0; index < 4; index++) {
        if (bytes[index].size == 0) continue;
        // The folder keeps bundles apart that are unpacked in one place; a name too long for the
        // archive's header goes without it.
        char inside[TAR_NAME_SIZE_MAX + BUNDLE_NAME_SIZE];
        snprintf(inside, sizeof inside, "%s/%s", name, names[index]);
        bool is_short = strlen(inside) < TAR_NAME_SIZE_MAX;
        tar_append(&archive, is_short ? inside : names[index], bytes[index], modes[index], now_s);
    }
    tar_finish(&archive);
    bool is_good = !buffer_overflowed(&archive);
    if (!is_good) fault_set(fault, FAULT_FULL, "no memory for the archive");
    is_good =
        is_good && files_write_whole(files_system(), path, buffer_span(&archive), 0600, fault);
    buffer_done(&archive);
    return is_good;
}

static bool find_place(const struct bundle_plan *plan, char path[ORGANIZATION_PATH_SIZE],
                       bool *is_there, struct fault *fault) {
    char name[BUNDLE_NAME_SIZE];
    char file[BUNDLE_NAME_SIZE + 4];
    struct files_entry entry;
    if (!check_identity(&plan->identity, fault)) return false;
    print_name(&plan->identity, name);
    snprintf(file, sizeof file, "%s%s", name, plan->is_tar ? ".tar" : "");
    return organization_path(plan->out, file, path, fault) &&
           files_find(files_system(), path, is_there, &entry, fault);
}

bool bundle_print_name(const struct bundle_identity *identity, char name[BUNDLE_NAME_SIZE],
                       struct fault *fault) {
    if (!check_identity(identity, fault)) return false;
    print_name(identity, name);
    return true;
}

bool bundle_find(const struct bundle_plan *plan, char path[ORGANIZATION_PATH_SIZE], bool *is_there,
                 struct fault *fault) {
    return find_place(plan, path, is_there, fault);
}

bool bundle_write(const char *directory, const struct organization *organization,
                  const struct bundle_plan *plan, int64_t now_s, char path[ORGANIZATION_PATH_SIZE],
                  struct fault *fault) {
    assert(plan->valid_s >= 1 && plan->valid_s <= CERTIFICATE_VALID_S_MAX);
    char name[BUNDLE_NAME_SIZE];
    char made[ORGANIZATION_PATH_SIZE];
    bool is_there = false;
    if (!find_place(plan, made, &is_there, fault)) return false;
    if (is_there) {
        return fault_set(fault, FAULT_INPUT,
                         "%s exists already and is unchanged: --renew replaces its certificate and "
                         "key, --out writes elsewhere",
                         made);
    }
    print_name(&plan->identity, name);

    char uri[BUNDLE_URI_SIZE];
    if (!bundle_print_uri(organization->settings->organization.id, &plan->identity, uri, fault))
        return false;
    struct parts parts;
    init_parts(&parts);
    bool is_good =
        organization_read_ca(directory, &parts.ca, &parts.ca_key, fault) &&
        organization_read(directory, "collector/ca.pem", &parts.accepted, fault) &&
        issue(organization, plan, now_s, &parts, fault) &&
        print_config(&parts.config, organization, plan, fault) &&
        issued_write(directory, uri, buffer_span(&parts.certificate), plan->csr.size > 0, fault);
    const struct bundle_files files = {buffer_span(&parts.accepted),
                                       buffer_span(&parts.certificate), buffer_span(&parts.config),
                                       buffer_span(&parts.key)};
    if (is_good) {
        is_good = plan->is_tar ? bundle_write_tar(plan->out, name, &files, now_s, made, fault)
                               : write_folder(made, plan, &parts, fault);
        struct fault ignored;
        if (!is_good) (void)!issued_remove(directory, name, &ignored);
    }
    done_parts(&parts);
    if (is_good) memcpy(path, made, sizeof made);
    return is_good;
}
