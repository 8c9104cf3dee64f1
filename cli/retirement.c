#include "cli/retirement.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/files.h"
#include "cli/bundle.h"
#include "cli/issued.h"

enum { TEXT_SIZE_MAX = 64 * 1024 };

static const char *const parts[] = {"agent.key", "agent.pem", "agent.yaml", "ca.pem"};

enum { SECRET_PARTS = 2 };  // the first ones are what lets somebody connect

static bool find_name(const char *who, char name[ISSUED_NAME_SIZE], struct fault *fault) {
    if (strchr(who, ':') != NULL) return issued_print_name(who, name, fault);
    bool is_good =
        who[0] != '.' && who[0] != 0 && strchr(who, '/') == NULL && strlen(who) < ISSUED_NAME_SIZE;
    if (is_good) snprintf(name, ISSUED_NAME_SIZE, "%s", who);
    return is_good || fault_set(fault, FAULT_INPUT, "\"%s\" is no agent's name", who);
}

// Its last certificate: kept, or in a bundle that is older than what is kept.
static bool read_last(const char *directory, const char *folder, const char *name,
                      struct certificate_facts *facts, struct fault *fault) {
    struct buffer text;
    struct files_entry entry;
    char path[ORGANIZATION_PATH_SIZE];
    bool is_kept = false;
    bool is_there = false;
    bool ignored;
    if (!issued_find(directory, name, &is_kept, fault) ||
        !organization_path(folder, "agent.pem", path, fault) ||
        !files_find(files_system(), path, &is_there, &entry, fault)) {
        return false;
    }
    if (!is_kept && !is_there) {
        return fault_set(fault, FAULT_INPUT,
                         "no agent \"%s\" was enrolled here: %s/issued has the names of those who "
                         "were",
                         name, directory);
    }
    buffer_init(&text, TEXT_SIZE_MAX);
    bool is_good =
        (is_kept ? issued_read(directory, name, &text, &ignored, fault)
                 : files_read_whole(files_system(), path, TEXT_SIZE_MAX, &text, fault)) &&
        (certificate_read(buffer_span(&text), facts, fault) || fault_add(fault, "%s", name));
    buffer_done(&text);
    return is_good;
}

static bool on_entry(void *user, const struct files_entry *entry) {
    bool *has_other = user;
    bool is_part = false;
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++)
        is_part = is_part || strcmp(entry->name, parts[index]) == 0;
    if (!is_part) *has_other = true;
    return !*has_other;
}

// A folder with more in it than a bundle may hold the spool of an agent that runs from there.
static bool remove_folder(const char *folder, bool *is_left, struct fault *fault) {
    struct files_entry entry;
    bool is_there = false;
    *is_left = false;
    if (!files_find(files_system(), folder, &is_there, &entry, fault)) return false;
    if (!is_there) return true;
    if (!files_list(files_system(), folder, on_entry, is_left, fault)) return false;
    size_t count = *is_left ? SECRET_PARTS : sizeof parts / sizeof parts[0];
    for (size_t index = 0; index < count; index++) {
        char path[ORGANIZATION_PATH_SIZE];
        if (!organization_path(folder, parts[index], path, fault) ||
            !files_remove(files_system(), path, fault)) {
            return false;
        }
    }
    return *is_left || files_remove(files_system(), folder, fault);
}

bool retirement_write(const char *directory, const char *out, const char *who,
                      struct retirement *retirement, struct fault *fault) {
    char name[ISSUED_NAME_SIZE];
    char file[ISSUED_NAME_SIZE + 8];
    char tar[ORGANIZATION_PATH_SIZE];
    struct retirement made;
    if (!find_name(who, name, fault)) return false;
    snprintf(file, sizeof file, "%s.tar", name);
    if (!organization_path(out, name, made.folder, fault) ||
        !organization_path(out, file, tar, fault) ||
        !read_last(directory, made.folder, name, &made.facts, fault)) {
        return false;
    }
    if (strchr(who, ':') != NULL && strcmp(who, made.facts.uri) != 0) {
        return fault_set(fault, FAULT_INPUT, "%s was not enrolled here; %s was, as \"%s\"", who,
                         made.facts.uri, name);
    }
    // What is kept goes last: until then the same may be said again.
    if (!remove_folder(made.folder, &made.is_folder_left, fault) ||
        !files_remove(files_system(), tar, fault) || !issued_remove(directory, name, fault)) {
        return false;
    }
    *retirement = made;
    return true;
}
