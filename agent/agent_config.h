// agent_config.h: the agent's settings, as they stand in its YAML file. docs/agent.md explains
// each.
//
//   organization: o-a1b2c3d4e5            # optional: refuse another organization's collector
//   collector:
//     address: collector.example:7443
//     name: collector.example             # optional: name in its certificate, if not the host
//   certificates: {ca: ca.pem, certificate: agent.pem, key: agent.key}
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
//       from: beginning                   # optional: or "end", for files there at the first start
//   event_selectors: selectors.json       # optional: which records are sent
//   http: {listen: "127.0.0.1:9464"}      # optional: /metrics and /healthz
//
// Relative paths count from the folder of the settings file. `path` is one path, `paths` several; a
// tail's path "-" is standard input.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    AGENT_CONFIG_SOURCES_MAX = 64,   // sources of one agent
    AGENT_CONFIG_PATHS_MAX = 16,     // paths (or patterns) of one tail source
    AGENT_CONFIG_POLL_MS_MIN = 100,  // between two turns of a directory source
    AGENT_CONFIG_POLL_MS_MAX = 600000,
};

#define AGENT_CONFIG_SPOOL_SIZE_MIN (UINT64_C(64) << 20)

struct agent_config_source {
    const char *name;  // letters, digits, '.', '_' and '-'; at most 63
    bool is_tail;
    bool is_standard_input;
    const char *const *paths;  // absolute; a directory source has one
    uint32_t paths_count;
    uint32_t poll_ms;        // 0: not given
    uint64_t file_size_max;  // 0: not given
    bool from_end;
};

// All texts live as long as the settings.
struct agent_config {
    const char *organization;  // "" if not given
    const char *collector_address;
    const char *collector_name;  // NULL if not given
    const char *ca_path;
    const char *certificate_path;
    const char *key_path;
    const char *spool_directory;
    uint64_t spool_size_max;      // 0: not given
    const char *http_listen;      // NULL if not given
    const char *event_selectors;  // path; NULL if not given
    struct agent_config_source *sources;
    uint32_t sources_count;
};

// Reads settings from text; `path` is the file's, for messages and for relative paths. The caller
// frees them. FAULT_INPUT: "PATH: line 12: ..." says what is wrong and what is expected.
MUST_CHECK bool agent_config_parse(struct span text, const char *path, struct agent_config **config,
                                   struct fault *fault);

// The same from the file.
MUST_CHECK bool agent_config_load(const char *path, struct agent_config **config,
                                  struct fault *fault);

// Appends a table of all settings, in Markdown. FAULT_FULL if memory runs out.
MUST_CHECK bool agent_config_print_reference(struct buffer *text, struct fault *fault);

// Frees it. NULL is allowed.
void agent_config_destroy(struct agent_config *config);
