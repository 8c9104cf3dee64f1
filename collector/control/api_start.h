// api_start.h: the API as the settings want it: started, and given its certificate again.

#pragma once

#include <stdbool.h>

#include "base/fault.h"
#include "collector/api/service.h"
#include "collector/control/delivery_start.h"
#include "collector/server/server.h"
#include "collector/settings/settings.h"

// Whether certificate, key and secret.key could be used, if the settings want an API. *has_secret
// is false if the start would make secret.key. Faults as api_start.
MUST_CHECK bool api_check(const struct settings *settings, bool *has_secret, struct fault *fault);

// Reads certificate and key and starts the API, if the settings want one; otherwise *service is
// NULL. Faults as service_start, and those of reading files. delivery: of the trails; NULL:
// there is none.
MUST_CHECK bool api_start(const struct settings *settings, struct roster_live *roster,
                          struct server *server, const struct delivery *delivery,
                          struct service **service, struct fault *fault);

// Reads certificate and key again. FAULT_INPUT and faults of reading files: the old ones stay. A
// service of NULL is allowed.
MUST_CHECK bool api_reload(const struct settings *settings, struct service *service,
                           struct fault *fault);
