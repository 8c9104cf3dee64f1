// reload.h: what of the settings changes while the collector runs: certificates and deny list.
//
// All of it is read and checked before any of it is used; what is no good leaves everything as it
// was. SIGHUP reads the files again; the deny list also changes by request of another thread. Own
// events say who changed what. One thread, the main one, but for reload_ask.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "collector/server/server.h"
#include "collector/settings/settings.h"

struct reload;

enum reload_change { RELOAD_DENY_LIST, RELOAD_DENY_ADD, RELOAD_DENY_REMOVE };

// What another thread asks for.
struct reload_request {
    enum reload_change change;
    char entry[DENY_ENTRY_SIZE];
    char note[DENY_NOTE_SIZE_MAX + 1];
    const char *who;  // a text for people
    // Called on the main thread, once: the list's text as it is now, or why not.
    void (*done)(struct reload_request *request, struct span text, const struct fault *fault);
};

// Reads what the settings name and starts the server with it. The settings are borrowed for its
// life. Faults as settings_read_certificates, deny_parse and server_start.
MUST_CHECK bool reload_start(const struct settings *settings, struct roster_live *roster,
                             struct trail *trail, struct reload **reload, struct server **server,
                             struct fault *fault);

// Ends requests that wait with FAULT_RETRY. The server is the caller's. NULL is allowed.
void reload_end(struct reload *reload);

// Reads all files again and hands them to the server; the fault is logged too. who is a text for
// people.
MUST_CHECK bool reload_all(struct reload *reload, const char *who, struct fault *fault);

// [any] Leaves a request for reload_answer and wakes the main thread with SIGUSR1. False: too many
// wait.
bool reload_ask(struct reload *reload, struct reload_request *request);

// Does what was asked for.
void reload_answer(struct reload *reload);

// Whether the deny list can be read, for --check. Faults as deny_parse.
MUST_CHECK bool reload_check(const struct settings *settings, struct fault *fault);
