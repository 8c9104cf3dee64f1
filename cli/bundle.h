// bundle.h: what an agent's machine gets: ca.pem, agent.pem, agent.key and agent.yaml.
//
// A bundle's name is the agent's identity with underscores: "111111111111_eu-west-1_web". It is
// written as a folder (0700) or as one tar file (0600). With a signing request the key never
// travels: agent.key is not in the bundle.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "cli/organization.h"

enum {
    BUNDLE_URI_SIZE = 256,    // of a certificate's URI, with the final zero
    BUNDLE_NAME_SIZE = 224,   // of a bundle, with the final zero
    BUNDLE_SOURCES_MAX = 64,  // given on one command line: what an agent takes
};

// Whom a certificate speaks for.
struct bundle_identity {
    const char *account;  // NULL: the whole organization
    const char *region;   // NULL: every region
    const char *agent;    // NULL: the only one of its kind
};

// A source that goes into agent.yaml.
struct bundle_source {
    const char *name;
    const char *kind;  // "directory" or "tail"
    const char *path;
    bool is_placed;  // it was relative and is absolute now
};

struct bundle_plan {
    struct bundle_identity identity;
    const char *spool;      // the spool's folder; NULL: "spool" beside the config
    const char *collector;  // "HOST:PORT" as this agent reaches it; NULL: the organization's
    const struct bundle_source *sources;
    uint32_t sources_count;
    int64_t valid_s;
    struct span csr;  // PEM; empty: a key is made here
    const char *out;  // an existing folder
    bool is_tar;
};

// Writes the bundle, keeps its certificate (issued.h) and tells where it is. FAULT_INPUT if a value
// is not as it must be, or the bundle is there already. The account is not compared with the
// roster.
MUST_CHECK bool bundle_write(const char *directory, const struct organization *organization,
                             const struct bundle_plan *plan, int64_t now_s,
                             char path[ORGANIZATION_PATH_SIZE], struct fault *fault);

// The files of a bundle; an empty one is not in it.
struct bundle_files {
    struct span accepted;  // ca.pem
    struct span certificate;
    struct span config;
    struct span key;
};

// Writes OUT/NAME.tar (0600) in place of one that is there, and tells its path. FAULT_IO,
// FAULT_FULL.
MUST_CHECK bool bundle_write_tar(const char *out, const char *name,
                                 const struct bundle_files *files, int64_t now_s,
                                 char path[ORGANIZATION_PATH_SIZE], struct fault *fault);

// The name of an identity's bundle. FAULT_INPUT if a part is not as it must be.
MUST_CHECK bool bundle_print_name(const struct bundle_identity *identity,
                                  char name[BUNDLE_NAME_SIZE], struct fault *fault);

// Where the plan's bundle is or would be, and whether it is there. FAULT_INPUT, FAULT_IO.
MUST_CHECK bool bundle_find(const struct bundle_plan *plan, char path[ORGANIZATION_PATH_SIZE],
                            bool *is_there, struct fault *fault);

// The URI that a certificate of this identity carries. FAULT_INPUT if it is too long.
MUST_CHECK bool bundle_print_uri(const char *organization_id,
                                 const struct bundle_identity *identity, char uri[BUNDLE_URI_SIZE],
                                 struct fault *fault);
