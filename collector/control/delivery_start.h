// delivery_start.h: the trails' deliveries as the settings want them.

#pragma once

#include <stdbool.h>

#include "base/fault.h"
#include "collector/admit/roster_live.h"
#include "collector/deliver/objects_directory.h"
#include "collector/server/server.h"
#include "collector/settings/settings.h"

struct delivery;

// Whether files could be delivered as the settings want it, as far as this machine tells: folder,
// credentials, CA. True if they want none. Faults as delivery_start.
MUST_CHECK bool delivery_check(const struct settings *settings, struct fault *fault);

// Starts them, if the settings want any; otherwise *delivery is NULL. What is given is borrowed for
// its life. Faults as secret_load and s3_create; FAULT_INPUT if the directory is missing;
// FAULT_FULL.
MUST_CHECK bool delivery_start(const struct settings *settings, struct roster_live *roster,
                               struct server *server, struct delivery **delivery,
                               struct fault *fault);

// Lets what is under way end, and frees it. NULL is allowed.
void delivery_stop(struct delivery *delivery);

// Where they deliver to; NULL if nothing is delivered.
const struct objects *delivery_objects(const struct delivery *delivery);

// The same if it is a folder, otherwise NULL.
const struct objects_directory *delivery_directory(const struct delivery *delivery);
