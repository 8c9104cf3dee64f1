#include "cli/authority.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/files.h"
#include "cli/issued.h"
#include "cli/renewal.h"

enum { TEXT_SIZE_MAX = 64 * 1024 };

static bool is_signed(struct span certificate, struct span ca, enum certificate_use use,
                      int64_t now_s) {
    // By whom, not until when: an expired one is checked at its own time.
    struct certificate_facts facts;
    struct fault ignored;
    if (!certificate_read(certificate, &facts, &ignored)) return false;
    int64_t at_s = now_s < facts.not_after_s ? now_s : facts.not_after_s;
    return certificate_check_peer(certificate, ca, use, at_s, &ignored);
}

struct looking {
    const char *directory;
    struct authority *authority;
    struct span ca;
    int64_t now_s;
};

static void count_agent(struct looking *looking, const char *name, struct span certificate) {
    struct authority *authority = looking->authority;
    struct certificate_facts facts;
    struct fault ignored;
    if (certificate_read(certificate, &facts, &ignored) && facts.not_after_s <= looking->now_s)
        return;
    authority->agents++;
    if (is_signed(certificate, looking->ca, CERTIFICATE_CLIENT, looking->now_s)) return;
    size_t used = strlen(authority->names_old);
    size_t room = sizeof authority->names_old - used;
    // Whole names only, and room for the dots.
    if (strlen(name) + 8 < room) {
        snprintf(authority->names_old + used, room, "%s%s", used > 0 ? ", " : "", name);
    } else if (used > 0 && authority->names_old[used - 1] != '.' && room > 6) {
        snprintf(authority->names_old + used, room, ", ...");
    }
    authority->agents_old++;
}

static bool on_issued(void *user, const char *name, struct fault *fault) {
    struct looking *looking = user;
    struct buffer text;
    bool ignored;
    buffer_init(&text, TEXT_SIZE_MAX);
    bool is_good = issued_read(looking->directory, name, &text, &ignored, fault);
    if (is_good) count_agent(looking, name, buffer_span(&text));
    buffer_done(&text);
    return is_good;
}

// A bundle that nothing else is known of: made before certificates were kept.
static bool on_bundle(void *user, const char *bundle, struct fault *fault) {
    struct looking *looking = user;
    const char *name = strrchr(bundle, '/') + 1;
    struct buffer text;
    bool is_there = false;
    if (!issued_find(looking->directory, name, &is_there, fault)) return false;
    if (is_there) return true;
    buffer_init(&text, TEXT_SIZE_MAX);
    bool is_good = organization_read(bundle, "agent.pem", &text, fault);
    if (is_good) count_agent(looking, name, buffer_span(&text));
    buffer_done(&text);
    return is_good;
}

static bool look_with(const char *directory, struct span ca, struct span collector, int64_t now_s,
                      struct authority *authority, struct fault *fault) {
    char agents[ORGANIZATION_PATH_SIZE];
    struct files_entry entry;
    bool is_there = false;
    struct looking looking = {directory, authority, ca, now_s};
    authority->is_collector_new = is_signed(collector, ca, CERTIFICATE_SERVER, now_s);
    return organization_path(directory, "agents", agents, fault) &&
           files_find(files_system(), agents, &is_there, &entry, fault) &&
           (!is_there || renewal_list(agents, on_bundle, &looking, fault)) &&
           issued_list(directory, on_issued, &looking, fault);
}

bool authority_look(const char *directory, int64_t now_s, struct authority *authority,
                    struct fault *fault) {
    struct authority found = {0};
    struct buffer ca, accepted, collector;
    buffer_init(&ca, TEXT_SIZE_MAX);
    buffer_init(&accepted, TEXT_SIZE_MAX);
    buffer_init(&collector, TEXT_SIZE_MAX);
    bool is_good =
        organization_read(directory, "ca/ca.pem", &ca, fault) &&
        organization_read(directory, "collector/ca.pem", &accepted, fault) &&
        organization_read(directory, "collector/collector.pem", &collector, fault) &&
        certificate_read_cas(buffer_span(&accepted), found.cas, &found.cas_count, fault) &&
        look_with(directory, buffer_span(&ca), buffer_span(&collector), now_s, &found, fault);
    buffer_done(&ca);
    buffer_done(&accepted);
    buffer_done(&collector);
    if (is_good) *authority = found;
    return is_good;
}

static bool rename_in(const char *directory, const char *from, const char *to,
                      struct fault *fault) {
    char old[ORGANIZATION_PATH_SIZE];
    char new[ORGANIZATION_PATH_SIZE];
    return organization_path(directory, from, old, fault) &&
           organization_path(directory, to, new, fault) &&
           files_rename(files_system(), old, new, fault);
}

static bool is_there(const char *directory, const char *name, bool *found, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    struct files_entry entry;
    return organization_path(directory, name, path, fault) &&
           files_find(files_system(), path, found, &entry, fault);
}

// The new pair takes the place of the old one, its certificate last.
static bool take_place(const char *directory, struct fault *fault) {
    bool has_key = false;
    return is_there(directory, "ca/new.key", &has_key, fault) &&
           (!has_key || rename_in(directory, "ca/new.key", "ca/ca.key", fault)) &&
           rename_in(directory, "ca/new.pem", "ca/ca.pem", fault);
}

static bool copy_in(const char *directory, const char *from, const char *to, uint32_t mode,
                    struct fault *fault) {
    struct buffer text;
    buffer_init(&text, TEXT_SIZE_MAX);
    bool is_good = organization_read(directory, from, &text, fault) &&
                   organization_write(directory, to, buffer_span(&text), mode, fault);
    buffer_done(&text);
    return is_good;
}

// Both are accepted before the new one signs, so that whatever stops this in the middle leaves
// certificates that are good; ca/new.pem shows that it was stopped.
static bool put_beside(const char *directory, struct span old, const struct buffer *key,
                       const struct buffer *certificate, struct fault *fault) {
    struct buffer both;
    buffer_init(&both, TEXT_SIZE_MAX);
    buffer_append(&both, buffer_span(certificate));
    buffer_append(&both, old);
    bool is_good =
        !buffer_overflowed(&both) || fault_set(fault, FAULT_INPUT, "collector/ca.pem is too large");
    is_good = is_good && copy_in(directory, "ca/ca.key", "ca/old.key", 0600, fault) &&
              copy_in(directory, "ca/ca.pem", "ca/old.pem", 0644, fault) &&
              organization_write(directory, "ca/new.key", buffer_span(key), 0600, fault) &&
              organization_write(directory, "ca/new.pem", buffer_span(certificate), 0644, fault) &&
              organization_write(directory, "collector/ca.pem", buffer_span(&both), 0644, fault) &&
              take_place(directory, fault);
    buffer_done(&both);
    return is_good;
}

bool authority_replace(const char *directory, const struct organization *organization,
                       int64_t valid_s, int64_t now_s, struct fault *fault) {
    struct authority authority;
    struct buffer old, key, certificate;
    char suffix[TIME_TEXT_SIZE + 2];
    char time[TIME_TEXT_SIZE];
    if (!authority_look(directory, now_s, &authority, fault)) return false;
    bool was_stopped = false;
    if (!is_there(directory, "ca/new.pem", &was_stopped, fault)) return false;
    if (authority.cas_count > 1 && was_stopped) return take_place(directory, fault);
    if (authority.cas_count > 1) {
        return fault_set(fault, FAULT_INPUT,
                         "%s/collector/ca.pem has %u CAs: a replacement is under way, and --finish "
                         "ends it",
                         directory, authority.cas_count);
    }
    // The date tells the two apart in messages.
    time_print(now_s, time);
    snprintf(suffix, sizeof suffix, " %.10s", time);
    buffer_init(&old, TEXT_SIZE_MAX);
    buffer_init(&key, TEXT_SIZE_MAX);
    buffer_init(&certificate, TEXT_SIZE_MAX);
    bool is_good = organization_read(directory, "collector/ca.pem", &old, fault) &&
                   organization_make_ca(organization->settings->organization.id, suffix, valid_s,
                                        now_s, &key, &certificate, fault) &&
                   put_beside(directory, buffer_span(&old), &key, &certificate, fault);
    buffer_done(&old);
    buffer_done(&key);
    buffer_done(&certificate);
    return is_good;
}

static bool check_finish(const char *directory, const struct authority *authority, bool is_forced,
                         struct fault *fault) {
    if (authority->cas_count < 2) {
        return fault_set(fault, FAULT_INPUT,
                         "%s/collector/ca.pem has one CA: nothing to finish; --replace begins",
                         directory);
    }
    if (!authority->is_collector_new) {
        return fault_set(fault, FAULT_INPUT,
                         "the collector's certificate is of the old CA: \"orgtrail enroll %s "
                         "--server\" and reload the collector first",
                         directory);
    }
    if (authority->agents_old == 0 || is_forced) return true;
    return fault_set(fault, FAULT_INPUT,
                     "%u of %u agents have a certificate of the old CA (%s): \"orgtrail enroll %s "
                     "--all --renew\" and bring the bundles to them first (--force: those agents "
                     "are refused from then on; one that is gone for good: \"orgtrail enroll %s "
                     "--retire NAME\")",
                     authority->agents_old, authority->agents, authority->names_old, directory,
                     directory);
}

static bool remove_in(const char *directory, const char *name, struct fault *fault) {
    char path[ORGANIZATION_PATH_SIZE];
    return organization_path(directory, name, path, fault) &&
           files_remove(files_system(), path, fault);
}

bool authority_finish(const char *directory, bool is_forced, int64_t now_s, struct fault *fault) {
    struct authority authority;
    struct buffer ca;
    if (!authority_look(directory, now_s, &authority, fault) ||
        !check_finish(directory, &authority, is_forced, fault)) {
        return false;
    }
    buffer_init(&ca, TEXT_SIZE_MAX);
    bool is_good =
        organization_read(directory, "ca/ca.pem", &ca, fault) &&
        organization_write(directory, "collector/ca.pem", buffer_span(&ca), 0644, fault) &&
        remove_in(directory, "ca/old.key", fault) && remove_in(directory, "ca/old.pem", fault);
    buffer_done(&ca);
    return is_good;
}
