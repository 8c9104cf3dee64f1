#include "cli/issued.h"

#include <stdio.h>
#include <string.h>

#include "base/certificate.h"
#include "base/files.h"
#include "cli/organization.h"

enum { TEXT_SIZE_MAX = 64 * 1024 };

static const char elsewhere_line[] = "# key: elsewhere\n";

bool issued_print_name(const char *uri, char name[ISSUED_NAME_SIZE], struct fault *fault) {
    static const char scheme[] = "spiffe://";
    size_t used = 0;
    const char *at = NULL;
    if (strncmp(uri, scheme, strlen(scheme)) == 0) at = strchr(uri + strlen(scheme), '/');
    for (uint32_t index = 0; at != NULL; index++) {
        // Names stand in every second place, behind what they name; "organization" has none.
        const char *begin = at + 1;
        size_t size = strcspn(begin, "/");
        if (index == 0 && size == 12 && strncmp(begin, "organization", size) == 0) index++;
        if (index % 2 == 1) {
            int printed = snprintf(name + used, ISSUED_NAME_SIZE - used, "%s%.*s",
                                   used > 0 ? "_" : "", (int)size, begin);
            used += printed > 0 ? (size_t)printed : 0;
            if (used >= ISSUED_NAME_SIZE) break;
        }
        at = begin[size] == '/' ? begin + size : NULL;
    }
    if (used > 0 && used < ISSUED_NAME_SIZE && name[0] != '.') return true;
    return fault_set(fault, FAULT_INPUT, "\"%s\" is no agent's name", uri);
}

static bool print_path(const char *name, char path[ORGANIZATION_PATH_SIZE]) {
    int size = snprintf(path, ORGANIZATION_PATH_SIZE, "issued/%s.pem", name);
    return size > 0 && size < ORGANIZATION_PATH_SIZE;
}

bool issued_find(const char *directory, const char *name, bool *is_there, struct fault *fault) {
    char inside[ORGANIZATION_PATH_SIZE];
    char path[ORGANIZATION_PATH_SIZE];
    struct files_entry entry;
    if (!print_path(name, inside)) return fault_set(fault, FAULT_INPUT, "the name is too long");
    return organization_path(directory, inside, path, fault) &&
           files_find(files_system(), path, is_there, &entry, fault);
}

bool issued_read(const char *directory, const char *name, struct buffer *certificate,
                 bool *is_key_elsewhere, struct fault *fault) {
    char inside[ORGANIZATION_PATH_SIZE];
    bool is_there = false;
    if (!issued_find(directory, name, &is_there, fault)) return false;
    if (!is_there) {
        return fault_set(fault, FAULT_INPUT,
                         "%s/issued/%s.pem does not exist: nothing to renew; without --renew "
                         "\"enroll\" makes a new bundle",
                         directory, name);
    }
    if (!print_path(name, inside) || !organization_read(directory, inside, certificate, fault)) {
        return false;
    }
    *is_key_elsewhere = span_starts(buffer_span(certificate), span_text(elsewhere_line));
    return true;
}

// A name is one agent's.
static bool check_same(const char *directory, const char *name, const char *uri,
                       struct fault *fault) {
    struct buffer old;
    struct certificate_facts facts;
    bool ignored;
    bool is_there = false;
    if (!issued_find(directory, name, &is_there, fault)) return false;
    if (!is_there) return true;
    buffer_init(&old, TEXT_SIZE_MAX);
    bool is_good = issued_read(directory, name, &old, &ignored, fault);
    if (is_good && !certificate_read(buffer_span(&old), &facts, fault)) {
        is_good = fault_add(fault, "%s/issued/%s.pem", directory, name);
    }
    if (is_good && strcmp(facts.uri, uri) != 0) {
        is_good = fault_set(fault, FAULT_INPUT,
                            "%s/issued/%s.pem is of %s: another agent of that name would take its "
                            "place; remove the file if that one is gone",
                            directory, name, facts.uri);
    }
    buffer_done(&old);
    return is_good;
}

bool issued_write(const char *directory, const char *uri, struct span certificate,
                  bool is_key_elsewhere, struct fault *fault) {
    char name[ISSUED_NAME_SIZE];
    char inside[ORGANIZATION_PATH_SIZE];
    char folder[ORGANIZATION_PATH_SIZE];
    struct buffer text;
    if (!issued_print_name(uri, name, fault) || !check_same(directory, name, uri, fault) ||
        !organization_path(directory, "issued", folder, fault) ||
        !files_make_directory(files_system(), folder, fault)) {
        return false;
    }
    buffer_init(&text, TEXT_SIZE_MAX);
    if (is_key_elsewhere) buffer_append_text(&text, elsewhere_line);
    buffer_append(&text, certificate);
    bool is_good = print_path(name, inside) && !buffer_overflowed(&text);
    if (!is_good) fault_set(fault, FAULT_FULL, "no memory for the certificate");
    is_good = is_good && organization_write(directory, inside, buffer_span(&text), 0644, fault);
    buffer_done(&text);
    return is_good;
}

bool issued_remove(const char *directory, const char *name, struct fault *fault) {
    char inside[ORGANIZATION_PATH_SIZE];
    char path[ORGANIZATION_PATH_SIZE];
    if (!print_path(name, inside)) return fault_set(fault, FAULT_INPUT, "the name is too long");
    return organization_path(directory, inside, path, fault) &&
           files_remove(files_system(), path, fault);
}

struct listing {
    bool (*on_name)(void *user, const char *name, struct fault *fault);
    void *user;
    bool is_good;
    struct fault *fault;
};

static bool on_entry(void *user, const struct files_entry *entry) {
    struct listing *listing = user;
    char name[ISSUED_NAME_SIZE];
    size_t size = strlen(entry->name);
    bool is_one = !entry->is_directory && entry->name[0] != '.' && size > 4 && size < sizeof name &&
                  strcmp(entry->name + size - 4, ".pem") == 0;
    if (!is_one) return true;
    snprintf(name, sizeof name, "%.*s", (int)(size - 4), entry->name);
    listing->is_good = listing->on_name(listing->user, name, listing->fault);
    return listing->is_good;
}

bool issued_list(const char *directory,
                 bool (*on_name)(void *user, const char *name, struct fault *fault), void *user,
                 struct fault *fault) {
    struct listing listing = {on_name, user, true, fault};
    struct files_entry entry;
    char folder[ORGANIZATION_PATH_SIZE];
    bool is_there = false;
    if (!organization_path(directory, "issued", folder, fault) ||
        !files_find(files_system(), folder, &is_there, &entry, fault)) {
        return false;
    }
    return !is_there ||
           (files_list(files_system(), folder, on_entry, &listing, fault) && listing.is_good);
}
