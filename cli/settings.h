// settings.h: what the operator's command reads of a collector's config (collector.yaml).
//
// Only the parts that concern it; the collector itself checks the rest. The file's form is
// described in docs/operator.md.

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/fault.h"
#include "base/span.h"

enum {
    SETTINGS_ACCOUNTS_MAX = 100000,  // of a roster: ten times AWS's largest organizations
    SETTINGS_REGIONS_MAX = 256,      // expected of one account
};

struct settings_account {
    char *id;
    char *name;      // NULL if none
    char **regions;  // where events are expected
    unsigned regions_count;
};

struct settings_organization {
    char *id;
    char *management_account;
    char *home_region;  // NULL: us-east-1
};

struct settings_store {
    char *directory;  // as written; settings_store_directory resolves it
};

struct settings_control {
    char *socket;  // as written; settings_control_path resolves it; NULL: beside the store
};

struct settings_roster {
    struct settings_account *accounts;
    unsigned accounts_count;
};

struct settings {
    struct settings_organization organization;
    struct settings_store store;
    struct settings_control control;
    struct settings_roster roster;
};

// Loads the file. The caller destroys it. FAULT_INPUT with file and line.
MUST_CHECK bool settings_load(const char *path, struct settings **settings, struct fault *fault);
void settings_destroy(struct settings *settings);

// Whether a line of the text begins with this key ("spool:"): tells whose settings they are where
// they cannot be loaded.
bool settings_have(struct span text, const char *key);

// The roster's account of this id, or NULL.
const struct settings_account *settings_find_account(const struct settings *settings,
                                                     const char *id);

// The store's folder, into text: relative ones count from the config's folder. FAULT_INPUT if it is
// too long.
MUST_CHECK bool settings_store_directory(const struct settings *settings, const char *path,
                                         char *text, size_t text_size, struct fault *fault);

// The same for the control socket.
MUST_CHECK bool settings_control_path(const struct settings *settings, const char *path, char *text,
                                      size_t text_size, struct fault *fault);
