// renewal.h: new certificates for agents that were enrolled: the same name, another end, and
// another key unless the old one is to stay. A bundle's folder is renewed in place; what is known
// of an agent whose bundle has left (issued.h) suffices for a tar file.

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

// Writes OUT/NAME.tar with the same files for the agent that was enrolled under the name, and tells
// its path. agent.yaml is not in it: the agent's own stays. Faults as above.
MUST_CHECK bool renewal_write_tar(const char *directory, const struct organization *organization,
                                  const char *out, const char *name,
                                  const struct renewal_plan *plan, int64_t now_s,
                                  char path[ORGANIZATION_PATH_SIZE], char uri[BUNDLE_URI_SIZE],
                                  struct fault *fault);

// Calls on_bundle for each folder of `out` that holds a bundle, until it returns false, which it
// does with the fault set.
MUST_CHECK bool renewal_list(const char *out,
                             bool (*on_bundle)(void *user, const char *bundle, struct fault *fault),
                             void *user, struct fault *fault);
