// settings_kept.h: the settings' sums, kept with the trail, so that a change that was made while
// the collector was stopped is told when it starts.
//
// Certificates are told by themselves (expiry.h), changes of a running collector by reload.h and
// roster_reload.h.

#pragma once

#include "collector/server/server.h"
#include "collector/settings/settings.h"

// At the start: tells which settings are others than those of the last one, as an own event and in
// the log, and keeps these. The first start of a store tells nothing. What cannot be read is
// logged.
void settings_kept_check(const struct settings *settings, struct server *server);

// Keeps them after a reload, which told what it changed: those of the start with this roster.
void settings_kept_save(const struct settings *started, const struct settings *roster,
                        struct server *server);
