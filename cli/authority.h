// authority.h: the organization's CA and its replacement.
//
// A replacement has two ends. authority_replace makes a new CA, which signs from then on, and lets
// the collector accept both: certificates of either are good while collector and agents are renewed
// one after the other. authority_finish takes the old one away.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/certificate_check.h"
#include "base/fault.h"
#include "cli/organization.h"

// How it stands.
struct authority {
    struct certificate_facts cas[CERTIFICATE_CAS_MAX];  // accepted; the first one signs
    uint32_t cas_count;
    bool is_collector_new;  // the collector's certificate is of the one that signs
    uint32_t agents;        // enrolled (issued.h), or with a bundle in DIR/agents alone; a
                            // certificate that has expired does not count
    uint32_t agents_old;    // of another CA than the one that signs
    char names_old[256];    // some of them: "NAME, NAME, ..."
};

// Looks. FAULT_INPUT, FAULT_IO.
MUST_CHECK bool authority_look(const char *directory, int64_t now_s, struct authority *authority,
                               struct fault *fault);

// Makes a new CA beside the old one, or ends what was stopped in the middle of that. FAULT_INPUT if
// a replacement is under way.
MUST_CHECK bool authority_replace(const char *directory, const struct organization *organization,
                                  int64_t valid_s, int64_t now_s, struct fault *fault);

// Accepts the new one only. FAULT_INPUT if none is under way, the collector's certificate is of the
// old one, or, unless is_forced, an agent's is.
MUST_CHECK bool authority_finish(const char *directory, bool is_forced, int64_t now_s,
                                 struct fault *fault);
