// config.h: the agent's settings, as they stand in its YAML file.
//
//   organization: o-a1b2c3d4e5            # optional: refuse another organization's collector
//   collector:
//     address: collector.example:7443
//     name: collector.example             # optional: name in its certificate, if not the host
//   certificates:                         # PEM files
//     ca: ca.pem
//     certificate: agent.pem
//     key: agent.key
//   spool:
//     directory: /var/lib/orgtrail-agent
//     size_max: 1GiB                      # optional
//   sources:
//     - name: cloudtrail
//       kind: directory
//       path: /srv/trail/AWSLogs
//       poll_ms: 1000                     # optional
//       file_size_max: 256MiB             # optional: inflated size of one file
//     - name: gateway
//       kind: tail
//       paths: [/var/log/gateway/audit.log, /var/log/other/*.ndjson]
//       from: beginning                   # optional: or "end", for files never seen before
//   log_level: info                       # optional: debug, info, warning, error
//
// Relative paths are relative to the folder of the settings file. `path` and `paths` may stand for
// one another; a tail's path "-" is standard input.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum {
    CONFIG_SOURCES_MAX = 64,   // sources of one agent
    CONFIG_PATHS_MAX = 16,     // paths (or patterns) of one tail source
    CONFIG_POLL_MS_MIN = 100,  // between two turns of a directory source
};

struct agent_config_source {
    char *name;  // letters, digits, '.', '_' and '-'; at most 63
    bool is_tail;
    char **paths;  // absolute; a directory source has one
    uint32_t paths_count;
    uint32_t poll_ms;
    uint64_t file_size_max;
    bool from_end;
};

struct agent_config {
    char *organization;  // "" if not given
    char *collector_address;
    char *collector_name;  // NULL if not given
    char *ca_path;
    char *certificate_path;
    char *key_path;
    char *spool_directory;
    uint64_t spool_size_max;
    char *log_level;
    struct agent_config_source *sources;
    uint32_t sources_count;
};

// Reads settings from text; `path` is the file's (for messages and for relative paths). The caller
// frees them with agent_config_destroy. FAULT_INPUT: "PATH: line 12: ..." says what is expected.
MUST_CHECK bool agent_config_parse(struct span text, const char *path, struct agent_config **config,
                                   struct fault *fault);

// Frees it. NULL is allowed.
void agent_config_destroy(struct agent_config *config);
