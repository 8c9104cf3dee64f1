// renewal.h: new certificates for bundles that are there: the same name, another end, and another
// key unless the old one is to stay.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "cli/bundle.h"
#include "cli/organization.h"

struct renewal_plan {
    int64_t valid_s;
    bool keeps_key;   // also of a bundle that has no agent.key: the key is elsewhere
    struct span csr;  // PEM; sign this request instead; empty: none
};

// Writes agent.pem, agent.key unless it stays, and ca.pem with the CAs that are accepted now. The
// name is that of the bundle's certificate and goes to uri. FAULT_INPUT: no bundle, or another
// organization's.
MUST_CHECK bool renewal_write(const char *directory, const struct organization *organization,
                              const char *bundle, const struct renewal_plan *plan, int64_t now_s,
                              char uri[BUNDLE_URI_SIZE], struct fault *fault);

// Calls on_bundle for each folder of `out` that holds a bundle, until it returns false, which it
// does with the fault set.
MUST_CHECK bool renewal_list(const char *out,
                             bool (*on_bundle)(void *user, const char *bundle, struct fault *fault),
                             void *user, struct fault *fault);
