#include "cli/renewal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/certificate.h"
#include "base/files.h"
#include "cli/issued.h"

enum { TEXT_SIZE_MAX = 64 * 1024 };

struct texts {
    struct buffer accepted;
    struct buffer ca;
    struct buffer ca_key;
    struct buffer old;
    struct buffer certificate;
    struct buffer key;
};

static void init_texts(struct texts *texts) {
    struct buffer *const all[] = {&texts->accepted, &texts->ca,          &texts->ca_key,
                                  &texts->old,      &texts->certificate, &texts->key};
    for (int index = 0; index < 6; index++) buffer_init(all[index], TEXT_SIZE_MAX);
}

static void done_texts(struct texts *texts) {
    struct buffer *const all[] = {&texts->accepted, &texts->ca,          &texts->ca_key,
                                  &texts->old,      &texts->certificate, &texts->key};
    for (int index = 0; index < 6; index++) buffer_done(all[index]);
}

static bool check_organization(const char *path, const struct certificate_facts *facts,
                               const char *organization_id, struct fault *fault) {
    char prefix[BUNDLE_URI_SIZE];
    snprintf(prefix, sizeof prefix, "spiffe://%s/", organization_id);
    if (strncmp(facts->uri, prefix, strlen(prefix)) == 0) return true;
    return fault_set(fault, FAULT_INPUT, "%s is made out to \"%s\", not to an agent of %s", path,
                     facts->uri, organization_id);
}

// The bundle's present certificate, which says whose it is.
static bool read_old(const char *bundle, const char *organization_id, struct buffer *old,
                     struct certificate_facts *facts, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    struct files_entry entry;
    bool is_there = false;
    if (!organization_path(bundle, "agent.pem", path, fault) ||
        !files_find(files_system(), path, &is_there, &entry, fault)) {
        return false;
    }
    if (!is_there) {
        return fault_set(fault, FAULT_INPUT, "%s does not exist: nothing to renew", path);
    }
    if (!files_read_whole(files_system(), path, TEXT_SIZE_MAX, old, fault) ||
        !certificate_read(buffer_span(old), facts, fault)) {
        return fault_add(fault, "%s", path);
    }
    return check_organization(path, facts, organization_id, fault);
}

static bool has_key(const char *bundle, bool *is_there, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    struct files_entry entry;
    return organization_path(bundle, "agent.key", path, fault) &&
           files_find(files_system(), path, is_there, &entry, fault);
}

// Reads the CAs and makes the certificate, and a key unless one stays.
static bool issue(const char *directory, const struct renewal_plan *plan, bool makes_key,
                  const struct certificate_facts *old, int64_t now_s, struct texts *texts,
                  struct fault *fault) {
    const struct certificate_request request = {
        .use = CERTIFICATE_CLIENT,
        .common_name = old->common_name,
        .uri = old->uri,
        .valid_s = plan->valid_s,
    };
    if (!organization_read_ca(directory, &texts->ca, &texts->ca_key, fault) ||
        !organization_read(directory, "collector/ca.pem", &texts->accepted, fault)) {
        return false;
    }
    struct span ca = buffer_span(&texts->ca);
    struct span ca_key = buffer_span(&texts->ca_key);
    if (plan->csr.size > 0) {
        return certificate_issue_from_csr(ca, ca_key, plan->csr, &request, now_s,
                                          &texts->certificate, fault);
    }
    if (!makes_key) {
        return certificate_issue_again(ca, ca_key, buffer_span(&texts->old), &request, now_s,
                                       &texts->certificate, fault);
    }
    return certificate_make_key(&texts->key, fault) &&
           certificate_issue(ca, ca_key, buffer_span(&texts->key), &request, now_s,
                             &texts->certificate, fault);
}

bool renewal_write(const char *directory, const struct organization *organization,
                   const char *bundle, const struct renewal_plan *plan, int64_t now_s,
                   char uri[BUNDLE_URI_SIZE], struct fault *fault) {
    struct texts texts;
    struct certificate_facts old;
    bool is_key_here = false;
    init_texts(&texts);
    bool is_good =
        read_old(bundle, organization->settings->organization.id, &texts.old, &old, fault) &&
        has_key(bundle, &is_key_here, fault);
    bool makes_key = is_key_here && !plan->keeps_key && plan->csr.size == 0;
    is_good =
        is_good && issue(directory, plan, makes_key, &old, now_s, &texts, fault) &&
        (!makes_key ||
         organization_write(bundle, "agent.key", buffer_span(&texts.key), 0600, fault)) &&
        organization_write(bundle, "agent.pem", buffer_span(&texts.certificate), 0644, fault) &&
        organization_write(bundle, "ca.pem", buffer_span(&texts.accepted), 0644, fault) &&
        issued_write(directory, old.uri, buffer_span(&texts.certificate),
                     !is_key_here || plan->csr.size > 0, fault);
    done_texts(&texts);
    if (is_good) snprintf(uri, BUNDLE_URI_SIZE, "%s", old.uri);
    return is_good;
}

bool renewal_write_tar(const char *directory, const struct organization *organization,
                       const char *out, const char *name, const struct renewal_plan *plan,
                       int64_t now_s, char path[ORGANIZATION_PATH_SIZE], char uri[BUNDLE_URI_SIZE],
                       struct fault *fault) {
    struct texts texts;
    struct certificate_facts old;
    bool is_key_elsewhere = false;
    init_texts(&texts);
    bool is_good = issued_read(directory, name, &texts.old, &is_key_elsewhere, fault) &&
                   certificate_read(buffer_span(&texts.old), &old, fault) &&
                   check_organization(name, &old, organization->settings->organization.id, fault);
    bool makes_key = !is_key_elsewhere && !plan->keeps_key && plan->csr.size == 0;
    is_good = is_good && issue(directory, plan, makes_key, &old, now_s, &texts, fault);
    const struct bundle_files files = {.accepted = buffer_span(&texts.accepted),
                                       .certificate = buffer_span(&texts.certificate),
                                       .key = buffer_span(&texts.key)};
    // Kept last: until the agent can have it the old one counts.
    is_good = is_good && bundle_write_tar(out, name, &files, now_s, path, fault) &&
              issued_write(directory, old.uri, files.certificate,
                           is_key_elsewhere || plan->csr.size > 0, fault);
    done_texts(&texts);
    if (is_good) snprintf(uri, BUNDLE_URI_SIZE, "%s", old.uri);
    return is_good;
}

struct listing {
    const char *out;
    bool (*on_bundle)(void *user, const char *bundle, struct fault *fault);
    void *user;
    bool is_good;
    struct fault *fault;
};

static bool on_entry(void *user, const struct files_entry *entry) {
    struct listing *listing = user;
    char path[ORGANIZATION_PATH_SIZE];
    char certificate[ORGANIZATION_PATH_SIZE];
    struct files_entry found;
    bool is_there = false;
    if (!entry->is_directory || entry->name[0] == '.') return true;
    listing->is_good = organization_path(listing->out, entry->name, path, listing->fault) &&
                       organization_path(path, "agent.pem", certificate, listing->fault) &&
                       files_find(files_system(), certificate, &is_there, &found, listing->fault) &&
                       (!is_there || listing->on_bundle(listing->user, path, listing->fault));
    return listing->is_good;
}

bool renewal_list(const char *out,
                  bool (*on_bundle)(void *user, const char *bundle, struct fault *fault),
                  void *user, struct fault *fault) {
    struct listing listing = {out, on_bundle, user, true, fault};
    return files_list(files_system(), out, on_entry, &listing, fault) && listing.is_good;
}
