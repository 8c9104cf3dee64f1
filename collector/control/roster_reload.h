// roster_reload.h: the roster of the running collector, read again from its settings file.
//
// A file that is not good changes nothing. What did change is an own event, and records that were
// refused since their account was unknown are received again. Of all other settings it is only told
// which ones changed: they take effect at the next start. One thread (main's).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "collector/admit/roster_live.h"
#include "collector/server/server.h"
#include "collector/settings/settings.h"

enum { ROSTER_RELOAD_WAITING_SIZE = 1024 };  // the names of all settings fit

struct roster_reload {
    const char *path;                // of the settings file
    const struct settings *started;  // those of the start
    struct settings *settings;       // those the roster lies in; NULL: the start's
    struct roster *roster;
    struct roster_live live;
};

// What a reload changed.
struct roster_changes {
    uint32_t accounts;  // now
    uint32_t added;
    uint32_t removed;
    uint32_t changed;  // name, unit, or regions
    uint64_t retried;  // quarantine entries of unknown accounts, being retried
    char waiting[ROSTER_RELOAD_WAITING_SIZE];  // names of settings that the next start takes
};

// Makes the roster of the start. Settings and path are borrowed. Faults as roster_create.
MUST_CHECK bool roster_reload_init(struct roster_reload *reload, const char *path,
                                   const struct settings *settings, struct fault *fault);

// Frees it; no server reads it any more.
void roster_reload_done(struct roster_reload *reload);

// Reads the file again, for a user (as control_call_user says; "SIGHUP" for a signal). FAULT_INPUT
// with file and line: the old roster stays.
MUST_CHECK bool roster_reload_now(struct roster_reload *reload, struct server *server,
                                  const char *user, struct roster_changes *changes,
                                  struct fault *fault);
