// organization.h: an organization's folder: its CA, its collector's certificate and config, its
// roster.
//
//     DIR/organization.yaml         what people call it, and the collector's address for agents
//     DIR/ca/ca.pem, ca.key         the CA that signs; the key is 0600 and only `enroll` needs it
//     DIR/collector/collector.yaml  the collector's config, with the roster (settings.h)
//     DIR/collector/ca.pem          the CAs that are accepted: two while one is replaced
//     DIR/collector/collector.pem, collector.key
//     DIR/store/                    where the collector keeps the trail (0750), unless elsewhere
//     DIR/agents/NAME/              bundles (bundle.h)
//     DIR/issued/NAME.pem           the last certificate of each agent enrolled (issued.h)
//
// DIR/collector and DIR/store are what the collector's machine needs; DIR/ca stays with the
// operator. What root writes into DIR/collector later belongs to the folder's owner, so that the
// collector can read it. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "cli/names.h"
#include "cli/settings.h"

enum {
    ORGANIZATION_CA_DAYS = 3650,          // a CA is replaced with two accepted meanwhile
    ORGANIZATION_CERTIFICATE_DAYS = 397,  // what browsers accept at most: renewing is a habit
    ORGANIZATION_PORT = 7443,             // the collector's, unless another is given
    ORGANIZATION_PATH_SIZE = 4096,        // of any path here, with the final zero
};

struct organization_account {
    const char *id;
    const char *name;  // NULL: the id
};

// What init is told.
struct organization_plan {
    const char *id;                  // "o-exampleorgid"
    const char *name;                // for people; NULL: the id
    const char *management_account;  // enters the roster too
    const char *home_region;         // NULL: "us-east-1"
    const char *collector;           // "HOST" or "HOST:PORT", as agents reach it; NULL: localhost
    const char *store;               // the trail's folder, absolute; NULL: DIR/store
    const char *user;  // who runs the collector: owns DIR/collector and the store; NULL:
                       // the caller
    const struct organization_account *accounts;
    uint32_t accounts_count;
};

// Makes the organization in a folder that is missing or has none yet. FAULT_INPUT if a value is not
// as it must be or the folder holds an organization already; FAULT_IO, FAULT_FULL.
MUST_CHECK bool organization_create(const char *directory, const struct organization_plan *plan,
                                    int64_t now_s, struct fault *fault);

struct organization {
    char *name;
    char *collector;            // "HOST:PORT"
    struct settings *settings;  // of collector.yaml
};

// Loads what organization_create made and people may have edited. The caller destroys it.
// FAULT_INPUT with file and line.
MUST_CHECK bool organization_load(const char *directory, struct organization **organization,
                                  struct fault *fault);
void organization_destroy(struct organization *organization);

// Adds accounts to the roster in a collector's config, whose other lines stay as they are.
// FAULT_INPUT if an account is none, or the file has no list of accounts in the form that init
// writes; it is unchanged then.
MUST_CHECK bool organization_add_accounts(const char *path,
                                          const struct organization_account *added,
                                          uint32_t added_count, struct fault *fault);

// Adds an account to the roster in collector.yaml, whose other lines stay as they are. FAULT_INPUT
// if the file has no list of accounts in the form that init writes; it is unchanged then.
MUST_CHECK bool organization_add_account(const char *directory,
                                         const struct organization_account *account,
                                         struct fault *fault);

// Puts a new key and certificate for the collector in place of the present ones.
MUST_CHECK bool organization_renew_collector(const char *directory,
                                             const struct organization *organization,
                                             int64_t valid_s, int64_t now_s, struct fault *fault);

// Appends the CA's certificate and key of the folder. FAULT_INPUT, FAULT_IO.
MUST_CHECK bool organization_read_ca(const char *directory, struct buffer *certificate,
                                     struct buffer *key, struct fault *fault);

// Makes a CA: its name has the organization's id and the suffix. Faults as certificate_make_ca.
MUST_CHECK bool organization_make_ca(const char *id, const char *suffix, int64_t valid_s,
                                     int64_t now_s, struct buffer *key, struct buffer *certificate,
                                     struct fault *fault);

// Appends a PEM file of the folder, or writes a file of it whole: of root's each belongs to the
// owner of its folder. Faults as files_read_whole and files_write_whole.
MUST_CHECK bool organization_read(const char *directory, const char *name, struct buffer *bytes,
                                  struct fault *fault);
MUST_CHECK bool organization_write(const char *directory, const char *name, struct span bytes,
                                   uint32_t mode, struct fault *fault);

// DIRECTORY/NAME into path. FAULT_INPUT if it is too long.
MUST_CHECK bool organization_path(const char *directory, const char *name,
                                  char path[ORGANIZATION_PATH_SIZE], struct fault *fault);
