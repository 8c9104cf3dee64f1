// roster.h: the accounts of the organization, as the configuration lists them.
//
// Made once from the configuration and never changed, so any thread may read it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum { ROSTER_ACCOUNTS_MAX = 100000 };

// What happens to records of accounts that are not listed.
enum roster_unknown {
    ROSTER_UNKNOWN_DEFAULT,     // quarantined from an account's agent, admitted from an
                                // organization's
    ROSTER_UNKNOWN_QUARANTINE,  // quarantined, whoever brings them
    ROSTER_UNKNOWN_ADMIT,       // admitted, whoever brings them
};

struct roster_account {
    const char *id;              // 12 digits with AWS; private clouds: up to 64 bytes
    const char *name;            // for people; may be NULL
    const char *unit;            // organizational unit; may be NULL
    const char *const *regions;  // where events are expected
    uint32_t regions_count;
};

struct roster;

// Makes a roster; the accounts and their texts are borrowed for its life. FAULT_INPUT if an id is
// empty, too long or listed twice; FAULT_FULL if memory runs out.
MUST_CHECK bool roster_create(const struct roster_account *accounts, uint32_t accounts_count,
                              enum roster_unknown unknown, struct roster **roster,
                              struct fault *fault);

// Frees it. NULL is allowed.
void roster_destroy(struct roster *roster);

// The account of this id, or NULL if it is not listed.
const struct roster_account *roster_find(const struct roster *roster, struct span id);

// How many accounts there are, and each of them.
uint32_t roster_count(const struct roster *roster);
const struct roster_account *roster_get(const struct roster *roster, uint32_t index);

// Whether records of an account that is not listed are admitted from such a certificate.
bool roster_admits_unknown(const struct roster *roster, bool from_organization);
