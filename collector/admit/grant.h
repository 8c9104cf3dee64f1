// grant.h: what an agent may bring, as the URI in its certificate says.
//
//   spiffe://ORG/account/ACCOUNT[/region/REGION][/agent/NAME]
//   spiffe://ORG/organization[/agent/NAME]
//
// Nothing else is a grant: no query, no fragment, no escapes, no empty part, no part twice. A grant
// is a value and borrows nothing. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum {
    GRANT_ACCOUNT_SIZE = 65,  // bytes with the final zero, as are the others
    GRANT_REGION_SIZE = 65,
    GRANT_NAME_SIZE = 65,
};

struct grant {
    bool is_organization;              // may speak for every account
    char account[GRANT_ACCOUNT_SIZE];  // empty for an organization's
    char region[GRANT_REGION_SIZE];    // empty: all regions of the account
    char name[GRANT_NAME_SIZE];        // empty if the certificate names none
};

// Reads the URI of a certificate. FAULT_DENIED: it is no grant, or one of another organization; the
// text says which part and what was expected.
MUST_CHECK bool grant_parse(struct span uri, const char *organization, struct grant *grant,
                            struct fault *fault);
